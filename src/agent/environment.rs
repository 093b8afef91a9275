//! The environment of an executor: what a Mesos agent sets, what the program adds, and nothing else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::spec::Spec;
use crate::sweep;

/// What the launch helper of a Mesos agent sets if there is no other value.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The longest wait of an executor before it tries to subscribe again. Mesos uses two seconds. Over a
/// domain socket an attempt costs next to nothing, and a job that ends while the agent restarts waits less.
const SUBSCRIPTION_BACKOFF: Duration = Duration::from_secs(1);

/// The variables of an executor. A variable that the agent sets overrides the program's.
pub fn variables(
    spec: &Spec,
    framework_id: &str,
    agent_id: &str,
    socket: &Path,
) -> BTreeMap<OsString, OsString> {
    let mut variables = BTreeMap::new();
    variables.insert("PATH".into(), PATH.into());
    variables.extend(spec.environment.iter().cloned());
    let mut set = |name: &str, value: OsString| variables.insert(name.into(), value);
    set("MESOS_FRAMEWORK_ID", framework_id.into());
    set("MESOS_EXECUTOR_ID", spec.executor_id.as_str().into());
    set("MESOS_SLAVE_ID", agent_id.into());
    // Only the domain socket is served. This address cannot be mistaken for a real one.
    set("MESOS_SLAVE_PID", "slave(1)@0.0.0.0:0".into());
    set("MESOS_AGENT_ENDPOINT", "0.0.0.0:0".into());
    set("MESOS_DOMAIN_SOCKET", socket.into());
    set("MESOS_DIRECTORY", spec.sandbox.clone().into());
    set("MESOS_SANDBOX", spec.sandbox.clone().into());
    set(sweep::VARIABLE, spec.container.to_string().into());
    set(
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
        duration(spec.shutdown_grace).into(),
    );
    set("MESOS_HTTP_COMMAND_EXECUTOR", "0".into());
    match spec.recovery_timeout {
        Some(timeout) => {
            set("MESOS_CHECKPOINT", "1".into());
            set("MESOS_RECOVERY_TIMEOUT", duration(timeout).into());
            set(
                "MESOS_SUBSCRIPTION_BACKOFF_MAX",
                duration(SUBSCRIPTION_BACKOFF).into(),
            );
        }
        None => {
            set("MESOS_CHECKPOINT", "0".into());
        }
    }
    variables
}

/// A duration in the notation of Mesos.
fn duration(it: Duration) -> String {
    format!("{}ms", it.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{ContainerId, Program};
    use cook_mesos::messages::TaskInfo;

    #[test]
    fn the_program_can_add_variables_but_not_override_the_agents() {
        let spec = Spec {
            executor_id: "e".to_owned(),
            container: ContainerId([1; 16]),
            task: TaskInfo::default(),
            program: Program::Direct(vec!["x".into()]),
            executor_data: None,
            environment: vec![
                ("PATH".into(), "/bin".into()),
                ("MESOS_EXECUTOR_ID".into(), "forged".into()),
            ],
            files: Vec::new(),
            sandbox: "/sandbox".into(),
            shutdown_grace: Duration::from_secs(5),
            memory: None,
            cpu: None,
            tag: Vec::new(),
            recovery_timeout: Some(Duration::from_secs(60)),
        };
        let variables = variables(&spec, "f", "a", Path::new("/s.sock"));
        let value = |name: &str| variables.get(OsString::from(name).as_os_str()).cloned();
        assert_eq!(value("PATH"), Some("/bin".into()));
        assert_eq!(value("MESOS_EXECUTOR_ID"), Some("e".into()));
        assert_eq!(value("MESOS_RECOVERY_TIMEOUT"), Some("60000ms".into()));
        assert_eq!(value("HOME"), None);
    }
}
