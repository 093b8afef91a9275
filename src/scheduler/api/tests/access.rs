//! Who may do what.

use super::*;

#[test]
fn other_users_may_only_read_debug_and_info() {
    let mut world = World::new();
    world.post(&format!(r#"{{"command": "x", "uuid": "{JOB}"}}"#));
    world.peer = Peer::Other("you are uid 5".to_owned());
    for (method, target) in [
        ("GET", "/jobs"),
        ("POST", "/rawscheduler"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
        ("GET", "/"),
        ("GET", "/files/read?path=/data/sandboxes"),
        ("POST", "/debug"),
        ("GET", "/debug/x"),
        ("GET", "/pools"),
    ] {
        let answer = world.ask(method, target, "");
        assert_eq!(answer.status, 403, "{method} {target}");
        assert_eq!(answer.body, br#"{"error":"you are uid 5"}"#);
    }
    for target in ["/debug", "/info", "/debug/", "/%64ebug"] {
        assert_eq!(world.ask("GET", target, "").status, 200, "{target}");
    }
}

#[test]
fn with_logins_users_see_only_their_own_jobs() {
    let mut world = World::with_logins();
    let refused = world.ask("GET", "/pools", "");
    assert_eq!(refused.status, 401);
    assert!(refused.fields.contains(&(
        "WWW-Authenticate",
        "Basic realm=\"Cook\", charset=\"UTF-8\"".to_owned()
    )));
    world.be("Ym9iOnk="); // bob:y
    assert_eq!(world.ask("GET", "/pools", "").status, 401);
    world.be("Ym9iOng="); // bob:x
    world.post(&format!(
        r#"{{"command": "x", "uuid": "{JOB}", "group": "{OTHER}"}}"#
    ));
    assert_eq!(world.job(JOB)["user"], "bob");
    let instance = world.start();
    let file = format!("/files/read?path=/data/sandboxes/{instance}/stdout");
    assert_eq!(world.get(&file).0, 200);
    world.be("ZXZlOng="); // eve:x
    for target in [
        format!("/rawscheduler?job={JOB}"),
        format!("/rawscheduler?job={JOB}&job=ffffffff-394f-44f9-9e6d-8a17500f5109"),
        format!("/rawscheduler?instance={instance}"),
        format!("/jobs/{JOB}"),
        format!("/instances/{instance}"),
        format!("/group?uuid={OTHER}"),
        format!("/retry?job={JOB}"),
        format!("/unscheduled_jobs?job={JOB}"),
        "/list?user=bob&state=running".to_owned(),
        "/jobs?user=bob&state=running&start=0&end=1".to_owned(),
        "/usage?user=bob".to_owned(),
    ] {
        assert_eq!(world.get(&target).0, 403, "{target}");
    }
    assert_eq!(world.get(&file).0, 404, "files of other users look absent");
    for (method, target) in [
        ("DELETE", format!("/rawscheduler?job={JOB}")),
        ("DELETE", format!("/rawscheduler?instance={instance}")),
        ("DELETE", format!("/group?uuid={OTHER}")),
        ("POST", format!("/retry?job={JOB}&retries=5")),
    ] {
        assert_eq!(
            world.ask(method, &target, "").status,
            403,
            "{method} {target}"
        );
    }
    world.be("YWRtaW46eA=="); // admin:x
    assert_eq!(world.job(JOB)["user"], "bob");
    assert_eq!(
        world
            .ask("DELETE", &format!("/rawscheduler?job={JOB}"), "")
            .status,
        204
    );
}

#[test]
fn a_page_of_another_origin_is_refused_before_anything_else() {
    let world = World::new();
    let ask = |host, origin, site| {
        let request = Request {
            method: "POST",
            target: "/rawscheduler",
            fields: Fields {
                browser: browser::Fields {
                    host,
                    origin,
                    fetch_site: site,
                },
                ..Fields::default()
            },
            body: b"{\"command\": \"x\"}",
            local: None,
            peer: &Peer::Own,
            now: Wall(NOW),
        };
        let screened = world
            .memory
            .api
            .screen(&request)
            .map_err(|answer| answer.status);
        let planned = match world
            .memory
            .api
            .plan(&request, world.memory.scheduler.view())
        {
            Plan::Answer(answer) => Err(answer.status),
            _ => Ok(()),
        };
        assert_eq!(screened, planned);
        planned
    };
    assert_eq!(ask(Some(HOST), None, None), Ok(()));
    assert_eq!(
        ask(
            Some(HOST),
            Some("http://localhost:12321"),
            Some("same-origin")
        ),
        Ok(())
    );
    assert_eq!(ask(Some("evil.example.org"), None, None), Err(421));
    assert_eq!(ask(None, None, None), Err(421));
    assert_eq!(
        ask(Some(HOST), Some("https://evil.example.org"), None),
        Err(403)
    );
    assert_eq!(ask(Some(HOST), Some("null"), None), Err(403));
    assert_eq!(ask(Some(HOST), None, Some("cross-site")), Err(403));
}

#[test]
fn a_file_belongs_to_a_known_instance() {
    let mut world = World::new();
    world.post(&format!(r#"{{"command": "x", "uuid": "{JOB}"}}"#));
    let instance = world.start();
    assert_eq!(
        world
            .get(&format!(
                "/files/download?path=/data/sandboxes/{instance}/a"
            ))
            .0,
        200
    );
    for (target, status) in [
        ("/files/download", 400),
        ("/files/read?path=/etc/passwd", 404),
        (
            &*format!("/files/read?path=/data/sandboxes/{OTHER}/stdout"),
            404,
        ),
        (
            &*format!("/files/read?path=/data/sandboxes/{instance}/a&offset=x"),
            400,
        ),
    ] {
        assert_eq!(world.get(target).0, status, "{target}");
    }
    let id = JobId(crate::core::words::Uuid::parse(JOB).expect("a uuid"));
    assert!(world.memory.scheduler.view().job(id).is_some());
}

#[test]
fn jobs_of_root_are_refused_where_jobs_run_as_their_owner() {
    let mut world = World::with_logins();
    if let Access::Logins(logins) = &mut world.memory.api.access {
        logins[1].user = user("root");
    }
    world.be("cm9vdDp4"); // root:x
    assert_eq!(world.post(r#"{"command": "x"}"#).0, 201);
    world.memory.api.runs_as = RunsAs::Owner;
    let (status, text) = world.post(r#"{"command": "x"}"#);
    assert_eq!(status, 403);
    assert!(text.contains(":run-as-user"), "{text}");
    world.be("Ym9iOng="); // bob:x
    assert_eq!(world.post(r#"{"command": "x"}"#).0, 201);
}
