//! What checks a task asks for (`TaskInfo.check`, `TaskInfo.health_check`). Every value is valid.

use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

use crate::core::environment::{Environment, Name, Value};
use crate::core::plan::Program;
use crate::core::proxies;
use crate::core::variables::{self, Class, PHASE};
use crate::words::units::{Span, truncate};

/// The checks of a task. They are independent of each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CheckPlan {
    /// The general check: its result is reported when it changes.
    pub check: Option<Check>,
    /// The health check: its failures are reported, and too many in a row end the task.
    pub health: Option<HealthCheck>,
}

/// General check or health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `TaskInfo.check`.
    Check,
    /// `TaskInfo.health_check`.
    Health,
}

/// A probe, and when to repeat it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    /// How to probe.
    pub probe: Probe,
    /// When to probe.
    pub times: Times,
}

/// A check that decides whether the task is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// The probe and its times.
    pub check: Check,
    /// The HTTP statuses of a healthy task; if empty, 200 to 399.
    pub statuses: Vec<u16>,
    /// Failures within this time after the start do not count until the first success.
    pub grace: Span,
    /// The number of consecutive failures that ends the task. 0 is treated as 1, as in the Mesos command
    /// executor (`src/checks/health_checker.cpp`).
    pub failures: u32,
}

/// When to probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Times {
    /// From the start of the command until the first probe.
    pub delay: Span,
    /// From the end of one probe until the next one.
    pub interval: Interval,
    /// Maximum duration of a probe.
    pub timeout: Option<Span>,
}

/// A span of at least [`Self::MIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interval(Span);

/// One way to probe a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// Run a command. The result is its exit status.
    Command {
        /// The command.
        program: Program,
        /// In a plan: the check's own variables. In an effect: the complete environment of the command.
        environment: Environment,
    },
    /// Ask an HTTP server. The result is the HTTP status.
    Http(HttpAddress),
    /// Ask an HTTPS server with a program that prints the HTTP status.
    Https {
        /// The program.
        client: Program,
        /// As in [`Probe::Command`].
        environment: Environment,
        /// Host, port and path.
        address: HttpAddress,
    },
    /// Connect. The result is whether that succeeds.
    Tcp(Address),
}

/// A port on loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Which loopback address.
    pub family: Family,
    /// The port.
    pub port: NonZeroU16,
}

/// A path of an HTTP server on loopback.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpAddress {
    /// The address of the server.
    pub at: Address,
    /// Printable ASCII; begins with a slash.
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
    /// The probe with its complete environment: that of the task's commands now, overridden by the check's
    /// own variables.
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

    /// The name of its type in `CheckInfo.Type`.
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
        /// Enough to recognise a command or path. The length of messages is limited.
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
