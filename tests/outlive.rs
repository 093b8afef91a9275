//! `cook-agent`: executors survive the agent's process, and no process survives its executor.
//!
//! A small program with an agent in it is killed, started again, and inspected.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use cook_agent::record::{RecordedProcess, Records};
use cook_mesos::messages::{Call, CallType, Subscribe};
use cook_test_agent::census;
use prost::Message;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::sandbox::Sandbox;

/// How long a test waits for a condition: far longer than anything takes, even on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The interval of polling.
const TICK: Duration = Duration::from_millis(5);

/// A folder for an agent, which may be started several times.
struct Fixture {
    folder: Sandbox,
    cgroup: Option<PathBuf>,
}

/// A running program with an agent.
struct Host {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    /// All lines of its output, and those that no test has waited for yet.
    seen: Vec<String>,
    pending: Vec<String>,
}

// === impl Fixture ===

impl Fixture {
    fn new() -> Self {
        Self {
            folder: Sandbox::new(),
            cgroup: None,
        }
    }

    fn start(&self) -> Host {
        let mut child = Command::new("sh")
            .args(["-c", "ulimit -Sn 1000; exec \"$0\" \"$@\""])
            .arg(env!("CARGO_BIN_EXE_agent-host"))
            .arg(self.folder.path())
            .arg(support::executor::program())
            .args(&self.cgroup)
            .env("HOST_SECRET", "of nobody's business")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the host runs");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stdin = child.stdin.take().expect("it is piped");
        let mut host = Host {
            child,
            stdin,
            lines,
            seen: Vec::new(),
            pending: Vec::new(),
        };
        host.wait("host ready");
        host
    }

    fn sandbox(&self, id: &str) -> PathBuf {
        self.folder.path().join("sandboxes").join(id)
    }

    /// Waits until a file in a sandbox has this text.
    #[track_caller]
    fn wait_for(&self, id: &str, name: &str, wanted: &str) {
        let path = self.sandbox(id).join(name);
        wait(&format!("{wanted:?} in {name}"), || {
            fs::read_to_string(&path).is_ok_and(|text| text.contains(wanted))
        });
    }

    #[track_caller]
    fn pid_in(&self, id: &str, name: &str) -> Pid {
        self.wait_for(id, name, "\n");
        let text = fs::read_to_string(self.sandbox(id).join(name)).expect("it was read");
        Pid::from_raw(text.trim().parse().expect("a number")).expect("a process")
    }

    fn records(&self) -> usize {
        let found = Records::open(&self.folder.path().join("containers"));
        found.expect("the folder can be read").1.len()
    }

    fn cookie(&self, id: &str) -> String {
        format!("MESOS_SANDBOX={}", self.sandbox(id).display())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        for id in ["a", "b"] {
            let left = census::kill_all(&self.cookie(id));
            assert!(
                thread::panicking() || left.is_empty(),
                "left behind: {left:?}"
            );
        }
        if let Some(cgroup) = &self.cgroup {
            let _ = fs::remove_dir(cgroup);
        }
    }
}

// === impl Host ===

impl Host {
    fn tell(&mut self, command: &str) {
        writeln!(self.stdin, "{command}").expect("it reads");
    }

    fn launch(&mut self, id: &str, job: Value) {
        // Drop lines of an earlier executor with this id.
        self.pending
            .retain(|line| !line.starts_with(&format!("{id} ")));
        self.tell(&format!("launch {id} {job}"));
    }

    /// Waits for a line with this beginning. Returns the rest of it.
    #[track_caller]
    fn wait(&mut self, beginning: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.pending.iter().position(|it| it.starts_with(beginning));
            if let Some(index) = found {
                let line = self.pending.remove(index);
                return line[beginning.len()..].trim_start().to_owned();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line begins with {beginning:?}: {:#?}", self.seen);
            };
            self.seen.push(line.clone());
            self.pending.push(line);
        }
    }

    /// Waits for an update, and acknowledges it. Returns its data.
    #[track_caller]
    fn take(&mut self, id: &str, state: &str) -> Value {
        let update = self.wait(&format!("{id} {state} "));
        let (uuid, data) = update.split_once(' ').unwrap_or((&update, ""));
        self.tell(&format!("ack {id} {uuid}"));
        // The test may kill the host next, which must have sent this by then.
        self.wait(&format!("{id} sent Acknowledged"));
        serde_json::from_str(data).unwrap_or_default()
    }

    /// Waits until the task was lost, and acknowledges that. Returns the cause.
    #[track_caller]
    fn lose(&mut self, id: &str) -> String {
        let lost = self.wait(&format!("{id} lost "));
        let (uuid, cause) = lost.split_once(' ').expect("a uuid and a cause");
        self.tell(&format!("ack {id} {uuid}"));
        self.wait(&format!("{id} forgotten"));
        cause.to_owned()
    }

    #[track_caller]
    fn start_task(&mut self, id: &str, job: Value) -> Pid {
        self.launch(id, job);
        let pid = self.wait(&format!("{id} started "));
        self.take(id, "Starting");
        self.take(id, "Running");
        Pid::from_raw(pid.parse().expect("a number")).expect("a process")
    }

    fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that has nothing to do with the agent. It ends with the test.
struct Innocent(Child);

impl Drop for Innocent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::park_timeout(TICK);
    }
}

fn is_alive(pid: Pid) -> bool {
    cook_agent::process::stat(pid).is_some()
}

#[test]
fn a_task_continues_while_the_agent_is_away_and_reports_to_the_next_one() {
    let fixture = Fixture::new();
    let mut first = fixture.start();
    let go = "echo on >> on; until test -e go; do sleep 0.02; done; echo end >> on; exit 7";
    first.start_task("a", json!({"command": go}));
    fixture.wait_for("a", "on", "on");
    first.kill();
    fs::write(fixture.sandbox("a").join("go"), "").unwrap();
    // The command ends while there is no agent.
    fixture.wait_for("a", "on", "end");
    let mut second = fixture.start();
    second.tell("list");
    assert_eq!(second.wait("a known "), "Acknowledged tag-of-a");
    assert_eq!(second.take("a", "Failed")["exit_code"], 7);
    second.wait("a forgotten");
    assert_eq!(fixture.records(), 0);
}

#[test]
fn an_update_is_repeated_by_each_agent_until_it_is_acknowledged() {
    let fixture = Fixture::new();
    let mut host = fixture.start();
    host.launch("a", json!({"command": "exit 3"}));
    host.take("a", "Starting");
    host.take("a", "Running");
    let told = host.wait("a Failed ");
    for _ in 0..2 {
        host.kill();
        host = fixture.start();
        assert_eq!(host.wait("a Failed "), told);
    }
    let uuid = told.split(' ').next().unwrap();
    host.tell(&format!("ack a {uuid}"));
    assert_eq!(host.wait("a exited "), "None");
    host.wait("a forgotten");
    // There is nothing to report for the next agent.
    host.kill();
    let mut host = fixture.start();
    host.tell("list");
    host.wait("host listed");
    assert_eq!(host.seen, ["host ready", "host listed"]);
}

#[test]
fn a_task_that_its_executor_did_not_get_is_sent_by_the_next_agent() {
    let fixture = Fixture::new();
    let mut host = fixture.start();
    // Stopped before it can subscribe.
    host.launch("a", json!({"command": "true"}));
    let pid = host.wait("a started ");
    host.kill();
    assert!(!pid.is_empty());
    let mut host = fixture.start();
    host.take("a", "Starting");
    host.take("a", "Running");
    host.take("a", "Finished");
    host.wait("a forgotten");
}

#[test]
fn no_process_of_a_killed_executor_is_left_when_its_end_is_reported() {
    let fixture = Fixture::new();
    let mut host = fixture.start();
    let job = json!({"command": "
        setsid sh -c 'echo $$ > own-session; exec sleep 600' &
        env -i PATH=\"$PATH\" sh -c 'echo $$ > no-environment; exec sleep 600' &
        (setsid env -i PATH=\"$PATH\" sh -c 'echo $$ > daemon; exec sleep 600' &)
        sh -c 'trap \"\" TERM; echo $$ > stubborn; while :; do sleep 1; done' &
        wait"});
    let executor = host.start_task("a", job);
    let names = ["own-session", "no-environment", "daemon", "stubborn"];
    let pids = names.map(|name| fixture.pid_in("a", name));
    kill_process(executor, Signal::KILL).unwrap();
    let lost = host.wait("a lost ");
    for (pid, name) in pids.iter().zip(names) {
        assert!(!is_alive(*pid), "{name} lives");
    }
    assert!(lost.ends_with(" Terminated"), "{lost}");
    let uuid = lost.split(' ').next().unwrap();
    host.tell(&format!("ack a {uuid}"));
    host.wait("a forgotten");
}

#[test]
fn processes_of_an_executor_that_ends_while_the_agent_is_away_are_ended_by_the_next_one() {
    let fixture = Fixture::new();
    let mut host = fixture.start();
    let executor = host.start_task("a", json!({"command": "echo $$ > pid; exec sleep 600"}));
    let command = fixture.pid_in("a", "pid");
    host.kill();
    kill_process(executor, Signal::KILL).unwrap();
    wait("the executor's end", || !is_alive(executor));
    assert!(is_alive(command), "the command survives the executor");
    let mut host = fixture.start();
    let lost = host.wait("a lost ");
    assert!(!is_alive(command));
    // Not acknowledged: repeated by the next agent with the same uuid.
    host.kill();
    let mut host = fixture.start();
    assert_eq!(host.wait("a lost "), lost);
    let uuid = lost.split(' ').next().unwrap();
    host.tell(&format!("ack a {uuid}"));
    host.wait("a forgotten");
    assert_eq!(fixture.records(), 0);
}

#[test]
fn a_process_with_the_reused_id_of_an_executor_is_left_alone() {
    let fixture = Fixture::new();
    let mut host = fixture.start();
    let executor = host.start_task("a", json!({"command": "sleep 600"}));
    let second = host.start_task("b", json!({"command": "sleep 600"}));
    host.kill();
    for pid in [executor, second] {
        kill_process(pid, Signal::KILL).unwrap();
        wait("the executor's end", || !is_alive(pid));
    }
    let innocent = Innocent(Command::new("sleep").arg("600").spawn().unwrap());
    let process = cook_agent::process::Process::find(Pid::from_child(&innocent.0)).unwrap();
    // As after a restart of the machine: another boot id, and the id of one executor belongs to another
    // process. And as after a wrap-around of process ids in the same boot.
    let (records, found) = Records::open(&fixture.folder.path().join("containers")).unwrap();
    for mut found in found {
        let record = &mut found.record;
        let started = match record.executor_id.as_str() {
            "a" => {
                record.boot = "another".to_owned();
                process.started
            }
            _ => process.started - 1,
        };
        let pid = process.pid.as_raw_nonzero().get();
        records.write(found.container, record).unwrap();
        let process = RecordedProcess { pid, started };
        records.set_process(found.container, process).unwrap();
    }
    let mut host = fixture.start();
    assert_eq!(host.lose("a"), "Terminated");
    assert_eq!(host.lose("b"), "Terminated");
    assert!(is_alive(process.pid));
}

#[test]
fn kills_and_shutdowns_work_at_any_time() {
    let fixture = Fixture::new();
    let mut host = fixture.start();
    // Before there is a process.
    host.launch("a", json!({"command": "echo on > on"}));
    host.tell("kill a");
    let cause = host.lose("a");
    assert_eq!(cause, "KilledDuringLaunch");
    assert!(!fixture.sandbox("a").join("on").exists());
    // While it runs, and again while the agent is away.
    host.start_task("a", json!({"command": "sleep 600"}));
    host.tell("kill a");
    host.take("a", "Killed");
    host.wait("a forgotten");
    host.start_task("a", json!({"command": "sleep 600"}));
    host.tell("shutdown a");
    host.take("a", "Killed");
    host.wait("a forgotten");
    // An executor that does not respond.
    let executor = host.start_task("a", json!({"command": "sleep 600"}));
    kill_process(executor, Signal::STOP).unwrap();
    host.tell("shutdown a");
    assert_eq!(host.lose("a"), "Destroyed");
}

#[test]
fn an_executor_gets_a_session_a_umask_and_nothing_of_the_agents_environment() {
    let fixture = Fixture::new();
    let mut host = fixture.start();
    let job = json!({"command": "
        set -- $(cat /proc/$PPID/stat); test $6 = $PPID || exit 4
        test \"$(umask)\" = 0022 || exit 5
        test \"$(readlink /proc/$PPID/fd/0)\" = /dev/null || exit 6
        test -z \"$HOST_SECRET$HOME\" || exit 7
        test \"$MESOS_AGENT_ENDPOINT\" = 0.0.0.0:0 || exit 8
        test \"$(pwd)\" = \"$MESOS_SANDBOX\" || exit 9
        for fd in /proc/$PPID/fd/*; do
            case $(readlink $fd) in *containers*|*/host*) exit 10;; esac
        done"});
    host.start_task("a", job);
    host.take("a", "Finished");
    host.wait("a forgotten");
}

#[test]
fn the_agent_raises_its_limit_of_open_files_and_executors_keep_the_usual_one() {
    let fixture = Fixture::new();
    let mut host = fixture.start();
    let text = fs::read_to_string(format!("/proc/{}/limits", host.child.id())).unwrap();
    let line = text.lines().find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = line.expect("a limit").split_whitespace().collect();
    let (soft, hard) = (words[3], words[4]);
    assert_eq!(soft, hard);
    assert_ne!(soft, "1000");
    host.start_task("a", json!({"command": "test $(ulimit -Sn) = 1000"}));
    host.take("a", "Finished");
    host.wait("a forgotten");
}

#[test]
fn only_the_executors_own_process_can_make_calls_for_it() {
    let fixture = Fixture::new();
    let call = Call {
        executor_id: "a".into(),
        framework_id: "framework".into(),
        kind: Some(CallType::Subscribe as i32),
        subscribe: Some(Subscribe::default()),
        ..Call::default()
    };
    fixture.folder.write("call", "");
    fs::write(fixture.folder.path().join("call"), call.encode_to_vec()).unwrap();
    let socket = fixture.folder.path().join("agent.sock");
    let curl = format!(
        "curl -s -o answer -w '%{{http_code}}' -X POST -H 'Content-Type: application/x-protobuf' \
         --data-binary @../../call --unix-socket {} 'http://a/slave(1)/api/v1/executor'",
        socket.display()
    );
    let mut host = fixture.start();
    // Not even one of its own commands.
    host.start_task("a", json!({"command": format!("{curl} > code")}));
    host.take("a", "Finished");
    host.wait("a forgotten");
    let read = |name: &str| fs::read_to_string(fixture.sandbox("a").join(name)).unwrap();
    assert_eq!(read("code"), "403");
    assert!(
        read("answer").contains("the executor is process"),
        "{}",
        read("answer")
    );
    // And nobody can make calls for an executor that is not running.
    let output = Command::new("sh")
        .args(["-c", &curl.replace("../../call", "call")])
        .current_dir(fixture.folder.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "400");
}

#[test]
fn another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("SKIPPED: only root can become another user");
    }
    let fixture = Fixture::new();
    let _host = fixture.start();
    let socket = fixture.folder.path().join("agent.sock");
    fixture.folder.permit("", 0o755);
    fixture.folder.permit("agent.sock", 0o777);
    let output = Command::new("setpriv")
        .args([
            "--reuid",
            "65534",
            "--clear-groups",
            "curl",
            "-s",
            "--unix-socket",
        ])
        .arg(socket)
        .arg("http://a/slave(1)/api/v1/executor")
        .output();
    match output {
        Err(error) => eprintln!("SKIPPED: setpriv is not installed: {error}"),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(text, "this agent serves uid 0, not uid 65534");
        }
    }
}

#[test]
fn files_are_fetched_before_the_executor_starts() {
    let fixture = Fixture::new();
    fixture
        .folder
        .write("tool", "#!/bin/sh\necho from the tool\n");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let serving = thread::spawn(move || {
        for body in ["first", ""] {
            let (mut stream, _) = server.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /"));
            let status = if body.is_empty() {
                "404 Not Found"
            } else {
                "200 OK"
            };
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    let mut host = fixture.start();
    let uris = json!([
        {"value": "tool", "executable": true},
        {"value": format!("http://{address}/folder/data?version=1")},
    ]);
    let command = "test \"$(./tool)\" = 'from the tool' && test \"$(cat data)\" = first";
    host.start_task("a", json!({"command": command, "uris": uris}));
    host.take("a", "Finished");
    host.wait("a forgotten");
    let uris = json!([{"value": format!("http://{address}/missing")}]);
    host.launch("b", json!({"command": "true", "uris": uris}));
    let cause = host.lose("b");
    assert!(
        cause.contains("the server responded with status 404"),
        "{cause}"
    );
    serving.join().unwrap();
}

#[test]
fn a_cgroup_contains_processes_that_lose_every_other_mark() {
    let Some(parent) = cgroup_parent() else {
        return eprintln!("SKIPPED: cannot create a cgroup (version 2)");
    };
    let mut fixture = Fixture::new();
    fixture.cgroup = Some(parent);
    let mut host = fixture.start();
    let job = json!({"command": "
        (setsid env -i PATH=\"$PATH\" sh -c 'echo $$ > daemon; exec sleep 600 >/dev/null 2>&1' &)
        sleep 600"});
    let executor = host.start_task("a", job);
    let daemon = fixture.pid_in("a", "daemon");
    kill_process(executor, Signal::KILL).unwrap();
    // The daemon may have been reparented to a process outside of the container.
    assert_eq!(host.lose("a"), "Terminated");
    assert!(!is_alive(daemon));
    let parent = fixture.cgroup.clone().unwrap();
    let children = fs::read_dir(parent).unwrap().flatten();
    let left: Vec<_> = children.filter(|it| it.path().is_dir()).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn cgroup_parent() -> Option<PathBuf> {
    let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let mount = mounts
        .iter()
        .find(|it| Path::new(it).join("cgroup.procs").exists())?;
    let folder = Path::new(mount).join(format!("cook-test-{}", std::process::id()));
    fs::create_dir(&folder).ok()?;
    match folder.join("cgroup.kill").exists() {
        true => Some(folder),
        false => {
            let _ = fs::remove_dir(folder);
            None
        }
    }
}
