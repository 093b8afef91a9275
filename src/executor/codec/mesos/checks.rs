//! Parses `TaskInfo.health_check` and `TaskInfo.check` into a plan of checks.
//!
//! A master has already refused some mistakes (`src/common/validation.cpp` of Mesos, lines 335 to 500), but
//! it accepts ports above 65535 and infinite times. A check that cannot be run is refused with the name of
//! the wrong field. A field without effect is mentioned in the log.

#[cfg(test)]
mod tests;

use std::num::NonZeroU16;
use std::time::Duration;

use super::event::variables_of;
use crate::core::checks::{
    Address, Check, CheckPlan, Family, HealthCheck, HttpAddress, Interval, Probe, Times,
};
use crate::core::environment::Environment;
use crate::core::plan::{Program, TaskRefusal};
use crate::words::units::Span;
use cook_mesos::messages::{
    self, CheckInfo, CheckType, CommandInfo, HttpCheckInfo, PROTOCOL_IPV4, PROTOCOL_IPV6,
    TcpCheckInfo,
};

/// Finds the path of curl, which is needed for HTTPS, because this executor has no TLS.
pub type FindCurl = fn() -> Option<Vec<u8>>;

/// The defaults of `mesos.proto`, in seconds.
const DELAY: f64 = 15.0;
const INTERVAL: f64 = 10.0;
const TIMEOUT: f64 = 20.0;
const GRACE: f64 = 10.0;

/// The default of `HealthCheck.consecutive_failures`.
const FAILURES: u32 = 3;

/// Parses both checks. `remark` gets a line for each field without effect.
///
/// # Errors
///
/// The wrong field, and what would be right.
pub fn read_checks(
    check: Option<&CheckInfo>,
    health: Option<&messages::HealthCheck>,
    find_curl: FindCurl,
    remark: &mut dyn FnMut(String),
) -> Result<CheckPlan, TaskRefusal> {
    let mut reader = Reader { find_curl, remark };
    Ok(CheckPlan {
        check: check.map(|check| reader.check(check)).transpose()?,
        health: health.map(|health| reader.health(health)).transpose()?,
    })
}

struct Reader<'a> {
    find_curl: FindCurl,
    remark: &'a mut dyn FnMut(String),
}

/// The fields of a check of either kind, with its name.
struct Members<'a> {
    field: &'static str,
    kind: Option<i32>,
    command: Option<&'a CommandInfo>,
    command_field: &'static str,
    http: Option<&'a HttpCheckInfo>,
    tcp: Option<&'a TcpCheckInfo>,
}

/// The times of a check of either kind, in seconds.
struct Seconds {
    delay: Option<f64>,
    interval: Option<f64>,
    timeout: Option<f64>,
}

// === impl Reader ===

impl Reader<'_> {
    fn check(&mut self, info: &CheckInfo) -> Result<Check, TaskRefusal> {
        let members = Members {
            field: "check",
            kind: info.kind,
            command: info.command.as_ref().map(|one| &one.command),
            command_field: "check.command.command",
            http: info.http.as_ref(),
            tcp: info.tcp.as_ref(),
        };
        let seconds = Seconds {
            delay: info.delay_seconds,
            interval: info.interval_seconds,
            timeout: info.timeout_seconds,
        };
        self.members(&members, &seconds)
    }

    fn health(&mut self, info: &messages::HealthCheck) -> Result<HealthCheck, TaskRefusal> {
        let members = Members {
            field: "health_check",
            kind: info.kind,
            command: info.command.as_ref(),
            command_field: "health_check.command",
            http: info.http.as_ref(),
            tcp: info.tcp.as_ref(),
        };
        let seconds = Seconds {
            delay: info.delay_seconds,
            interval: info.interval_seconds,
            timeout: info.timeout_seconds,
        };
        let check = self.members(&members, &seconds)?;
        let is_http = matches!(check.probe, Probe::Http(_) | Probe::Https { .. });
        let statuses = info.http.as_ref().filter(|_| is_http);
        let statuses = statuses.map_or(Ok(Vec::new()), statuses_of)?;
        Ok(HealthCheck {
            check,
            statuses,
            grace: span(
                "health_check.grace_period_seconds",
                info.grace_period_seconds,
                GRACE,
            )?,
            failures: info.consecutive_failures.unwrap_or(FAILURES),
        })
    }

    fn members(&mut self, members: &Members<'_>, seconds: &Seconds) -> Result<Check, TaskRefusal> {
        let kind = self.kind(members)?;
        let probe = match (kind, members.command, members.http, members.tcp) {
            (CheckType::Command, Some(command), _, _) => {
                self.command(members.command_field, command)?
            }
            (CheckType::Http, _, Some(http), _) => self.http(members.field, http)?,
            (CheckType::Tcp, _, _, Some(tcp)) => {
                let field = format!("{}.tcp", members.field);
                Probe::Tcp(address(&field, tcp.port, tcp.protocol)?)
            }
            (CheckType::Command, None, _, _) => return members.missing("command", "COMMAND"),
            (CheckType::Http, _, None, _) => return members.missing("http", "HTTP"),
            (CheckType::Tcp | CheckType::Unknown, _, _, _) => {
                return members.missing("tcp", "TCP");
            }
        };
        let named = |name: &str| format!("{}.{name}_seconds", members.field);
        let interval = span(&named("interval"), seconds.interval, INTERVAL)?;
        if interval.get() < Interval::MIN {
            let (name, least) = (named("interval"), Interval::MIN);
            (self.remark)(format!("{name} is below the minimum; using {least:?}"));
        }
        let timeout = span(&named("timeout"), seconds.timeout, TIMEOUT)?;
        let times = Times {
            delay: span(&named("delay"), seconds.delay, DELAY)?,
            interval: Interval::at_least_min(interval),
            timeout: (timeout > Span::ZERO).then_some(timeout),
        };
        Ok(Check { probe, times })
    }

    /// The type of a check. If it is missing, it follows from the only member: masters fill it in, but not
    /// for task groups and TCP checks.
    fn kind(&mut self, members: &Members<'_>) -> Result<CheckType, TaskRefusal> {
        let present = [
            (CheckType::Command, "command", members.command.is_some()),
            (CheckType::Http, "http", members.http.is_some()),
            (CheckType::Tcp, "tcp", members.tcp.is_some()),
        ];
        let mut present = present.iter().filter(|(.., is_there)| *is_there);
        let field = members.field;
        let kind = match members.kind {
            None => match (present.next(), present.next()) {
                (Some((kind, ..)), None) => return Ok(*kind),
                (None, _) | (Some(_), Some(_)) => None,
            },
            Some(number) => CheckType::try_from(number).ok(),
        };
        let Some(kind @ (CheckType::Command | CheckType::Http | CheckType::Tcp)) = kind else {
            let found = match members.kind {
                None => "none".to_owned(),
                Some(number) => number.to_string(),
            };
            return refuse(format!(
                "{field}.type must be COMMAND (1), HTTP (2) or TCP (3), found {found}"
            ));
        };
        for (_, name, _) in present.filter(|(other, ..)| *other != kind) {
            (self.remark)(format!("{field}.{name} is ignored: its type is {kind:?}"));
        }
        Ok(kind)
    }

    fn command(&mut self, field: &str, command: &CommandInfo) -> Result<Probe, TaskRefusal> {
        let Some(value) = &command.value else {
            return refuse(format!("{field}.value is missing"));
        };
        let mut texts = command.arguments.iter().chain([value]);
        if texts.any(|text| text.contains(&0)) {
            return refuse(format!("{field} must not contain a NUL byte"));
        }
        let of_no_use = [
            ("user", command.user.is_some(), "the task's user"),
            ("uris", !command.uris.is_empty(), "the task's files"),
        ];
        for (name, is_there, instead) in of_no_use {
            if is_there {
                (self.remark)(format!("{field}.{name} is ignored: it runs with {instead}"));
            }
        }
        let program = match command.shell.unwrap_or(true) {
            true => Program::Shell(value.clone()),
            false if value.is_empty() => return refuse(format!("{field}.value must not be empty")),
            false => Program::Exec {
                file: value.clone(),
                arguments: command.arguments.clone(),
            },
        };
        let mut environment = Environment::default();
        environment.set_all(variables_of(&format!("{field}'s"), Some(command))?);
        Ok(Probe::Command {
            program,
            environment,
        })
    }

    fn http(&mut self, check: &str, http: &HttpCheckInfo) -> Result<Probe, TaskRefusal> {
        let field = format!("{check}.http");
        let address = HttpAddress {
            at: address(&field, http.port, http.protocol)?,
            path: path(&field, http.path.as_deref())?,
        };
        match http.scheme.as_deref() {
            None | Some(b"http") => Ok(Probe::Http(address)),
            Some(b"https") => match (self.find_curl)() {
                Some(curl) => Ok(https(curl, address)),
                None => refuse(format!(
                    "{field}.scheme is https, which needs curl, and there is no curl in PATH"
                )),
            },
            Some(other) => {
                let found = String::from_utf8_lossy(other);
                refuse(format!(
                    "{field}.scheme must be http or https, found {found:?}"
                ))
            }
        }
    }
}

// === impl Members ===

impl Members<'_> {
    fn missing<T>(&self, member: &str, kind: &str) -> Result<T, TaskRefusal> {
        let field = self.field;
        refuse(format!(
            "{field}.{member} is missing, although its type is {kind}"
        ))
    }
}

/// Like the Mesos command executor, this does not verify the server's certificate. Unlike there, proxies
/// and the user's curl configuration are not used.
fn https(curl: Vec<u8>, address: HttpAddress) -> Probe {
    // An option and its value are two arguments: curl before 8.16 knows no `--option=value`.
    const OPTIONS: [&str; 11] = [
        "--disable",
        "--silent",
        "--show-error",
        "--insecure",
        "--globoff",
        "--noproxy",
        "*",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
    ];
    let url = format!("https://{}{}", address.at, address.path);
    let texts = ["curl"].into_iter().chain(OPTIONS).chain([url.as_str()]);
    Probe::Https {
        client: Program::Exec {
            file: curl,
            arguments: texts.map(|text| text.as_bytes().to_vec()).collect(),
        },
        environment: Environment::default(),
        address,
    }
}

fn address(field: &str, port: u32, protocol: Option<i32>) -> Result<Address, TaskRefusal> {
    let number = u16::try_from(port).ok().and_then(NonZeroU16::new);
    let Some(number) = number else {
        return refuse(format!("{field}.port must be 1 to 65535, found {port}"));
    };
    let family = match protocol {
        None | Some(PROTOCOL_IPV4) => Family::V4,
        Some(PROTOCOL_IPV6) => Family::V6,
        Some(other) => {
            return refuse(format!(
                "{field}.protocol must be IPv4 (1) or IPv6 (2), found {other}"
            ));
        }
    };
    let port = number;
    Ok(Address { family, port })
}

/// The path for the request: without a fragment, and with bytes that are not ASCII percent-encoded.
fn path(field: &str, path: Option<&[u8]>) -> Result<String, TaskRefusal> {
    let path = path.unwrap_or(b"/");
    if !path.starts_with(b"/") {
        let found = String::from_utf8_lossy(path);
        return refuse(format!(
            "{field}.path must begin with a slash, found {found:?}"
        ));
    }
    let mut text = String::with_capacity(path.len());
    for byte in path.iter().take_while(|byte| **byte != b'#') {
        match byte {
            b'!'..=b'~' => text.push(char::from(*byte)),
            0x80.. => text += &format!("%{byte:02X}"),
            0..=b' ' | 0x7f => {
                return refuse(format!(
                    "{field}.path must not contain blanks or control characters: write %{byte:02X}"
                ));
            }
        }
    }
    Ok(text)
}

fn statuses_of(http: &HttpCheckInfo) -> Result<Vec<u16>, TaskRefusal> {
    let checked = |(index, status): (usize, &u32)| {
        let number = u16::try_from(*status).ok();
        number
            .filter(|number| (200..=999).contains(number))
            .ok_or_else(|| {
                let field = format!("health_check.http.statuses[{index}]");
                TaskRefusal(format!("{field} must be 200 to 999, found {status}"))
            })
    };
    http.statuses.iter().enumerate().map(checked).collect()
}

/// Infinity, and any time that is too long, becomes the maximum.
fn span(field: &str, seconds: Option<f64>, default: f64) -> Result<Span, TaskRefusal> {
    let seconds = seconds.unwrap_or(default);
    if seconds.is_nan() || seconds < 0.0 {
        // Printing the number would cost 10 kB of tables.
        return refuse(format!("{field} must be a number of seconds, 0 or more"));
    }
    let length = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    Ok(Span::saturating(length))
}

fn refuse<T>(message: String) -> Result<T, TaskRefusal> {
    Err(TaskRefusal(message))
}
