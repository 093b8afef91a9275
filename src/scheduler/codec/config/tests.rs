use super::*;
use crate::core::words::Amount;
use std::time::Duration;

fn nothing(_: &str) -> Option<String> {
    None
}

fn configured(text: &str) -> (Configuration, Vec<String>) {
    match read(text.as_bytes(), &nothing) {
        Ok(found) => found,
        Err(error) => panic!("{text}: {error}"),
    }
}

fn error(text: &str) -> String {
    match read(text.as_bytes(), &nothing) {
        Ok(found) => panic!("{text} is {found:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_documents_file_is_read_as_printed() {
    let text = r#"{...
 :executor {:command "cook-executor"
            :max-message-length 512
            :log-level "INFO"
            :before-commands [{:value "echo before"}]
            :after-commands [{:value "echo after"}]
            :uris [{:value "/path/to/executor/executable"}]}
 ...}"#;
    let (configuration, remarks) = configured(text);
    let executor = configuration.executor;
    assert_eq!(executor.command, "cook-executor");
    assert_eq!(executor.max_message_length, 512);
    assert_eq!(executor.log_level, "INFO");
    assert_eq!(executor.before[0].command.as_str(), "echo before");
    assert_eq!(executor.after[0].command.as_str(), "echo after");
    assert_eq!(
        executor.uris[0].value.as_str(),
        "/path/to/executor/executable"
    );
    assert_eq!(remarks.len(), 2, "{remarks:?}");
    assert!(remarks[0].starts_with("line 1, column 2: skipped \"...\""));
    assert!(remarks[1].starts_with("line 8, column 2: "));
}

#[test]
fn an_empty_map_gives_the_defaults() {
    let (configuration, remarks) = configured("{}");
    assert_eq!(configuration, Configuration::default());
    assert_eq!(remarks, [""; 0]);
    assert_eq!(configuration.limits.max_retries.get(), 20);
    assert_eq!(configuration.executor.command, "cook-executor");
}

#[test]
fn keys_of_released_cook_keep_their_meaning() {
    let text = r#"{:port 12322 :hostname "Jobs.example.org"
      :authorization {:http-basic {:validation :config-file :valid-logins #{["bob" "secret"]}}}
      :authorization-config {:admins #{"admin"} :impersonators #{}}
      :mesos {:master "http://one:5050,two" :role "cook" :principal "p" :run-as-user "bob"
              :failover-timeout 604800 :failover-timeout-ms 1 :leader-path "/x"}
      :executor {:uri {:value "http://f/e" :executable true} :portion 1.0
                 :environment {"A" "b" :C ""} :default-progress-regex-string "x(.*)"
                 :progress-sample-interval-ms 1000 :log-level "debug"}
      :scheduler {:task-constraints {:cpus 4 :memory-gb 12 :retry-limit 15 :max-ports 3
                  :timeout-hours 0.5 :timeout-interval-minutes 1} :mea-culpa-failure-limit 2}
      :zookeeper {:local? true} :rebalancer nil :nrepl {:enabled? true}}"#;
    let (configuration, remarks) = configured(text);
    assert_eq!(configuration.port, Some(12322));
    assert_eq!(configuration.hostname.as_deref(), Some("jobs.example.org"));
    let Authorization::Basic(logins) = configuration.authorization else {
        panic!("not basic");
    };
    assert_eq!(
        (logins[0].user.as_str(), logins[0].password.as_str()),
        ("bob", "secret")
    );
    assert_eq!(configuration.admins[0].as_str(), "admin");
    let mesos = configuration.mesos.expect("there");
    assert_eq!(mesos.masters, ["one:5050", "two:5050"]);
    assert_eq!(mesos.run_as_user.as_deref(), Some("bob"));
    assert_eq!(
        mesos.failover_timeout,
        Some(std::time::Duration::from_secs(604_800))
    );
    let executor = configuration.executor;
    assert!(executor.uris[0].is_for.executable);
    assert_eq!(executor.environment[1].name().as_str(), "C");
    assert_eq!(
        executor.progress_sample_interval,
        Some(Duration::from_secs(1))
    );
    assert_eq!(executor.log_level, "DEBUG");
    let limits = configuration.limits;
    assert_eq!(limits.mem, Some(Amount::from_f64(12.0 * 1024.0)));
    assert_eq!(limits.max_runtime, Some(Duration::from_secs(1800)));
    assert_eq!(
        (limits.max_retries.get(), limits.mea_culpa_failures),
        (15, 2)
    );
    let retired = remarks
        .iter()
        .filter(|line| line.ends_with("is accepted but has no effect here"));
    assert_eq!(retired.count(), remarks.len(), "{remarks:?}");
    for key in [
        ":zookeeper",
        ":nrepl",
        ":mesos :leader-path",
        ":executor :portion",
        ":rebalancer",
    ] {
        assert!(
            remarks.iter().any(|line| line.contains(key)),
            "{key}: {remarks:?}"
        );
    }
}

#[test]
fn a_cluster_of_the_new_form_is_a_master() {
    let text = r#"{:compute-clusters [{:factory-fn x/y
       :config {:compute-cluster-name "c" :framework-id "f" :master "m:5050" :role "r"}}]}"#;
    let (configuration, _) = configured(text);
    assert_eq!(configuration.mesos.expect("there").masters, ["m:5050"]);
    assert!(
        error("{:compute-clusters [{:config {}} {:config {}}]}").contains("must have one cluster")
    );
}

#[test]
fn an_unknown_key_is_an_error_in_the_programs_own_sections_and_a_warning_elsewhere() {
    for (text, wanted) in [
        (
            "{:executor\n {:befor-commands []}}",
            "line 2, column 3: :executor :befor-commands is not a known key (did you mean :before-commands?)",
        ),
        (
            "{:executor {:before-commands [{:value \"x\" :gaurd true}]}}",
            "line 1, column 43: :executor :before-commands[0] :gaurd is not a known key (did you mean :guard?)",
        ),
        (
            "{:executor {:uris [{:value \"x\" :executabel true}]}}",
            "line 1, column 32: :executor :uris[0] :executabel is not a known key (did you mean :executable?)",
        ),
        ("{:embedded {:cpu 1}}", "(did you mean :cpus?)"),
        (
            "{:retention {:sandbox-day 1}}",
            "(did you mean :sandbox-days?)",
        ),
    ] {
        let error = error(text);
        assert!(error.contains(wanted), "{error}");
    }
    let (_, remarks) = configured("{:prot 1\n :scheduler {:task-constraints {:cpu 1}}}");
    assert_eq!(
        remarks,
        [
            "line 2, column 33: :scheduler :task-constraints :cpu is not a known key and is ignored (did you mean :cpus?)",
            "line 1, column 2: :prot is not a known key and is ignored (did you mean :port?)",
        ]
    );
}

#[test]
fn an_invalid_value_is_an_error_with_its_line() {
    for (text, wanted) in [
        (
            "[]",
            "the configuration must be a map such as {:port 12321}, found a vector",
        ),
        ("{\"port\" 1}", "write the key as a keyword: :port"),
        (
            "{:port 0}",
            ":port must be a whole number from 1 to 65535, found 0",
        ),
        ("{:port 70000}", "found 70000"),
        (
            "{\n:port \"12\"}",
            "line 2, column 7: :port must be a whole number from 1 to 65535, found a string",
        ),
        (
            "{:hostname \"a:1\"}",
            ":hostname must be a name such as jobs.example.org, without a port",
        ),
        ("{:executor []}", ":executor must be a map, found a vector"),
        (
            "{:executor {:command \" \"}}",
            ":executor :command must be text in quotes, found blank text",
        ),
        (
            "{:executor {:command cook-executor}}",
            "found the symbol cook-executor: write text in \"quotes\"",
        ),
        (
            "{:executor {:log-level \"LOUD\"}}",
            "must be one of \"DEBUG\", \"INFO\"",
        ),
        (
            "{:executor {:max-message-length -1}}",
            ":executor :max-message-length must be a whole number from 1",
        ),
        ("{:executor {:max-message-length 0}}", "found 0"),
        (
            "{:executor {:before-commands {}}}",
            "must be a vector of commands such as",
        ),
        (
            "{:executor {:before-commands [\"x\"]}}",
            ":executor :before-commands[0] must be a map, found a string",
        ),
        (
            "{:executor {:before-commands [{}]}}",
            ":executor :before-commands[0] needs :value",
        ),
        (
            "{:executor {:before-commands [{:value \"\"}]}}",
            ":value must be text in quotes, found blank text",
        ),
        (
            "{:executor {:after-commands [{:value \"x\" :guard 1}]}}",
            ":guard must be true or false, found 1",
        ),
        (
            "{:executor {:after-commands [{:value \"x\" :timeout 0}]}}",
            "must be a number of seconds above 0",
        ),
        (
            "{:executor {:uris [{:value 5}]}}",
            ":executor :uris[0] :value must be text in quotes, found 5",
        ),
        (
            "{:executor {:environment {\"A\" 1}}}",
            ":executor :environment \"A\" must be text in quotes, found a number",
        ),
        (
            "{:executor {:environment {\"A=B\" \"\"}}}",
            "is not a valid variable name: it must not contain '='",
        ),
        (
            "{:executor {:progress-sample-interval-ms 0}}",
            "must be a whole number from 1",
        ),
        (
            "{:mesos {:master \"zk://a:2181/mesos\"}}",
            ":mesos :master names ZooKeeper",
        ),
        (
            "{:mesos {:master \"a b\"}}",
            ":mesos :master must be a list of masters, each host:port",
        ),
        (
            "{:mesos {:secret \"x\"}}",
            ":mesos :secret has no effect without a :principal",
        ),
        (
            "{:mesos {:principal \"p\" :secret 5}}",
            ":mesos :secret must be text in quotes",
        ),
        (
            "{:mesos {:master \"https://a\"}}",
            ":mesos :master names https",
        ),
        (
            "{:mesos {:failover-timeout -5}}",
            "must be a number of seconds above 0",
        ),
        (
            "{:scheduler {:task-constraints {:cpus 0}}}",
            ":cpus must be a number above 0",
        ),
        (
            "{:scheduler {:task-constraints {:retry-limit 1.5}}}",
            "must be a whole number from 1",
        ),
        (
            "{:scheduler {:task-constraints 5}}",
            "must be a map, found 5",
        ),
        (
            "{:authorization {:http-basic true}}",
            ":authorization :http-basic true would accept any password",
        ),
        (
            "{:authorization {:http-basic {:validation :open}}}",
            ":open would accept any password",
        ),
        (
            "{:authorization {:http-basic {:valid-logins #{}}}}",
            "without :valid-logins would accept any password",
        ),
        (
            "{:authorization {:http-basic {:valid-logins #{[\"bob\"]}}}}",
            "must be a user and a password",
        ),
        (
            "{:authorization {:http-basic {:valid-logins #{[\"Bob\" \"x\"]}}}}",
            "must not contain 'B'",
        ),
        (
            "{:authorization {:one-user \"b\"}}",
            ":authorization :one-user must have at least two characters",
        ),
        (
            "{:authorization {:kerberos {}}}",
            "is not supported: use :one-user or :http-basic",
        ),
        (
            "{:authorization {:one-user \"bob\" :http-basic {:valid-logins #{[\"bob\" \"x\"]}}}}",
            "must have one of",
        ),
        ("{:retention {:jobs 0}}", "must be a whole number from 1"),
        (
            "{:embedded {:recovery-timeout 0}}",
            "must be a number above 0",
        ),
    ] {
        let error = error(text);
        assert!(error.contains(wanted), "{text}: {error}");
        assert!(error.starts_with("line "), "{error}");
    }
}

#[test]
fn a_password_is_never_displayed() {
    let text = r#"{:authorization {:http-basic {:valid-logins #{["bob" "hunter2"]}}}}"#;
    let (configuration, remarks) = configured(text);
    assert!(!format!("{configuration:?}{remarks:?}").contains("hunter2"));
    for text in [
        r#"{:authorization {:http-basic {:valid-logins ["bob" "hunter2"]}}}"#,
        r#"{:authorization {:http-basic {:valid-logins #{["bob" "hunter2" 1]}}}}"#,
        r#"{:authorization {:http-basic "hunter2"}}"#,
        r#"{:authorization {:http-basic {:validation "hunter2"}}}"#,
    ] {
        assert!(!error(text).contains("hunter2"), "{}", error(text));
    }
}

#[test]
fn too_long_times_are_reduced_to_the_maximum() {
    let (configuration, _) =
        configured("{:retention {:job-days 1e300} :embedded {:recovery-timeout 1e9}}");
    assert!(configuration.retention.job_age > Duration::from_secs(3_000_000_000));
    assert_eq!(
        configuration.embedded.recovery_timeout,
        Duration::from_secs(1_000_000_000)
    );
}
