//! The configuration: environment variables set by the agent, the operator and the job, read once at start.
//!
//! A malformed number or duration is replaced by its default, and one out of range by the nearest valid one; an
//! invalid port, exit status or pattern is ignored. Each causes a warning. Only the variables that the agent must
//! set are required.

#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::num::IntErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::Level;

use crate::codec::mesos::arguments::Arguments;
use crate::codec::mesos::call::Caller;
use crate::codec::mesos::job::HookVariables;
use crate::codec::tracking::pattern::Pattern;
use crate::core::environment::{Environment, Invalid, Name, Value};
use crate::core::executor::Settings;
use crate::core::progress::ProgressFile;
use crate::core::session::Policy;
use crate::core::variables::{self, Class};
use crate::words::units::{Span, truncate};
use crate::world::address::Address;
use crate::world::agent::Target;
use crate::world::tracking::Rules;
use cook_mesos::duration::parse_duration;

/// The whole configuration.
pub struct Config {
    /// How to reach the agent.
    pub target: Target,
    /// The ids and the token with which we call it.
    pub caller: Caller,
    /// The settings of the core.
    pub settings: Settings,
    /// Hooks from the environment.
    pub hooks: HookVariables,
    /// The program's own arguments.
    pub arguments: Arguments,
    /// The folder of the log.
    pub sandbox: PathBuf,
    /// Messages below this level are not logged.
    pub log_level: Level,
    /// How progress is found in the task's output.
    pub tracking: Rules,
    /// The time between two lines in the log about the executor's own memory.
    pub memory_interval: Duration,
    /// The preferred port of the task API.
    pub api_port: Option<u16>,
    /// Warnings about values that were ignored or replaced.
    pub warnings: Vec<String>,
}

/// The variables that the agent must set and that are missing or invalid, each as a text.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing(pub Vec<String>);

/// The defaults of Mesos, for agents that do not set these variables.
const DEFAULT_RECOVERY_TIMEOUT: Span = Span::saturating(Duration::from_secs(15 * 60));
const DEFAULT_BACKOFF_MAX: Span = Span::saturating(Duration::from_secs(2));
const DEFAULT_SHUTDOWN_GRACE: Span = Span::saturating(Duration::from_secs(5));

/// An integer variable: its name, Cook's default and minimum, and our maximum.
struct Number {
    name: &'static str,
    default: u32,
    least: u32,
    most: u32,
}

/// The task API accepts no longer message.
const MESSAGE_LENGTH: Number = Number {
    name: variables::MAX_MESSAGE_LENGTH,
    default: 512,
    least: 64,
    most: 256 << 10,
};

/// At most a day between two messages.
const SAMPLE_INTERVAL: Number = Number {
    name: variables::SAMPLE_INTERVAL_MS,
    default: 1000,
    least: 100,
    most: 24 * 3600 * 1000,
};

/// Up to three files may each hold two lines of this length in memory.
const LINE_LIMIT: Number = Number {
    name: variables::MAX_BYTES_READ_PER_LINE,
    default: 4096,
    least: 128,
    most: 64 << 10,
};

/// At most as long as a [`Span`].
const MEMORY_INTERVAL: Number = Number {
    name: variables::MEMORY_USAGE_INTERVAL,
    default: 3600,
    least: 30,
    most: 1_000_000_000,
};

/// How many characters of an invalid value a warning quotes.
const MAX_QUOTED: usize = 64;

// === impl Config ===

impl Config {
    /// Reads the variables of this process. `arguments` are the program's own, `seed` is 16 random bytes.
    ///
    /// # Errors
    ///
    /// Variables without which no agent can be reached are missing.
    pub fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        arguments: Arguments,
        seed: [u8; 16],
    ) -> Result<Self, Missing> {
        let mut reader = Reader {
            environment: Environment::inherited(variables),
            warnings: Vec::new(),
        };
        let address = reader.address();
        let framework = reader.required(variables::FRAMEWORK_ID);
        let executor = reader.required(variables::EXECUTOR_ID);
        let (framework, executor, address) = match (framework, executor, address) {
            (Ok(framework), Ok(executor), Ok(address)) => (framework, executor, address),
            (framework, executor, address) => {
                let problems = [framework.err(), executor.err(), address.err()];
                return Err(Missing(problems.into_iter().flatten().collect()));
            }
        };
        reader.warn_of_tls(&address);
        let log_level = reader.log_level();
        let directory = reader.text(variables::DIRECTORY);
        let policy = Policy {
            checkpoint: reader.flag(variables::CHECKPOINT),
            recovery_timeout: reader
                .duration(variables::RECOVERY_TIMEOUT, DEFAULT_RECOVERY_TIMEOUT),
            backoff_max: reader.duration(variables::SUBSCRIPTION_BACKOFF_MAX, DEFAULT_BACKOFF_MAX),
            spread: u32::from_le_bytes([seed[0], seed[1], seed[2], seed[3]]),
        };
        let interval = reader.number(&SAMPLE_INTERVAL);
        let message_limit = reader.number(&MESSAGE_LENGTH);
        let hooks = HookVariables {
            before: reader.bytes(variables::BEFORE_COMMANDS),
            after: reader.bytes(variables::AFTER_COMMANDS),
            default_before: reader.bytes(variables::DEFAULT_BEFORE_COMMANDS),
            default_after: reader.bytes(variables::DEFAULT_AFTER_COMMANDS),
        };
        let line_limit = reader.number(&LINE_LIMIT);
        let memory_interval = reader.number(&MEMORY_INTERVAL);
        let of = variables::of(framework.as_ref(), executor.as_ref());
        let of = Value::new(of.into_vec()).expect("parts of variables contain no NUL");
        let sandbox = reader
            .path(variables::SANDBOX)
            .unwrap_or_else(|| PathBuf::from("."));
        Ok(Self {
            tracking: Rules {
                pattern: reader.pattern(),
                line_limit: line_limit as usize,
                sandbox: sandbox.clone(),
            },
            memory_interval: Duration::from_secs(memory_interval.into()),
            caller: Caller {
                framework,
                executor: executor.clone(),
            },
            hooks,
            arguments,
            log_level,
            api_port: reader.port(),
            target: Target {
                address,
                token: reader.take_token(),
            },
            settings: Settings {
                shutdown_grace: reader
                    .duration(variables::SHUTDOWN_GRACE_PERIOD, DEFAULT_SHUTDOWN_GRACE),
                progress_interval: Duration::from_millis(interval.into()),
                // At least 64; and a u32 fits into a usize on every Linux.
                message_limit: message_limit as usize,
                progress_file: reader.progress_file(&sandbox, &executor),
                reset_variables: reader.reset_variables(),
                test_exit: reader.test_exit(),
                directory,
                policy,
                uuid_seed: seed,
                // Cleared later if the task API cannot be opened.
                has_api: true,
                environment: reader.environment,
                for_commands: vec![(own_name(variables::OF), of)],
            },
            sandbox,
            warnings: reader.warnings,
        })
    }
}

// === impl Missing ===

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl std::error::Error for Missing {}

struct Reader {
    environment: Environment,
    warnings: Vec<String>,
}

// === impl Reader ===

/// An empty variable counts as not set, because schedulers set variables without a value to an empty text.
impl Reader {
    fn raw(&self, name: &str) -> Option<&OsStr> {
        self.environment.get(name).filter(|value| !value.is_empty())
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.raw(name)
            .map(|value| value.as_bytes().to_vec())
            .unwrap_or_default()
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.raw(name).map(PathBuf::from)
    }

    fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let value = self.raw(name)?;
        let text = value.to_str().map(str::to_owned);
        if text.is_none() {
            self.warn(format!("ignored {name}: it is not UTF-8"));
        }
        text
    }

    /// A variable that the agent must set, or what is wrong with it.
    fn required(&self, name: &str) -> Result<String, String> {
        match self.environment.get(name).map(OsStr::to_str) {
            None => Err(format!("{name} is not set")),
            Some(None) => Err(format!("{name} is not UTF-8")),
            Some(Some("")) => Err(format!("{name} is empty")),
            Some(Some(text)) => Ok(text.to_owned()),
        }
    }

    fn address(&self) -> Result<Address, String> {
        const PID: &str = variables::SLAVE_PID;
        const ENDPOINT: &str = variables::AGENT_ENDPOINT;
        let (pid, endpoint) = (self.required(PID), self.required(ENDPOINT));
        let text = |given: &Result<String, String>| given.clone().ok();
        let socket = self.path(variables::DOMAIN_SOCKET);
        let address = Address::new(text(&pid).as_deref(), text(&endpoint).as_deref(), socket);
        address.ok_or_else(|| match (pid, endpoint) {
            (Ok(pid), _) => {
                let pid = truncate(&pid, MAX_QUOTED);
                format!("{PID} is {pid:?}, not an agent's address such as slave(1)@10.0.0.1:5051")
            }
            (Err(_), Ok(endpoint)) => {
                let endpoint = truncate(&endpoint, MAX_QUOTED);
                format!("{ENDPOINT} is {endpoint:?}, not an address such as 10.0.0.1:5051")
            }
            (Err(pid), Err(_)) if self.environment.get(PID).is_some() => pid,
            (Err(_), Err(endpoint)) if self.environment.get(ENDPOINT).is_some() => endpoint,
            (Err(_), Err(_)) => format!("{PID} or {ENDPOINT} is not set"),
        })
    }

    /// An integer. One beyond 64 bits becomes the nearest 64-bit number, which is out of every range too.
    fn integer(&mut self, name: &str, instead: &str) -> Option<i64> {
        let text = self.text(name)?;
        match text.trim().parse::<i64>() {
            Ok(number) => Some(number),
            Err(error) => match error.kind() {
                IntErrorKind::PosOverflow => Some(i64::MAX),
                IntErrorKind::NegOverflow => Some(i64::MIN),
                _ => {
                    let text = truncate(&text, MAX_QUOTED);
                    self.warn(format!("{name} is {text:?}, not an integer; {instead}"));
                    None
                }
            },
        }
    }

    fn number(&mut self, number: &Number) -> u32 {
        let Number {
            name,
            default,
            least,
            most,
        } = *number;
        let Some(given) = self.integer(name, &format!("using {default}")) else {
            return default;
        };
        let (bound, words) = match given {
            given if given < i64::from(least) => (least, "below the minimum of"),
            given if given > i64::from(most) => (most, "above the maximum of"),
            // In the range, so it fits into 32 bits.
            given => return given as u32,
        };
        let text = self.text(name).unwrap_or_default();
        let text = truncate(text.trim(), MAX_QUOTED);
        self.warn(format!("{name} is {text}, {words} {bound}; using {bound}"));
        bound
    }

    fn port(&mut self) -> Option<u16> {
        let name = variables::PORT;
        let number = self.integer(name, "using any port")?;
        let port = u16::try_from(number).ok().filter(|port| *port > 0);
        if port.is_none() {
            self.warn(format!(
                "{name} is not a port from 1 to 65535; using any port"
            ));
        }
        port
    }

    fn test_exit(&mut self) -> Option<u8> {
        let name = variables::TEST_EXIT;
        let number = self.integer(name, "ignored")?;
        let status = u8::try_from(number).ok();
        if status.is_none() {
            self.warn(format!(
                "{name} is not an exit status from 0 to 255; ignored"
            ));
        }
        status
    }

    /// As Mesos prints it, or `true` as people write it.
    fn flag(&mut self, name: &str) -> bool {
        match self.text(name).as_deref().map(str::trim) {
            Some("1" | "true") => true,
            None | Some("0" | "false" | "") => false,
            Some(text) => {
                let text = truncate(text, MAX_QUOTED);
                self.warn(format!("{name} is {text:?}, not 0 or 1; using 0"));
                false
            }
        }
    }

    fn duration(&mut self, name: &str, default: Span) -> Span {
        let Some(text) = self.text(name) else {
            return default;
        };
        let (text, usual) = (text.trim(), default.get());
        let Some(length) = parse_duration(text) else {
            let text = truncate(text, MAX_QUOTED);
            self.warn(format!(
                "{name} is {text:?}, not a duration such as 5secs; using {usual:?}"
            ));
            return default;
        };
        if Span::new(length).is_none() {
            let (text, most) = (truncate(text, MAX_QUOTED), Span::MAX.get());
            self.warn(format!(
                "{name} is {text}, above the maximum of {most:?}; using {most:?}"
            ));
        }
        Span::saturating(length)
    }

    /// The level names of Python, in upper or lower case.
    fn log_level(&mut self) -> Level {
        let Some(text) = self.text(variables::LOG_LEVEL) else {
            return Level::INFO;
        };
        match text.trim().to_ascii_uppercase().as_str() {
            "CRITICAL" | "FATAL" | "ERROR" => Level::ERROR,
            "WARNING" | "WARN" => Level::WARN,
            "INFO" | "NOTSET" => Level::INFO,
            "DEBUG" | "TRACE" => Level::DEBUG,
            _ => {
                let (name, text) = (variables::LOG_LEVEL, truncate(&text, MAX_QUOTED));
                self.warn(format!(
                    "{name} is {text:?}, not DEBUG, INFO, WARNING or ERROR; using INFO"
                ));
                Level::INFO
            }
        }
    }

    /// The pattern of progress. An empty value turns tracking off, and so does an invalid pattern, because
    /// a mistake in it must not fail the task.
    fn pattern(&mut self) -> Option<Pattern> {
        let expression = match self.environment.get(variables::PROGRESS_REGEX) {
            None => return Some(Pattern::usual()),
            Some(empty) if empty.is_empty() => return None,
            Some(_) => self.text(variables::PROGRESS_REGEX)?,
        };
        let pattern = Pattern::new(&expression);
        if let Err(error) = &pattern {
            let (name, expression) = (variables::PROGRESS_REGEX, truncate(&expression, MAX_QUOTED));
            self.warn(format!(
                "progress in the task's output is ignored: {name} is {expression:?}, {error}"
            ));
        }
        pattern.ok()
    }

    fn progress_file(&mut self, sandbox: &Path, executor: &str) -> ProgressFile {
        let usual = || own_name(variables::PROGRESS_FILE);
        let variable = match Name::new(self.bytes(variables::PROGRESS_FILE_VARIABLE)) {
            Ok(name) => match variables::class_of(name.as_os_str()) {
                None | Some(Class::ProgressFile) => name,
                Some(_) => {
                    self.warn(format!(
                        "ignored {}: the variable that it names has another meaning",
                        variables::PROGRESS_FILE_VARIABLE
                    ));
                    usual()
                }
            },
            Err(Invalid::EmptyName) => usual(),
            Err(error) => {
                self.warn(format!(
                    "ignored {}: {error}",
                    variables::PROGRESS_FILE_VARIABLE
                ));
                usual()
            }
        };
        let name = self.path(variables::DEFAULT_PROGRESS_FILE);
        let name = name.unwrap_or_else(|| PathBuf::from(format!("{executor}.progress")));
        let path = sandbox.join(name).into_os_string().into_vec();
        ProgressFile {
            variable,
            default: Value::new(path).expect("parts of variables contain no NUL"),
        }
    }

    fn reset_variables(&mut self) -> Vec<Name> {
        let list = self.bytes(variables::RESET_VARIABLES);
        let names = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let (mut valid, mut invalid) = (Vec::new(), 0);
        for name in names.filter(|name| !name.is_empty()) {
            match Name::new(name) {
                Ok(name) => valid.push(name),
                Err(_) => invalid += 1,
            }
        }
        if invalid > 0 {
            self.warn(format!(
                "{}: ignored entries that are not names of variables ({invalid})",
                variables::RESET_VARIABLES
            ));
        }
        valid
    }

    /// Removes the token from the variables that commands inherit.
    fn take_token(&mut self) -> Option<String> {
        let name = variables::TOKEN;
        let token = self.text(name);
        self.environment.unset(&own_name(name));
        let is_printable = |token: &String| token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.as_ref().is_some_and(|token| !is_printable(token)) {
            self.warn(format!("ignored {name}: it is not printable ASCII"));
        }
        token.filter(is_printable)
    }

    /// TLS is not supported: an agent that requires it cannot be reached.
    fn warn_of_tls(&mut self, address: &Address) {
        for name in [variables::SSL_ENABLED, variables::OLD_SSL_ENABLED] {
            let is_on = matches!(self.text(name).as_deref(), Some("1" | "true"));
            if is_on && address.socket.is_none() {
                self.warn(format!(
                    "{name} is set, but cook-executor does not speak TLS: run the agent with \
                     --http_executor_domain_sockets or LIBPROCESS_SSL_SUPPORT_DOWNGRADE=true"
                ));
            }
        }
    }
}

fn own_name(name: &str) -> Name {
    Name::new(name).expect("our own names are valid")
}
