//! Replaces libunwind in the release executor and scheduler. There a panic aborts and the unwind tables are removed
//! (`../discard.ld`), so a backtrace would have no frames. With these functions the optimiser can see
//! that, and removes all code that reads DWARF and demangles names, which is a fifth of the file. The
//! message of a panic and its location are still printed. In debug and test builds, where panics unwind,
//! this crate is empty.
//!
//! It is a separate crate because the programs forbid unsafe code, and `no_mangle` counts as unsafe.
// SAFETY, for each function: it has the signature that the Itanium C++ ABI defines for this name. libunwind
// is linked only for names that are still undefined, so no other function has this name.
#![cfg(all(panic = "abort", target_env = "musl"))]

use std::ffi::{c_int, c_void};
use std::process::abort;

type Context = *mut c_void;

const END_OF_STACK: c_int = 5;

/// Should call `_trace` for each stack frame; there are none.
#[unsafe(no_mangle)]
pub extern "C" fn _Unwind_Backtrace(_trace: *const c_void, _argument: *mut c_void) -> c_int {
    END_OF_STACK
}

/// Defines functions that can be called only with a stack frame or an exception; there are none.
macro_rules! unreached {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {$(
        #[doc = "Never called: there are no frames and no exceptions."]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($(_: $argument),*) $(-> $result)? {
            abort()
        }
    )*};
}

unreached! {
    _Unwind_FindEnclosingFunction(*mut c_void) -> *mut c_void;
    _Unwind_GetCFA(Context) -> usize;
    _Unwind_GetDataRelBase(Context) -> usize;
    _Unwind_GetIP(Context) -> usize;
    _Unwind_GetIPInfo(Context, *mut c_int) -> usize;
    _Unwind_GetLanguageSpecificData(Context) -> *mut c_void;
    _Unwind_GetRegionStart(Context) -> usize;
    _Unwind_GetTextRelBase(Context) -> usize;
    _Unwind_Resume(*mut c_void) -> !;
    _Unwind_SetGR(Context, c_int, usize);
    _Unwind_SetIP(Context, usize);
}
