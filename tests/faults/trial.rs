//! A task that can be held in any phase, for a fault to happen there.
//!
//! Each command of the task writes its word and then waits at its gate, a named pipe outside of the
//! sandbox: independent of the sandbox, and without a process that polls.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use cook_mesos::messages::TaskState::{Finished, Killed, Running, Starting};
use cook_test_agent::agent::Agent;
use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};

use crate::delivery;
use crate::support::sandbox::Sandbox;
use crate::support::{Ended, Run, Setup, TASK, hook};

/// An executor whose agent recovers quickly: with the usual 2 seconds, messages to a restarted agent would
/// have to wait longer.
pub fn setup() -> Setup {
    Setup::new().variable("MESOS_SUBSCRIPTION_BACKOFF_MAX", "100ms")
}

/// Where a task can be when a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The executor was just started.
    BeforeTheFirstSubscription,
    /// It has subscribed and has no task.
    BeforeTheTask,
    /// A before command is running.
    InABeforeCommand,
    /// The command is running.
    InTheCommand,
    /// An after command is running.
    InAnAfterCommand,
    /// All commands have ended, and the terminal update is not acknowledged.
    BeforeTheLastAcknowledgement,
}

/// A fault: how it begins and how it ends.
#[derive(Clone, Copy)]
pub struct Fault {
    /// Starts the fault.
    pub strike: fn(&Agent),
    /// Ends the fault.
    pub heal: fn(&Run),
    /// Whether the executor must subscribe again because of it.
    pub costs_a_subscription: bool,
}

/// A run with its gates.
pub struct Trial {
    pub run: Run,
    gates: Gates,
}

/// The named pipes at which commands wait.
pub struct Gates {
    folder: Sandbox,
    open: Vec<(&'static str, File)>,
}

/// The commands of the task, in order.
const COMMANDS: [&str; 3] = ["before", "main", "after"];

/// The last progress and message of the job.
const LAST: (f64, &str) = (42.0, "nearly there");

/// A fault that ends by itself and ends the stream.
pub const fn passing(strike: fn(&Agent)) -> Fault {
    Fault {
        strike,
        heal: |_| {},
        costs_a_subscription: true,
    }
}

/// A fault that ends by itself and does not affect the stream.
pub const fn harmless(strike: fn(&Agent)) -> Fault {
    Fault {
        costs_a_subscription: false,
        ..passing(strike)
    }
}

// === impl Gates ===

impl Gates {
    pub fn new(names: &[&'static str]) -> Self {
        let folder = Sandbox::new();
        let open = names.iter().map(|name| {
            let path = folder.path().join(name);
            let pipe = rustix::fs::FileType::Fifo;
            let mode = Mode::from(0o600);
            rustix::fs::mknodat(rustix::fs::CWD, &path, pipe, mode, 0).expect("a named pipe");
            // Open at both ends, so that nobody waits for it to be opened.
            let flags = OFlags::RDWR | OFlags::CLOEXEC;
            let pipe = rustix::fs::open(&path, flags, Mode::empty()).expect("a named pipe");
            (*name, File::from(pipe))
        });
        let open = open.collect();
        Self { folder, open }
    }

    /// A file next to the gates, for commands that must not depend on their sandbox.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command that waits until the gate is opened.
    pub fn wait(&self, name: &str) -> String {
        format!("read _ < {}", self.path(name).display())
    }

    /// Lets the command at a gate continue, now or when it gets there.
    pub fn open(&self, name: &str) {
        let gate = self.open.iter().find(|(known, _)| *known == name);
        let (_, pipe) = gate.expect("a gate of this task");
        (&*pipe).write_all(b"go\n").expect("a pipe takes a line");
    }
}

// === impl Trial ===

impl Trial {
    /// A task in the first phase, with an agent that was prepared.
    #[track_caller]
    pub fn start_with(setup: Setup, prepare: impl FnOnce(&Agent)) -> Self {
        Self {
            gates: Gates::new(&COMMANDS),
            run: setup.start_with(prepare),
        }
    }

    /// A task in this phase.
    #[track_caller]
    pub fn at(phase: Phase) -> Self {
        Self::with(setup(), phase)
    }

    /// A task in this phase, with this setup.
    #[track_caller]
    pub fn with(setup: Setup, phase: Phase) -> Self {
        let trial = Self::start_with(setup, |_| {});
        trial.reach(phase);
        trial
    }

    /// Lets a fault happen in a phase, lets the task continue as far as it can meanwhile, and then checks
    /// that nothing was lost or doubled.
    #[track_caller]
    pub fn survives(fault: Fault, phase: Phase) {
        if phase == Phase::BeforeTheFirstSubscription {
            let trial = Self::start_with(setup(), fault.strike);
            (fault.heal)(&trial.run);
            return trial.finish_from(phase);
        }
        let trial = Self::at(phase);
        (fault.strike)(&trial.run.agent);
        trial.go_on_from(phase);
        (fault.heal)(&trial.run);
        if fault.costs_a_subscription {
            trial.run.wait_for_subscriptions(2);
        }
        trial.finish_from(phase);
    }

    /// Brings the task from its beginning to a phase.
    #[track_caller]
    pub fn reach(&self, phase: Phase) {
        let run = &self.run;
        if phase >= Phase::BeforeTheTask {
            run.wait_for_subscriptions(1);
        }
        if phase >= Phase::InABeforeCommand {
            self.launch();
            self.wait_for_word("before");
        }
        let is_last = phase == Phase::BeforeTheLastAcknowledgement;
        if is_last {
            // The last update but one must be unacknowledged as well, to have an order to keep.
            run.agent.hold_acknowledgements();
        }
        if phase >= Phase::InTheCommand {
            self.pass("before");
            self.wait_for_word("main");
            run.wait_for(Running);
        }
        if phase >= Phase::InAnAfterCommand {
            self.pass("main");
            self.wait_for_word("after");
        }
        if is_last {
            self.pass("after");
            run.wait_for(Finished);
        }
    }

    /// Does what the task can do regardless of the agent's state.
    #[track_caller]
    fn go_on_from(&self, phase: Phase) {
        match phase {
            Phase::InABeforeCommand => {
                self.pass("before");
                self.wait_for_word("main");
            }
            Phase::InTheCommand => {
                self.pass("main");
                self.wait_for_word("after");
            }
            Phase::InAnAfterCommand => self.pass("after"),
            Phase::BeforeTheFirstSubscription
            | Phase::BeforeTheTask
            | Phase::BeforeTheLastAcknowledgement => {}
        }
    }

    /// Lets the rest of the task happen, from the phase of the fault.
    #[track_caller]
    pub fn finish_from(&self, phase: Phase) {
        let left = match phase {
            Phase::BeforeTheFirstSubscription | Phase::BeforeTheTask => {
                self.launch();
                &COMMANDS[..]
            }
            Phase::InABeforeCommand => &COMMANDS[1..],
            Phase::InTheCommand => &COMMANDS[2..],
            Phase::InAnAfterCommand | Phase::BeforeTheLastAcknowledgement => &[],
        };
        for name in left {
            self.wait_for_word(name);
            self.pass(name);
        }
        self.run.agent.release_acknowledgements();
        self.check_end();
    }

    /// Checks that the whole task was reported.
    #[track_caller]
    pub fn check_end(&self) {
        let ended = self.run.finish();
        assert_eq!(ended.states, [Starting, Running, Finished]);
        self.check_told(&ended);
        assert_eq!(self.order(), COMMANDS);
        assert_eq!(ended.exit_code(), Some(0));
        assert_eq!(ended.codes("before_codes"), [Some(0)]);
        assert_eq!(ended.codes("after_codes"), [Some(0)]);
    }

    /// The end of a task that was stopped in a phase: killed, unless it had ended before.
    #[track_caller]
    pub fn finish_stopped_in(&self, phase: Phase) {
        self.run.agent.release_acknowledgements();
        let ended = self.run.finish();
        let wanted = match phase {
            Phase::BeforeTheLastAcknowledgement => Finished,
            _ => Killed,
        };
        assert_eq!(ended.state, wanted);
        self.check_told(&ended);
    }

    /// Checks the last progress and message in the terminal update, and the delivery of everything.
    #[track_caller]
    pub fn check_told(&self, ended: &Ended) {
        let (progress, message) = LAST;
        assert_eq!(ended.data["progress"].as_f64(), Some(progress));
        assert_eq!(ended.data["message"], message);
        assert_eq!(ended.message, message);
        delivery::check(&self.run);
    }

    /// Waits until a command has started.
    #[track_caller]
    pub fn wait_for_word(&self, name: &str) {
        let order = self.gates.path("order");
        self.run.wait_for_line(&order.to_string_lossy(), name);
    }

    /// The commands that have started.
    pub fn order(&self) -> Vec<String> {
        self.run.lines(&self.gates.path("order").to_string_lossy())
    }

    pub fn job(&self) -> Value {
        let command = |name: &str| {
            let order = self.gates.path("order");
            let endpoint = self.gates.path("endpoint");
            format!(
                "echo $EXECUTOR_ENDPOINT > {}; echo {name} >> {}; {}",
                endpoint.display(),
                order.display(),
                self.gates.wait(name)
            )
        };
        json!({
            "before_commands": [hook(command("before"))],
            "command": command("main"),
            "after_commands": [hook(command("after"))],
        })
    }

    pub fn launch(&self) {
        self.run.launch(TASK, &self.job());
    }

    /// Lets a command at its gate end. Each one reports its progress before.
    #[track_caller]
    pub fn pass(&self, name: &str) {
        let (progress, message) = LAST;
        let behind = if name == "after" { 0.0 } else { 1.0 };
        let report = json!({"progress": progress - behind, "message": message});
        let code = self.patch(&report);
        // 503 means that the agent is missing; the value is kept in any case.
        assert!(matches!(code, 204 | 503), "PATCH was answered {code}");
        self.gates.open(name);
    }

    /// The status of a PATCH from inside the task.
    #[track_caller]
    pub fn patch(&self, body: &Value) -> u16 {
        let endpoint = self.gates.folder.read("endpoint");
        let url = endpoint.trim().strip_prefix("http://").expect("a URL");
        let (host, path) = url.split_once('/').expect("a path");
        let body = body.to_string();
        let mut connection = TcpStream::connect(host).expect("the task API listens");
        write!(
            connection,
            "PATCH /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("the task API reads");
        let mut answer = String::new();
        connection
            .read_to_string(&mut answer)
            .expect("the task API answers");
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        status.unwrap_or_else(|| panic!("no status in {answer:?}"))
    }
}

/// Makes a test for each named phase, for a fault that must lose nothing there.
macro_rules! costs_nothing {
    ($fault:expr; $($test:ident: $phase:ident),* $(,)?) => { $(
        #[test]
        fn $test() {
            $crate::trial::Trial::survives($fault, $crate::trial::Phase::$phase);
        }
    )* };
    ($fault:expr) => {
        $crate::trial::costs_nothing! { $fault;
            costs_nothing_before_the_first_subscription: BeforeTheFirstSubscription,
        }
        $crate::trial::costs_nothing! { later $fault }
    };
    (later $fault:expr) => {
        $crate::trial::costs_nothing! { $fault;
            costs_nothing_before_the_task: BeforeTheTask,
            costs_nothing_in_a_before_command: InABeforeCommand,
            costs_nothing_in_the_command: InTheCommand,
            costs_nothing_in_an_after_command: InAnAfterCommand,
            costs_nothing_before_the_last_acknowledgement: BeforeTheLastAcknowledgement,
        }
    };
}
pub(crate) use costs_nothing;
