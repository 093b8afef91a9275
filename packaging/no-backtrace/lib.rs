//! Stands in for libunwind in the release executor. There a panic aborts and no unwind tables are left
//! (`../discard.ld`), so no backtrace has a frame. Said here, where the optimiser sees it, all that
//! reads DWARF and demangles names is found to be unused: a fifth of the file. A panic says what is
//! wrong and where, as before. Where panics unwind, in debug and test builds, this crate is empty.
//!
//! It is a crate of its own because the executor forbids unsafe code, and a symbol's name counts as such.
// SAFETY, for each of them: it has the signature that the Itanium C++ ABI gives this name, and since
// libunwind is linked only for names that are not found before, nothing else has it.
#![cfg(all(panic = "abort", target_env = "musl"))]

use std::ffi::{c_int, c_void};
use std::process::abort;

type Context = *mut c_void;

const END_OF_STACK: c_int = 5;

/// Calls `_trace` for each frame of the stack, of which there is none.
#[unsafe(no_mangle)]
pub extern "C" fn _Unwind_Backtrace(_trace: *const c_void, _argument: *mut c_void) -> c_int {
    END_OF_STACK
}

/// Defines what is called only with a frame or an exception, which nobody can have.
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
