//! Folders that are removed at the end of the run.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::options::Options;
use crate::{Unusable, say};

/// A folder that is removed when dropped, unless the user wants to keep it.
pub struct Folder {
    /// The path.
    pub path: PathBuf,
    keep: Keep,
}

/// Whether a folder is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    Keep,
    Remove,
}

// === impl Folder ===

impl Folder {
    /// The sandbox, as the user wants it.
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

    /// Another folder for this process.
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
