//! Accepted jobs run exactly once, whatever happens to the scheduler.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::server::{Folder, Server, executor, program, wait_for};

#[test]
fn after_kill_9_at_any_moment_every_job_runs_exactly_once() {
    let folder = Folder::new();
    let file = folder.file("config.edn", "{:embedded {:cpus 2 :memory-gb 2}}");
    let file = file.to_string_lossy().into_owned();
    let counts = folder.0.join("counts");
    fs::create_dir(&counts).expect("made");
    let mut server = Server::with(folder, &["--config", &file]);
    let command = |index: u32| {
        format!(
            "echo x >> {}/{index}; sleep 0.2; exit {}",
            counts.display(),
            index % 3
        )
    };
    let mut uuids = Vec::new();
    for round in 0..4 {
        let jobs: Vec<_> = (0..3)
            .map(|index| json!({"command": command(round * 3 + index)}))
            .collect();
        uuids.extend(server.submit(&json!({"jobs": jobs}).to_string()));
        server.restart();
    }
    for (index, uuid) in uuids.iter().enumerate() {
        let job = server.completed(uuid);
        assert_eq!(job["exit_code"], index % 3, "{job:#}");
        let count = fs::read_to_string(counts.join(index.to_string())).expect("it ran");
        assert_eq!(count, "x\n", "it ran once");
        // An instance that was recorded but never started does not count as an attempt.
        let instances = job["instances"].as_array().expect("instances");
        let earlier = &instances[..instances.len() - 1];
        assert!(
            earlier.iter().all(|it| it["reason_mea_culpa"] == true),
            "{job:#}"
        );
    }
}

#[test]
fn results_are_kept_while_the_scheduler_is_stopped() {
    let mut server = Server::start();
    let uuid = server.submit_one(r#"{"command": "until test -e go; do sleep 0.02; done; exit 6", "after_commands": [{"value": "exit 2"}]}"#);
    let job = server.until(&uuid, "running", |job| {
        job["instances"][0]["status"] == "running"
    });
    let sandbox = job["instances"][0]["sandbox_directory"]
        .as_str()
        .expect("known")
        .to_owned();
    server.kill();
    fs::write(format!("{sandbox}/go"), "").expect("written");
    server.restart();
    let job = server.completed(&uuid);
    assert_eq!(
        (&job["exit_code"], &job["after_exit_codes"]),
        (&json!(6), &json!([2]))
    );
    assert_eq!(job["instances"].as_array().map(Vec::len), Some(1));
}

#[test]
fn after_sigterm_jobs_keep_running() {
    let mut server = Server::start();
    let uuid = server.submit_one(r#"{"command": "until test -e go; do sleep 0.02; done; exit 6"}"#);
    let job = server.until(&uuid, "running", |job| {
        job["instances"][0]["status"] == "running"
    });
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(
        server.log().contains("exiting; 1 running jobs continue"),
        "{}",
        server.log()
    );
    let sandbox = job["instances"][0]["sandbox_directory"]
        .as_str()
        .expect("known");
    fs::write(format!("{sandbox}/go"), "").expect("written");
    server.restart();
    assert_eq!(server.completed(&uuid)["exit_code"], 6);
}

#[test]
fn drain_kills_the_jobs_of_a_stopped_scheduler_with_their_after_commands() {
    let folder = Folder::new();
    let after = folder.0.join("after");
    let mut server = Server::with(folder, &[]);
    let body = json!({"command": "exec sleep 1000", "after_commands": [{"value": format!("echo over > {}", after.display())}], "max_retries": 3});
    let uuid = server.submit_one(&body.to_string());
    server.until(&uuid, "running", |job| {
        job["instances"][0]["status"] == "running"
    });
    server.kill();
    let drained = program()
        .args(["--drain", "--data"])
        .arg(server.data())
        .output()
        .expect("run");
    let log = String::from_utf8_lossy(&drained.stderr).into_owned();
    assert_eq!(drained.status.code(), Some(0), "{log}");
    assert!(
        log.contains("ending 1 running jobs") && log.contains("1 jobs have ended"),
        "{log}"
    );
    assert_eq!(fs::read_to_string(&after).expect("it ran"), "over\n");
    server.restart();
    let first = server.until(&uuid, "ended", |job| {
        job["instances"][0].get("end_time").is_some()
    });
    assert_eq!(first["instances"][0]["reason_code"], 1001);
}

#[test]
fn a_killed_executor_uses_no_attempt_and_leaves_no_process_behind() {
    let folder = Folder::new();
    let pids = folder.0.join("pids");
    let server = Server::with(folder, &[]);
    let command = format!(
        "echo $$ >> {}; test $COOK_INSTANCE_NUM = 1 || exec sleep 1000",
        pids.display()
    );
    let uuid = server.submit_one(&json!({"command": command}).to_string());
    server.until(&uuid, "running", |job| {
        job["instances"][0]["status"] == "running"
    });
    let command_pid = wait_for("the command", || {
        fs::read_to_string(&pids)
            .ok()
            .filter(|text| text.ends_with('\n'))
    });
    let command_pid = command_pid.trim();
    // The executor is the command's parent.
    let stat = fs::read_to_string(format!("/proc/{command_pid}/stat")).expect("it runs");
    let parent = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.split(' ').nth(1))
        .expect("a parent");
    assert!(
        Command::new("kill")
            .args(["-KILL", parent])
            .status()
            .expect("kill")
            .success()
    );
    let job = server.completed(&uuid);
    assert_eq!(job["state"], "success", "{job:#}");
    assert_eq!(job["instances"][0]["reason_code"], 99002);
    assert_eq!(job["instances"][0]["reason_mea_culpa"], true);
    // It may still be a zombie if init does not reap orphans.
    let state = fs::read_to_string(format!("/proc/{command_pid}/stat")).unwrap_or_default();
    let is_alive = state
        .rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'));
    assert!(
        !is_alive,
        "it ended before the next instance started: {state}"
    );
}

#[test]
fn two_schedulers_cannot_share_a_data_folder() {
    let server = Server::start();
    let second = program()
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(server.data())
        .stdin(Stdio::null())
        .output()
        .expect("run");
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(2), "{text}");
    assert!(
        text.contains(&format!(
            "another cook-scheduler (process {}) uses",
            server.pid()
        )),
        "{text}"
    );
}

#[test]
fn a_lock_held_by_a_child_of_a_killed_scheduler_is_waited_for() {
    let folder = Folder::new();
    let data = folder.0.join("data");
    fs::create_dir(&data).expect("made");
    // This simulates a scheduler that was killed while it started a process: its pid in the lock file
    // no longer exists, and a child still holds the lock.
    let mut gone = Command::new("true").spawn().expect("started");
    let number = gone.id().to_string();
    gone.wait().expect("ended");
    fs::write(data.join("lock"), format!("{number}\n")).expect("written");
    let holder = fs::File::open(data.join("lock")).expect("there");
    holder.try_lock().expect("free");
    let release = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        drop(holder);
    });
    let server = Server::with(folder, &[]);
    release.join().expect("released");
    assert_eq!(server.get("/debug").status, 200);
}

#[test]
fn many_jobs_with_few_open_files_run_one_after_the_other_and_the_api_answers() {
    let folder = Folder::new();
    let file = folder.file("config.edn", "{:embedded {:cpus 2 :memory-gb 2}}");
    let file = file.to_string_lossy().into_owned();
    let server = Server::with_open_files(64, folder, &["--config", &file]);
    let job = json!({"command": "sleep 0.2", "cpus": 0.01, "mem": 1});
    let uuids = server.submit(&json!({"jobs": vec![job; 60]}).to_string());
    assert_eq!(server.get("/debug").status, 200);
    for uuid in uuids {
        let job = server.completed(&uuid);
        assert_eq!(job["state"], "success", "{job:#}");
        let instances = job["instances"].as_array().map(Vec::len);
        assert_eq!(instances, Some(1), "{job:#}");
    }
    assert!(
        server.log().contains("limit of open files"),
        "{}",
        server.log()
    );
}

#[test]
fn jobs_wait_while_the_executors_file_is_away() {
    let folder = Folder::new();
    let (file, away) = (folder.0.join("executor"), folder.0.join("away"));
    fs::copy(executor(), &file).expect("copied");
    let server = Server::with_executor(&file, folder);
    fs::rename(&file, &away).expect("moved");
    let uuid = server.submit_one(r#"{"command": "exit 3", "max_retries": 1}"#);
    wait_for("a line of the log", || {
        server.log().contains("jobs wait for it").then_some(())
    });
    let job = server.job(&uuid);
    assert_eq!(
        (&job["status"], &job["instances"]),
        (&json!("waiting"), &json!([])),
        "{job:#}"
    );
    fs::rename(&away, &file).expect("moved back");
    let job = server.completed(&uuid);
    let instances = job["instances"].as_array().map(Vec::len);
    assert_eq!(
        (&job["exit_code"], instances),
        (&json!(3), Some(1)),
        "{job:#}"
    );
}
