//! How a command ended, with its exit code and its text. They are made here and nowhere else.

use std::fmt;
use std::time::Duration;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It exited with this status.
    Exited(u8),
    /// A signal ended it.
    Signalled {
        /// The signal's number.
        signal: i32,
        /// Whether the kernel wrote a core file.
        core_dumped: bool,
    },
    /// It never ran, for this reason; the end of a sentence ("failed to start: No such file").
    NotStarted(String),
    /// It exceeded its own timeout, and then ended in this way.
    TimedOut(Duration, Box<Outcome>),
    /// It ended, but another process has reaped it, so its status is unknown.
    Unknown,
    /// It still runs, as another user whose processes the kernel does not let us end. It is not waited for.
    OutOfReach,
}

/// The code of a command that timed out and then exited with 0, as timeout(1) reports it.
const TIMED_OUT: i32 = 124;

// === impl Outcome ===

impl Outcome {
    /// The exit status, or the negative number of the signal; `None` if there is neither.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Exited(status) => Some(i32::from(*status)),
            Self::Signalled { signal, .. } => Some(-signal),
            Self::TimedOut(_, then) => match then.code() {
                Some(0) => Some(TIMED_OUT),
                code => code,
            },
            Self::NotStarted(_) | Self::Unknown | Self::OutOfReach => None,
        }
    }

    /// Whether it ran and exited with status 0.
    pub fn succeeded(&self) -> bool {
        *self == Self::Exited(0)
    }
}

/// The end of a sentence that begins with the command: "exited with status 1".
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Signalled {
                signal,
                core_dumped,
            } => {
                write!(f, "terminated with signal {}", SignalName(*signal))?;
                f.write_str(if *core_dumped { " (core dumped)" } else { "" })
            }
            Self::NotStarted(reason) => write!(f, "failed to start: {reason}"),
            Self::TimedOut(timeout, then) => write!(f, "timed out after {timeout:?} and {then}"),
            Self::Unknown => f.write_str("ended with an unknown status"),
            Self::OutOfReach => f.write_str("could not be ended: it runs as another user"),
        }
    }
}

/// A signal's name as glibc's `strsignal` prints it, and so the stock command executor. The names of musl
/// are different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalName(pub i32);

/// The real-time signals as glibc counts them: it uses 32 and 33 itself.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 31] = [
            "Hangup",
            "Interrupt",
            "Quit",
            "Illegal instruction",
            "Trace/breakpoint trap",
            "Aborted",
            "Bus error",
            "Floating point exception",
            "Killed",
            "User defined signal 1",
            "Segmentation fault",
            "User defined signal 2",
            "Broken pipe",
            "Alarm clock",
            "Terminated",
            "Stack fault",
            "Child exited",
            "Continued",
            "Stopped (signal)",
            "Stopped",
            "Stopped (tty input)",
            "Stopped (tty output)",
            "Urgent I/O condition",
            "CPU time limit exceeded",
            "File size limit exceeded",
            "Virtual timer expired",
            "Profiling timer expired",
            "Window changed",
            "I/O possible",
            "Power failure",
            "Bad system call",
        ];
        let index = usize::try_from(self.0).unwrap_or(0).wrapping_sub(1);
        match NAMES.get(index) {
            Some(name) => f.write_str(name),
            None if REAL_TIME.contains(&self.0) => {
                write!(f, "Real-time signal {}", self.0 - REAL_TIME.start())
            }
            None => write!(f, "Unknown signal {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_texts_are_those_of_the_stock_executor() {
        let signalled = |signal, core_dumped| Outcome::Signalled {
            signal,
            core_dumped,
        };
        for (outcome, code, text) in [
            (Outcome::Exited(0), Some(0), "exited with status 0"),
            (Outcome::Exited(255), Some(255), "exited with status 255"),
            (
                signalled(9, false),
                Some(-9),
                "terminated with signal Killed",
            ),
            (
                signalled(11, true),
                Some(-11),
                "terminated with signal Segmentation fault (core dumped)",
            ),
            (
                signalled(34, false),
                Some(-34),
                "terminated with signal Real-time signal 0",
            ),
            (
                Outcome::NotStarted("no".into()),
                None,
                "failed to start: no",
            ),
        ] {
            assert_eq!(outcome.code(), code);
            assert_eq!(outcome.to_string(), text);
        }
    }

    /// The names that `strsignal` of glibc 2.36 returns.
    #[test]
    fn signals_have_their_glibc_names() {
        for (signal, name) in [
            (0, "Unknown signal 0"),
            (1, "Hangup"),
            (16, "Stack fault"),
            (31, "Bad system call"),
            (32, "Unknown signal 32"),
            (33, "Unknown signal 33"),
            (34, "Real-time signal 0"),
            (35, "Real-time signal 1"),
            (64, "Real-time signal 30"),
            (65, "Unknown signal 65"),
            (-1, "Unknown signal -1"),
        ] {
            assert_eq!(SignalName(signal).to_string(), name);
        }
    }
}
