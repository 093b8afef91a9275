//! A separate scheduler for each test, on a free port, with its data in a folder that is removed after the test.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Tests fail if they wait longer. It is enough for a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A folder that is removed when this is dropped.
pub struct Folder(pub PathBuf);

/// A running scheduler. When this is dropped, the scheduler and its jobs are ended.
pub struct Server {
    child: Child,
    pub folder: Folder,
    pub address: SocketAddr,
    arguments: Vec<String>,
    runs_on: RunsOn,
}

/// Where jobs run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RunsOn {
    /// On this machine, in the executor that was built.
    Here,
    /// The same, with this limit of open files for the scheduler.
    HereWithOpenFiles(u32),
    /// On this machine, in the executor that the arguments name.
    HereInAnother,
    /// On the agents of the Mesos master that the arguments name.
    Mesos,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("cook-scheduler-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("written");
        path
    }

    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.file(name, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The scheduler's command line up to `--executor`.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cook-scheduler"));
    command.args(["--executor", &executor()]);
    command
}

/// The file in `COOK_TEST_EXECUTOR`, or else the executor that was built into the scheduler's folder.
pub fn executor() -> String {
    std::env::var("COOK_TEST_EXECUTOR").unwrap_or_else(|_| {
        let scheduler = Path::new(env!("CARGO_BIN_EXE_cook-scheduler"));
        let executor = scheduler.with_file_name("cook-executor");
        assert!(
            executor.exists(),
            "build it first: cargo build -p cook-executor"
        );
        executor.to_string_lossy().into_owned()
    })
}

impl Server {
    pub fn start() -> Self {
        Self::with(Folder::new(), &[])
    }

    pub fn with(folder: Folder, arguments: &[&str]) -> Self {
        Self::launch(folder, arguments, RunsOn::Here)
    }

    /// Starts a scheduler with this soft and hard limit of open files.
    #[allow(dead_code, reason = "one of two test programs uses it")]
    pub fn with_open_files(limit: u32, folder: Folder, arguments: &[&str]) -> Self {
        Self::launch(folder, arguments, RunsOn::HereWithOpenFiles(limit))
    }

    /// Starts a scheduler that runs jobs on this machine, in this executor.
    #[allow(dead_code, reason = "one of two test programs uses it")]
    pub fn with_executor(file: &Path, folder: Folder) -> Self {
        let file = file.to_string_lossy();
        Self::launch(folder, &["--executor", &file], RunsOn::HereInAnother)
    }

    /// Starts a scheduler with the Mesos backend. The arguments name the masters, and perhaps an executor.
    #[allow(dead_code, reason = "one of two test programs uses it")]
    pub fn framework(folder: Folder, arguments: &[&str]) -> Self {
        Self::launch(folder, arguments, RunsOn::Mesos)
    }

    fn launch(folder: Folder, arguments: &[&str], runs_on: RunsOn) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|it| (*it).to_owned()).collect();
        let (child, address) = launch(&folder, &arguments, runs_on);
        Self {
            child,
            folder,
            address,
            arguments,
            runs_on,
        }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.0.join("data")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.0.join("log")).unwrap_or_default()
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([name, &self.pid().to_string()])
            .status();
        assert!(status.expect("kill").success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        wait_for("its end", || self.child.try_wait().expect("a child"))
    }

    /// Kills it and starts it again on the same data, perhaps on another port.
    pub fn restart(&mut self) {
        self.kill();
        (self.child, self.address) = launch(&self.folder, &self.arguments, self.runs_on);
    }

    pub fn ask(&self, method: &str, target: &str, fields: &str, body: &[u8]) -> Answer {
        let host = self.address;
        let mut request = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
        if !fields.contains("Host:") {
            request.push_str(&format!("Host: {host}\r\n"));
        }
        request.push_str(&format!("{fields}Content-Length: {}\r\n\r\n", body.len()));
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("set");
        stream.write_all(request.as_bytes()).expect("sent");
        // This may fail if the scheduler has refused the request already.
        let _ = stream.write_all(body);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer to {method} {target}: {bytes:?}"));
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        Answer {
            status: status.expect("a status"),
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "", b"")
    }

    /// Submits a body and returns the UUIDs in the answer.
    pub fn submit(&self, body: &str) -> Vec<String> {
        let answer = self.ask("POST", "/rawscheduler", "", body.as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
        let text = answer.text();
        let jobs = text
            .strip_prefix("submitted jobs ")
            .expect("the text of Cook");
        let jobs = jobs.split(" submitted groups").next().unwrap_or_default();
        jobs.split(' ').map(str::to_owned).collect()
    }

    pub fn submit_one(&self, body: &str) -> String {
        self.submit(body).remove(0)
    }

    /// The job as `GET /rawscheduler` returns it.
    pub fn job(&self, uuid: &str) -> Value {
        let answer = self.get(&format!("/rawscheduler?job={uuid}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()[0].clone()
    }

    /// Waits until a job fulfils the condition, which `what` describes in the failure's text.
    pub fn until(&self, uuid: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = poll(|| {
            last = self.job(uuid);
            is_so(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("{uuid} is never {what}: {last:#}\n{}", self.log()))
    }

    pub fn completed(&self, uuid: &str) -> Value {
        self.until(uuid, "completed", |job| {
            // A killed job is completed before its instance has ended.
            let has_ended = |it: &Value| it.get("end_time").is_some();
            job["status"] == "completed"
                && job["instances"]
                    .as_array()
                    .is_some_and(|all| all.iter().all(has_ended))
        })
    }

    /// The stdout of a job's last instance, without the executor's own lines.
    pub fn stdout(&self, job: &Value) -> String {
        let instances = job["instances"].as_array().expect("instances");
        let last = instances.last().expect("one");
        let sandbox = last["sandbox_directory"].as_str().expect("a sandbox");
        let text = fs::read_to_string(Path::new(sandbox).join("stdout")).expect("an output");
        let is_own = |line: &&str| {
            let lines = [
                "Cook Executor version ",
                "Starting task ",
                "Forked command at ",
                "Command exited with ",
                "Command terminated with ",
                "Received kill for task ",
                "Executor completed execution ",
            ];
            line.is_empty() || lines.iter().any(|begin| line.starts_with(begin))
        };
        let lines = text.lines().filter(|line| !is_own(line));
        lines.map(|line| format!("{line}\n")).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if self.runs_on == RunsOn::Mesos {
            return;
        }
        // Without this, running jobs would outlive the test.
        let drained = program()
            .args(["--drain", "--data"])
            .arg(self.data())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        drop(drained);
        if !std::thread::panicking() {
            wait_for("the end of every process of its jobs", || {
                processes(&self.folder.0).is_empty().then_some(())
            });
        }
    }
}

/// The ids of the processes whose working directory is below this folder.
fn processes(folder: &Path) -> Vec<String> {
    let all = fs::read_dir("/proc").expect("mounted").flatten();
    let is_below = |process: &fs::DirEntry| {
        let here = fs::read_link(process.path().join("cwd"));
        here.is_ok_and(|here| here.starts_with(folder))
    };
    let names = all.filter(is_below).map(|process| process.file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn has(&self, field: &str) -> bool {
        let field = field.to_ascii_lowercase();
        self.head
            .to_ascii_lowercase()
            .lines()
            .any(|line| line == field)
    }
}

fn launch(folder: &Folder, arguments: &[String], runs_on: RunsOn) -> (Child, SocketAddr) {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.0.join("log"));
    let mut command = match runs_on {
        RunsOn::Here => program(),
        RunsOn::HereWithOpenFiles(limit) => {
            let program = program();
            let mut command = Command::new("sh");
            let line = format!("ulimit -n {limit} && exec \"$@\"");
            command.args(["-c", &line, "sh"]);
            command.arg(program.get_program()).args(program.get_args());
            command
        }
        RunsOn::HereInAnother | RunsOn::Mesos => Command::new(env!("CARGO_BIN_EXE_cook-scheduler")),
    };
    let mut child = command
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(folder.0.join("data"))
        .args(arguments)
        .current_dir(&folder.0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.expect("a log"))
        .spawn()
        .expect("started");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    stdout.read_line(&mut line).expect("a line");
    let address = line
        .trim_end()
        .strip_prefix("cook-scheduler: serving http://");
    let address = address.unwrap_or_else(|| {
        let log = fs::read_to_string(folder.0.join("log")).unwrap_or_default();
        panic!("it does not serve: {line:?}\n{log}")
    });
    (child, address.parse().expect("an address"))
}

/// Calls a function until it returns something or `DEADLINE` has passed.
pub fn poll<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(2);
    while start.elapsed() < DEADLINE {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
    None
}

pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    poll(look).unwrap_or_else(|| panic!("waited in vain for {what}"))
}
