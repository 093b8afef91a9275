//! The checks of a task: their probes, and their results in updates.

use std::num::NonZeroU16;
use std::time::Duration;

use cook_executor::core::checks::{
    Address, Check, CheckPlan, Checked, Family, Finding, HealthCheck, Interval, Kind, Probe,
    ProbeId, Times,
};
use cook_executor::core::event::{Event, TaskEvent};
use cook_executor::core::outbox::Update;
use cook_executor::words::units::Span;

use super::{Job, Model, Process};

/// How many consecutive failures of the health check end the task.
const MAX_FAILURES: u32 = 3;

/// A check and a health check of the same service.
pub(super) fn checks() -> CheckPlan {
    let check = Check {
        probe: Probe::Tcp(Address {
            family: Family::V4,
            port: NonZeroU16::MIN,
        }),
        times: Times {
            delay: Span::ZERO,
            interval: Interval::at_least_min(Span::saturating(Duration::from_secs(10))),
            timeout: Some(Span::saturating(Duration::from_secs(20))),
        },
    };
    CheckPlan {
        check: Some(check.clone()),
        health: Some(HealthCheck {
            check,
            statuses: Vec::new(),
            grace: Span::ZERO,
            failures: MAX_FAILURES,
        }),
    }
}

impl Model {
    /// A probe has a result.
    pub(super) fn finds(&mut self, id: ProbeId, is_healthy: bool, job: &Job) {
        self.mischief.findings -= 1;
        self.probes_in_flight.retain(|other| *other != id);
        let finding = match is_healthy {
            true => Finding::Connected,
            false => Finding::Failed("refused".into()),
        };
        if id.kind == Kind::Health {
            self.failures = if is_healthy { 0 } else { self.failures + 1 };
        }
        self.tell(Event::Task(TaskEvent::Probed(id, finding)), job);
        assert!(
            self.failures < MAX_FAILURES || self.is_stopped(),
            "it is not killed"
        );
    }

    /// Probes are only for a running command, and one at a time for each check.
    pub(super) fn probe(&mut self, id: ProbeId, job: &Job) {
        let main = job.plan.main().map(Process::Command);
        let is_alive = main.is_some_and(|main| self.alive.contains(&main));
        assert!(is_alive, "a probe without the command");
        assert!(
            !self.is_stopped(),
            "a probe of a task that is being stopped"
        );
        let is_beside = self
            .probes_in_flight
            .iter()
            .any(|other| other.kind == id.kind);
        assert!(!is_beside, "two probes of one check at once");
        self.probes_in_flight.push(id);
    }

    pub(super) fn abandon_probe(&mut self, id: ProbeId) {
        let before = self.probes_in_flight.len();
        self.probes_in_flight.retain(|other| *other != id);
        assert_eq!(
            self.probes_in_flight.len() + 1,
            before,
            "{id:?} is not in flight"
        );
        // It has timed out, unless the task is being stopped.
        self.failures += u32::from(id.kind == Kind::Health);
    }

    /// Without another stop order, only the health check may end a task.
    pub(super) fn is_being_killed(&mut self, job: &Job) {
        if !self.asked_to_stop {
            assert!(self.failures >= MAX_FAILURES, "killed without a reason");
            self.ask_to_stop(job);
        }
    }

    /// Each update has all results of checks, because it replaces the previous one in the master.
    pub(super) fn check_told(&mut self, update: &Update) {
        let Checked { healthy, status } = update.checked;
        let has_checks = self.has_checks && !self.is_refused;
        assert_eq!(status.is_some(), has_checks, "the check's status");
        assert!(
            healthy.is_some() || !self.health_is_known,
            "health is erased"
        );
        self.health_is_known |= healthy.is_some();
    }

    pub(super) fn has_seen(&self, update: &Update) -> bool {
        self.seen.iter().any(|(uuid, _)| *uuid == update.uuid)
    }
}
