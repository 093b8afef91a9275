//! The result of a probe, and what it means.

use std::fmt;
use std::time::Duration;

use super::plan::Probe;
use crate::words::outcome::Outcome;

/// The result of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Finding {
    /// The command ended, or could not be started.
    Ended(Outcome),
    /// The HTTP server answered with this status.
    Answered(u16),
    /// The TCP server accepted the connection.
    Connected,
    /// The probe failed, for this reason.
    Failed(String),
    /// The probe took longer than its timeout. Only the core sets this.
    TimedOut(Duration),
}

/// The result of a general check (`CheckStatusInfo`). The value is `None` before the first result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckStatus {
    /// The exit status of a command.
    Command(Option<u8>),
    /// The status of an HTTP server.
    Http(Option<u16>),
    /// Whether the connection was established.
    Tcp(Option<bool>),
}

/// The HTTP statuses of a healthy task, unless the check names others. Redirections are not followed.
const HEALTHY: std::ops::RangeInclusive<u16> = 200..=399;

// === impl Finding ===

impl Finding {
    /// Whether the task is healthy. `statuses` are the healthy statuses of an HTTP server; if there are none,
    /// [`HEALTHY`] applies.
    pub(super) fn is_healthy(&self, statuses: &[u16]) -> bool {
        match self {
            Self::Ended(outcome) => outcome.succeeded(),
            Self::Answered(status) if statuses.is_empty() => HEALTHY.contains(status),
            Self::Answered(status) => statuses.contains(status),
            Self::Connected => true,
            Self::Failed(_) | Self::TimedOut(_) => false,
        }
    }
}

/// The end of a sentence that begins with the name of the check: "status 503".
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(outcome) => outcome.fmt(f),
            Self::Answered(status) => write!(f, "status {status}"),
            Self::Connected => f.write_str("connected"),
            Self::Failed(reason) => f.write_str(reason),
            Self::TimedOut(timeout) => write!(f, "timed out after {timeout:?}"),
        }
    }
}

// === impl CheckStatus ===

impl CheckStatus {
    /// The status before the first result.
    pub(super) fn unknown(probe: &Probe) -> Self {
        match probe {
            Probe::Command { .. } => Self::Command(None),
            Probe::Http(_) | Probe::Https { .. } => Self::Http(None),
            Probe::Tcp(_) => Self::Tcp(None),
        }
    }

    /// The status after this result. A failed probe makes it unknown, except that a refused connection is a
    /// result of a TCP check.
    pub(super) fn of(self, finding: &Finding) -> Self {
        match self {
            Self::Command(_) => Self::Command(match finding {
                Finding::Ended(Outcome::Exited(status)) => Some(*status),
                Finding::Ended(_)
                | Finding::Answered(_)
                | Finding::Connected
                | Finding::Failed(_)
                | Finding::TimedOut(_) => None,
            }),
            Self::Http(_) => Self::Http(match finding {
                Finding::Answered(status) => Some(*status),
                Finding::Ended(_)
                | Finding::Connected
                | Finding::Failed(_)
                | Finding::TimedOut(_) => None,
            }),
            Self::Tcp(_) => Self::Tcp(match finding {
                Finding::Connected => Some(true),
                Finding::Failed(_) => Some(false),
                Finding::Ended(_) | Finding::Answered(_) | Finding::TimedOut(_) => None,
            }),
        }
    }
}
