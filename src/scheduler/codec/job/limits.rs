//! The operator's limits of a job.

use super::spec::too_many_retries;
use crate::codec::fault::Fault;
use crate::core::job::{JobSpec, Retries};
use crate::core::words::Amount;

/// The maximum that a job may ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct JobLimits {
    /// Cpus.
    pub cpus: Amount,
    /// Memory in MB.
    pub mem: Amount,
    /// Attempts.
    pub max_retries: Retries,
    /// Ports.
    pub max_ports: u32,
    /// Characters of a command.
    pub command_length: Option<usize>,
    /// Where the jobs run.
    pub cluster: Cluster,
}

/// Where the jobs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cluster {
    /// On this machine, which has no attributes except its name.
    Local,
    /// On the agents of a Mesos cluster.
    Mesos,
}

impl JobLimits {
    pub(super) fn check(&self, spec: &JobSpec) -> Result<(), Fault> {
        let refuse = |text: String| Err(Fault::Rule(text));
        let demand = &spec.demand;
        if let (Some(command), Some(limit)) = (&spec.command, self.command_length) {
            let length = command.as_str().chars().count();
            if length > limit {
                return refuse(format!(
                    "Job command length of {length} is greater than the maximum command length ({limit})"
                ));
            }
        }
        if demand.cpus > self.cpus {
            return refuse(format!(
                "Requested {} cpus, but only allowed to use {}",
                demand.cpus, self.cpus
            ));
        }
        if demand.mem > self.mem {
            return refuse(format!(
                "Requested {}mb memory, but only allowed to use {}",
                demand.mem, self.mem
            ));
        }
        if demand.ports > self.max_ports {
            return refuse(format!(
                "Requested {} ports, but only allowed to use {}",
                demand.ports, self.max_ports
            ));
        }
        if spec.max_retries > self.max_retries {
            return Err(too_many_retries(spec.max_retries.get().into()));
        }
        self.check_constraints(spec)
    }

    fn check_constraints(&self, spec: &JobSpec) -> Result<(), Fault> {
        let is_here = |attribute: &str| attribute.eq_ignore_ascii_case("hostname");
        let unknown = spec
            .constraints
            .iter()
            .find(|constraint| !is_here(constraint.attribute.as_str()));
        match (self.cluster, unknown) {
            (Cluster::Mesos, _) | (Cluster::Local, None) => Ok(()),
            (Cluster::Local, Some(constraint)) => {
                let attribute = &constraint.attribute;
                Err(Fault::Rule(format!(
                    "the constraint on {attribute:?} can never hold: this machine has no attribute but HOSTNAME"
                )))
            }
        }
    }
}
