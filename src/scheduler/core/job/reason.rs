//! Why an instance failed: the reason codes of Cook.

/// Whether a failure counts as an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureLimit {
    /// It counts.
    Counts,
    /// Not the job's fault: not counted, up to the operator's limit (`:mea-culpa-failure-limit`).
    Free,
    /// Not the job's fault: not counted, up to this number of times.
    FreeTimes(u32),
}

macro_rules! reasons {
    ($($name:ident = $code:literal, $limit:expr, $text:literal;)*) => {
        /// Why an instance failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $text] $name,)*
        }

        impl Reason {
            /// All reasons, ordered by code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The numeric code that clients see.
            pub fn code(self) -> u32 {
                match self { $(Self::$name => $code,)* }
            }

            /// The text that clients see.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether it counts as an attempt.
            pub fn limit(self) -> FailureLimit {
                match self { $(Self::$name => $limit,)* }
            }
        }
    };
}

use FailureLimit::{Counts, Free, FreeTimes};

reasons! {
    KilledByUser = 1001, Counts, "Killed by user";
    PreemptedByRebalancer = 1002, Free, "Preempted by rebalancer";
    ContainerPreempted = 1003, Counts, "Container preempted by Mesos";
    KilledDuringLaunch = 1004, Counts, "Killed during launch";
    Running = 1005, Counts, "Running";
    ContainerLimitation = 2000, Counts, "Container limitation reached";
    ContainerDiskLimit = 2001, Counts, "Container disk limitation exceeded";
    ContainerMemoryLimit = 2002, Counts, "Container memory limit exceeded";
    MaxRuntimeExceeded = 2003, Counts, "Task max runtime exceeded";
    Reconciliation = 3000, Counts, "Mesos task reconciliation";
    InvalidFrameworkId = 3001, Free, "Invalid Mesos framework id";
    InvalidOffer = 3002, Free, "Invalid Mesos offer";
    ResourcesUnknown = 3003, Counts, "Resource unknown";
    TaskInvalid = 3004, Counts, "Invalid task";
    TaskUnauthorized = 3005, Counts, "Unauthorized task";
    TaskUnknown = 3006, Counts, "Unknown task";
    AgentUnknown = 3007, Counts, "Agent unknown";
    AgentRemoved = 4000, Free, "Agent removed";
    AgentRestarted = 4001, Free, "Mesos agent restarted";
    AgentGcError = 4002, Free, "Mesos agent GC error";
    ContainerLaunchFailed = 4003, FreeTimes(10), "Container launch failed";
    ContainerUpdateFailed = 4004, Counts, "Container update failed";
    AgentDisconnected = 4005, Free, "Agent disconnected";
    AgentUnreachable = 4006, Free, "Unable to contact agent";
    FrameworkRemoved = 5000, Free, "Mesos framework removed";
    MasterDisconnected = 5001, Free, "Mesos master disconnected";
    RegistrationTimeout = 6000, Free, "Mesos executor registration timed out";
    ReregistrationTimeout = 6001, Counts, "Mesos executor re-registration timed out";
    ExecutorUnregistered = 6002, Counts, "Mesos executor unregistered";
    Unknown = 99000, Counts, "Unknown reason";
    UnknownMesos = 99001, Counts, "Unknown mesos reason";
    ExecutorTerminated = 99002, FreeTimes(3), "Mesos executor terminated";
    NonZeroExit = 99003, Counts, "Command exited non-zero";
}

impl Reason {
    /// The reason with this code.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.code() == code)
    }

    /// Whether a failure for this reason is not the job's fault.
    pub fn is_mea_culpa(self) -> bool {
        match self.limit() {
            Counts => false,
            Free | FreeTimes(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lead_back_to_their_reasons() {
        for &reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
        }
        assert!(Reason::ALL.is_sorted_by_key(|reason| reason.code()));
        assert_eq!(Reason::from_code(0), None);
    }
}
