//! Acting as several users, which only root can do.

use std::io::Write;
use std::thread;

use rustix::process::{Uid, geteuid};
use rustix::thread::set_thread_res_uid;

/// Users without a name and without privileges.
pub const TASK_USER: u32 = 2001;
pub const OTHER_USER: u32 = 2002;
pub const THIRD_USER: u32 = 2003;

/// A prelude that starts the executor as [`TASK_USER`], in a sandbox that everybody may write.
pub const AS_TASK_USER: &str = "cp \"$0\" cook-executor && chmod 777 . * && \
     exec setpriv --reuid 2001 --regid 2001 --clear-groups ./cook-executor";

/// Whether the test runs as root. If not, prints that it is skipped.
pub fn is_root(test: &str) -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        // Not with eprintln, because the test harness hides that for a passing test.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: only root can be several users"
        );
    }
    is_root
}

/// Runs a function as another user: a socket belongs to the user of the thread that creates it.
pub fn as_user<T: Send>(user: u32, task: impl FnOnce() -> T + Send) -> T {
    let change = move || {
        let user = Uid::from_raw(user);
        set_thread_res_uid(user, user, user).expect("root may be anybody");
        task()
    };
    thread::scope(|scope| scope.spawn(change).join().expect("no panic"))
}
