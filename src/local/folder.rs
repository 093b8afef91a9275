//! Folders that go when the run is over.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::options::Options;
use crate::{Unusable, say};

/// A folder, removed at its end unless it is to be kept.
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    keep: Keep,
}

/// What becomes of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    Keep,
    Remove,
}

// === impl Folder ===

impl Folder {
    /// The sandbox that the user wants.
    pub fn sandbox(options: &Options) -> Result<Self, Unusable> {
        let keep = match options.keep || options.sandbox.is_some() {
            true => Keep::Keep,
            false => Keep::Remove,
        };
        let path = options
            .sandbox
            .clone()
            .unwrap_or_else(|| temporary("sandbox"));
        Self::create(path, keep)
    }

    /// Another folder of this process.
    pub fn temporary(name: &str) -> Result<Self, Unusable> {
        Self::create(temporary(name), Keep::Remove)
    }

    fn create(path: PathBuf, keep: Keep) -> Result<Self, Unusable> {
        let created = fs::create_dir_all(&path).and_then(|()| fs::canonicalize(&path));
        match created {
            Ok(path) => Ok(Self { path, keep }),
            Err(error) => Err(Unusable(format!(
                "cannot create the folder {}: {error}; choose another one with --sandbox DIR, or TMPDIR",
                path.display()
            ))),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        match self.keep {
            Keep::Keep => {
                let path = self.path.display();
                say(
                    io::stdout(),
                    &format!("The sandbox, with executor.log, is {path}"),
                );
            }
            Keep::Remove => {
                let _ = fs::remove_dir_all(&self.path);
            }
        }
    }
}

fn temporary(name: &str) -> PathBuf {
    let name = format!("cook-local-{}-{name}", std::process::id());
    std::env::temp_dir().join(name)
}
