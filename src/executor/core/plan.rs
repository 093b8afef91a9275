//! What a task runs, in order: the operator's before commands, the job's, the command itself, the
//! job's after commands, the operator's.

use std::fmt;

use crate::words::units::{Span, truncate};

/// How to run one command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// `sh -c` with this text.
    Shell(Vec<u8>),
    /// This file, looked up in `PATH`, with this complete argv (`CommandInfo.shell` false).
    Exec {
        /// The file to run.
        file: Vec<u8>,
        /// All arguments, the first of them being `argv[0]`.
        arguments: Vec<Vec<u8>>,
    },
}

/// A before or after command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hook {
    /// The shell command.
    pub value: String,
    /// Its failure stops everything that would come after it.
    pub guard: bool,
    /// It does not hold up the next command, and is stopped when the others have ended.
    pub is_async: bool,
    /// It is stopped after this long, and has failed then.
    pub timeout: Option<Span>,
}

/// The before and after commands from one author.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hooks {
    /// Run before the command.
    pub before: Vec<Hook>,
    /// Run after the command.
    pub after: Vec<Hook>,
}

/// Who asked for a hook; their exit codes are reported apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The operator of the cluster.
    Operator,
    /// The author of the job.
    Job,
}

/// A command's part in the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Runs before the command.
    Before(Origin),
    /// The command itself.
    Main,
    /// Runs after the command.
    After(Origin),
}

/// One command of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    /// Its part in the task.
    pub part: Part,
    /// What to call it in a message: `before command 2 ("./acquire-lock.sh")`. Positions count from 1
    /// within the array that the command stands in.
    pub description: String,
    /// What to run.
    pub program: Program,
    /// See [`Hook::guard`]; never set for the command itself.
    pub guard: bool,
    /// See [`Hook::is_async`]; never set for the command itself.
    pub is_async: bool,
    /// See [`Hook::timeout`]; never set for the command itself.
    pub timeout: Option<Span>,
}

/// A command's place in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub usize);

/// Everything a task runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    commands: Vec<Command>,
    /// Absent if the task consists of hooks only.
    main: Option<CommandId>,
    first_after: CommandId,
}

/// A task that cannot be run, and why, in words for the author of the job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TaskRefusal(pub String);

// === impl Hook ===

impl Hook {
    /// The command at `index` of its array.
    fn into_command(self, part: Part, index: usize) -> Command {
        let program = Program::Shell(self.value.into_bytes());
        Command {
            part,
            description: format!("{part} {} ({:?})", index + 1, program.quoted()),
            program,
            guard: self.guard,
            is_async: self.is_async,
            timeout: self.timeout,
        }
    }
}

// === impl Plan ===

impl Plan {
    /// Puts the commands in order.
    pub fn new(main: Option<Program>, job: Hooks, operator: Hooks) -> Self {
        let mut commands = Vec::new();
        let mut add = |hooks: Vec<Hook>, part| {
            let numbered = hooks.into_iter().enumerate();
            commands.extend(numbered.map(|(index, hook)| hook.into_command(part, index)));
            commands.len()
        };
        add(operator.before, Part::Before(Origin::Operator));
        let at = add(job.before, Part::Before(Origin::Job));
        add(job.after, Part::After(Origin::Job));
        add(operator.after, Part::After(Origin::Operator));
        let main = main.map(|program| Command {
            part: Part::Main,
            description: format!("{} ({:?})", Part::Main, program.quoted()),
            program,
            guard: false,
            is_async: false,
            timeout: None,
        });
        let (main_at, first_after) = match main {
            Some(_) => (Some(CommandId(at)), CommandId(at + 1)),
            None => (None, CommandId(at)),
        };
        commands.splice(at..at, main);
        Self {
            commands,
            main: main_at,
            first_after,
        }
    }

    /// The command itself, between the before and the after commands, if there is one.
    pub fn main(&self) -> Option<CommandId> {
        self.main
    }

    /// The place behind the command, or where it would be: that of the first after command, if there is any.
    pub fn first_after(&self) -> CommandId {
        self.first_after
    }

    /// The command at `id`, unless the plan is over.
    pub fn get(&self, id: CommandId) -> Option<&Command> {
        self.commands.get(id.0)
    }

    /// All commands in order.
    pub fn iter(&self) -> impl Iterator<Item = (CommandId, &Command)> {
        let numbered = self.commands.iter().enumerate();
        numbered.map(|(index, command)| (CommandId(index), command))
    }
}

// === impl Program ===

impl Program {
    /// The part that identifies the program to a person.
    pub fn text(&self) -> &[u8] {
        match self {
            Self::Shell(text) => text,
            Self::Exec { file, .. } => file,
        }
    }

    /// The beginning of that, for a message.
    fn quoted(&self) -> String {
        /// Enough to recognise a command; messages have a limited length.
        const MAX_QUOTED: usize = 80;
        truncate(String::from_utf8_lossy(self.text()).trim(), MAX_QUOTED)
    }
}

// === impl Part ===

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before(Origin::Job) => "before command",
            Self::Before(Origin::Operator) => "the operator's before command",
            Self::Main => "the command",
            Self::After(Origin::Job) => "after command",
            Self::After(Origin::Operator) => "the operator's after command",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(value: &str) -> Hook {
        Hook {
            value: value.to_owned(),
            guard: false,
            is_async: false,
            timeout: None,
        }
    }

    #[test]
    fn operators_hooks_enclose_the_jobs_hooks_which_enclose_the_command() {
        let hooks = |before: &str, after: &str| Hooks {
            before: vec![hook(before)],
            after: vec![hook(after)],
        };
        let plan = Plan::new(
            Some(Program::Shell(b"main".to_vec())),
            hooks("job before", "job after"),
            hooks("operator before", "operator after"),
        );
        let texts: Vec<_> = plan.iter().map(|(_, c)| c.program.text()).collect();
        assert_eq!(
            texts,
            [
                &b"operator before"[..],
                b"job before",
                b"main",
                b"job after",
                b"operator after"
            ]
        );
        assert_eq!(plan.main(), Some(CommandId(2)));
        assert_eq!(plan.first_after(), CommandId(3));
        let descriptions: Vec<_> = plan.iter().map(|(_, c)| c.description.as_str()).collect();
        assert_eq!(descriptions[1], "before command 1 (\"job before\")");
        assert_eq!(descriptions[2], "the command (\"main\")");
        assert_eq!(
            descriptions[4],
            "the operator's after command 1 (\"operator after\")"
        );
    }

    #[test]
    fn hooks_alone_are_a_plan_too() {
        let job = Hooks {
            before: vec![hook("before")],
            after: vec![hook("after")],
        };
        let plan = Plan::new(None, job, Hooks::default());
        let texts: Vec<_> = plan.iter().map(|(_, c)| c.program.text()).collect();
        assert_eq!(texts, [&b"before"[..], b"after"]);
        assert_eq!((plan.main(), plan.first_after()), (None, CommandId(1)));
    }
}
