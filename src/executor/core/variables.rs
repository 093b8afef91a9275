//! Every environment variable that has a meaning here: its name, its class, and who reads it. No other
//! place spells one out.

use std::ffi::{OsStr, OsString};

/// A variable with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Whose it is.
    pub class: Class,
    /// Who reads it.
    pub reader: Reader,
}

/// Whose a variable is, and what follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The executor sets it for commands: a value from outside is overridden, and a PATCH cannot change it.
    ForCommands,
    /// Operator or job set it, the executor reads it once at its start and passes it on: a PATCH would
    /// change nothing, and is refused.
    Setting,
    /// Hooks, read before the task's first command and not passed on: a job that submits jobs must not hand
    /// them on.
    Hooks,
    /// The agent sets it; it is passed on as it is.
    Agents,
    /// As [`Class::Agents`], but never passed on.
    Secret,
    /// Holds the path of the progress file, unless another variable is named for it. Read at the LAUNCH and
    /// obeyed; then as [`Class::ForCommands`] under the name that is in effect.
    ProgressFile,
    /// Says which proxy HTTP clients take; passed on.
    Proxy,
    /// Says whom HTTP clients ask without a proxy: where there is a proxy, the task API is added for commands.
    NoProxy,
}

/// Who reads a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The executor at its start, in `shell/config.rs`.
    AtStart,
    /// The executor at its start, and of the task's own environment at the LAUNCH.
    AtLaunch,
    /// The executor at the start of each command.
    AtEachStart,
    /// The commands only.
    Commands,
    /// Commands, and this program as one of them: a client of the task API, or an executor started by
    /// mistake.
    Client,
}

macro_rules! variables {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $class:ident, $reader:ident;)*) => {
        $($(#[$doc])* pub const $constant: &str = $name;)*

        /// All of them.
        pub const TABLE: &[Variable] = &[
            $(Variable { name: $name, class: Class::$class, reader: Reader::$reader },)*
        ];
    };
}

variables! {
    /// Where the task API is.
    ENDPOINT = "EXECUTOR_ENDPOINT", ForCommands, Client;
    /// A file that is this program.
    BIN = "EXECUTOR_BIN", ForCommands, Commands;
    /// The command's part in the task: `before`, `command` or `after`.
    PHASE = "EXECUTOR_PHASE", ForCommands, Commands;
    /// The state that the task is heading for; only in after commands.
    TASK_STATE = "EXECUTOR_TASK_STATE", ForCommands, Commands;
    /// The exit code of the command; unset if there is none.
    EXIT_CODE = "EXECUTOR_EXIT_CODE", ForCommands, Commands;
    /// Whose command it is: `<framework id>/<executor id>`.
    OF = "EXECUTOR_OF", ForCommands, Client;
    /// The role that the task's resources belong to.
    ALLOCATION_ROLE = "MESOS_ALLOCATION_ROLE", ForCommands, Commands;

    /// From which level on the log is written.
    LOG_LEVEL = "EXECUTOR_LOG_LEVEL", Setting, AtStart;
    /// The longest message of a task in characters.
    MAX_MESSAGE_LENGTH = "EXECUTOR_MAX_MESSAGE_LENGTH", Setting, AtStart;
    /// The least time between two progress messages.
    SAMPLE_INTERVAL_MS = "PROGRESS_SAMPLE_INTERVAL_MS", Setting, AtStart;
    /// How much of a line is read in search of progress.
    MAX_BYTES_READ_PER_LINE = "EXECUTOR_MAX_BYTES_READ_PER_LINE", Setting, AtStart;
    /// The time between two lines about our own memory in the log.
    MEMORY_USAGE_INTERVAL = "EXECUTOR_MEMORY_USAGE_INTERVAL_SECS", Setting, AtStart;
    /// What progress looks like in a task's output.
    PROGRESS_REGEX = "PROGRESS_REGEX_STRING", Setting, AtStart;
    /// The name of the variable that holds the progress file, [`PROGRESS_FILE`] if it is not set. Under that
    /// name it is set for commands too: see [`crate::core::progress::ProgressFile`].
    PROGRESS_FILE_VARIABLE = "EXECUTOR_PROGRESS_OUTPUT_FILE_ENV", Setting, AtStart;
    /// The name of the progress file if its variable holds none.
    DEFAULT_PROGRESS_FILE = "EXECUTOR_DEFAULT_PROGRESS_OUTPUT_NAME", Setting, AtStart;
    /// Variables that are taken back to what the framework has set.
    RESET_VARIABLES = "EXECUTOR_RESET_VARS", Setting, AtStart;
    /// Exit with this status, for tests of schedulers.
    TEST_EXIT = "EXECUTOR_TEST_EXIT", Setting, AtStart;
    /// The preferred port of the task API.
    PORT = "EXECUTOR_PORT0", Setting, AtStart;

    /// The progress file.
    PROGRESS_FILE = "EXECUTOR_PROGRESS_OUTPUT_FILE", ProgressFile, AtLaunch;

    /// The job's hooks before its command.
    BEFORE_COMMANDS = "EXECUTOR_BEFORE_COMMANDS", Hooks, AtLaunch;
    /// The job's hooks after its command.
    AFTER_COMMANDS = "EXECUTOR_AFTER_COMMANDS", Hooks, AtLaunch;
    /// The operator's hooks before those.
    DEFAULT_BEFORE_COMMANDS = "EXECUTOR_DEFAULT_BEFORE_COMMANDS", Hooks, AtStart;
    /// The operator's hooks after those.
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
    /// The sandbox, as the host sees it.
    DIRECTORY = "MESOS_DIRECTORY", Agents, AtStart;
    /// The sandbox, as the executor sees it.
    SANDBOX = "MESOS_SANDBOX", Agents, AtStart;
    /// Whether a restarted agent will know the executor.
    CHECKPOINT = "MESOS_CHECKPOINT", Agents, AtStart;
    /// How long a task may run without an agent.
    RECOVERY_TIMEOUT = "MESOS_RECOVERY_TIMEOUT", Agents, AtStart;
    /// The longest pause between two tries to subscribe.
    SUBSCRIPTION_BACKOFF_MAX = "MESOS_SUBSCRIPTION_BACKOFF_MAX", Agents, AtStart;
    /// How long a shutdown may take.
    SHUTDOWN_GRACE_PERIOD = "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", Agents, AtStart;
    /// Whether the agent speaks TLS.
    SSL_ENABLED = "LIBPROCESS_SSL_ENABLED", Agents, AtStart;
    /// The old name of that.
    OLD_SSL_ENABLED = "SSL_ENABLED", Agents, AtStart;
    /// Proves to the agent that we are its executor.
    TOKEN = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN", Secret, AtStart;

    /// The proxy for `http:`; curl reads only this spelling, since a CGI server sets the other one.
    HTTP_PROXY = "http_proxy", Proxy, AtEachStart;
    /// The same for other clients.
    UPPER_HTTP_PROXY = "HTTP_PROXY", Proxy, AtEachStart;
    /// The proxy for `https:`.
    HTTPS_PROXY = "https_proxy", Proxy, AtEachStart;
    /// The same in capitals.
    UPPER_HTTPS_PROXY = "HTTPS_PROXY", Proxy, AtEachStart;
    /// The proxy for everything.
    ALL_PROXY = "all_proxy", Proxy, AtEachStart;
    /// The same in capitals.
    UPPER_ALL_PROXY = "ALL_PROXY", Proxy, AtEachStart;
    /// Whom clients ask without a proxy.
    NO_PROXY = "no_proxy", NoProxy, AtEachStart;
    /// The same in capitals.
    UPPER_NO_PROXY = "NO_PROXY", NoProxy, AtEachStart;
}

/// The class of a variable, if it has a meaning here.
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
    fn each_variable_stands_in_the_table_once() {
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
