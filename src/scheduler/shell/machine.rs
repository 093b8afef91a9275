//! The resources of this machine, and the user who runs the program.

use std::path::PathBuf;

use rustix::process::geteuid;

use crate::core::words::Amount;

/// The resources of this machine, and the user who runs the program.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The user's name.
    pub user: String,
    /// The machine's name.
    pub hostname: String,
    /// The number of cpus that this process may use.
    pub cpus: Amount,
    /// Memory in MB.
    pub mem: Amount,
    /// The current folder.
    pub here: PathBuf,
    /// The user's home folder.
    pub home: Option<PathBuf>,
    /// `XDG_STATE_HOME`
    pub state_home: Option<PathBuf>,
}

impl Machine {
    /// Looks all this up.
    ///
    /// # Errors
    ///
    /// The current folder does not exist any more.
    pub fn look() -> std::io::Result<Self> {
        let folder = |name: &str| {
            let folder = std::env::var_os(name).map(PathBuf::from);
            // The XDG specification says that relative paths must be ignored.
            folder.filter(|folder| folder.is_absolute())
        };
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Ok(Self {
            user: user(),
            hostname: hostname(),
            cpus: Amount::from_f64(cpus as f64),
            mem: Amount::from_f64(total_memory(&memory)),
            here: std::env::current_dir()?,
            home: folder("HOME"),
            state_home: folder("XDG_STATE_HOME"),
        })
    }

    /// The folder for persistent data of this user's programs.
    pub fn state_folder(&self) -> Option<PathBuf> {
        let state = match (&self.state_home, &self.home) {
            (Some(state), _) => state.clone(),
            (None, Some(home)) => home.join(".local/state"),
            (None, None) => return None,
        };
        Some(state.join("cook-scheduler"))
    }

    /// An absolute path.
    pub fn absolute(&self, path: PathBuf) -> PathBuf {
        self.here.join(path)
    }
}

fn hostname() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// The user's name, or else the uid.
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

/// Total memory in MB.
fn total_memory(meminfo: &str) -> f64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    // If the kernel does not report it, 1 GB is assumed.
    let kilobytes: u64 = kilobytes.unwrap_or(1024 * 1024);
    (kilobytes / 1024) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_cpus_and_memory() {
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
