//! What this machine has, and who runs the program.

use std::path::PathBuf;

use rustix::process::geteuid;

use crate::core::words::Amount;

/// What this machine has, and who runs the program.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The user's name.
    pub user: String,
    /// Cpus that this process may use.
    pub cpus: Amount,
    /// Memory in MB.
    pub mem: Amount,
    /// The current folder.
    pub here: PathBuf,
    /// The user's home.
    pub home: Option<PathBuf>,
    /// `XDG_STATE_HOME`
    pub state_home: Option<PathBuf>,
}

impl Machine {
    /// Looks.
    ///
    /// # Errors
    ///
    /// The current folder is gone.
    pub fn look() -> std::io::Result<Self> {
        let folder = |name: &str| {
            let folder = std::env::var_os(name).map(PathBuf::from);
            // The standard: what is not absolute is to be ignored.
            folder.filter(|folder| folder.is_absolute())
        };
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Ok(Self {
            user: user(),
            cpus: Amount::from_f64(cpus as f64),
            mem: Amount::from_f64(total_memory(&memory)),
            here: std::env::current_dir()?,
            home: folder("HOME"),
            state_home: folder("XDG_STATE_HOME"),
        })
    }

    /// Where programs of this user keep what they must not lose.
    pub fn state_folder(&self) -> Option<PathBuf> {
        let state = match (&self.state_home, &self.home) {
            (Some(state), _) => state.clone(),
            (None, Some(home)) => home.join(".local/state"),
            (None, None) => return None,
        };
        Some(state.join("cook-scheduler"))
    }

    /// A path that means the same in every folder.
    pub fn absolute(&self, path: PathBuf) -> PathBuf {
        self.here.join(path)
    }
}

/// The name of the user, or its number.
fn user() -> String {
    let id = geteuid().as_raw().to_string();
    let table = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then_some(name)
    });
    name.unwrap_or(&id).to_owned()
}

/// In MB.
fn total_memory(meminfo: &str) -> f64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    // A machine that does not say has little.
    let kilobytes: u64 = kilobytes.unwrap_or(1024 * 1024);
    (kilobytes / 1024) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_something() {
        let machine = Machine::look().expect("there");
        assert!(machine.cpus >= Amount::from_f64(1.0));
        assert!(machine.mem > Amount::from_f64(16.0));
        assert!(!machine.user.is_empty());
        assert_eq!(
            total_memory("MemFree: 5 kB\nMemTotal:  4194304 kB\n"),
            4096.0
        );
    }
}
