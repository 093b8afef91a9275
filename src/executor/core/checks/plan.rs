//! What a task asks to have checked (`TaskInfo.check`, `TaskInfo.health_check`): valid by construction.

use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

use crate::core::environment::{Environment, Name, Value};
use crate::core::plan::Program;
use crate::core::proxies;
use crate::core::variables::{self, Class, PHASE};
use crate::words::units::{Span, truncate};

/// What a task asks to have checked. Both may be there; they are independent.
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

/// A probe that is repeated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    /// What to do.
    pub probe: Probe,
    /// When to do it.
    pub times: Times,
}

/// A check that decides whether the task is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// The probe and its times.
    pub check: Check,
    /// The HTTP statuses of a healthy task; if there are none, 200 to 399.
    pub statuses: Vec<u16>,
    /// Until the first success, failures up to this long after the start do not count.
    pub grace: Span,
    /// The number of consecutive failures that ends the task. With 0 the first failure does, as in the Mesos
    /// command executor (`src/checks/health_checker.cpp`).
    pub failures: u32,
}

/// When to probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Times {
    /// From the start of the command until the first probe.
    pub delay: Span,
    /// From the end of one probe until the next one.
    pub interval: Interval,
    /// A probe that takes longer has failed.
    pub timeout: Option<Span>,
}

/// A span of at least [`Self::MIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interval(Span);

/// One way to probe a task.
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
    /// Mesos allows an interval of 0, which would be a busy loop.
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
    /// The value of `EXECUTOR_PHASE` for a check's command; it also marks its processes.
    pub const fn phase(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Health => "health_check",
        }
    }
}

// === impl Probe ===

impl Probe {
    /// The probe with its complete environment: the task's as it is now, overridden by the check's own
    /// variables.
    pub fn prepared(&self, kind: Kind, task: &Environment) -> Self {
        let whole = |own: &Environment| {
            let own = own.clone().into_changes();
            let own = own.filter(|(name, _)| {
                variables::class_of(name.as_os_str()) != Some(Class::ForCommands)
            });
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

/// The target, for messages: `127.0.0.1:8080/health`, or the command.
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
