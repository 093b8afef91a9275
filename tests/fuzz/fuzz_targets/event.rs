//! Events of the agent: any record is either decoded or skipped. The core then handles it, with all its
//! numbers, at once and at its deadlines. The input is also read as a job.
#![no_main]

use cook_executor::codec::mesos::arguments::Arguments;
use cook_executor::codec::mesos::event::{Meaning, Translator};
use cook_executor::codec::mesos::job::{HookVariables, Sources, read_plan};
use cook_executor::core::event::Event;
use cook_executor::core::executor::{Executor, Settings};
use cook_executor::core::session::Generation;
use cook_executor::shell::config::Config;
use cook_executor::words::units::{Moment, Now, WallTime};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

fuzz_target!(|input: &[u8]| {
    let endpoint = "http://127.0.0.1:1/task/".to_owned();
    let find_curl = || Some(b"/usr/bin/curl".to_vec());
    let is_user = |name: &[u8]| (!name.is_empty()).then_some(name.len() == 1);
    let arguments = Arguments::Command(Vec::new());
    let hooks = HookVariables::default();
    let mut translator = Translator::new(hooks, arguments, Some(endpoint), find_curl, is_user);
    let mut log = |_, line: String| assert!(line.len() < 64 + 12 * input.len(), "a long line");
    // The decoder keeps the content of SUBSCRIBED for later events.
    let mut events = Vec::new();
    for generation in 0..2 {
        if let Ok(Meaning::Event(event)) = translator.translate(Generation(generation), input, &mut log) {
            events.push(event);
        }
    }
    for killing_state in [false, true] {
        run(events.clone(), killing_state);
    }
    let variables = HookVariables {
        after: input.to_vec(),
        ..HookVariables::default()
    };
    for (data, variables) in [
        (Some(input), &HookVariables::default()),
        (Some(&br#"{"command": "true"}"#[..]), &variables),
    ] {
        let sources = Sources {
            command: None,
            data,
            arguments: &[],
            executor_data: Some(input),
            variables,
        };
        let _ = read_plan(sources, &mut |_| {});
    }
});

/// Parsed only once, because it takes longer than one input.
static SETTINGS: LazyLock<Settings> = LazyLock::new(|| {
    let variables = [
        ("MESOS_FRAMEWORK_ID", "f"),
        ("MESOS_EXECUTOR_ID", "e"),
        ("MESOS_SLAVE_PID", "slave(1)@127.0.0.1:5051"),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "15250weeks"),
    ];
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    let config = Config::read(variables, Arguments::Command(Vec::new()), [7; 16]);
    config.expect("nothing is missing").settings
});

/// Passes events to an executor's core, then its own deadlines.
fn run(events: Vec<Event>, killing_state: bool) {
    let mut core = Executor::new(SETTINGS.clone());
    let mut moment = Moment::default();
    let take = |core: &mut Executor, event, at| {
        let wall = WallTime(u64::MAX);
        core.step(event, Now { moment: at, wall });
    };
    take(&mut core, Event::Tick, moment);
    let generation = Generation(1);
    let subscribed = Event::Subscribed {
        generation,
        killing_state,
    };
    take(&mut core, subscribed, moment);
    for event in events {
        take(&mut core, event, moment);
        for _ in 0..8 {
            let Some(next) = core.next_deadline() else {
                break;
            };
            moment = moment.max(next);
            take(&mut core, Event::Tick, moment);
        }
    }
}
