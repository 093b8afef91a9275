//! Removes the unwind tables from the release executor: with `panic = "abort"` they are never read, and they
//! are a tenth of the file. Debug and test builds keep them for backtraces.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=packaging/discard.ld");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_ENV", "musl") {
        println!("cargo:rustc-link-arg-bin=cook-executor=-Tpackaging/discard.ld");
        println!("cargo:rustc-link-arg-bin=cook-executor=--no-eh-frame-hdr");
    }
}
