//! A temporary folder for one run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the sandboxes of this test program.
static COUNTER: AtomicUsize = AtomicUsize::new(0);

/// A new folder. It is removed when dropped, unless the test has failed.
#[derive(Debug)]
pub struct Sandbox {
    path: PathBuf,
}

// === impl Sandbox ===

impl Sandbox {
    pub fn new() -> Self {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("cook-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // From an earlier program with the same process id, which failed.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self {
            path: fs::canonicalize(path).expect("it was just created"),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of a file; empty if it does not exist.
    pub fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.path.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path.join(name), text).expect("the sandbox is writable");
    }

    /// Sets the permissions of a file, or of the sandbox if the name is empty.
    pub fn permit(&self, name: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(self.path.join(name), mode).expect("the file is ours");
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the sandbox is left at {}", self.path.display());
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
