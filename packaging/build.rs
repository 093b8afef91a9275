//! Removes the unwind tables from a release program: with `panic = "abort"` they are never read, and they
//! are a tenth of the file. Debug and test builds keep them for backtraces.
//!
//! The executor and the scheduler share this script; each program has the name of its package.

use std::env;
use std::path::PathBuf;

/// The path from the root of the workspace, where the linker runs.
const SCRIPT: &str = "packaging/discard.ld";

fn main() {
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    for root in package.ancestors() {
        let script = root.join(SCRIPT);
        if script.exists() {
            println!("cargo:rerun-if-changed={}", script.display());
            break;
        }
    }
    // For a custom profile, this is the built-in profile that it inherits from.
    if variable("PROFILE") == "release" && variable("CARGO_CFG_TARGET_ENV") == "musl" {
        let program = variable("CARGO_PKG_NAME");
        println!("cargo:rustc-link-arg-bin={program}=-T{SCRIPT}");
        println!("cargo:rustc-link-arg-bin={program}=--no-eh-frame-hdr");
    }
}
