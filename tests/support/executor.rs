//! One run: an agent, the process of an executor, a sandbox, and a search for remaining processes at the
//! end.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cook_mesos::messages::{TaskInfo, TaskState};
use cook_test_agent::agent::{Agent, AgentConfig, PATIENCE};
use cook_test_agent::census;
use cook_test_agent::events;
use cook_test_agent::journal::{Journal, data_of};
use cook_test_agent::launch::{Executor, Launch};
use serde_json::Value;

use super::sandbox::Sandbox;

/// The id of a run's task.
pub const TASK: &str = "task-1";

/// How often a file is read while a test waits for it.
const TICK: Duration = Duration::from_millis(5);

/// A variable that identifies all processes of a run.
const COOKIE: &str = "COOK_TEST_COOKIE";

/// Names another executor to test than the one that cargo has built, for example the released file.
const OTHER_EXECUTOR: &str = "COOK_TEST_EXECUTOR";

/// Counts the runs of this test program.
static COUNTER: AtomicUsize = AtomicUsize::new(0);

/// A run that was not started yet.
pub struct Setup {
    pub config: AgentConfig,
    changes: Vec<(String, Option<OsString>)>,
    prelude: Option<String>,
}

/// A run. When it is dropped, the executor must have ended, must not have violated the protocol, and must
/// not have left a process behind.
pub struct Run {
    pub agent: Agent,
    pub executor: Executor,
    pub sandbox: Sandbox,
    cookie: String,
    violations_expected: bool,
}

/// How the task of a run has ended.
#[derive(Debug)]
pub struct Ended {
    pub state: TaskState,
    pub reason: Option<i32>,
    pub message: String,
    pub data: Value,
    /// All states of the task, in order.
    pub states: Vec<TaskState>,
}

/// The executor to test: the one that the variable names, or the one next to this test program, which cargo
/// has built.
pub fn program() -> PathBuf {
    if let Some(other) = std::env::var_os(OTHER_EXECUTOR) {
        return other.into();
    }
    let own = std::env::current_exe().expect("the kernel knows this program");
    let built = own.parent().and_then(Path::parent);
    built
        .expect("cargo puts tests into a folder below its programs")
        .join("cook-executor")
}

// === impl Setup ===

impl Setup {
    pub fn new() -> Self {
        Self {
            config: AgentConfig::default(),
            changes: Vec::new(),
            prelude: None,
        }
    }

    /// Sets a variable of the executor.
    pub fn variable(self, name: &str, value: &str) -> Self {
        self.variable_bytes(name, OsStr::new(value))
    }

    /// Sets a variable of the executor to bytes that need not be text.
    pub fn variable_bytes(mut self, name: &str, value: &OsStr) -> Self {
        self.changes.push((name.to_owned(), Some(value.to_owned())));
        self
    }

    /// Unsets a variable of the executor.
    pub fn without(mut self, name: &str) -> Self {
        self.changes.push((name.to_owned(), None));
        self
    }

    /// Shell commands that run in the executor's process before it starts. They may start it themselves
    /// with `exec "$0"`.
    pub fn prelude(mut self, commands: impl Into<String>) -> Self {
        self.prelude = Some(commands.into());
        self
    }

    /// The grace period of a shutdown, and of a kill without a policy.
    pub fn grace(self, duration: &str) -> Self {
        self.variable("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", duration)
    }

    /// Changes the agent's configuration.
    pub fn agent(mut self, change: impl FnOnce(&mut AgentConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Starts the agent and the executor.
    #[track_caller]
    pub fn start(self) -> Run {
        self.start_with(|_| {})
    }

    /// Starts the agent and the executor, and launches a task with this job.
    #[track_caller]
    pub fn launch(self, job: Value) -> Run {
        let run = self.start();
        run.launch(TASK, &job);
        run
    }

    /// Starts the agent and the executor, and launches a task with this job. The executor does not exit
    /// before [`Run::finish_alone`] has inspected its processes.
    #[track_caller]
    pub fn launch_observed(self, job: Value) -> Run {
        let run = self.start_with(Agent::hold_acknowledgements);
        run.launch(TASK, &job);
        run
    }

    /// Starts the agent, prepares it, and starts the executor.
    #[track_caller]
    pub fn start_with(self, prepare: impl FnOnce(&Agent)) -> Run {
        let sandbox = Sandbox::new();
        let agent = Agent::start(self.config).expect("the agent starts");
        prepare(&agent);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let value = format!("{}-{number}", std::process::id());
        let mut launch = Launch::new(program(), sandbox.path(), &agent);
        launch.set(COOKIE, &value);
        for (name, value) in self.changes {
            match value {
                Some(value) => launch.set(name, value),
                None => launch.unset(&name),
            };
        }
        if let Some(commands) = self.prelude {
            launch.set_prelude(commands);
        }
        Run {
            executor: launch
                .start(agent.exit_recorder())
                .expect("the executor starts"),
            agent,
            sandbox,
            cookie: format!("{COOKIE}={value}"),
            violations_expected: false,
        }
    }
}

// === impl Run ===

impl Run {
    /// Runs a job with a healthy agent.
    #[track_caller]
    pub fn start(job: Value) -> Self {
        Setup::new().launch(job)
    }

    /// A task for this run's agent.
    pub fn task(&self, task_id: &str, job: &Value) -> TaskInfo {
        events::task(task_id, &self.agent.config().agent_id, job.to_string())
    }

    /// Launches a task.
    pub fn launch(&self, task_id: &str, job: &Value) {
        self.agent.launch(self.task(task_id, job));
    }

    /// Waits until the journal meets a condition.
    #[track_caller]
    pub fn wait_until(&self, what: &str, ready: impl FnMut(&Journal) -> bool) {
        if let Err(unmet) = self.agent.wait_until(what, ready) {
            panic!("{unmet}");
        }
    }

    /// Waits until the task was reported in this state.
    #[track_caller]
    pub fn wait_for(&self, state: TaskState) {
        self.wait_until(&format!("{state:?}"), |journal| {
            journal.states_of(TASK).contains(&state)
        });
    }

    /// Waits until the executor has subscribed `count` times.
    #[track_caller]
    pub fn wait_for_subscriptions(&self, count: usize) {
        self.wait_until(&format!("{count} subscriptions"), |journal| {
            journal.subscriptions().len() >= count
        });
    }

    /// Waits until a command has appended a word to `order`.
    #[track_caller]
    pub fn wait_for_word(&self, word: &str) {
        self.wait_for_line("order", word);
    }

    /// Waits until a file in the sandbox contains a line.
    #[track_caller]
    pub fn wait_for_line(&self, file: &str, line: &str) {
        let deadline = Instant::now() + PATIENCE;
        // Waiting for the executor's end serves as a pause, which is shorter if the executor has ended.
        while !self.lines(file).iter().any(|found| found == line) {
            let ended = self.executor.wait(TICK).is_some();
            let hopeless = ended && !self.lines(file).iter().any(|found| found == line);
            if hopeless || Instant::now() > deadline {
                panic!("waited in vain for {line:?} in {file}");
            }
        }
    }

    /// The lines of a file in the sandbox.
    pub fn lines(&self, file: &str) -> Vec<String> {
        let text = self.sandbox.read(file);
        text.lines().map(str::to_owned).collect()
    }

    /// The words in `order`: what commands have done so far.
    pub fn order(&self) -> Vec<String> {
        self.lines("order")
    }

    /// Appends a word to `order`, for commands that wait for it.
    pub fn say(&self, word: &str) {
        use std::io::Write;
        let path = self.sandbox.path().join("order");
        let mut file = std::fs::OpenOptions::new();
        let mut file = file
            .append(true)
            .create(true)
            .open(path)
            .expect("order can be opened");
        writeln!(file, "{word}").expect("order can be written");
    }

    /// The processes of this run, except the executor.
    pub fn processes(&self) -> Vec<String> {
        let executor = self.executor.pid();
        let mut found = census::carrying(&self.cookie);
        found.retain(|process| process.pid != executor);
        found.iter().map(ToString::to_string).collect()
    }

    /// Waits until no process of this run is left, including the executor.
    #[track_caller]
    pub fn wait_until_alone(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.processes().is_empty() {
            assert!(Instant::now() < deadline, "{:?}", self.processes());
            std::thread::yield_now();
        }
    }

    /// The children of the executor, including those that were not reaped.
    pub fn children(&self) -> Vec<i32> {
        let pid = self.executor.pid().as_raw_nonzero();
        let path = format!("/proc/{pid}/task/{pid}/children");
        let list = std::fs::read_to_string(path).unwrap_or_default();
        let pids = list.split_ascii_whitespace();
        pids.filter_map(|pid| pid.parse().ok()).collect()
    }

    /// The processes next to the executor, and its children. The search takes long on a loaded machine, so
    /// acknowledgements are released before it.
    pub fn look_around(&self) -> (Vec<String>, Vec<i32>) {
        let children = self.children();
        self.agent.release_acknowledgements();
        (self.processes(), children)
    }

    /// Waits for the terminal update, and checks that only the executor is left at that time. The agent must
    /// hold acknowledgements back until then, because the executor exits after them.
    #[track_caller]
    pub fn finish_alone(&self) -> Ended {
        self.wait_until("a terminal update", |journal| {
            journal.terminal_of(TASK).is_some()
        });
        let (processes, children) = self.look_around();
        assert!(processes.is_empty(), "survivors: {}", processes.join(", "));
        assert!(children.is_empty(), "not reaped: {children:?}");
        self.finish()
    }

    /// Waits while a condition holds that must soon end.
    #[track_caller]
    pub fn wait_while(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while holds(self) {
            // Waiting for the executor's end serves as a pause, which is shorter if the executor has ended.
            let ended = self.executor.wait(TICK).is_some();
            assert!(
                !ended && Instant::now() < deadline,
                "waited in vain: {what}"
            );
        }
    }

    /// Waits for the executor's end. Returns its exit code.
    #[track_caller]
    pub fn exit_code(&self) -> Option<i32> {
        match self.executor.wait(PATIENCE) {
            Some(status) => status.code(),
            None => panic!("the executor does not end:\n{}", self.transcript()),
        }
    }

    /// Waits for the task's terminal update, and for exit status 0 of the executor.
    #[track_caller]
    pub fn finish(&self) -> Ended {
        self.wait_until("a terminal update", |journal| {
            journal.terminal_of(TASK).is_some()
        });
        let code = self.exit_code();
        assert_eq!(code, Some(0), "exit code:\n{}", self.transcript());
        self.agent.inspect(|journal| {
            let status = journal.terminal_of(TASK).expect("waited for above");
            Ended {
                state: status.state(),
                reason: status.reason,
                message: status.message.clone().unwrap_or_default(),
                data: data_of(status).unwrap_or_default(),
                states: journal.states_of(TASK),
            }
        })
    }

    /// Violations of the protocol are expected in this run.
    pub fn expect_violations(&mut self) {
        self.violations_expected = true;
    }

    /// Everything that is known, for a failing test.
    pub fn transcript(&self) -> String {
        let journal = self.agent.inspect(ToString::to_string);
        let mut text = format!("{journal}order: {:?}\n", self.order());
        for file in ["stdout", "stderr", "executor.log"] {
            text += &format!("--- {file}\n{}", self.sandbox.read(file));
        }
        text
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.transcript());
            census::kill_all(&self.cookie);
            return;
        }
        let ended = self.executor.wait(PATIENCE).is_some();
        let left = census::kill_all(&self.cookie);
        let left: Vec<String> = left.iter().map(ToString::to_string).collect();
        assert!(ended, "the executor does not end:\n{}", self.transcript());
        assert!(left.is_empty(), "left behind: {}", left.join(", "));
        let violations = self
            .agent
            .inspect(|journal| journal.violations().join("; "));
        assert!(
            violations.is_empty() || self.violations_expected,
            "{violations}\n{}",
            self.transcript()
        );
    }
}

// === impl Ended ===

impl Ended {
    /// A list of exit codes in the data of the terminal update; empty if it is missing.
    pub fn codes(&self, key: &str) -> Vec<Option<i64>> {
        let codes = self.data.get(key).and_then(Value::as_array);
        let codes = codes.into_iter().flatten();
        codes.map(Value::as_i64).collect()
    }

    /// The command's exit code in the data of the terminal update.
    pub fn exit_code(&self) -> Option<i64> {
        self.data.get("exit_code").and_then(Value::as_i64)
    }
}
