//! What a task asks to have checked (`TaskInfo.check`, `TaskInfo.health_check`): valid by construction.

use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

use crate::core::environment::{Environment, Name, Value};
use crate::core::plan::Program;
use crate::core::proxies;
use crate::core::variables::PHASE;
use crate::words::units::{Span, truncate};

/// What a task asks to have checked; both may be there, and do not know of each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CheckPlan {
    /// Its result is reported when it changes.
    pub check: Option<Check>,
    /// Its failures are reported, and end the task when there are too many.
    pub health: Option<HealthCheck>,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `TaskInfo.check`.
    Check,
    /// `TaskInfo.health_check`.
    Health,
}

/// A look at the task, again and again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    /// How to look.
    pub probe: Probe,
    /// When to look.
    pub times: Times,
}

/// A check that decides whether the task is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// How and when to look.
    pub check: Check,
    /// The statuses that an HTTP server answers in health; if there are none, 200 to 399.
    pub statuses: Vec<u16>,
    /// Until the first success, failures up to this long after the start do not count.
    pub grace: Span,
    /// So many failures in a row end the task. With 0 the first one does, as in the Mesos command
    /// executor (`src/checks/health_checker.cpp`).
    pub failures: u32,
}

/// When to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Times {
    /// From the start of the command until the first look.
    pub delay: Span,
    /// From the end of one look until the next one.
    pub interval: Interval,
    /// A look that takes longer has failed.
    pub timeout: Option<Span>,
}

/// A span of at least [`Self::MIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interval(Span);

/// How to look.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// Run a command; its exit status is the answer.
    Command {
        /// The command.
        program: Program,
        /// In a plan: the check's own variables. In an effect: all that the command gets.
        environment: Environment,
    },
    /// Ask an HTTP server; its status is the answer.
    Http(HttpAddress),
    /// The same by a program that speaks TLS and prints the status.
    Https {
        /// The program.
        client: Program,
        /// As in [`Probe::Command`].
        environment: Environment,
        /// Whom it asks.
        address: HttpAddress,
    },
    /// Connect; whether it succeeds is the answer.
    Tcp(Address),
}

/// A port of this machine's own loopback address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Which loopback address.
    pub family: Family,
    /// The port.
    pub port: NonZeroU16,
}

/// A path of an HTTP server at a loopback address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpAddress {
    /// Where the server is.
    pub at: Address,
    /// Begins with a slash, and is printable ASCII.
    pub path: String,
}

/// Which loopback address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// 127.0.0.1.
    V4,
    /// `::1`.
    V6,
}

// === impl Interval ===

impl Interval {
    /// An interval of 0, which Mesos allows, would do nothing but check.
    pub const MIN: Duration = Duration::from_millis(100);

    /// The span, or [`Self::MIN`] if it is shorter.
    pub fn at_least_min(span: Span) -> Self {
        Self(span.max(Span::saturating(Self::MIN)))
    }

    /// The length.
    pub fn get(self) -> Span {
        self.0
    }
}

// === impl Kind ===

impl Kind {
    /// What `EXECUTOR_PHASE` is for a check's command; also how its processes are told from the task's.
    pub const fn phase(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Health => "health_check",
        }
    }
}

// === impl Probe ===

impl Probe {
    /// The probe with all that it needs: a command gets the task's environment as it is now, with the
    /// check's own variables above it.
    pub fn prepared(&self, kind: Kind, task: &Environment) -> Self {
        let whole = |own: &Environment| {
            let own = own.clone().into_changes();
            let phase = (Name::new(PHASE), Value::new(kind.phase()));
            let phase = match phase {
                (Ok(name), Ok(value)) => Some((name, Some(value))),
                (Err(_), _) | (_, Err(_)) => None,
            };
            let mut environment = task.clone();
            environment.apply(own.chain(phase).collect());
            proxies::bypass(&mut environment);
            environment
        };
        match self {
            Self::Command {
                program,
                environment,
            } => Self::Command {
                program: program.clone(),
                environment: whole(environment),
            },
            Self::Https {
                client,
                environment,
                address,
            } => Self::Https {
                client: client.clone(),
                environment: whole(environment),
                address: address.clone(),
            },
            Self::Http(_) | Self::Tcp(_) => self.clone(),
        }
    }

    /// The name of its kind in `CheckInfo.Type`.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Command { .. } => "COMMAND",
            Self::Http(_) | Self::Https { .. } => "HTTP",
            Self::Tcp(_) => "TCP",
        }
    }
}

/// Where it looks, for people: `127.0.0.1:8080/health`, or a command.
impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Enough to recognise a command or a path; messages have a limited length.
        const MAX_SHOWN: usize = 80;
        match self {
            Self::Command { program, .. } => {
                let text = String::from_utf8_lossy(program.text());
                f.write_str(&truncate(text.trim(), MAX_SHOWN))
            }
            Self::Http(HttpAddress { at, path }) => {
                write!(f, "{at}{}", truncate(path, MAX_SHOWN))
            }
            Self::Https { address, .. } => {
                let HttpAddress { at, path } = address;
                write!(f, "https://{at}{}", truncate(path, MAX_SHOWN))
            }
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

// === impl Address ===

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match self.family {
            Family::V4 => "127.0.0.1",
            Family::V6 => "[::1]",
        };
        write!(f, "{host}:{}", self.port)
    }
}
