//! The documented examples as printed: plain requests without header, uuid or envelope.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::server::{Folder, Server, wait_for};

const PAGE: &str = include_str!("../../../packaging/docs/scheduler.md");

/// The text of a page between two others.
fn between<'p>(page: &'p str, start: &str, end: &str) -> &'p str {
    let (_, rest) = page.split_once(start).expect("it is there");
    rest.split_once(end).expect("it ends").0
}

/// The documented commands use curl.
fn has_curl() -> bool {
    let has = Command::new("curl").arg("--version").output().is_ok();
    if !has {
        eprintln!("SKIPPED: the documented commands need curl");
    }
    has
}

#[test]
fn hello() {
    let server = Server::start();
    let uuid = server.submit_one(r#"{"command": "echo hello; exit 3"}"#);
    let job = server.completed(&uuid);
    assert_eq!(
        (&job["exit_code"], &job["state"]),
        (&json!(3), &json!("failed"))
    );
    assert_eq!(server.stdout(&job), "hello\n");
    assert_eq!(job["before_exit_codes"], json!([]));
}

#[test]
fn the_readmes_jobs_are_accepted_and_end_as_it_prints() {
    let readme = include_str!("../../../README.md");
    let server = Server::start();
    let job = server.completed(&server.submit_one(between(readme, "$ curl -d '", "' http")));
    let printed = between(readme, r#""exit_code""#, " ...");
    let found = format!(
        ":{},\"before_exit_codes\":{},\"after_exit_codes\":{},",
        job["exit_code"], job["before_exit_codes"], job["after_exit_codes"]
    );
    assert_eq!(found, printed);
    let folder = Folder::new();
    let archive = folder.0.join("my-service.tar.gz");
    let names = [
        "my-service",
        "acquire-lock.sh",
        "monitor.sh",
        "release-lock.sh",
    ];
    for name in names {
        folder.script(name, "#!/bin/sh\n");
    }
    let pack = |names: &[&str]| {
        let mut tar = Command::new("tar");
        tar.arg("-czf").arg(&archive).arg("-C").arg(&folder.0);
        assert!(tar.args(names).status().expect("tar").success());
    };
    let job = between(readme, "```json\n", "```");
    let job = job.replace(
        "http://your.server/my-service.tar.gz",
        &archive.to_string_lossy(),
    );
    pack(&names);
    let complete = server.completed(&server.submit_one(&job));
    assert_eq!(complete["state"], "success", "{complete:#}");
    assert_eq!(complete["after_exit_codes"], json!([0]), "{complete:#}");
    // The scripts are missing in this archive, so the guard fails.
    pack(&names[..1]);
    let job = server.completed(&server.submit_one(&job));
    assert_eq!(job["state"], "failed", "{job:#}");
    assert_eq!(job["before_exit_codes"], json!([127]), "{job:#}");
}

/// Runs the commands of the page in order, each until it prints what the page shows; `...` stands for any text.
#[test]
fn the_commands_of_the_schedulers_page_print_what_it_shows() {
    if !has_curl() {
        return;
    }
    let server = Server::start();
    let url = format!("http://{}", server.address);
    let session = between(PAGE, "```console\n", "```");
    for step in session.split("$ ").skip(1) {
        let (command, shown) = step.split_once('\n').expect("a line");
        let command = command.replace("http://127.0.0.1:12321", &url);
        let command = command.replace("curl ", "curl --silent --show-error ");
        let parts: Vec<_> = shown.trim_end().split(" ...").map(str::trim).collect();
        wait_for(&command, || {
            let output = Command::new("sh").args(["-c", &command]).output();
            let output = output.expect("a shell").stdout;
            let output = String::from_utf8(output).expect("text");
            let mut rest = output.as_str();
            parts
                .iter()
                .all(|part| match rest.split_once(part) {
                    Some((_, after)) => {
                        rest = after;
                        true
                    }
                    None => false,
                })
                .then_some(())
        });
    }
}

#[test]
fn the_configuration_of_the_schedulers_page_adds_its_hooks_to_every_job() {
    let folder = Folder::new();
    let file = folder.file("config.edn", between(PAGE, "```clojure\n", "```"));
    let server = Server::with(folder, &["--config", &file.to_string_lossy()]);
    let job = server.completed(&server.submit_one(r#"{"command": "echo mine"}"#));
    assert_eq!(server.stdout(&job), "before\nmine\nafter\n");
    assert_eq!(job["default_before_exit_codes"], json!([0]));
    let settings = server.get("/settings").json();
    let limits = &settings["task-constraints"];
    assert_eq!(
        (&limits["cpus"], &limits["memory-gb"]),
        (&json!(4.0), &json!(8.0))
    );
}

#[test]
fn conditionally_preventing_command_execution() {
    let folder = Folder::new();
    let lock = folder.0.join("lock");
    let acquire = folder.script(
        "acquire-zk-lock.sh",
        &format!("#!/bin/sh\nmkdir {} || exit 7\n", lock.display()),
    );
    let release = folder.script(
        "release-zk-lock.sh",
        &format!("#!/bin/sh\nrmdir {}\n", lock.display()),
    );
    let server = Server::start();
    let body = format!(
        r#"{{
	"command": "echo I have the lock $(ls -d {})",
	"before_commands": [{{
		"value": "./acquire-zk-lock.sh my-service",
		"guard": true
	}}],
	"after_commands":[{{
		"value": "./release-zk-lock.sh my-service"
	}}],
	"uris": [{{
		"value": "{}",
		"executable": true
  	}},{{
  		"value": "file://{}",
  		"executable": true
  	}}]
}}"#,
        lock.display(),
        release.display(),
        acquire.display()
    );
    let job = server.completed(&server.submit_one(&body));
    assert_eq!(job["state"], "success", "{job:#}");
    assert_eq!(
        (
            &job["before_exit_codes"],
            &job["exit_code"],
            &job["after_exit_codes"]
        ),
        (&json!([0]), &json!(0), &json!([0]))
    );
    assert!(!lock.exists(), "the lock was released");
    // Another process has the lock.
    fs::create_dir(&lock).expect("made");
    let job = server.completed(&server.submit_one(&body));
    assert_eq!(job["state"], "failed");
    assert_eq!(
        (&job["before_exit_codes"], &job["after_exit_codes"]),
        (&json!([7]), &json!([]))
    );
    assert_eq!(job.get("exit_code"), None, "the command was not started");
    assert!(lock.exists(), "the other process keeps its lock");
}

#[test]
fn monitoring_a_running_command() {
    let server = Server::start();
    let body = r#"{
	"command": "until test -s seen; do sleep 0.05; done; cat seen",
	"before_commands": [{
		"value": "echo monitored > seen; exec sleep 1000",
		"async": true
	}]
}"#;
    let job = server.completed(&server.submit_one(body));
    assert_eq!(job["state"], "success");
    assert_eq!(server.stdout(&job), "monitored\n");
    assert_eq!(
        job["before_exit_codes"],
        json!([-15]),
        "it is stopped when the other commands have ended"
    );
}

#[test]
fn dynamically_setting_environment_variables() {
    if !has_curl() {
        return;
    }
    let server = Server::start();
    let body = r#"{
	"command": "echo $MY_ENV_VAR ${MY_OLD_VAR-unset}",
	"env": {"MY_OLD_VAR": "old"},
	"before_commands": [{
		"value": "curl -sS -XPATCH -d '{\"env\": {\"MY_ENV_VAR\": \"/hello/world\", \"MY_OLD_VAR\": null}}' $EXECUTOR_ENDPOINT"
	}]
}"#;
    let job = server.completed(&server.submit_one(body));
    assert_eq!(server.stdout(&job), "/hello/world unset\n", "{job:#}");
}

#[test]
fn progress_and_a_custom_failure_message() {
    if !has_curl() {
        return;
    }
    let server = Server::start();
    let body = r#"{"command": "curl -sS -XPATCH -d '{\"progress\": 100, \"message\": \"a custom failure message\"}' $EXECUTOR_ENDPOINT; exit 1"}"#;
    let job = server.completed(&server.submit_one(body));
    assert_eq!(
        (&job["progress"], &job["message"]),
        (&json!(100), &json!("a custom failure message"))
    );
    let silent = server.completed(&server.submit_one(r#"{"command": "exit 1"}"#));
    assert_eq!(
        (silent.get("progress"), silent.get("message")),
        (None, None)
    );
}

#[test]
fn sending_an_email_on_completion() {
    let folder = Folder::new();
    let sent = folder.0.join("sent");
    let server = Server::start();
    let value = format!("printf '%s' 'your job failed, sorry' > {}", sent.display());
    let body = json!({"after_commands": [{"value": value}]}).to_string();
    let job = server.completed(&server.submit_one(&body));
    assert_eq!(
        fs::read_to_string(&sent).expect("sent"),
        "your job failed, sorry"
    );
    assert_eq!(
        (&job["state"], &job["after_exit_codes"]),
        (&json!("success"), &json!([0]))
    );
    assert_eq!(job.get("exit_code"), None, "there was no command");
}

#[test]
fn the_operators_configuration_as_printed() {
    let folder = Folder::new();
    let extra = folder.file("tool.txt", "a tool\n");
    let file = folder.file(
        "config.edn",
        &format!(
            r#"{{...
 :executor {{:command "cook-executor"
            :max-message-length 512
            :log-level "INFO"
            :before-commands [{{:value "echo before"}}]
            :after-commands [{{:value "echo after"}}]
            :uris [{{:value "{}"}}]}}
 ...}}"#,
            extra.display()
        ),
    );
    let file = file.to_string_lossy().into_owned();
    let server = Server::with(folder, &["--config", &file]);
    let job = server.completed(&server.submit_one(
        r#"{"command": "cat tool.txt; exit 4", "before_commands": [{"value": "echo mine; exit 5"}]}"#,
    ));
    assert_eq!(server.stdout(&job), "before\nmine\na tool\nafter\n");
    assert_eq!(
        (
            &job["before_exit_codes"],
            &job["exit_code"],
            &job["after_exit_codes"]
        ),
        (&json!([5]), &json!(4), &json!([]))
    );
    assert_eq!(
        (
            &job["default_before_exit_codes"],
            &job["default_after_exit_codes"]
        ),
        (&json!([0]), &json!([0]))
    );
    assert!(server.log().contains("skipped \"...\""), "{}", server.log());
}

#[test]
fn hook_codes_are_shown_while_the_job_runs_and_its_exit_code_once_it_has_finished() {
    let server = Server::start();
    let uuid = server.submit_one(
        r#"{"command": "until test -e go; do sleep 0.02; done; exit 2", "after_commands": [{"value": "until test -e on; do sleep 0.02; done"}]}"#,
    );
    let job = server.until(&uuid, "running", |job| {
        job["instances"][0]["status"] == "running"
    });
    assert_eq!(
        (&job["status"], job.get("exit_code")),
        (&json!("running"), None)
    );
    let sandbox = job["instances"][0]["sandbox_directory"]
        .as_str()
        .expect("known")
        .to_owned();
    fs::write(format!("{sandbox}/go"), "").expect("written");
    server.until(&uuid, "its exit code", |job| {
        job["instances"][0]["exit_code"] == json!(2)
    });
    assert_eq!(
        server.job(&uuid).get("exit_code"),
        None,
        "the job has not finished"
    );
    fs::write(format!("{sandbox}/on"), "").expect("written");
    assert_eq!(server.completed(&uuid)["exit_code"], 2);
}

#[test]
fn a_killed_job_runs_its_after_commands_and_is_not_retried() {
    let server = Server::start();
    let uuid = server.submit_one(
        r#"{"command": "sleep 1000", "after_commands": [{"value": "echo released"}], "max_retries": 5}"#,
    );
    server.until(&uuid, "running", |job| {
        job["instances"][0]["status"] == "running"
    });
    let killed = server.ask("DELETE", &format!("/rawscheduler?job={uuid}"), "", b"");
    assert_eq!((killed.status, killed.text()), (204, String::new()));
    assert_eq!(server.job(&uuid)["status"], "completed", "at once");
    let job = server.completed(&uuid);
    assert_eq!(
        (&job["state"], &job["instances"][0]["reason_code"]),
        (&json!("failed"), &json!(1001))
    );
    assert_eq!(job["instances"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.stdout(&job), "released\n");
}

#[test]
fn a_job_that_exceeds_its_maximum_runtime_is_killed() {
    let server = Server::start();
    let uuid = server.submit_one(r#"{"command": "sleep 1000", "max_runtime": 300}"#);
    let job = server.completed(&uuid);
    assert_eq!(
        (&job["state"], &job["instances"][0]["reason_code"]),
        (&json!("failed"), &json!(2003))
    );
}

#[test]
fn attempts_are_counted_and_numbered() {
    let server = Server::start();
    let uuid = server.submit_one(
        r#"{"command": "echo $COOK_INSTANCE_NUM $COOK_JOB_UUID; exit 1", "max_retries": 3}"#,
    );
    let job = server.completed(&uuid);
    let instances = job["instances"].as_array().expect("instances");
    assert_eq!((instances.len(), &job["retries_remaining"]), (3, &json!(0)));
    assert_eq!(server.stdout(&job), format!("2 {uuid}\n"));
}

#[test]
fn jobs_wait_until_there_are_enough_cpus() {
    let folder = Folder::new();
    let file = folder.file("config.edn", "{:embedded {:cpus 1 :memory-gb 1}}");
    let file = file.to_string_lossy().into_owned();
    let server = Server::with(folder, &["--config", &file]);
    let blocks = r#"{"command": "until test -e go; do sleep 0.02; done"}"#;
    let first = server.submit_one(blocks);
    let running = server.until(&first, "running", |job| job["status"] == "running");
    let second = server.submit_one(r#"{"command": "true"}"#);
    let why = server
        .get(&format!("/unscheduled_jobs?job={second}"))
        .json();
    assert!(
        why.to_string().contains("Not enough cpus available."),
        "{why}"
    );
    assert_eq!(server.job(&second)["status"], "waiting");
    let sandbox = running["instances"][0]["sandbox_directory"]
        .as_str()
        .expect("known");
    wait_for("the sandbox", || {
        fs::write(format!("{sandbox}/go"), "").ok()
    });
    assert_eq!(server.completed(&second)["state"], "success");
    let too_large = server.ask(
        "POST",
        "/rawscheduler",
        "",
        br#"{"command": "x", "cpus": 9}"#,
    );
    assert_eq!(too_large.status, 400);
    assert_eq!(
        too_large.json(),
        json!({"error": "Requested 9 cpus, but only allowed to use 1"})
    );
}

#[test]
fn priorities_and_groups() {
    let folder = Folder::new();
    let file = folder.file("config.edn", "{:embedded {:cpus 1 :memory-gb 1}}");
    let order = folder.0.join("order");
    let file = file.to_string_lossy().into_owned();
    let server = Server::with(folder, &["--config", &file]);
    let group = "26119da8-394f-44f9-9e6d-8a17500f5109";
    let say = |what: &str| format!("echo {what} >> {}", order.display());
    let job = |what: &str, priority: u32| json!({"command": say(what), "priority": priority, "group": group});
    let jobs = json!({"jobs": [job("low", 1), job("high", 100), job("middle", 50)], "groups": [{"uuid": group, "name": "g"}]});
    for uuid in server.submit(&jobs.to_string()) {
        server.completed(&uuid);
    }
    assert_eq!(
        fs::read_to_string(&order).expect("written"),
        "high\nmiddle\nlow\n"
    );
    let shown = server
        .get(&format!("/group?uuid={group}&detailed=true"))
        .json();
    assert_eq!(
        (&shown[0]["completed"], &shown[0]["waiting"]),
        (&json!(3), &json!(0))
    );
}
