//! Drops from the release executor what nothing uses: with `panic = "abort"` the stack is never
//! unwound. A panic still says what is wrong and where, only not who called. Debug and test builds
//! keep all of it for their backtraces.

use std::env;

/// The functions of libunwind, a twentieth of the file, that the standard library names.
const UNWINDING: [&str; 13] = [
    "DeleteException",
    "FindEnclosingFunction",
    "GetCFA",
    "GetDataRelBase",
    "GetIP",
    "GetIPInfo",
    "GetLanguageSpecificData",
    "GetRegionStart",
    "GetTextRelBase",
    "RaiseException",
    "Resume",
    "SetGR",
    "SetIP",
];

fn main() {
    println!("cargo:rerun-if-changed=packaging/discard.ld");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_ENV", "musl") {
        let link = |argument: &str| println!("cargo:rustc-link-arg-bin=cook-executor={argument}");
        // The unwind tables are a tenth of the file.
        link("-Tpackaging/discard.ld");
        link("--no-eh-frame-hdr");
        // It reports no frames: any function will do that ignores its arguments, and returns.
        link("--defsym=_Unwind_Backtrace=getpid");
        for name in UNWINDING {
            link(&format!("--defsym=_Unwind_{name}=abort"));
        }
    }
}
