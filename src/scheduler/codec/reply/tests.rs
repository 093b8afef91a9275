//! A job's reply can be submitted again and describes the same job.

use serde_json::{Map, Value, json};

use super::*;
use crate::codec::job::fixture;
use crate::core::job::JobSpec;

/// The keys of a reply that describe the submitted job.
const SUBMITTED: [&str; 22] = [
    "command",
    "before_commands",
    "after_commands",
    "name",
    "priority",
    "cpus",
    "mem",
    "gpus",
    "ports",
    "max_retries",
    "max_runtime",
    "expected_runtime",
    "env",
    "labels",
    "uris",
    "constraints",
    "progress_output_file",
    "progress_regex_string",
    "disable_mea_culpa_retries",
    "application",
    "executor",
    "checkpoint",
];

fn spec(body: &Value) -> JobSpec {
    fixture::spec(&body.to_string())
}

fn shown(spec: JobSpec) -> Value {
    let job = Job {
        status: JobStatus::Waiting,
        ..fixture::job("bob", spec)
    };
    let context = Context {
        authority: "localhost",
        free_failures: 5,
        cluster: "local",
        framework: None,
        sandboxes: None,
    };
    let reply = JobReply::new(&job, &GroupsAs::Ids, |_| None, &context);
    serde_json::to_value(&reply).expect("JSON")
}

/// The body that submits the same job again.
fn again(reply: &Value) -> Value {
    let mut body = Map::new();
    for key in SUBMITTED {
        if let Some(value) = reply.get(key) {
            body.insert(key.to_owned(), value.clone());
        }
    }
    // A missing command is returned as an empty one.
    if body.get("command") == Some(&json!("")) {
        body.remove("command");
    }
    if let Some(group) = reply.get("groups") {
        body.insert("group".to_owned(), group[0].clone());
    }
    Value::Object(body)
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn text(&mut self) -> &'static str {
        [
            "echo a",
            "ü \"'\\\n\t",
            "{",
            "[]",
            "\u{1}",
            "😀",
            "-",
            "null",
        ][self.below(8) as usize]
    }

    fn hooks(&mut self) -> Value {
        let hook = |random: &mut Self| {
            let mut hook = json!({"value": random.text()});
            for key in ["guard", "async"] {
                if random.below(2) == 0 {
                    hook[key] = json!(random.below(2) == 0);
                }
            }
            if random.below(3) == 0 {
                hook["timeout"] = json!(random.below(1_000_000) as f64 / 1000.0 + 0.001);
            }
            hook
        };
        let count = self.below(4);
        (0..count).map(|_| hook(self)).collect()
    }

    fn body(&mut self) -> Value {
        let name = ["a", "", "x.y-z_0"][self.below(3) as usize];
        let all = json!({
            "before_commands": self.hooks(),
            "after_commands": self.hooks(),
            "name": name,
            "priority": self.below(16_000_001),
            "cpus": (self.below(100_000) + 1) as f64 / 1000.0,
            "mem": self.below(100_000) + 1,
            "gpus": 0,
            "ports": self.below(6),
            "max_retries": self.below(20) + 1,
            "max_runtime": self.below(u64::MAX / 4) + 1_000,
            "expected_runtime": self.below(1_000) + 1,
            "env": {"A": self.text(), "b-c": ""},
            "labels": {"l/m-n": self.text()},
            "uris": [{"value": "/f", "executable": self.below(2) == 0, "extract": self.below(2) == 0, "cache": true}],
            "constraints": [["HOSTNAME", "EQUALS", "h"]],
            "group": "26119da8-394f-44f9-9e6d-8a17500f5109",
            "progress_output_file": self.text(),
            "progress_regex_string": regex_lite::escape(self.text()),
            "disable_mea_culpa_retries": self.below(2) == 0,
            "application": {"name": "n", "version": "1", "workload-class": "c", "workload-id": "i"},
            "executor": "cook",
            "checkpoint": {"mode": "auto", "options": {"preserve-paths": ["/p"]}},
        });
        let mut body = json!({"command": self.text()});
        for (key, value) in all.as_object().expect("an object") {
            if self.below(3) > 0 {
                body[key] = value.clone();
            }
        }
        body
    }
}

#[test]
fn a_reply_can_be_submitted_again_and_describes_the_same_job() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..3_000 {
        let body = random.body();
        let first = spec(&body);
        let reply = shown(first.clone());
        let mut second = spec(&again(&reply));
        // "No limit" is returned as the largest number.
        if first.max_runtime.is_none() {
            second.max_runtime = None;
        }
        assert_eq!(first, second, "{body}");
        assert!(!reply.to_string().contains(":null"), "{reply}");
    }
}

#[test]
fn a_job_of_hooks_only_is_returned_with_an_empty_command() {
    let first = spec(&json!({"after_commands": [{"value": "mail"}]}));
    let reply = shown(first.clone());
    assert_eq!(reply["command"], "");
    let mut second = spec(&again(&reply));
    second.max_runtime = None;
    assert_eq!(first, second);
}
