//! A scripted master with one agent, and a scheduler that uses it.

use cook_mesos::scheduler::{CallType, TaskInfo, TaskState};
use cook_test_master::cluster::Agent;
use cook_test_master::{Heartbeats, Master};
use serde_json::Value;

use crate::server::{Folder, Server, wait_for};

/// The agent that every master has, and its host.
pub const AGENT: &str = "agent-1";
pub const HOST: &str = "host1.example";

/// The usual keys under `:mesos`.
pub const USUAL: &str = ":run-as-user \"nobody\"";

/// A master and a scheduler. When dropped, it checks that the scheduler has kept to the protocol.
pub struct Stage {
    pub server: Server,
    pub master: Master,
}

/// A master with the usual agent.
pub fn master(heartbeats: Heartbeats) -> Master {
    let master = Master::start(heartbeats).expect("a port");
    master.add_agent(AGENT, Agent::new(HOST));
    master
}

/// A configuration with these keys under `:mesos`, and more at the top.
pub fn configuration(folder: &Folder, mesos: &str, more: &str) -> String {
    let text = format!(
        "{{:authorization {{:one-user \"bob\"}} :mesos {{{mesos}}} :executor {{:uri {{:value \"http://files/cook-executor\" :executable true}} :command \"./cook-executor\"}} {more}}}"
    );
    let file = folder.file("config.edn", &text);
    file.to_string_lossy().into_owned()
}

/// A scheduler with these masters.
pub fn framework(masters: &str) -> Server {
    let folder = Folder::new();
    let config = configuration(&folder, USUAL, "");
    Server::framework(folder, &["--config", &config, "--master", masters])
}

impl Stage {
    pub fn new() -> Self {
        Self::with(Heartbeats::Usual, USUAL, "")
    }

    /// With these keys under `:mesos`, and more at the top of the configuration.
    pub fn with(heartbeats: Heartbeats, mesos: &str, more: &str) -> Self {
        let master = master(heartbeats);
        let folder = Folder::new();
        let config = configuration(&folder, mesos, more);
        let address = master.address().to_string();
        let server = Server::framework(folder, &["--config", &config, "--master", &address]);
        master.called(CallType::Suppress);
        Self { server, master }
    }

    /// Submits a job and makes an offer. Returns the job's uuid and its task.
    pub fn launch(&self, body: &str) -> (String, TaskInfo) {
        let uuid = self.server.submit_one(body);
        (uuid, self.offer_once())
    }

    /// Makes an offer. Returns the task that is launched on it.
    pub fn offer_once(&self) -> TaskInfo {
        let before = self.master.inspect(|journal| journal.tasks().len());
        self.master.offer(&[AGENT]);
        self.master.launched(before + 1).remove(before)
    }

    /// As [`Self::launch`]; the task is reported as running.
    pub fn run(&self, body: &str) -> (String, TaskInfo) {
        let (uuid, task) = self.launch(body);
        self.master.report(&task, TaskState::Running);
        self.until_status(&uuid, "running");
        self.master.acknowledged(&task);
        (uuid, task)
    }

    /// Waits until the newest instance has this status.
    pub fn until_status(&self, uuid: &str, status: &str) -> Value {
        self.server.until(uuid, status, |job| {
            let instances = job["instances"].as_array();
            instances
                .and_then(|all| all.last())
                .is_some_and(|it| it["status"] == status)
        })
    }

    /// Kills the scheduler with SIGKILL, starts it again, and waits until it subscribes.
    pub fn restart(&mut self) {
        self.server.kill();
        let mark = self.master.mark();
        self.server.restart();
        self.master
            .called_after(mark, CallType::Subscribe, |_| true);
    }

    /// Waits for a subscription after this entry of the journal, and for the SUPPRESS or REVIVE that follows.
    pub fn resubscribed(&self, mark: usize) {
        self.master
            .called_after(mark, CallType::Subscribe, |_| true);
        self.master.wait_until("what it wants", |journal| {
            let suppress = journal.calls(CallType::Suppress, mark).next();
            let revive = journal.calls(CallType::Revive, mark).next();
            suppress.or(revive).map(|_| ())
        });
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the scheduler's log:\n{}", self.server.log());
            eprintln!(
                "what the master saw:\n{}",
                self.master.inspect(ToString::to_string)
            );
            return;
        }
        check(&self.master);
    }
}

/// Checks what holds at the end of every test: no violation of the protocol, and no offer without an answer.
pub fn check(master: &Master) {
    let violations: Vec<_> = master.inspect(|journal| {
        let violations = journal.violations();
        violations.into_iter().map(str::to_owned).collect()
    });
    assert!(violations.is_empty(), "{violations:#?}");
    wait_for("an answer to every offer", || {
        master.outstanding_offers().is_empty().then_some(())
    });
}
