//! Bodies of `POST /rawscheduler` and `/jobs`. What the scheduler accepts, the executor has to accept too, and it is
//! shown as valid JSON, whatever the job reports.
#![no_main]

mod world;

use cook_executor::codec::mesos::job::{HookVariables, Sources, read_plan};
use cook_scheduler::api::{Fields, browser};
use cook_scheduler::codec::task;
use cook_scheduler::core::backend::TaskState;
use libfuzzer_sys::fuzz_target;
use world::{Asked, HOST, World};

fuzz_target!(|input: &[u8]| {
    let _ = task::framework_message(input);
    let report = task::report(input);
    for target in ["/rawscheduler", "/jobs"] {
        let mut world = World::new();
        let response = world.ask(&Asked {
            method: "POST",
            target,
            fields: Fields {
                browser: browser::Fields {
                    host: Some(HOST),
                    ..browser::Fields::default()
                },
                ..Fields::default()
            },
            body: input,
        });
        if response.status != 201 {
            assert!((400..500).contains(&response.status), "{response:?}");
            let list = world.get("/list?user=bob&state=waiting");
            assert_eq!(list.body, b"[]", "nothing of a refused request is stored");
            continue;
        }
        world.offer();
        let launched: Vec<_> = world.memory.launched().cloned().collect();
        for task in launched {
            let data = task::data(&task.job);
            let sources = Sources {
                command: None,
                data: Some(&data),
                arguments: &[],
                executor_data: None,
                variables: &HookVariables::default(),
            };
            if let Err(error) = read_plan(sources, &mut |_| {}) {
                panic!("the executor refuses it: {error:?}");
            }
            world.memory.update(task.instance, TaskState::Running, None, None);
            let id = task.job.id;
            world.get(&format!("/jobs/{id}"));
            world.memory.update(task.instance, TaskState::Finished, None, report.clone());
            let shown = world.get(&format!("/rawscheduler?job={id}"));
            assert_eq!(shown.status, 200);
        }
    }
});
