//! How jobs are shown in replies.

use super::*;

#[test]
fn a_job_has_all_keys_that_clients_need_and_none_with_an_unknown_value() {
    let mut world = World::new();
    world.post(&format!(
        r#"{{"command": "c", "uuid": "{JOB}", "before_commands": [{{"value": "b"}}], "max_retries": 2, "env": {{"A": "b"}}}}"#
    ));
    let waiting = world.job(JOB);
    for (key, value) in [
        ("uuid", JOB.into()),
        ("status", "waiting".into()),
        ("state", "waiting".into()),
        ("name", "cookjob".into()),
        ("user", "bob".into()),
        ("priority", 50.into()),
        ("cpus", 1.0.into()),
        ("mem", 128.0.into()),
        ("gpus", 0.into()),
        ("ports", 0.into()),
        ("max_retries", 2.into()),
        ("retries_remaining", 2.into()),
        ("max_runtime", 9_223_372_036_854_775_807_u64.into()),
        ("disable_mea_culpa_retries", false.into()),
        ("framework_id", "unsupported".into()),
        ("env", serde_json::json!({"A": "b"})),
        ("labels", serde_json::json!({})),
        ("uris", serde_json::json!([])),
        ("constraints", serde_json::json!([])),
        ("instances", serde_json::json!([])),
        ("before_exit_codes", serde_json::json!([])),
        ("after_exit_codes", serde_json::json!([])),
        ("before_commands", serde_json::json!([{"value": "b"}])),
    ] {
        assert_eq!(waiting[key], value, "{key}");
    }
    for absent in [
        "exit_code",
        "progress",
        "message",
        "groups",
        "application",
        "expected_runtime",
        "executor",
        "default_before_exit_codes",
        "after_commands",
    ] {
        assert_eq!(waiting.get(absent), None, "{absent}");
    }
    assert!(!waiting.to_string().contains("null"));
    let instance = world.start();
    let running = world.job(JOB);
    assert_eq!(
        (&running["status"], &running["state"]),
        (&"running".into(), &"running".into())
    );
    let shown = &running["instances"][0];
    for (key, value) in [
        ("task_id", instance.to_string().into()),
        ("executor_id", instance.to_string().into()),
        ("slave_id", "agent".into()),
        ("agent_id", "agent".into()),
        ("hostname", "host".into()),
        ("status", "unknown".into()),
        ("preempted", false.into()),
        ("backfilled", false.into()),
        ("executor", "cook".into()),
        ("ports", serde_json::json!([])),
        (
            "compute-cluster",
            serde_json::json!({"name": "local", "type": "mesos", "mesos": {"framework-id": "unsupported"}}),
        ),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    for absent in [
        "end_time",
        "reason_code",
        "cancelled",
        "exit_code",
        "mesos_start_time",
        "progress",
    ] {
        assert_eq!(shown.get(absent), None, "{absent}");
    }
}

#[test]
fn results_are_shown_on_the_job_and_on_its_instance() {
    let mut world = World::new();
    world.post(&format!(
        r#"{{"command": "c", "uuid": "{JOB}", "before_commands": [{{"value": "b"}}], "after_commands": [{{"value": "a"}}, {{"value": "a2"}}]}}"#
    ));
    let instance = world.start();
    let sandbox = crate::core::backend::InstanceMessage::Sandbox(
        format!("/data/sandboxes/{instance}").into(),
    );
    world
        .memory
        .feed(Event::Backend(BackendEvent::Messaged(instance, sandbox)));
    world.update(instance, TaskState::Running, None, None);
    let report = Report {
        exit_code: Some(3),
        before_codes: codes(&[0]),
        after_codes: vec![None, Some(1)],
        default_after_codes: codes(&[0]),
        progress: Some(50),
        message: Some(Message::cut("half")),
        ..Report::default()
    };
    world.update(instance, TaskState::Failed, None, Some(report));
    let job = world.job(JOB);
    assert_eq!(job["state"], "failed");
    assert_eq!(job["exit_code"], 3);
    assert_eq!(job["before_exit_codes"], serde_json::json!([0]));
    assert_eq!(
        job["after_exit_codes"],
        serde_json::json!([]),
        "it ends before the first unknown code"
    );
    assert_eq!(job["default_after_exit_codes"], serde_json::json!([0]));
    assert_eq!(job.get("default_before_exit_codes"), None);
    assert_eq!(
        (&job["progress"], &job["message"]),
        (&50.into(), &"half".into())
    );
    assert_eq!(job["retries_remaining"], 0);
    let shown = &job["instances"][0];
    assert_eq!(shown["after_exit_codes"], serde_json::json!([null, 1]));
    assert_eq!(
        (&shown["exit_code"], &shown["status"]),
        (&3.into(), &"failed".into())
    );
    assert_eq!(
        (&shown["reason_code"], &shown["reason_string"]),
        (&99003.into(), &"Command exited non-zero".into())
    );
    assert_eq!(shown["reason_mea_culpa"], false);
    assert!(shown["end_time"].as_u64() > shown["start_time"].as_u64());
    let path = format!("%2Fdata%2Fsandboxes%2F{instance}");
    assert_eq!(
        shown["output_url"],
        format!("http://{HOST}/files/read?path={path}")
    );
}

#[test]
fn a_job_that_is_retried_has_not_finished() {
    let mut world = World::new();
    world.post(&format!(
        r#"{{"command": "c", "uuid": "{JOB}", "max_retries": 2}}"#
    ));
    let instance = world.start();
    let report = Report {
        exit_code: Some(1),
        ..Report::default()
    };
    world.update(instance, TaskState::Failed, None, Some(report));
    let job = world.job(JOB);
    assert_eq!(
        (&job["status"], job.get("exit_code")),
        (&"waiting".into(), None)
    );
    assert_eq!(job["instances"][0]["exit_code"], 1);
    assert_eq!(job["retries_remaining"], 1);
}

#[test]
fn unknown_uuids_are_named_in_the_error() {
    let mut world = World::new();
    world.post(&format!(r#"{{"command": "x", "uuid": "{JOB}"}}"#));
    let instance = world.start();
    let count = |(status, json): (u16, Value)| (status, json.as_array().map(Vec::len));
    for (target, wanted) in [
        (format!("/rawscheduler?job={JOB}"), 1),
        (format!("/rawscheduler?job={JOB}&job={JOB}"), 2),
        (
            format!(
                "/rawscheduler?job={}&instance={instance}",
                JOB.to_uppercase()
            ),
            2,
        ),
        (
            format!("/rawscheduler?job={JOB}&job={OTHER}&partial=true"),
            1,
        ),
        (format!("/jobs?uuid={JOB}"), 1),
        (format!("/jobs?uuid={JOB}&uuid={OTHER}&partial=true"), 1),
        (format!("/instances?uuid={instance}"), 1),
    ] {
        assert_eq!(count(world.get(&target)), (200, Some(wanted)), "{target}");
    }
    let error = |status: u16, text: String| (status, serde_json::json!({ "error": text }));
    let not_found = format!("The following UUIDs don't correspond to a job:\n{OTHER}");
    for (target, wanted) in [
        (
            "/rawscheduler".to_owned(),
            error(
                400,
                "must supply at least one job or instance query param".to_owned(),
            ),
        ),
        (
            format!("/rawscheduler?job={OTHER}"),
            error(404, format!("UUID {OTHER} didn't correspond to a job")),
        ),
        (
            format!("/rawscheduler?job={OTHER}&partial=true"),
            error(404, format!("UUID {OTHER} didn't correspond to a job")),
        ),
        (
            format!("/rawscheduler?instance={OTHER}"),
            error(
                404,
                format!("UUID {OTHER} didn't correspond to an instance"),
            ),
        ),
        (
            format!("/jobs?uuid={OTHER}&partial=true"),
            error(404, not_found.clone()),
        ),
        (format!("/jobs/{OTHER}"), error(404, not_found)),
    ] {
        assert_eq!(world.get(&target), wanted, "{target}");
    }
    for target in [
        "/rawscheduler?job=x",
        "/jobs/x",
        "/instances/x",
        "/jobs?uuid=x",
        "/rawscheduler?job=%zz",
    ] {
        assert_eq!(world.get(target).0, 400, "{target}");
    }
    // A malformed flag is refused, even if the answer does not depend on it.
    for target in [
        "/rawscheduler?job=",
        "/jobs?uuid=",
        "/unscheduled_jobs?job=",
    ] {
        let target = format!("{target}{JOB}&partial=maybe");
        assert_eq!(world.get(&target).0, 400, "{target}");
    }
    let (status, job) = world.get(&format!("/jobs/{JOB}"));
    assert_eq!((status, &job["uuid"]), (200, &JOB.into()));
    let (status, shown) = world.get(&format!("/instances/{instance}"));
    assert_eq!(
        (status, &shown["job"]["uuid"], &shown["task_id"]),
        (200, &JOB.into(), &instance.to_string().into())
    );
}

#[test]
fn rawscheduler_shows_groups_as_uuids_and_jobs_with_names() {
    let mut world = World::new();
    world.post(&format!(
        r#"{{"jobs": [{{"command": "x", "uuid": "{JOB}", "group": "{OTHER}"}}], "groups": [{{"uuid": "{OTHER}", "name": "g"}}]}}"#
    ));
    assert_eq!(world.job(JOB)["groups"], serde_json::json!([OTHER]));
    let (_, jobs) = world.get(&format!("/jobs?uuid={JOB}"));
    assert_eq!(
        jobs[0]["groups"],
        serde_json::json!([{"uuid": OTHER, "name": "g"}])
    );
    let (_, groups) = world.get(&format!("/group?uuid={OTHER}&detailed=true"));
    assert_eq!(
        groups,
        serde_json::json!([{"uuid": OTHER, "name": "g", "host_placement": {"type": "all"},
            "straggler_handling": {"type": "none"}, "jobs": [JOB], "waiting": 1, "running": 0, "completed": 0}])
    );
    assert_eq!(
        world.get(&format!("/group?uuid={JOB}&partial=true")),
        (200, serde_json::json!([]))
    );
    assert_eq!(world.get(&format!("/group?uuid={JOB}")).0, 404);
    assert_eq!(world.get("/group").0, 400);
    let killed = world.ask("DELETE", &format!("/group?uuid={OTHER}"), "");
    assert_eq!((killed.status, killed.body), (204, Vec::new()));
    assert_eq!(world.job(JOB)["state"], "failed");
}

#[test]
fn lists_need_a_user_a_state_and_times() {
    let mut world = World::new();
    for name in ["a1", "b1", "a2"] {
        world.post(&format!(r#"{{"command": "x", "name": "{name}"}}"#));
    }
    let names = |(status, json): (u16, Value)| {
        assert_eq!(status, 200, "{json}");
        let jobs = json.as_array().expect("an array").iter();
        jobs.map(|job| job["name"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    let all = format!(
        "user=bob&state=waiting&state=running&start={}&end={}",
        NOW - 1000,
        NOW + 100_000
    );
    assert_eq!(
        names(world.get(&format!("/jobs?{all}"))),
        ["a2", "b1", "a1"]
    );
    assert_eq!(names(world.get(&format!("/jobs?{all}&limit=1"))), ["a2"]);
    assert_eq!(
        names(world.get(&format!("/jobs?{all}&name=a*"))),
        ["a2", "a1"]
    );
    assert_eq!(
        names(world.get("/jobs?user=bob&state=waiting&start=2023-11-14&end=2023-11-15")),
        ["a2", "b1", "a1"]
    );
    assert_eq!(
        names(world.get("/jobs?user=bob&state=completed&start=0&end=1")),
        [""; 0]
    );
    assert_eq!(
        names(world.get("/list?user=bob&state=waiting%2Brunning")),
        ["a2", "b1", "a1"]
    );
    assert_eq!(
        names(world.get(&format!(
            "/list?user=bob&state=waiting+running&start_ms=0&end-ms={NOW}"
        ))),
        [""; 0]
    );
    for (target, status) in [
        ("/jobs", 400),
        ("/jobs?user=bob&start=0&end=1", 400),
        ("/jobs?user=bob&state=waiting&start=0", 400),
        ("/jobs?user=bob&state=odd&start=0&end=1", 400),
        ("/jobs?user=bob&state=waiting&start=x&end=1", 400),
        ("/jobs?user=bob&state=waiting&start=0&end=1&limit=0", 403),
        ("/jobs?user=bob&state=waiting&start=0&end=1&limit=x", 400),
        ("/jobs?user=bob&state=waiting&start=0&end=1&name=a/b", 400),
        ("/list?state=waiting", 400),
        ("/list?user=bob&state=waiting&since-hours-ago=169", 400),
    ] {
        assert_eq!(world.get(target).0, status, "{target}");
    }
}

#[test]
fn unsupported_methods_and_paths_are_explained() {
    let mut world = World::new();
    for (method, target, allowed) in [
        ("PUT", "/rawscheduler", "GET, HEAD, POST, DELETE"),
        ("DELETE", "/jobs", "GET, HEAD, POST"),
        ("POST", "/list", "GET, HEAD"),
        ("OPTIONS", "/retry", "GET, HEAD, POST, PUT"),
        ("POST", "/info", "GET, HEAD"),
    ] {
        let answer = world.ask(method, target, "");
        assert_eq!(
            (answer.status, &answer.fields[..]),
            (405, &[("Allow", allowed.to_owned())][..]),
            "{target}"
        );
    }
    for (method, target) in [
        ("POST", "/share"),
        ("DELETE", "/quota"),
        ("GET", "/queue"),
        ("POST", "/progress/x"),
        ("GET", "/swagger-ui/x"),
    ] {
        assert_eq!(world.ask(method, target, "").status, 501, "{target}");
    }
    let (status, text) = world.get("/rawschedule");
    assert_eq!(status, 404);
    assert!(
        text["error"]
            .as_str()
            .is_some_and(|text| text.contains("/rawscheduler, /jobs"))
    );
}

#[test]
fn fixed_answers_have_the_format_that_clients_expect() {
    let mut world = World::new();
    assert_eq!(world.get("/pools"), (200, serde_json::json!([])));
    let (_, quota) = world.get("/quota?user=bob");
    assert_eq!(
        quota,
        serde_json::json!({"cpus": f64::MAX, "mem": f64::MAX, "gpus": f64::MAX, "count": i32::MAX})
    );
    let (_, reasons) = world.get("/failure_reasons");
    let reason = reasons
        .as_array()
        .and_then(|all| all.iter().find(|reason| reason["code"] == 99002))
        .cloned();
    assert_eq!(
        reason,
        Some(
            serde_json::json!({"code": 99002, "name": "executor-terminated",
        "description": "Mesos executor terminated", "mea_culpa": true, "failure_limit": 3})
        )
    );
    let (_, info) = world.get("/info");
    assert_eq!(info["leader-url"], format!("http://{HOST}"));
    assert_eq!(info["start-time"], "2023-11-14T22:13:20.000Z");
    world.post(&format!(r#"{{"command": "x", "uuid": "{JOB}"}}"#));
    let (_, why) = world.get(&format!("/unscheduled_jobs?job={JOB}"));
    assert_eq!(why[0]["uuid"], JOB);
    assert!(why[0]["reasons"][0]["reason"].is_string(), "{why}");
    world.start();
    let (_, usage) = world.get("/usage?user=bob&group_breakdown=true");
    assert_eq!(
        usage,
        serde_json::json!({"total_usage": {"cpus": 1.0, "mem": 128.0, "gpus": 0.0, "jobs": 1}, "grouped": [],
            "ungrouped": {"running_jobs": [JOB], "usage": {"cpus": 1.0, "mem": 128.0, "gpus": 0.0, "jobs": 1}}})
    );
    let metrics = world.ask("GET", "/metrics", "");
    let text = String::from_utf8(metrics.body).expect("text");
    for line in [
        "cook_jobs{state=\"running\"} 1",
        "cook_jobs_submitted_total 1",
        "cook_submit_to_start_seconds_count 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}

#[test]
fn on_mesos_replies_name_the_framework_and_files_are_at_the_agent() {
    let mut world = World::new();
    world.memory.api.sandboxes = None;
    let framework = crate::core::backend::FrameworkId("F".into());
    world
        .memory
        .feed(Event::Backend(BackendEvent::Subscribed(Some(framework))));
    world.post(&format!(r#"{{"command": "x", "uuid": "{JOB}"}}"#));
    let instance = world.start_at(Some("host1:5051"));
    let job = world.job(JOB);
    assert_eq!(job["framework_id"], "F");
    let shown = &job["instances"][0];
    assert_eq!(shown["compute-cluster"]["mesos"]["framework-id"], "F");
    assert_eq!(shown.get("output_url"), None, "it may never start");

    // The message with the folder got lost: the agent serves the sandbox under another name as well.
    world.update(instance, TaskState::Running, None, None);
    let shown = world.job(JOB)["instances"][0].clone();
    assert_eq!(
        shown["output_url"],
        format!(
            "http://host1:5051/files/read?path=%2Fframeworks%2FF%2Fexecutors%2F{instance}%2Fruns%2Flatest"
        )
    );
    assert_eq!(shown.get("sandbox_directory"), None);

    let sandbox = crate::core::backend::InstanceMessage::Sandbox("/var/s".into());
    world
        .memory
        .feed(Event::Backend(BackendEvent::Messaged(instance, sandbox)));
    let shown = world.job(JOB)["instances"][0].clone();
    assert_eq!(shown["sandbox_directory"], "/var/s");
    assert_eq!(
        shown["output_url"],
        "http://host1:5051/files/read?path=%2Fvar%2Fs"
    );
    let (status, answer) = world.get("/files/read?path=/var/s/stdout");
    assert_eq!(status, 404);
    assert!(
        answer["error"]
            .as_str()
            .is_some_and(|text| text.contains("output_url"))
    );
}

#[test]
fn metrics_have_the_figures_of_the_backend() {
    let mut world = World::new();
    world.memory.api.backend_figures = BackendFigures::by(|| {
        vec![
            Row::Counter("cook_mesos_launches_total", "Tasks launched.", 7),
            Row::Gauge("cook_mesos_calls_waiting", "Calls.", 2),
        ]
    });
    let metrics = world.ask("GET", "/metrics", "");
    let text = String::from_utf8(metrics.body).expect("text");
    let wanted = "# HELP cook_mesos_launches_total Tasks launched.\n# TYPE cook_mesos_launches_total counter\n\
        cook_mesos_launches_total 7\n# HELP cook_mesos_calls_waiting Calls.\n# TYPE cook_mesos_calls_waiting gauge\n\
        cook_mesos_calls_waiting 2\n";
    assert!(text.ends_with(wanted), "{text}");
}
