//! The environment that the agent and the scheduler set, read once: every name stands here and nowhere
//! else.
//!
//! What is malformed falls back to its default with a warning; only what the agent must have set is
//! missed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tracing::Level;

use crate::codec::mesos::call::Caller;
use crate::codec::mesos::job::HookVariables;
use crate::codec::tracking::pattern::Pattern;
use crate::core::environment::{Environment, Invalid, Name, Value};
use crate::core::executor::Settings;
use crate::core::progress::ProgressFile;
use crate::core::session::Policy;
use crate::words::units::Span;
use crate::world::address::Address;
use crate::world::agent::Target;
use crate::world::tracking::Rules;
use cook_mesos::duration::parse_duration;

/// Everything that the executor is told before it starts.
pub struct Config {
    /// Where the agent is.
    pub target: Target,
    /// Who we are.
    pub caller: Caller,
    /// What the core has to know.
    pub settings: Settings,
    /// Hooks that came by the environment.
    pub hooks: HookVariables,
    /// Where the log goes.
    pub sandbox: PathBuf,
    /// From which level on.
    pub log_level: Level,
    /// How the task's output is read.
    pub tracking: Rules,
    /// Between two lines about our own memory in the log.
    pub memory_interval: Duration,
    /// The port that the task API should listen on.
    pub api_port: Option<u16>,
    /// What was not understood.
    pub warnings: Vec<String>,
}

/// The variables that the agent should have set and has not.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing(pub Vec<&'static str>);

const FRAMEWORK_ID: &str = "MESOS_FRAMEWORK_ID";
const EXECUTOR_ID: &str = "MESOS_EXECUTOR_ID";
const SLAVE_PID: &str = "MESOS_SLAVE_PID";
const AGENT_ENDPOINT: &str = "MESOS_AGENT_ENDPOINT";
const DOMAIN_SOCKET: &str = "MESOS_DOMAIN_SOCKET";
const DIRECTORY: &str = "MESOS_DIRECTORY";
const SANDBOX: &str = "MESOS_SANDBOX";
const CHECKPOINT: &str = "MESOS_CHECKPOINT";
const RECOVERY_TIMEOUT: &str = "MESOS_RECOVERY_TIMEOUT";
const SUBSCRIPTION_BACKOFF_MAX: &str = "MESOS_SUBSCRIPTION_BACKOFF_MAX";
const SHUTDOWN_GRACE_PERIOD: &str = "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD";
const TOKEN: &str = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";
const SSL_ENABLED: [&str; 2] = ["LIBPROCESS_SSL_ENABLED", "SSL_ENABLED"];

const LOG_LEVEL: &str = "EXECUTOR_LOG_LEVEL";
const MAX_MESSAGE_LENGTH: &str = "EXECUTOR_MAX_MESSAGE_LENGTH";
const SAMPLE_INTERVAL_MS: &str = "PROGRESS_SAMPLE_INTERVAL_MS";
const MAX_BYTES_READ_PER_LINE: &str = "EXECUTOR_MAX_BYTES_READ_PER_LINE";
const MEMORY_USAGE_INTERVAL: &str = "EXECUTOR_MEMORY_USAGE_INTERVAL_SECS";
const PROGRESS_REGEX: &str = "PROGRESS_REGEX_STRING";
const PROGRESS_FILE_VARIABLE: &str = "EXECUTOR_PROGRESS_OUTPUT_FILE_ENV";
const PROGRESS_FILE: &str = "EXECUTOR_PROGRESS_OUTPUT_FILE";
const DEFAULT_PROGRESS_FILE: &str = "EXECUTOR_DEFAULT_PROGRESS_OUTPUT_NAME";
const RESET_VARIABLES: &str = "EXECUTOR_RESET_VARS";
const TEST_EXIT: &str = "EXECUTOR_TEST_EXIT";
const PORT: &str = "EXECUTOR_PORT0";
const BEFORE_COMMANDS: &str = "EXECUTOR_BEFORE_COMMANDS";
const AFTER_COMMANDS: &str = "EXECUTOR_AFTER_COMMANDS";
const DEFAULT_BEFORE_COMMANDS: &str = "EXECUTOR_DEFAULT_BEFORE_COMMANDS";
const DEFAULT_AFTER_COMMANDS: &str = "EXECUTOR_DEFAULT_AFTER_COMMANDS";

/// Mesos' own defaults, for agents that do not set them.
const DEFAULT_RECOVERY_TIMEOUT: Span = Span::saturating(Duration::from_secs(15 * 60));
const DEFAULT_BACKOFF_MAX: Span = Span::saturating(Duration::from_secs(2));
const DEFAULT_SHUTDOWN_GRACE: Span = Span::saturating(Duration::from_secs(5));

/// Cook's defaults and least values.
const DEFAULT_MESSAGE_LENGTH: u32 = 512;
const LEAST_MESSAGE_LENGTH: u32 = 64;
const DEFAULT_SAMPLE_INTERVAL_MS: u32 = 1000;
const LEAST_SAMPLE_INTERVAL_MS: u32 = 100;
const DEFAULT_LINE_LIMIT: u32 = 4096;
const LEAST_LINE_LIMIT: u32 = 128;
const DEFAULT_MEMORY_INTERVAL: u32 = 3600;
const LEAST_MEMORY_INTERVAL: u32 = 30;

/// Three files may each have so much of a line in memory, twice.
const MOST_LINE_LIMIT: u32 = 64 << 10;

// === impl Config ===

impl Config {
    /// Reads the variables of this process. `seed` is 16 random bytes.
    ///
    /// # Errors
    ///
    /// Names the variables without which no agent can be reached.
    pub fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        seed: [u8; 16],
    ) -> Result<Self, Missing> {
        let mut reader = Reader {
            environment: Environment::inherited(variables),
            warnings: Vec::new(),
        };
        let address = Address::new(
            reader.text(SLAVE_PID).as_deref(),
            reader.text(AGENT_ENDPOINT).as_deref(),
            reader.path(DOMAIN_SOCKET),
        );
        let (framework, executor) = (reader.text(FRAMEWORK_ID), reader.text(EXECUTOR_ID));
        let (Some(framework), Some(executor), Some(address)) = (&framework, &executor, &address)
        else {
            let required = [
                (FRAMEWORK_ID, framework.is_none()),
                (EXECUTOR_ID, executor.is_none()),
                ("MESOS_SLAVE_PID or MESOS_AGENT_ENDPOINT", address.is_none()),
            ];
            let missing = required.into_iter().filter(|(_, is_missing)| *is_missing);
            return Err(Missing(missing.map(|(name, _)| name).collect()));
        };
        reader.warn_of_tls(address);
        let log_level = reader.log_level();
        let directory = reader.text(DIRECTORY);
        let policy = Policy {
            checkpoint: matches!(reader.text(CHECKPOINT).as_deref(), Some("1" | "true")),
            recovery_timeout: reader.duration(RECOVERY_TIMEOUT, DEFAULT_RECOVERY_TIMEOUT),
            backoff_max: reader.duration(SUBSCRIPTION_BACKOFF_MAX, DEFAULT_BACKOFF_MAX),
            spread: u32::from_le_bytes([seed[0], seed[1], seed[2], seed[3]]),
        };
        let interval = reader.at_least(
            SAMPLE_INTERVAL_MS,
            DEFAULT_SAMPLE_INTERVAL_MS,
            LEAST_SAMPLE_INTERVAL_MS,
        );
        let message_limit = reader.at_least(
            MAX_MESSAGE_LENGTH,
            DEFAULT_MESSAGE_LENGTH,
            LEAST_MESSAGE_LENGTH,
        );
        let hooks = HookVariables {
            before: reader.bytes(BEFORE_COMMANDS),
            after: reader.bytes(AFTER_COMMANDS),
            default_before: reader.bytes(DEFAULT_BEFORE_COMMANDS),
            default_after: reader.bytes(DEFAULT_AFTER_COMMANDS),
        };
        let line_limit = reader.at_least(
            MAX_BYTES_READ_PER_LINE,
            DEFAULT_LINE_LIMIT,
            LEAST_LINE_LIMIT,
        );
        let memory_interval = reader.at_least(
            MEMORY_USAGE_INTERVAL,
            DEFAULT_MEMORY_INTERVAL,
            LEAST_MEMORY_INTERVAL,
        );
        let sandbox = reader.path(SANDBOX).unwrap_or_else(|| PathBuf::from("."));
        Ok(Self {
            tracking: Rules {
                pattern: reader.pattern(),
                line_limit: line_limit.min(MOST_LINE_LIMIT) as usize,
                sandbox: sandbox.clone(),
            },
            memory_interval: Duration::from_secs(memory_interval.into()),
            caller: Caller {
                framework: framework.clone(),
                executor: executor.clone(),
            },
            hooks,
            log_level,
            api_port: reader.number(PORT),
            target: Target {
                address: address.clone(),
                token: reader.take_token(),
            },
            settings: Settings {
                shutdown_grace: reader.duration(SHUTDOWN_GRACE_PERIOD, DEFAULT_SHUTDOWN_GRACE),
                progress_interval: Duration::from_millis(interval.into()),
                // At least 64, and u32 fits into every usize that Linux runs on.
                message_limit: message_limit as usize,
                progress_file: reader.progress_file(&sandbox, executor),
                reset_variables: reader.reset_variables(),
                test_exit: reader.number(TEST_EXIT),
                directory,
                policy,
                uuid_seed: seed,
                environment: reader.environment,
            },
            sandbox,
            warnings: reader.warnings,
        })
    }
}

// === impl Missing ===

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "find {} in the environment", self.0.join(", "))
    }
}

impl std::error::Error for Missing {}

struct Reader {
    environment: Environment,
    warnings: Vec<String>,
}

// === impl Reader ===

/// A variable that is empty counts as not set: schedulers write empty texts for what they do not have.
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

    fn text(&mut self, name: &str) -> Option<String> {
        let value = self.raw(name)?;
        let text = value.to_str().map(str::to_owned);
        if text.is_none() {
            self.warnings
                .push(format!("ignored {name}: it is not UTF-8"));
        }
        text
    }

    fn number<T: FromStr>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        let number = text.trim().parse().ok();
        if number.is_none() {
            self.warnings
                .push(format!("ignored {name}: {text:?} is not such a number"));
        }
        number
    }

    fn at_least(&mut self, name: &str, default: u32, least: u32) -> u32 {
        let number = self.number(name).unwrap_or(default);
        if number < least {
            self.warnings
                .push(format!("took {name} for {least}, the least that it can be"));
        }
        number.max(least)
    }

    fn duration(&mut self, name: &str, default: Span) -> Span {
        let Some(text) = self.text(name) else {
            return default;
        };
        let length = parse_duration(text.trim()).map(Span::saturating);
        length.unwrap_or_else(|| {
            self.warnings.push(format!(
                "took {name} for {:?}: {text:?} is not a duration such as 5secs",
                default.get()
            ));
            default
        })
    }

    /// Python's names, in any case.
    fn log_level(&mut self) -> Level {
        let Some(text) = self.text(LOG_LEVEL) else {
            return Level::INFO;
        };
        match text.trim().to_ascii_uppercase().as_str() {
            "CRITICAL" | "FATAL" | "ERROR" => Level::ERROR,
            "WARNING" | "WARN" => Level::WARN,
            "INFO" | "NOTSET" => Level::INFO,
            "DEBUG" | "TRACE" => Level::DEBUG,
            _ => {
                let name = LOG_LEVEL;
                self.warnings
                    .push(format!("took {name} for INFO: {text:?} is not a level"));
                Level::INFO
            }
        }
    }

    /// What progress looks like. An operator who wants no tracking sets it to nothing; what cannot be
    /// understood costs the progress, never the task.
    fn pattern(&mut self) -> Option<Pattern> {
        let expression = match self.environment.get(PROGRESS_REGEX) {
            None => return Some(Pattern::usual()),
            Some(empty) if empty.is_empty() => return None,
            Some(_) => self.text(PROGRESS_REGEX)?,
        };
        let pattern = Pattern::new(&expression);
        if let Err(error) = &pattern {
            self.warnings.push(format!(
                "ignored what the task writes about its progress: {PROGRESS_REGEX} is \
                 {expression:?}, {error}"
            ));
        }
        pattern.ok()
    }

    fn progress_file(&mut self, sandbox: &Path, executor: &str) -> ProgressFile {
        let variable = match Name::new(self.bytes(PROGRESS_FILE_VARIABLE)) {
            Ok(name) => name,
            Err(Invalid::EmptyName) => own_name(PROGRESS_FILE),
            Err(error) => {
                self.warnings
                    .push(format!("ignored {PROGRESS_FILE_VARIABLE}: {error}"));
                own_name(PROGRESS_FILE)
            }
        };
        let name = self.path(DEFAULT_PROGRESS_FILE);
        let name = name.unwrap_or_else(|| PathBuf::from(format!("{executor}.progress")));
        let path = sandbox.join(name).into_os_string().into_vec();
        ProgressFile {
            variable,
            default: Value::new(path).expect("it is made of values of variables"),
        }
    }

    fn reset_variables(&mut self) -> Vec<Name> {
        let list = self.bytes(RESET_VARIABLES);
        let names = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        names.filter_map(|name| Name::new(name).ok()).collect()
    }

    /// Takes the token out of what commands inherit.
    fn take_token(&mut self) -> Option<String> {
        let token = self.text(TOKEN);
        if let Ok(name) = Name::new(TOKEN) {
            self.environment.unset(&name);
        }
        let is_printable = |token: &String| token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.as_ref().is_some_and(|token| !is_printable(token)) {
            self.warnings
                .push(format!("ignored {TOKEN}: it is not printable ASCII"));
        }
        token.filter(is_printable)
    }

    /// There is no TLS in here; an agent that insists on it will not understand us.
    fn warn_of_tls(&mut self, address: &Address) {
        for name in SSL_ENABLED {
            let is_on = matches!(self.text(name).as_deref(), Some("1" | "true"));
            if is_on && address.socket.is_none() {
                self.warnings.push(format!(
                    "{name} is set, but cook-executor does not speak TLS: run the agent with \
                     --http_executor_domain_sockets or LIBPROCESS_SSL_SUPPORT_DOWNGRADE=true"
                ));
            }
        }
    }
}

fn own_name(name: &str) -> Name {
    Name::new(name).expect("our own names are names")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: [(&str, &str); 3] = [
        (FRAMEWORK_ID, "f"),
        (EXECUTOR_ID, "e"),
        (SLAVE_PID, "slave(1)@127.0.0.1:5051"),
    ];

    fn read(more: &[(&str, &str)]) -> Config {
        let all = REQUIRED.iter().chain(more);
        let variables = all.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Config::read(variables, [1; 16]).expect("nothing is missing")
    }

    #[test]
    fn what_the_agent_must_set_is_missed_by_name() {
        let none: [(OsString, OsString); 0] = [];
        let Err(missing) = Config::read(none, [0; 16]) else {
            panic!("nothing is there");
        };
        assert_eq!(
            missing,
            Missing(vec![
                FRAMEWORK_ID,
                EXECUTOR_ID,
                "MESOS_SLAVE_PID or MESOS_AGENT_ENDPOINT"
            ])
        );
    }

    #[test]
    fn defaults_are_those_of_mesos_and_cook() {
        let config = read(&[]);
        let settings = config.settings;
        assert!(!settings.policy.checkpoint);
        assert_eq!(
            settings.policy.recovery_timeout.get(),
            Duration::from_secs(900)
        );
        assert_eq!(settings.policy.backoff_max.get(), Duration::from_secs(2));
        assert_eq!(settings.shutdown_grace.get(), Duration::from_secs(5));
        assert_eq!(settings.progress_interval, Duration::from_secs(1));
        assert_eq!(settings.message_limit, 512);
        assert_eq!(settings.reset_variables, []);
        assert_eq!(settings.test_exit, None);
        assert_eq!(config.log_level, Level::INFO);
        assert_eq!(config.tracking.line_limit, 4096);
        assert_eq!(config.memory_interval, Duration::from_secs(3600));
        let pattern = config.tracking.pattern.expect("there is a default");
        assert!(pattern.read(b"progress: 54.5, so far").is_some());
        assert_eq!(config.warnings, Vec::<String>::new());
    }

    #[test]
    fn a_pattern_that_is_empty_or_not_understood_turns_tracking_off() {
        let config = read(&[(PROGRESS_REGEX, "")]);
        assert!(config.tracking.pattern.is_none() && config.warnings.is_empty());
        let config = read(&[(PROGRESS_REGEX, "(?<=x)")]);
        assert!(config.tracking.pattern.is_none());
        assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    }

    /// Cook's own table (executor/tests/test_config.py, lines 66 to 219).
    #[test]
    fn the_progress_file_is_found_by_a_variable_that_a_variable_names() {
        let cases: [(&[(&str, &str)], &str); 8] = [
            (&[], "./e.progress"),
            (&[(SANDBOX, "/box")], "/box/e.progress"),
            (
                &[(SANDBOX, "/box"), (DEFAULT_PROGRESS_FILE, "out")],
                "/box/out",
            ),
            (&[(SANDBOX, "/box"), (PROGRESS_FILE, "")], "/box/e.progress"),
            (&[(SANDBOX, "/box"), (PROGRESS_FILE, "mine")], "mine"),
            (&[(PROGRESS_FILE, "/dev/null")], "/dev/null"),
            (
                &[(PROGRESS_FILE_VARIABLE, "MINE"), ("MINE", "mine")],
                "mine",
            ),
            (
                &[(PROGRESS_FILE_VARIABLE, "MINE"), (PROGRESS_FILE, "x")],
                "./e.progress",
            ),
        ];
        for (variables, path) in cases {
            let settings = read(variables).settings;
            let mut environment = settings.environment;
            let found = settings.progress_file.settle(&mut environment);
            assert_eq!(found, Path::new(path), "{variables:?}");
            let variable = settings.progress_file.variable;
            assert_eq!(
                environment.get(variable.as_os_str()),
                Some(OsStr::new(path))
            );
        }
    }

    #[test]
    fn variables_to_reset_are_a_list_with_commas() {
        let names = |list| read(&[(RESET_VARIABLES, list)]).settings.reset_variables;
        assert_eq!(names("A, B_C,,D"), ["A", "B_C", "D"].map(own_name));
        assert_eq!(names(" "), []);
    }

    #[test]
    fn what_is_malformed_falls_back_and_what_is_too_small_is_raised_with_a_warning() {
        let config = read(&[
            (SHUTDOWN_GRACE_PERIOD, "soon"),
            (SAMPLE_INTERVAL_MS, "5"),
            (MAX_MESSAGE_LENGTH, "many"),
            (LOG_LEVEL, "loud"),
            (PORT, "99999"),
            (MAX_BYTES_READ_PER_LINE, "1"),
            (MEMORY_USAGE_INTERVAL, "1"),
            (TEST_EXIT, "often"),
            (PROGRESS_FILE_VARIABLE, "A=B"),
        ]);
        assert_eq!(config.settings.shutdown_grace.get(), Duration::from_secs(5));
        assert_eq!(
            config.settings.progress_interval,
            Duration::from_millis(100)
        );
        assert_eq!(config.settings.message_limit, 512);
        assert_eq!(config.log_level, Level::INFO);
        assert_eq!(config.api_port, None);
        assert_eq!(config.tracking.line_limit, 128);
        assert_eq!(config.memory_interval, Duration::from_secs(30));
        assert_eq!(config.settings.test_exit, None);
        assert_eq!(config.warnings.len(), 9, "{:?}", config.warnings);
    }

    #[test]
    fn pythons_level_names_are_known_in_any_case() {
        for (text, level) in [
            ("debug", Level::DEBUG),
            ("Warning", Level::WARN),
            ("", Level::INFO),
        ] {
            assert_eq!(read(&[(LOG_LEVEL, text)]).log_level, level, "{text:?}");
        }
    }

    #[test]
    fn the_token_is_for_the_agent_and_not_for_commands() {
        let config = read(&[(TOKEN, "secret"), ("MINE", "1")]);
        assert_eq!(config.target.token.as_deref(), Some("secret"));
        assert_eq!(config.settings.environment.get(TOKEN), None);
        assert_eq!(
            config.settings.environment.get("MINE"),
            Some(OsStr::new("1"))
        );
    }
}
