//! A program with an agent in it, for tests that kill it: `host FOLDER EXECUTOR [CGROUP]`.
//!
//! Commands come on stdin, one per line: `launch ID JSON` (the job; the agent fetches its `uris`), `kill
//! ID`, `shutdown ID`, `destroy ID`, `ack ID UUID`, `list`. Notices go to stdout, one per line: the
//! executor's id, a word, and the rest. Only `ack` acknowledges anything.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use cook_agent::agent::{Agent, Config};
use cook_agent::cgroup::Cgroups;
use cook_agent::core::Identity;
use cook_agent::helper;
use cook_agent::notice::{Notice, What};
use cook_agent::spec::{ContainerId, Program, Spec, Uri};
use cook_mesos::messages::TaskInfo;
use smol::LocalExecutor;
use smol::channel::{Receiver, unbounded};

fn main() {
    helper::run_if_asked();
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().expect("a folder");
    let program = arguments.next().expect("an executor");
    let cgroups = arguments.next().map(Cgroups::below);
    let executor = Rc::new(LocalExecutor::new());
    executor.spawn(async_process::driver()).detach();
    let config = Config {
        identity: Identity {
            framework_id: "framework".to_owned(),
            agent_id: "agent".to_owned(),
            hostname: "localhost".to_owned(),
            capabilities: Vec::new(),
        },
        folder: folder.clone(),
        files: folder.clone(),
        cgroups,
    };
    let (agent, notices) = Agent::start(config, executor.clone()).expect("an agent");
    say("host ready");
    executor.spawn(tell(notices)).detach();
    let commands = read_commands();
    let serving = async {
        while let Ok(line) = commands.recv().await {
            obey(&agent, &line, &folder, &program);
        }
    };
    async_io::block_on(executor.run(serving));
}

/// A thread reads stdin, because it may be a file, which a reactor cannot wait for.
fn read_commands() -> Receiver<String> {
    let (sender, receiver) = unbounded();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            sender.try_send(line).expect("the main thread listens");
        }
    });
    receiver
}

fn obey(agent: &Agent, line: &str, folder: &std::path::Path, program: &std::path::Path) {
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (command, id, rest) = (word(), word(), word());
    match command {
        "launch" => agent.launch(spec(id, rest, folder, program)),
        "kill" => agent.kill(id, None),
        "shutdown" => agent.shut_down(id),
        "destroy" => agent.destroy(id),
        "ack" => {
            let uuid = ContainerId::parse(rest).expect("a uuid");
            agent.acknowledge(id, &uuid.0);
        }
        "list" => {
            for known in agent.executors() {
                let tag = String::from_utf8_lossy(&known.tag).into_owned();
                say(&format!(
                    "{} known {:?} {tag}",
                    known.executor_id, known.standing
                ));
            }
            say("host listed");
        }
        other => panic!("no command {other}"),
    }
}

fn spec(id: &str, job: &str, folder: &std::path::Path, program: &std::path::Path) -> Spec {
    let job: serde_json::Value = serde_json::from_str(job).expect("JSON");
    let flag = |uri: &serde_json::Value, name: &str| uri[name].as_bool().unwrap_or(false);
    let uris = job["uris"].as_array().cloned().unwrap_or_default();
    Spec {
        executor_id: id.to_owned(),
        container: ContainerId::random().expect("random numbers"),
        task: TaskInfo {
            name: id.into(),
            task_id: id.into(),
            data: Some(job.to_string().into_bytes()),
            ..TaskInfo::default()
        },
        program: Program::Direct(vec![program.into()]),
        executor_data: None,
        environment: Vec::new(),
        files: uris
            .iter()
            .map(|uri| Uri {
                value: uri["value"].as_str().expect("text").to_owned(),
                executable: flag(uri, "executable"),
                extract: flag(uri, "extract"),
            })
            .collect(),
        sandbox: folder.join("sandboxes").join(id),
        shutdown_grace: Duration::from_secs(1),
        memory: None,
        cpu: None,
        tag: format!("tag-of-{id}").into_bytes(),
        recovery_timeout: Some(Duration::from_secs(600)),
    }
}

async fn tell(notices: Receiver<Notice>) {
    while let Ok(Notice { executor_id, what }) = notices.recv().await {
        let uuid = |bytes: &[u8]| {
            let bytes = bytes.try_into().expect("16 bytes");
            ContainerId(bytes).to_string()
        };
        let text = match what {
            What::Started { pid } => format!("started {pid}"),
            What::Subscribed => "subscribed".to_owned(),
            What::Updated(status) => {
                let id = uuid(status.uuid.as_deref().unwrap_or_default());
                let data = String::from_utf8_lossy(status.data.as_deref().unwrap_or_default());
                format!("{:?} {id} {data}", status.state())
            }
            What::Message(data) => format!("message {}", String::from_utf8_lossy(&data)),
            What::Sent(kind) => format!("sent {kind:?}"),
            What::Exited(code) => format!("exited {code:?}"),
            What::Lost { cause, uuid: id } => format!("lost {} {cause:?}", uuid(&id)),
            What::Stuck(text) => format!("stuck {text}"),
            What::Forgotten => "forgotten".to_owned(),
        };
        say(&format!("{executor_id} {text}"));
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The reader may have been killed.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
