//! What a task runs, in this order: the operator's before commands, the job's before commands, the command,
//! the job's after commands, the operator's after commands.

use std::fmt;

use crate::words::units::{Span, truncate};

/// How to run one command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// `sh -c` with this text.
    Shell(Vec<u8>),
    /// This file, looked up in `PATH`, with this complete argv (`CommandInfo.shell` is false).
    Exec {
        /// The file to run.
        file: Vec<u8>,
        /// All arguments, including `argv[0]`.
        arguments: Vec<Vec<u8>>,
    },
}

/// A before or after command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hook {
    /// The shell command.
    pub value: String,
    /// If it fails, no later command is started.
    pub guard: bool,
    /// The next command does not wait for it. It is stopped when the last synchronous command has ended.
    pub is_async: bool,
    /// It is stopped after this time, and has failed then.
    pub timeout: Option<Span>,
}

/// The before and after commands of one author.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hooks {
    /// Run before the command.
    pub before: Vec<Hook>,
    /// Run after the command.
    pub after: Vec<Hook>,
}

/// The author of a hook. Exit codes are reported separately for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The operator of the cluster.
    Operator,
    /// The author of the job.
    Job,
}

/// The part of a command in the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// A hook that runs before the command.
    Before(Origin),
    /// The command itself.
    Main,
    /// A hook that runs after the command.
    After(Origin),
}

/// One command of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    /// Its part in the task.
    pub part: Part,
    /// Its name in messages, such as `before command 2 ("./acquire-lock.sh")`. Positions count from 1
    /// within each array.
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

/// The position of a command in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub usize);

/// Everything a task runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    commands: Vec<Command>,
    /// `None` if the task consists only of hooks.
    main: Option<CommandId>,
    first_after: CommandId,
}

/// Why a task cannot be run: a text for the author of the job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TaskRefusal(pub String);

// === impl Hook ===

impl Hook {
    /// Makes a command of the hook at `index` of its array.
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

    /// The command, if there is one.
    pub fn main(&self) -> Option<CommandId> {
        self.main
    }

    /// The position after the command, or after the before commands if there is no command.
    pub fn first_after(&self) -> CommandId {
        self.first_after
    }

    /// The command at `id`; `None` after the last one.
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
    /// The text by which people recognise the program.
    pub fn text(&self) -> &[u8] {
        match self {
            Self::Shell(text) => text,
            Self::Exec { file, .. } => file,
        }
    }

    /// The beginning of that text, for messages.
    fn quoted(&self) -> String {
        /// Enough to recognise a command. The length of messages is limited.
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
    fn the_operators_hooks_enclose_the_jobs_hooks_which_enclose_the_command() {
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
