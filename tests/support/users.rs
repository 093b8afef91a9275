//! Several users of one machine, which only root can be.

use std::io::Write;
use std::thread;

use rustix::process::{Uid, geteuid};
use rustix::thread::set_thread_res_uid;

/// Users without a name and without rights.
pub const TASK_USER: u32 = 2001;
pub const STRANGER: u32 = 2002;
pub const OTHER_STRANGER: u32 = 2003;

/// A prelude that starts the executor as [`TASK_USER`], in a sandbox that is everybody's.
pub const AS_TASK_USER: &str = "cp \"$0\" cook-executor && chmod 777 . * && \
     exec setpriv --reuid 2001 --regid 2001 --clear-groups ./cook-executor";

/// Whether there can be other users; says so if not.
pub fn is_root(test: &str) -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        // Not by eprintln: the test harness keeps to itself what a passing test prints by that.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: only root can be several users"
        );
    }
    is_root
}

/// Does something as another user: a socket belongs to the user of the thread that makes it.
pub fn as_user<T: Send>(user: u32, task: impl FnOnce() -> T + Send) -> T {
    let change = move || {
        let user = Uid::from_raw(user);
        set_thread_res_uid(user, user, user).expect("root may be anybody");
        task()
    };
    thread::scope(|scope| scope.spawn(change).join().expect("no panic"))
}
