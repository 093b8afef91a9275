//! How the variables of an executor become its settings.

use super::*;
use crate::core::variables::*;

const REQUIRED: [(&str, &str); 3] = [
    (FRAMEWORK_ID, "f"),
    (EXECUTOR_ID, "e"),
    (SLAVE_PID, "slave(1)@127.0.0.1:5051"),
];

const NONE: Arguments = Arguments::Command(Vec::new());

fn read(more: &[(&str, &str)]) -> Config {
    let all = REQUIRED.iter().chain(more);
    let variables = all.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::read(variables, NONE, [1; 16]).expect("nothing is missing")
}

#[test]
fn missing_required_variables_are_named() {
    let none: [(OsString, OsString); 0] = [];
    let Err(missing) = Config::read(none, NONE, [0; 16]) else {
        panic!("accepted an empty environment");
    };
    assert_eq!(
        missing,
        Missing(vec![
            "MESOS_FRAMEWORK_ID is not set".to_owned(),
            "MESOS_EXECUTOR_ID is not set".to_owned(),
            "MESOS_SLAVE_PID or MESOS_AGENT_ENDPOINT is not set".to_owned(),
        ])
    );
}

#[test]
fn invalid_required_variables_are_quoted() {
    for (name, value, problem) in [
        (FRAMEWORK_ID, &b""[..], "MESOS_FRAMEWORK_ID is empty"),
        (EXECUTOR_ID, b"\xff", "MESOS_EXECUTOR_ID is not UTF-8"),
        (SLAVE_PID, b"", "MESOS_SLAVE_PID is empty"),
        (
            SLAVE_PID,
            b"slave(1)@host:5051",
            "MESOS_SLAVE_PID is \"slave(1)@host:5051\", not an agent's address such as \
                 slave(1)@10.0.0.1:5051",
        ),
    ] {
        let value = OsStr::from_bytes(value);
        let all = REQUIRED
            .iter()
            .map(|(n, v)| (OsString::from(n), OsString::from(v)));
        let variables = all.chain([(name.into(), value.to_owned())]);
        let Err(Missing(problems)) = Config::read(variables, NONE, [0; 16]) else {
            panic!("{name}={value:?}");
        };
        assert_eq!(problems, [problem]);
    }
    let endpoint = [REQUIRED[0], REQUIRED[1], (AGENT_ENDPOINT, "agent:5051")];
    let variables = endpoint.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let Err(Missing(problems)) = Config::read(variables, NONE, [0; 16]) else {
        panic!("no address");
    };
    let wanted = "MESOS_AGENT_ENDPOINT is \"agent:5051\", not an address such as 10.0.0.1:5051";
    assert_eq!(problems, [wanted]);
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
fn an_empty_or_invalid_pattern_turns_tracking_off() {
    let config = read(&[(PROGRESS_REGEX, "")]);
    assert!(config.tracking.pattern.is_none() && config.warnings.is_empty());
    let config = read(&[(PROGRESS_REGEX, "(?<=x)")]);
    assert!(config.tracking.pattern.is_none());
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
}

/// The cases of Cook's own test (executor/tests/test_config.py, lines 66 to 219).
#[test]
fn the_variable_that_names_the_progress_file_can_be_configured() {
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
fn variables_to_reset_are_separated_by_commas() {
    let names = |list| read(&[(RESET_VARIABLES, list)]).settings.reset_variables;
    assert_eq!(names("A, B_C,,D"), ["A", "B_C", "D"].map(own_name));
    assert_eq!(names(" "), []);
}

#[test]
fn a_malformed_value_is_replaced_with_a_warning_that_says_what_would_be_right() {
    for (name, value, warning) in [
        (
            SHUTDOWN_GRACE_PERIOD,
            "soon",
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD is \"soon\", not a duration such as 5secs; using 5s",
        ),
        (
            SHUTDOWN_GRACE_PERIOD,
            "-5secs",
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD is \"-5secs\", not a duration such as 5secs; using 5s",
        ),
        (
            RECOVERY_TIMEOUT,
            "99999999999999999999weeks",
            "MESOS_RECOVERY_TIMEOUT is 99999999999999999999weeks, above the maximum of 1000000000s; \
                 using 1000000000s",
        ),
        (
            SAMPLE_INTERVAL_MS,
            "5",
            "PROGRESS_SAMPLE_INTERVAL_MS is 5, below the minimum of 100; using 100",
        ),
        (
            SAMPLE_INTERVAL_MS,
            "1e3",
            "PROGRESS_SAMPLE_INTERVAL_MS is \"1e3\", not an integer; using 1000",
        ),
        (
            MAX_MESSAGE_LENGTH,
            "99999999999999999999",
            "EXECUTOR_MAX_MESSAGE_LENGTH is 99999999999999999999, above the maximum of 262144; using 262144",
        ),
        (
            MAX_MESSAGE_LENGTH,
            "-99999999999999999999",
            "EXECUTOR_MAX_MESSAGE_LENGTH is -99999999999999999999, below the minimum of 64; using 64",
        ),
        (
            MAX_MESSAGE_LENGTH,
            "many",
            "EXECUTOR_MAX_MESSAGE_LENGTH is \"many\", not an integer; using 512",
        ),
        (
            MAX_BYTES_READ_PER_LINE,
            "1",
            "EXECUTOR_MAX_BYTES_READ_PER_LINE is 1, below the minimum of 128; using 128",
        ),
        (
            MAX_BYTES_READ_PER_LINE,
            "65537",
            "EXECUTOR_MAX_BYTES_READ_PER_LINE is 65537, above the maximum of 65536; using 65536",
        ),
        (
            MEMORY_USAGE_INTERVAL,
            "29.5",
            "EXECUTOR_MEMORY_USAGE_INTERVAL_SECS is \"29.5\", not an integer; using 3600",
        ),
        (
            LOG_LEVEL,
            "loud",
            "EXECUTOR_LOG_LEVEL is \"loud\", not DEBUG, INFO, WARNING or ERROR; using INFO",
        ),
        (
            PORT,
            "99999",
            "EXECUTOR_PORT0 is not a port from 1 to 65535; using any port",
        ),
        (
            PORT,
            "0",
            "EXECUTOR_PORT0 is not a port from 1 to 65535; using any port",
        ),
        (
            TEST_EXIT,
            "256",
            "EXECUTOR_TEST_EXIT is not an exit status from 0 to 255; ignored",
        ),
        (
            TEST_EXIT,
            "often",
            "EXECUTOR_TEST_EXIT is \"often\", not an integer; ignored",
        ),
        (
            CHECKPOINT,
            "yes",
            "MESOS_CHECKPOINT is \"yes\", not 0 or 1; using 0",
        ),
        (
            PROGRESS_FILE_VARIABLE,
            "A=B",
            "ignored EXECUTOR_PROGRESS_OUTPUT_FILE_ENV: the name of a variable must not contain '='",
        ),
        (
            PROGRESS_FILE_VARIABLE,
            "EXECUTOR_ENDPOINT",
            "ignored EXECUTOR_PROGRESS_OUTPUT_FILE_ENV: the variable that it names has another meaning",
        ),
        (
            RESET_VARIABLES,
            "A,B=C",
            "EXECUTOR_RESET_VARS: ignored entries that are not names of variables (1)",
        ),
    ] {
        assert_eq!(read(&[(name, value)]).warnings, [warning]);
    }
}

#[test]
fn a_value_out_of_range_becomes_the_nearest_valid_one() {
    let config = read(&[
        (SHUTDOWN_GRACE_PERIOD, "9999999999secs"),
        (SAMPLE_INTERVAL_MS, "0"),
        (MAX_MESSAGE_LENGTH, " 64 "),
        (MAX_BYTES_READ_PER_LINE, "4294967296"),
        (MEMORY_USAGE_INTERVAL, "1"),
    ]);
    assert_eq!(config.settings.shutdown_grace, Span::MAX);
    assert_eq!(
        config.settings.progress_interval,
        Duration::from_millis(100)
    );
    assert_eq!(config.settings.message_limit, 64);
    assert_eq!(config.tracking.line_limit, 65536);
    assert_eq!(config.memory_interval, Duration::from_secs(30));
    assert_eq!(config.warnings.len(), 4, "{:?}", config.warnings);
}

#[test]
fn level_names_of_python_are_accepted_in_any_case() {
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
