//! Events: whatever a record holds, it means something or is skipped; and a job is read in time, as the
//! data of a task too.
#![no_main]

use cook_executor::core::session::Generation;
use cook_executor::codec::mesos::arguments::Arguments;
use cook_executor::codec::mesos::event::Translator;
use cook_executor::codec::mesos::job::{HookVariables, Sources, read_plan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let endpoint = "http://127.0.0.1:1/task/".to_owned();
    let find_curl = || Some(b"/usr/bin/curl".to_vec());
    let arguments = Arguments::Command(Vec::new());
    let mut translator = Translator::new(HookVariables::default(), arguments, Some(endpoint), find_curl);
    let mut log = |_, line: String| assert!(line.len() < 64 + 12 * input.len(), "a long line");
    // SUBSCRIBED is remembered for what follows.
    for generation in 0..2 {
        let _ = translator.translate(Generation(generation), input, &mut log);
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
