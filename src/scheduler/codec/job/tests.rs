use super::*;
use crate::codec::fault::Code;
use crate::core::job::{JobSpec, Retries};
use crate::core::words::{Amount, Guard, Timing};

fn batch(body: &str) -> Batch {
    match read(Endpoint::RawScheduler, body.as_bytes()) {
        Ok(batch) => batch,
        Err(fault) => panic!("{body}: {fault}"),
    }
}

fn job(body: &str) -> JobSpec {
    batch(body).jobs.remove(0).spec
}

fn fault(body: &str) -> Fault {
    match read(Endpoint::RawScheduler, body.as_bytes()) {
        Ok(batch) => panic!("{body} is {batch:?}"),
        Err(fault) => fault,
    }
}

fn limits() -> JobLimits {
    JobLimits {
        cpus: Amount::from_f64(4.0),
        mem: Amount::from_f64(12.0 * 1024.0),
        max_retries: Retries::new(20).expect("valid"),
        max_ports: 5,
        command_length: Some(10),
        cluster: Cluster::Local,
    }
}

#[test]
fn the_documents_jobs_are_read_as_printed() {
    let lock = job(r#"{
        "command": "my-actual-command",
        "before_commands": [{"value": "./acquire-zk-lock.sh my-service", "guard": true}],
        "after_commands":[{"value": "./release-zk-lock.sh my-service"}],
        "uris": [{"value": "http://my-file-server/release-zk-lock.sh", "executable": true},
                 {"value": "http://my-file-server/acquire-zk-lock.sh", "executable": true}]}"#);
    assert_eq!(lock.before[0].guard, Guard::Guarded);
    assert_eq!(lock.after[0].guard, Guard::Unguarded);
    assert!(lock.uris[1].is_for.executable);
    let monitor = job(
        r#"{"command": "my-actual-command", "before_commands": [{"value": "./my-monitoring-command", "async": true}]}"#,
    );
    assert_eq!(monitor.before[0].timing, Timing::Asynchronous);
    let mail =
        job(r#"{"after_commands": [{"value": "mail -s 'your job failed, sorry' bob@hello.com"}]}"#);
    assert_eq!(mail.command, None);
    assert_eq!(mail.after.len(), 1);
    assert_eq!(mail.max_retries, Retries::ONE);
    assert_eq!(
        (mail.demand.cpus.as_f64(), mail.demand.mem.as_f64()),
        (1.0, 128.0)
    );
}

#[test]
fn keys_may_be_written_with_hyphens_or_underscores() {
    for body in [
        r#"{"jobs": [{"command": "x", "max-retries": 3, "max-runtime": 86400000.0, "progress-output-file": "p"}]}"#,
        r#"{"jobs": [{"command": "x", "max_retries": 3.0, "max_runtime": 86400000, "progress_output_file": "p"}]}"#,
    ] {
        let job = job(body);
        assert_eq!(job.max_retries.get(), 3);
        assert_eq!(
            job.max_runtime.map(|limit| limit.millis()),
            Some(86_400_000)
        );
        assert_eq!(
            job.progress_output_file.as_ref().map(|file| file.as_str()),
            Some("p")
        );
    }
    let job =
        job(r#"{"command": "x", "env": {"MY-VAR": "1", "MY_VAR": "2"}, "labels": {"a/b-c": ""}}"#);
    assert_eq!(
        job.env.len(),
        2,
        "names chosen by the client are not changed"
    );
    assert_eq!(job.labels[0].0.as_ref(), "a/b-c");
    assert_eq!(
        fault(r#"{"command": "x", "max-retries": 1, "max_retries": 1}"#).to_string(),
        "max_retries is given twice, with - and with _"
    );
}

#[test]
fn all_of_cooks_keys_are_accepted() {
    let body = r#"{"jobs": [{"uuid": "26719DA8-394F-44F9-9E6D-8A17500F5109", "command": "x", "cpus": 1.5, "mem": 1000,
        "max_retries": 3, "max_runtime": 9223372036854775807, "expected_runtime": 5, "name": "a.b-c_d", "priority": 75,
        "ports": 2, "env": {"A": "b"}, "labels": {"l": "m"}, "uris": [{"value": "/f", "executable": true, "extract": true, "cache": true}],
        "constraints": [["HOSTNAME", "equals", "h"]], "group": "26119da8-394f-44f9-9e6d-8a17500f5109", "executor": "cook",
        "progress_output_file": "p", "progress_regex_string": "r", "disable_mea_culpa_retries": true, "gpus": 0,
        "application": {"name": "n", "version": "1", "workload-class": "c"}, "status": "anything",
        "checkpoint": {"mode": "periodic", "options": {"preserve-paths": ["/a"]}, "periodic-options": {"period-sec": 60}}}],
        "groups": [{"uuid": "26119da8-394f-44f9-9e6d-8a17500f5109", "host-placement": {"type": "all"}, "straggler-handling": {"type": "none", "parameters": {}}}],
        "override-group-immutability": true}"#;
    let mut batch = batch(body);
    assert_eq!(batch.group_rule, GroupRule::MayGrow);
    assert_eq!(batch.groups[0].name.as_str(), "cookgroup");
    let job = batch.jobs.remove(0);
    assert_eq!(
        job.id.expect("given").to_string(),
        "26719da8-394f-44f9-9e6d-8a17500f5109"
    );
    assert!(job.spec.names_executor && job.spec.counts_all_failures);
    assert_eq!(
        job.spec.checkpoint.as_deref(),
        Some(
            r#"{"mode":"periodic","options":{"preserve-paths":["/a"]},"periodic-options":{"period-sec":60}}"#
        )
    );
    assert_eq!(job.spec.application.expect("given").name.as_str(), "n");
}

#[test]
fn mistakes_are_explained_with_their_path() {
    for (body, wanted) in [
        (
            "",
            "Must supply at least one job or group to start.Are you specifying that this is application/json?",
        ),
        ("{}", "Must supply at least one job or group to start."),
        (
            "{\"jobs\": []}",
            "Must supply at least one job or group to start.",
        ),
        (
            "{",
            "the body is not valid JSON: EOF while parsing an object at line 1 column 1",
        ),
        (
            "{\"command\": \"a\"\n \"uris\": []}",
            "the body is not valid JSON: expected `,` or `}` at line 2 column 2",
        ),
        (
            "[]",
            "the body must be a job or an object such as {\"jobs\": [...]}, found an array",
        ),
        (
            "{\"jobs\": {}}",
            "jobs must be an array of jobs, found an object",
        ),
        ("{\"jobs\": [5]}", "jobs[0] must be an object such as"),
        (
            "{\"jobs\": [{\"command\": \"x\"}], \"pool\": \"p\"}",
            "pool is not a known key",
        ),
        (
            "{\"jobs\": [{\"command\": \"x\"}], \"job\": 1}",
            "job is not a known key (did you mean jobs?)",
        ),
        (
            "{\"name\": \"x\"}",
            "command is missing: a job needs a command, or hooks",
        ),
        (
            "{\"jobs\": [{\"command\": \"x\"}, {\"before_commands\": []}]}",
            "jobs[1].command is missing",
        ),
        ("{\"command\": \" \"}", "command must not be blank"),
        (
            "{\"command\": null}",
            "command must be a string, found null (leave the key out)",
        ),
        (
            "{\"command\": \"a\\u0000\"}",
            "command must not contain '\\0'",
        ),
        (
            "{\"comand\": \"a\"}",
            "comand is not a known key (did you mean command?)",
        ),
        (
            "{\"command\": \"a\", \"before_command\": []}",
            "before_command is not a known key (did you mean before_commands?)",
        ),
        (
            "{\"command\": \"a\", \"before_commands\": {}}",
            "before_commands must be an array of commands",
        ),
        (
            "{\"command\": \"a\", \"before_commands\": [\"x\"]}",
            "before_commands[0] must be an object such as {\"value\": \"...\"}",
        ),
        (
            "{\"command\": \"a\", \"before_commands\": [{\"guard\": true}]}",
            "before_commands[0].value is missing",
        ),
        (
            "{\"command\": \"a\", \"before_commands\": [{\"value\": \"\"}]}",
            "before_commands[0].value must not be blank",
        ),
        (
            "{\"command\": \"a\", \"before_commands\": [{\"value\": \"x\", \"gaurd\": true}]}",
            "before_commands[0].gaurd is not a known key (did you mean guard?)",
        ),
        (
            "{\"command\": \"a\", \"after_commands\": [{\"value\": \"x\", \"guard\": \"yes\"}]}",
            "after_commands[0].guard must be true or false, found the string \"yes\"",
        ),
        (
            "{\"command\": \"a\", \"after_commands\": [{\"value\": \"x\", \"timeout\": -1}]}",
            "after_commands[0].timeout must be a number of seconds above 0, at most a year, found -1",
        ),
        (
            "{\"command\": \"a\", \"cpus\": 0}",
            "cpus must be a number above 0, found 0",
        ),
        (
            "{\"command\": \"a\", \"mem\": \"128\"}",
            "mem must be a number above 0, found the string \"128\"",
        ),
        (
            "{\"command\": \"a\", \"max_retries\": 0}",
            "max_retries must be a whole number from 1, found 0",
        ),
        (
            "{\"command\": \"a\", \"max_retries\": 1.5}",
            "max_retries must be a whole number from 1, found 1.5",
        ),
        (
            "{\"command\": \"a\", \"max_retries\": 1e9}",
            "Requested 1000000000 exceeds the maximum retry limit",
        ),
        (
            "{\"command\": \"a\", \"max_runtime\": 0}",
            "max_runtime must be a whole number from 1",
        ),
        (
            "{\"command\": \"a\", \"max_runtime\": 5, \"expected_runtime\": 6}",
            "expected_runtime (6) must not be above max_runtime (5)",
        ),
        (
            "{\"command\": \"a\", \"name\": \"a b\"}",
            "name must not contain ' '",
        ),
        (
            "{\"command\": \"a\", \"priority\": 16000001}",
            "priority must be a whole number from 0 to 16000000",
        ),
        (
            "{\"command\": \"a\", \"ports\": -1}",
            "ports must be a whole number from 0",
        ),
        (
            "{\"command\": \"a\", \"env\": {\"A=B\": \"\"}}",
            "env.A=B is not a valid variable name: it must not contain '='",
        ),
        (
            "{\"command\": \"a\", \"env\": {\"A\": 1}}",
            "env.A must be a string, found 1",
        ),
        (
            "{\"command\": \"a\", \"env\": {\"\": \"1\"}}",
            "is not a valid variable name",
        ),
        (
            "{\"command\": \"a\", \"labels\": []}",
            "labels must be an object of strings, found an array",
        ),
        (
            "{\"command\": \"a\", \"uris\": [{\"valeu\": \"x\"}]}",
            "uris[0].value is missing",
        ),
        (
            "{\"command\": \"a\", \"uris\": [{\"value\": \"x\", \"exectuable\": true}]}",
            "uris[0].exectuable is not a known key (did you mean executable?)",
        ),
        (
            "{\"command\": \"a\", \"constraints\": [[\"a\", \"LIKE\", \"b\"]]}",
            "constraints[0][1] must be \"EQUALS\"",
        ),
        (
            "{\"command\": \"a\", \"constraints\": [[\"a\", \"EQUALS\"]]}",
            "constraints[0] must be [attribute, \"EQUALS\", value]",
        ),
        (
            "{\"command\": \"a\", \"uuid\": \"x\"}",
            "uuid must be a uuid such as 26719da8-",
        ),
        (
            "{\"command\": \"a\", \"executor\": \"mesos\"}",
            "executor must be \"cook\": this scheduler runs every job",
        ),
        (
            "{\"command\": \"a\", \"executor\": \"x\"}",
            "executor must be \"cook\", found \"x\"",
        ),
        (
            "{\"command\": \"a\", \"gpus\": 1}",
            "GPU support is not enabled",
        ),
        (
            "{\"command\": \"a\", \"disk\": {}}",
            "Disk specifications are not supported",
        ),
        (
            "{\"command\": \"a\", \"container\": {}}",
            "Containers are not supported",
        ),
        (
            "{\"command\": \"a\", \"progress_regex_string\": \"\"}",
            "progress_regex_string must not be blank",
        ),
        (
            "{\"command\": \"a\", \"progress_regex_string\": \"(\"}",
            "progress_regex_string must be a regular expression",
        ),
        (
            "{\"command\": \"a\", \"application\": {\"name\": \"n\"}}",
            "application.version is missing",
        ),
        (
            "{\"command\": \"a\", \"checkpoint\": {\"mode\": \"x\"}}",
            "checkpoint.mode must be \"auto\", \"periodic\" or \"preemption\"",
        ),
        (
            "{\"groups\": [{\"name\": \"x\"}]}",
            "groups[0].uuid is missing",
        ),
        (
            "{\"groups\": [{\"uuid\": \"26719da8-394f-44f9-9e6d-8a17500f5109\", \"host-placement\": {\"type\": \"unique\"}}]}",
            "groups[0].host_placement.type must be \"all\": \"unique\" is not supported",
        ),
        (
            "{\"command\": \"a\", \"command\": \"b\"}",
            "the key \"command\" is given twice at line 1 column 26",
        ),
    ] {
        let text = fault(body).to_string();
        assert!(text.contains(wanted), "{body}: {text}");
    }
}

#[test]
fn a_fault_has_the_format_of_cook() {
    let fault = fault(r#"{"jobs": [{"command": "x", "gaurd": 1}]}"#);
    assert!(matches!(
        &fault,
        Fault::Shape {
            code: Some(Code::Disallowed),
            ..
        }
    ));
    assert_eq!(
        fault.json(),
        r#"{"error":"jobs[0].gaurd is not a known key","errors":{"jobs[0].gaurd":"disallowed-key: is not a known key"}}"#
    );
    assert_eq!(Fault::Rule("x".to_owned()).json(), r#"{"error":"x"}"#);
}

#[test]
fn a_uuid_may_occur_only_once_in_a_batch() {
    let uuid = "26719da8-394f-44f9-9e6d-8a17500f5109";
    let twice = batch(&format!(
        r#"{{"jobs": [{{"command": "x", "uuid": "{uuid}"}}, {{"command": "y", "uuid": "{}"}}]}}"#,
        uuid.to_uppercase()
    ));
    assert_eq!(
        twice.check_repeats().map_err(|fault| fault.to_string()),
        Err(format!("Duplicate job uuids: [\"{uuid}\"]"))
    );
    assert_eq!(
        batch(r#"{"jobs": [{"command": "x"}, {"command": "x"}]}"#).check_repeats(),
        Ok(())
    );
}

#[test]
fn exceeded_limits_are_reported_in_cooks_words() {
    for (keys, wanted) in [
        (
            r#""cpus": 9"#,
            "Requested 9 cpus, but only allowed to use 4",
        ),
        (
            r#""cpus": 4.5"#,
            "Requested 4.5 cpus, but only allowed to use 4",
        ),
        (
            r#""mem": 20000"#,
            "Requested 20000mb memory, but only allowed to use 12288",
        ),
        (
            r#""ports": 6"#,
            "Requested 6 ports, but only allowed to use 5",
        ),
        (
            r#""max_retries": 21"#,
            "Requested 21 exceeds the maximum retry limit",
        ),
        (
            r#""constraints": [["rack", "EQUALS", "b"]]"#,
            "the constraint on \"rack\" can never hold",
        ),
    ] {
        let text = batch(&format!(r#"{{"command": "x", {keys}}}"#))
            .check_limits(&limits())
            .map_err(|fault| fault.to_string());
        let text = text.expect_err(keys);
        assert!(text.contains(wanted), "{keys}: {text}");
    }
    let long = batch(r#"{"command": "12345678901"}"#).check_limits(&limits());
    assert_eq!(
        long.map_err(|fault| fault.to_string()),
        Err("Job command length of 11 is greater than the maximum command length (10)".to_owned())
    );
    let fine = batch(
        r#"{"command": "x", "cpus": 4, "mem": 12288, "ports": 5, "constraints": [["hostname", "EQUALS", "h"]]}"#,
    );
    assert_eq!(fine.check_limits(&limits()), Ok(()));
}

#[test]
fn a_batch_has_a_maximum_size() {
    let body = |count: usize| {
        let jobs = vec![r#"{"command":"x"}"#; count].join(",");
        format!(r#"{{"jobs":[{jobs}]}}"#)
    };
    assert_eq!(batch(&body(MAX_JOBS)).jobs.len(), MAX_JOBS);
    assert!(
        fault(&body(MAX_JOBS + 1))
            .to_string()
            .contains("jobs has 10001 jobs: send at most 10000")
    );
}

#[test]
fn no_body_panics() {
    let pieces: [&str; 30] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"jobs\"",
        "\"command\"",
        "\"x\"",
        "\"env\"",
        "\"uuid\"",
        "1",
        "-1",
        "1e400",
        "1.5",
        "null",
        "true",
        "\"before_commands\"",
        "\"value\"",
        "\"uris\"",
        "\"constraints\"",
        "\"groups\"",
        "\"checkpoint\"",
        "\"mode\"",
        "\"application\"",
        "\"\\u0000\"",
        "\"ü\"",
        "\"\\ud800\"",
        " ",
        "\"max-retries\"",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % limit as u64).expect("small")
    };
    for _ in 0..100_000 {
        let mut body = String::from("{\"jobs\":[{\"command\":\"x\",");
        for _ in 0..below(16) {
            body.push_str(pieces[below(pieces.len())]);
        }
        let _ = read(Endpoint::Jobs, body.as_bytes());
        let _ = read(Endpoint::Jobs, &body.as_bytes()[below(body.len())..]);
    }
    let _ = read(Endpoint::Jobs, "[".repeat(1_000_000).as_bytes());
}
