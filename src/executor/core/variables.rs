//! Every environment variable that has a meaning for the executor: its name, its class, and who reads it.
//! The names are spelled out nowhere else.

use std::ffi::{OsStr, OsString};

/// A variable with a meaning for the executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its class.
    pub class: Class,
    /// Who reads it.
    pub reader: Reader,
}

/// Who sets a variable, and what follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The executor sets it for commands. A value from outside is overridden, and a PATCH cannot change it.
    ForCommands,
    /// Set by the operator or the job. The executor reads it once at start and passes it on. A PATCH would
    /// have no effect, and is refused.
    Setting,
    /// Hooks. Read before the first command and not passed on, because a job that submits jobs must not
    /// pass on its own hooks.
    Hooks,
    /// Set by the agent, and passed on unchanged.
    Agents,
    /// Like [`Class::Agents`], but never passed on.
    Secret,
    /// Contains the path of the progress file, unless the operator names another variable for that. Read at
    /// LAUNCH; then the variable that is in effect is treated like [`Class::ForCommands`].
    ProgressFile,
    /// Names the proxy of HTTP clients; passed on.
    Proxy,
    /// Lists the hosts for which HTTP clients bypass the proxy. If a proxy is set, the task API is added
    /// for commands.
    NoProxy,
}

/// Who reads a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The executor at its start, in `shell/config.rs`.
    AtStart,
    /// The executor at its start, and at LAUNCH from the task's own environment.
    AtLaunch,
    /// The executor at the start of each command.
    AtEachStart,
    /// The commands only.
    Commands,
    /// Commands, and this program as one of them: as a client of the task API, or as an executor that was
    /// started inside a task by mistake.
    Client,
}

macro_rules! variables {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $class:ident, $reader:ident;)*) => {
        $($(#[$doc])* pub const $constant: &str = $name;)*

        /// All variables.
        pub const TABLE: &[Variable] = &[
            $(Variable { name: $name, class: Class::$class, reader: Reader::$reader },)*
        ];
    };
}

variables! {
    /// The address of the task API.
    ENDPOINT = "EXECUTOR_ENDPOINT", ForCommands, Client;
    /// The path of this program.
    BIN = "EXECUTOR_BIN", ForCommands, Commands;
    /// The command's part in the task: `before`, `command`, `after`, `check` or `health_check`.
    PHASE = "EXECUTOR_PHASE", ForCommands, Commands;
    /// The state that the task will end in; only in after commands.
    TASK_STATE = "EXECUTOR_TASK_STATE", ForCommands, Commands;
    /// The exit code of the command; unset if there is none.
    EXIT_CODE = "EXECUTOR_EXIT_CODE", ForCommands, Commands;
    /// The executor that runs the command: `<framework id>/<executor id>`.
    OF = "EXECUTOR_OF", ForCommands, Client;
    /// The role of the task's resources.
    ALLOCATION_ROLE = "MESOS_ALLOCATION_ROLE", ForCommands, Commands;

    /// Messages below this level are not logged.
    LOG_LEVEL = "EXECUTOR_LOG_LEVEL", Setting, AtStart;
    /// Maximum length of a task's message in characters.
    MAX_MESSAGE_LENGTH = "EXECUTOR_MAX_MESSAGE_LENGTH", Setting, AtStart;
    /// The minimum time between two progress messages.
    SAMPLE_INTERVAL_MS = "PROGRESS_SAMPLE_INTERVAL_MS", Setting, AtStart;
    /// Matches of up to this many bytes are found, in a line of any length.
    MAX_BYTES_READ_PER_LINE = "EXECUTOR_MAX_BYTES_READ_PER_LINE", Setting, AtStart;
    /// The time between two lines in the log about the executor's own memory.
    MEMORY_USAGE_INTERVAL = "EXECUTOR_MEMORY_USAGE_INTERVAL_SECS", Setting, AtStart;
    /// The pattern of progress in a task's output.
    PROGRESS_REGEX = "PROGRESS_REGEX_STRING", Setting, AtStart;
    /// The name of the variable with the path of the progress file; [`PROGRESS_FILE`] if it is not set.
    /// Commands get the path in the same variable: see [`crate::core::progress::ProgressFile`].
    PROGRESS_FILE_VARIABLE = "EXECUTOR_PROGRESS_OUTPUT_FILE_ENV", Setting, AtStart;
    /// The path of the progress file if its variable is unset or empty.
    DEFAULT_PROGRESS_FILE = "EXECUTOR_DEFAULT_PROGRESS_OUTPUT_NAME", Setting, AtStart;
    /// Variables that are restored to the values that the framework has set.
    RESET_VARIABLES = "EXECUTOR_RESET_VARS", Setting, AtStart;
    /// Exit with this status, to test schedulers.
    TEST_EXIT = "EXECUTOR_TEST_EXIT", Setting, AtStart;
    /// The preferred port of the task API.
    PORT = "EXECUTOR_PORT0", Setting, AtStart;

    /// The path of the progress file.
    PROGRESS_FILE = "EXECUTOR_PROGRESS_OUTPUT_FILE", ProgressFile, AtLaunch;

    /// The job's before commands.
    BEFORE_COMMANDS = "EXECUTOR_BEFORE_COMMANDS", Hooks, AtLaunch;
    /// The job's after commands.
    AFTER_COMMANDS = "EXECUTOR_AFTER_COMMANDS", Hooks, AtLaunch;
    /// The operator's before commands.
    DEFAULT_BEFORE_COMMANDS = "EXECUTOR_DEFAULT_BEFORE_COMMANDS", Hooks, AtStart;
    /// The operator's after commands.
    DEFAULT_AFTER_COMMANDS = "EXECUTOR_DEFAULT_AFTER_COMMANDS", Hooks, AtStart;

    /// The framework's id.
    FRAMEWORK_ID = "MESOS_FRAMEWORK_ID", Agents, AtStart;
    /// The executor's id.
    EXECUTOR_ID = "MESOS_EXECUTOR_ID", Agents, AtStart;
    /// The agent's libprocess id.
    SLAVE_PID = "MESOS_SLAVE_PID", Agents, AtStart;
    /// The agent's address.
    AGENT_ENDPOINT = "MESOS_AGENT_ENDPOINT", Agents, AtStart;
    /// The agent's domain socket.
    DOMAIN_SOCKET = "MESOS_DOMAIN_SOCKET", Agents, AtStart;
    /// The path of the sandbox on the host.
    DIRECTORY = "MESOS_DIRECTORY", Agents, AtStart;
    /// The path of the sandbox for the executor.
    SANDBOX = "MESOS_SANDBOX", Agents, AtStart;
    /// Whether a restarted agent knows the executor.
    CHECKPOINT = "MESOS_CHECKPOINT", Agents, AtStart;
    /// How long a task may run without an agent.
    RECOVERY_TIMEOUT = "MESOS_RECOVERY_TIMEOUT", Agents, AtStart;
    /// Maximum wait between two attempts to subscribe.
    SUBSCRIPTION_BACKOFF_MAX = "MESOS_SUBSCRIPTION_BACKOFF_MAX", Agents, AtStart;
    /// The grace period of a shutdown.
    SHUTDOWN_GRACE_PERIOD = "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", Agents, AtStart;
    /// Whether the agent uses TLS.
    SSL_ENABLED = "LIBPROCESS_SSL_ENABLED", Agents, AtStart;
    /// The old name of `LIBPROCESS_SSL_ENABLED`.
    OLD_SSL_ENABLED = "SSL_ENABLED", Agents, AtStart;
    /// Authenticates the executor to the agent.
    TOKEN = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN", Secret, AtStart;

    /// The proxy for `http:`. curl reads only this spelling, because CGI servers set the other one.
    HTTP_PROXY = "http_proxy", Proxy, AtEachStart;
    /// The same for other clients.
    UPPER_HTTP_PROXY = "HTTP_PROXY", Proxy, AtEachStart;
    /// The proxy for `https:`.
    HTTPS_PROXY = "https_proxy", Proxy, AtEachStart;
    /// The same in upper case.
    UPPER_HTTPS_PROXY = "HTTPS_PROXY", Proxy, AtEachStart;
    /// The proxy for everything.
    ALL_PROXY = "all_proxy", Proxy, AtEachStart;
    /// The same in upper case.
    UPPER_ALL_PROXY = "ALL_PROXY", Proxy, AtEachStart;
    /// The hosts for which clients bypass the proxy.
    NO_PROXY = "no_proxy", NoProxy, AtEachStart;
    /// The same in upper case.
    UPPER_NO_PROXY = "NO_PROXY", NoProxy, AtEachStart;
}

/// The class of a variable, if it has a meaning for the executor.
pub fn class_of(name: &OsStr) -> Option<Class> {
    let known = TABLE.iter().find(|variable| name == variable.name);
    known.map(|variable| variable.class)
}

/// The names of a class, in the order of the table.
pub fn names(class: Class) -> impl Iterator<Item = &'static str> {
    let members = TABLE.iter().filter(move |variable| variable.class == class);
    members.map(|variable| variable.name)
}

/// The value of [`OF`] for the commands of an executor.
pub fn of(framework: &OsStr, executor: &OsStr) -> OsString {
    let mut value = framework.to_owned();
    value.push("/");
    value.push(executor);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variable_is_in_the_table_once() {
        for (index, variable) in TABLE.iter().enumerate() {
            let others = TABLE.iter().skip(index + 1);
            assert!(others.into_iter().all(|other| other.name != variable.name));
            assert_eq!(class_of(variable.name.as_ref()), Some(variable.class));
        }
        assert_eq!(class_of("PATH".as_ref()), None);
        assert_eq!(
            names(Class::NoProxy).collect::<Vec<_>>(),
            ["no_proxy", "NO_PROXY"]
        );
    }
}
