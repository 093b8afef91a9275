//! Everything outside the core: the command line, the event loop, signals, the log.

pub mod alarm;
pub mod clock;
pub mod download;
pub mod driver;
pub mod http;
pub mod log;
pub mod machine;
pub mod options;
pub mod serve;
pub mod setup;
pub mod worker;

use std::path::Path;

use crate::codec::config::{self, Configuration};
use machine::Machine;
use options::Options;
use setup::Setup;

/// Maximum size of the configuration file.
const MAX_CONFIGURATION: u64 = 4 << 20;

/// The version of this program.
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Reads the configuration and checks everything that can be checked before anything starts.
///
/// # Errors
///
/// What is wrong and what would be right, as a text for the operator.
pub fn prepare(options: Options) -> Result<Setup, String> {
    let configuration = match &options.config {
        None => Configuration::default(),
        Some(file) => configuration(file)?,
    };
    let machine =
        Machine::look().map_err(|error| format!("cannot find the current folder: {error}"))?;
    let mut seed = [0; 16];
    // So few bytes are always returned at once.
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| format!("cannot get random bytes for the ids of instances: {error}"))?;
    Setup::new(options, configuration, &machine, clock::wall(), seed)
}

fn configuration(file: &Path) -> Result<Configuration, String> {
    use std::io::Read;
    let shown = file.display();
    let failed = |error: std::io::Error| format!("cannot read the configuration {shown}: {error}");
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened
        .take(MAX_CONFIGURATION + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_CONFIGURATION {
        return Err(format!(
            "the configuration {shown} is larger than {MAX_CONFIGURATION} bytes"
        ));
    }
    let environment = |name: &str| std::env::var(name).ok();
    let (configuration, remarks) =
        config::read(&bytes, &environment).map_err(|error| format!("{shown}, {error}"))?;
    for remark in remarks {
        log::line(format!("{shown}, {remark}"));
    }
    Ok(configuration)
}
