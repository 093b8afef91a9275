//! The scheduler's configuration in EDN, up to the settings of all parts. Every mistake has an explanation of bounded length.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use cook_scheduler::codec::config;
use cook_scheduler::core::words::Wall;
use cook_scheduler::shell::machine::Machine;
use cook_scheduler::shell::options::Options;
use cook_scheduler::shell::setup::Setup;
use libfuzzer_sys::fuzz_target;

static MACHINE: LazyLock<Machine> = LazyLock::new(|| Machine::look().expect("a current folder"));

fuzz_target!(|input: &[u8]| {
    let environment = |name: &str| (name == "SECRET").then(|| "value".to_owned());
    let (configuration, remarks) = match config::read(input, &environment) {
        Ok(read) => read,
        Err(error) => return check(&error.to_string(), input),
    };
    for remark in &remarks {
        check(remark, input);
    }
    for masters in [Vec::new(), vec!["127.0.0.1:5050".to_owned()]] {
        let options = Options {
            data: Some(PathBuf::from("/nonexistent")),
            masters,
            ..Options::default()
        };
        let setup = Setup::new(options, configuration.clone(), &MACHINE, Wall(0), [7; 16]);
        match setup {
            Ok(setup) => setup.remarks.iter().for_each(|remark| check(remark, input)),
            Err(text) => check(&text, input),
        }
    }
});

/// An explanation for the operator. The log escapes its control characters.
fn check(line: &str, input: &[u8]) {
    assert!(!line.is_empty());
    assert!(line.len() < 1024 + 12 * input.len(), "{} bytes", line.len());
}
