//! Derives the settings of all parts from the command line, the configuration and this machine.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::machine::Machine;
use super::options::Options;
use crate::api::browser::Names;
use crate::api::{Access, Api, BackendFigures, Fetching, RunsAs};
use crate::backend::{embedded, mesos};
use crate::codec::config::{Authorization, Configuration};
use crate::codec::job::{Cluster, JobLimits};
use crate::core::job::Runtime;
use crate::core::settings::Settings;
use crate::core::words::{Amount, Demand, UserName, Wall};

/// The default port of the API, the same as Cook's.
const DEFAULT_PORT: u16 = 12321;

/// The default limit of a job's cpus on Mesos, as in Cook.
const COOK_CPUS: f64 = 4.0;
/// The default limit of a job's memory on Mesos in MB, as in Cook.
const COOK_MEM: f64 = 12.0 * 1024.0;

/// The default name of the framework, shown by masters.
const FRAMEWORK_NAME: &str = "cook-scheduler";

/// The role of resources without a reservation.
const DEFAULT_ROLE: &str = "*";

/// How long a master keeps the tasks of a stopped scheduler by default: a week, as long as embedded executors
/// wait.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The settings of all parts of the program.
#[derive(Debug)]
pub struct Setup {
    /// Where to serve.
    pub listen: SocketAddr,
    /// The absolute path of the data folder.
    pub data: PathBuf,
    /// The settings of the API.
    pub api: Api,
    /// The settings of the core.
    pub core: Settings,
    /// Where jobs run, and the settings of that backend.
    pub runs_on: RunsOn,
    /// Lines to log for the operator.
    pub remarks: Vec<String>,
}

/// Where jobs run.
#[derive(Clone, Debug)]
pub enum RunsOn {
    /// This machine.
    Here(Box<embedded::Settings>),
    /// A Mesos cluster.
    Mesos(Box<mesos::Settings>),
}

impl Setup {
    /// Combines the command line, the configuration and the facts about this machine.
    ///
    /// # Errors
    ///
    /// What is wrong and what would be right, as a text for the operator.
    pub fn new(
        options: Options,
        configuration: Configuration,
        machine: &Machine,
        started: Wall,
        id_seed: [u8; 16],
    ) -> Result<Self, String> {
        let mut remarks = Vec::new();
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let port = configuration.port.unwrap_or(DEFAULT_PORT);
        let listen = options.listen.unwrap_or((loopback, port).into());
        let access = access(&configuration.authorization, machine, &mut remarks);
        if let (false, Access::Local(_)) = (listen.ip().is_loopback(), &access) {
            return Err(format!(
                "{listen} can be reached from other machines, and everyone who can submit a job can run commands: \
                 list the allowed users as :authorization {{:http-basic {{:validation :config-file :valid-logins \
                 #{{[\"user\" \"password\"]}}}}}} in the configuration, or listen at 127.0.0.1"
            ));
        }
        let data = match options.data {
            Some(data) => data,
            None => machine.state_folder().ok_or(
                "there is no data folder: neither XDG_STATE_HOME nor HOME is set; set one with --data",
            )?,
        };
        let data = machine.absolute(data);
        let executor_file = options.executor.map(|file| machine.absolute(file));
        let runs_on = match masters(&options.masters, &configuration)? {
            Some(masters) => {
                // Any 64 of the random bits will do.
                let seed = u128::from_be_bytes(id_seed) as u64;
                let port = listen.port();
                let mesos = on_mesos(masters, executor_file, &configuration, machine, port, seed);
                RunsOn::Mesos(Box::new(mesos))
            }
            None => {
                let here = on_this_machine(executor_file, &data, &configuration, machine);
                RunsOn::Here(Box::new(here))
            }
        };
        let runs_as = match &runs_on {
            RunsOn::Mesos(there) if there.run_as_user.is_none() => RunsAs::Owner,
            RunsOn::Mesos(_) | RunsOn::Here(_) => RunsAs::Configured,
        };
        if let (RunsAs::Owner, Access::Local(user)) = (runs_as, &access)
            && user.as_str() == "root"
        {
            return Err(
                "all jobs would run as root: set their user, which may be root, as :mesos {:run-as-user \"name\"} in \
                 the configuration"
                    .to_owned(),
            );
        }
        let (core, cluster, resources) = match &runs_on {
            RunsOn::Here(here) => (Settings::embedded(id_seed), Cluster::Local, here.resources),
            RunsOn::Mesos(_) => {
                let cook = Demand {
                    cpus: Amount::from_f64(COOK_CPUS),
                    mem: Amount::from_f64(COOK_MEM),
                    ports: 0,
                };
                (Settings::mesos(id_seed), Cluster::Mesos, cook)
            }
        };
        if let (Cluster::Local, Access::Logins(_)) = (cluster, &access) {
            remarks.push(
                "logins identify users but do not isolate them: all jobs run as this program's own user"
                    .to_owned(),
            );
        }
        let limits = &configuration.limits;
        let retention = &configuration.retention;
        let milliseconds = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let max_runtime = limits.max_runtime.map(milliseconds);
        let api = Api {
            names: Names {
                listen: listen.ip(),
                hostname: configuration.hostname.clone(),
            },
            access,
            admins: configuration.admins.clone(),
            limits: JobLimits {
                cpus: limits.cpus.unwrap_or(resources.cpus),
                mem: limits.mem.unwrap_or(resources.mem),
                max_retries: limits.max_retries,
                max_ports: limits.max_ports,
                command_length: limits.command_length,
                cluster,
            },
            max_runtime,
            fetching: Fetching::unchecked(),
            free_failures: limits.mea_culpa_failures,
            sandboxes: (cluster == Cluster::Local).then(|| data.join("sandboxes")),
            cluster: match cluster {
                Cluster::Local => "local".to_owned(),
                Cluster::Mesos => "mesos".to_owned(),
            },
            runs_as,
            backend_figures: BackendFigures::none(),
            started,
        };
        let unreachable = configuration
            .mesos
            .as_ref()
            .and_then(|mesos| mesos.unreachable_timeout);
        let core = Settings {
            unreachable_timeout: unreachable.unwrap_or(core.unreachable_timeout),
            free_failures: limits.mea_culpa_failures,
            max_runtime: max_runtime.and_then(Runtime::from_millis),
            keep_for: retention.job_age,
            keep_count: retention.jobs,
            ..core
        };
        Ok(Self {
            listen,
            data,
            api,
            core,
            runs_on,
            remarks,
        })
    }
}

fn access(authorization: &Authorization, machine: &Machine, remarks: &mut Vec<String>) -> Access {
    match authorization {
        Authorization::Basic(logins) => Access::Logins(logins.clone()),
        Authorization::OneUser(user) => Access::Local(user.clone()),
        Authorization::OwnUser => Access::Local(match UserName::new(machine.user.as_str()) {
            Ok(user) => user,
            Err(error) => {
                // A valid name.
                let user = UserName::new("me");
                let user = user.expect("two small letters are the name of a user");
                remarks.push(format!(
                    "jobs belong to the user {user}, because the name {:?} {error}; set another name as :authorization {{:one-user \"name\"}}",
                    machine.user
                ));
                user
            }
        }),
    }
}

/// The masters of the command line, or else of the configuration. `None` if there are none.
fn masters(
    of_options: &[String],
    configuration: &Configuration,
) -> Result<Option<mesos::Masters>, String> {
    let configured = configuration.mesos.as_ref();
    let masters = match of_options {
        [] => configured.map_or(&[][..], |mesos| &mesos.masters),
        given => given,
    };
    let addresses = masters.iter().map(|master| {
        mesos::Address::parse(master)
            .ok_or_else(|| format!("{master} is not the host:port of a Mesos master"))
    });
    Ok(mesos::Masters::new(addresses.collect::<Result<_, _>>()?))
}

fn on_mesos(
    masters: mesos::Masters,
    executor_file: Option<PathBuf>,
    configuration: &Configuration,
    machine: &Machine,
    port: u16,
    seed: u64,
) -> mesos::Settings {
    let configured = configuration.mesos.clone().unwrap_or_default();
    let hostname = configuration.hostname.as_ref();
    mesos::Settings {
        masters,
        login: match (&configured.principal, configured.secret) {
            (Some(principal), Some(secret)) => Some(mesos::Login::new(principal, &secret.0)),
            (Some(_), None) | (None, _) => None,
        },
        principal: configured.principal,
        name: configured
            .framework_name
            .unwrap_or_else(|| FRAMEWORK_NAME.to_owned()),
        role: configured.role.unwrap_or_else(|| DEFAULT_ROLE.to_owned()),
        failover_timeout: configured.failover_timeout.unwrap_or(FAILOVER_TIMEOUT),
        user: configured
            .run_as_user
            .clone()
            .unwrap_or_else(|| framework_user(machine)),
        run_as_user: configured.run_as_user,
        hostname: machine.hostname.clone(),
        web_page: hostname.map(|name| format!("http://{name}:{port}")),
        executor: configuration.executor.clone(),
        executor_file,
        max_runtime: configuration.limits.max_runtime,
        seed,
    }
}

fn on_this_machine(
    executor_file: Option<PathBuf>,
    data: &Path,
    configuration: &Configuration,
    machine: &Machine,
) -> embedded::Settings {
    let here = &configuration.embedded;
    embedded::Settings {
        data: data.to_owned(),
        resources: Demand {
            cpus: here.cpus.unwrap_or(machine.cpus),
            mem: here.mem.unwrap_or(machine.mem),
            ports: 0,
        },
        recovery_timeout: here.recovery_timeout,
        max_runtime: configuration.limits.max_runtime,
        executor: configuration.executor.clone(),
        executor_file,
        keep: embedded::SandboxLimits {
            age: configuration.retention.sandbox_age,
            bytes: configuration.retention.sandbox_bytes,
        },
    }
}

/// The framework's own user. It does not matter, because each task names its user, but a master may refuse
/// frameworks of root.
fn framework_user(machine: &Machine) -> String {
    match machine.user.as_str() {
        "root" => "nobody".to_owned(),
        user => user.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::config;

    fn machine() -> Machine {
        Machine {
            user: "bob".to_owned(),
            hostname: "here".to_owned(),
            cpus: Amount::from_f64(2.0),
            mem: Amount::from_f64(4096.0),
            here: PathBuf::from("/here"),
            home: Some(PathBuf::from("/home/bob")),
            state_home: None,
        }
    }

    fn setup(options: Options, file: &str) -> Result<Setup, String> {
        let (configuration, _) = config::read(file.as_bytes(), &|_| None).expect("valid");
        Setup::new(options, configuration, &machine(), Wall(0), [1; 16])
    }

    #[test]
    fn by_default_it_serves_its_own_user_on_loopback() {
        let setup = setup(Options::default(), "{}").expect("good");
        assert_eq!(setup.listen.to_string(), "127.0.0.1:12321");
        assert_eq!(
            setup.data,
            PathBuf::from("/home/bob/.local/state/cook-scheduler")
        );
        assert!(matches!(&setup.api.access, Access::Local(user) if user.as_str() == "bob"));
        assert_eq!(setup.api.limits.cpus, Amount::from_f64(2.0));
        assert_eq!(setup.remarks, [""; 0]);
    }

    #[test]
    fn options_override_the_configuration() {
        let options = Options {
            listen: Some(([127, 0, 0, 1], 1).into()),
            data: Some("d".into()),
            masters: vec!["b:5050".to_owned()],
            ..Options::default()
        };
        let setup =
            setup(options, "{:port 2 :mesos {:master \"a:5050\" :role \"r\"}}").expect("good");
        assert_eq!(setup.listen.port(), 1);
        assert_eq!(setup.data, PathBuf::from("/here/d"));
        let RunsOn::Mesos(mesos) = setup.runs_on else {
            panic!("not Mesos");
        };
        assert_eq!(mesos.masters.clone().next_master().to_string(), "b:5050");
        assert_eq!(mesos.role, "r");
    }

    #[test]
    fn on_mesos_jobs_run_as_root_only_if_it_is_configured() {
        let setup_of = |user: &str, file: &str| {
            let machine = Machine {
                user: user.to_owned(),
                ..machine()
            };
            let (configuration, _) = config::read(file.as_bytes(), &|_| None).expect("valid");
            Setup::new(
                Options::default(),
                configuration,
                &machine,
                Wall(0),
                [1; 16],
            )
        };
        let error = setup_of("root", r#"{:mesos {:master "a"}}"#).expect_err("refused");
        assert!(error.contains(":run-as-user"), "{error}");
        let file = r#"{:mesos {:master "a" :run-as-user "root"}}"#;
        let setup = setup_of("root", file).expect("good");
        assert_eq!(setup.api.runs_as, RunsAs::Configured);
        let setup = setup_of("bob", r#"{:mesos {:master "a"}}"#).expect("good");
        assert_eq!(setup.api.runs_as, RunsAs::Owner);
        let setup = setup_of("root", "{}").expect("on this machine, jobs run as its own user");
        assert_eq!(setup.api.runs_as, RunsAs::Configured);
    }

    #[test]
    fn an_address_other_than_loopback_needs_logins() {
        let options = || Options {
            listen: Some(([0, 0, 0, 0], 12321).into()),
            ..Options::default()
        };
        let error = setup(options(), "{}").expect_err("refused");
        assert!(
            error.contains("0.0.0.0:12321 can be reached from other machines"),
            "{error}"
        );
        assert!(error.contains(":valid-logins"), "{error}");
        let file = r#"{:authorization {:http-basic {:valid-logins #{["bob" "x"]}}}}"#;
        let setup = setup(options(), file).expect("good");
        assert!(
            setup.remarks[0].contains("do not isolate"),
            "{:?}",
            setup.remarks
        );
    }

    #[test]
    fn a_user_with_an_invalid_name_is_renamed() {
        let machine = Machine {
            user: "Bob Smith".to_owned(),
            ..machine()
        };
        let setup = Setup::new(
            Options::default(),
            Configuration::default(),
            &machine,
            Wall(0),
            [1; 16],
        );
        let setup = setup.expect("good");
        assert!(matches!(&setup.api.access, Access::Local(user) if user.as_str() == "me"));
        assert_eq!(setup.remarks.len(), 1);
    }
}
