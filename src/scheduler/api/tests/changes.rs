//! Submitting, killing, retrying.

use super::*;

#[test]
fn a_submission_is_answered_with_plain_text() {
    let mut world = World::new();
    let (status, text) = world.post(&format!(r#"{{"command": "echo hello", "uuid": "{JOB}"}}"#));
    assert_eq!(
        (status, text.as_str()),
        (201, &*format!("submitted jobs {JOB}"))
    );
    let (status, text) = world.post(r#"{"after_commands": [{"value": "mail"}]}"#);
    assert_eq!(status, 201);
    let uuid = text.strip_prefix("submitted jobs ").expect("a uuid");
    assert_eq!(world.job(uuid)["command"], "", "no command is added");
    let group = format!(r#"{{"jobs": [{{"command": "x", "group": "{OTHER}"}}]}}"#);
    let (_, text) = world.post(&group);
    assert!(
        text.ends_with(&format!(" submitted groups {OTHER}")),
        "{text}"
    );
}

#[test]
fn an_invalid_batch_stores_nothing() {
    let mut world = World::new();
    for body in [
        format!(
            r#"{{"jobs": [{{"command": "x", "uuid": "{JOB}"}}, {{"command": "y", "cpus": 0}}]}}"#
        ),
        format!(
            r#"{{"jobs": [{{"command": "x", "uuid": "{JOB}"}}, {{"command": "y", "cpus": 99}}]}}"#
        ),
        format!(
            r#"{{"jobs": [{{"command": "x", "uuid": "{JOB}"}}, {{"command": "y", "uuid": "{JOB}"}}]}}"#
        ),
    ] {
        let (status, text) = world.post(&body);
        assert_eq!(status, 400, "{text}");
        let (status, _) = world.get(&format!("/rawscheduler?job={JOB}"));
        assert_eq!(status, 404);
    }
    world.post(&format!(r#"{{"command": "x", "uuid": "{JOB}"}}"#));
    let (status, text) = world.post(&format!(
        r#"{{"jobs": [{{"command": "x", "uuid": "{OTHER}"}}, {{"command": "x", "uuid": "{JOB}"}}]}}"#
    ));
    assert_eq!(status, 409);
    assert_eq!(
        text,
        format!(
            r#"{{"error":"The following job UUIDs were already used: {JOB} (UUID {JOB} already used)"}}"#
        )
    );
    assert_eq!(world.get(&format!("/rawscheduler?job={OTHER}")).0, 404);
}

#[test]
fn a_kill_is_answered_once_it_is_stored() {
    let mut world = World::new();
    world.post(&format!(
        r#"{{"command": "x", "uuid": "{JOB}", "max_retries": 3}}"#
    ));
    let first = world.start();
    let killed = world.ask("DELETE", &format!("/rawscheduler?instance={first}"), "");
    assert_eq!(killed.status, 204);
    assert_eq!(world.killed(), [first]);
    world.update(first, TaskState::Killed, None, None);
    let job = world.job(JOB);
    assert_eq!(
        (&job["status"], &job["instances"][0]["cancelled"]),
        (&"waiting".into(), &true.into())
    );
    assert_eq!(job["instances"][0]["reason_code"], 1001);
    world.start();
    assert_eq!(
        world
            .ask("DELETE", &format!("/rawscheduler?job={JOB}"), "")
            .status,
        204
    );
    assert_eq!(world.job(JOB)["state"], "failed");
    assert_eq!(
        world
            .ask("DELETE", &format!("/rawscheduler?job={JOB}"), "")
            .status,
        204,
        "a completed job is left alone"
    );
    assert_eq!(
        world
            .ask(
                "DELETE",
                &format!("/rawscheduler?job={JOB}&job={OTHER}"),
                ""
            )
            .status,
        404
    );
    assert_eq!(world.ask("DELETE", "/rawscheduler", "").status, 400);
}

#[test]
fn raising_the_retries_starts_a_failed_job_again() {
    let mut world = World::new();
    world.post(&format!(r#"{{"command": "x", "uuid": "{JOB}"}}"#));
    let instance = world.start();
    world.update(instance, TaskState::Failed, None, None);
    assert_eq!(world.job(JOB)["state"], "failed");
    let body = format!(r#"{{"job": "{JOB}", "retries": 3}}"#);
    let raised = world.ask("PUT", "/retry", &body);
    assert_eq!((raised.status, raised.body), (201, b"3".to_vec()));
    assert_eq!(world.job(JOB)["status"], "waiting");
    assert_eq!(world.get(&format!("/retry?job={JOB}")), (200, 3.into()));
    let (status, _) = {
        let response = world.ask("POST", &format!("/retry?job={JOB}&retries=21"), "");
        (response.status, response.body)
    };
    assert_eq!(status, 400);
    assert_eq!(
        world
            .ask("POST", &format!("/retry?job={OTHER}&retries=2"), "")
            .status,
        404
    );
}
