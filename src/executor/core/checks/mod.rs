//! Checks and health checks: when a task is probed, and what follows from the results.
//!
//! ```text
//!              TASK_RUNNING            a kill, a shutdown, the command's end
//!   NotYet -------------------> Checking ----------------------------------> Over
//! ```
//!
//! All times count from TASK_RUNNING, because before commands may run for any time before it. Checks
//! continue while the agent is away, because the executor runs them itself.
//!
//! | | a general check | a health check |
//! |---|---|---|
//! | result | exit status, HTTP status, connected | healthy: exit status 0, HTTP 200 to 399 or one of its own statuses, connected |
//! | reported | each change, also to "unknown" | each failure that counts; the first success, and the first one after a failure |
//! | ignored | | failures within the grace period, until the first success |
//! | too many failures in a row | | the task is killed, with its own kill policy |

mod cycle;
mod finding;
mod plan;
#[cfg(test)]
mod tests;

pub use cycle::ProbeId;
use cycle::{Cycle, Due};
pub use finding::{CheckStatus, Finding};
pub use plan::{
    Address, Check, CheckPlan, Family, HealthCheck, HttpAddress, Interval, Kind, Probe, Times,
};

use crate::core::environment::Environment;
use crate::words::units::{Moment, Span, truncate};

/// The checks of one task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checks {
    plan: CheckPlan,
    /// The last result of the general check; `None` if there is no such check.
    status: Option<CheckStatus>,
    /// The last verdict of the health check; `None` before the first one.
    healthy: Option<bool>,
    /// Consecutive failures that counted.
    failures: u32,
    /// Why a health check has killed the task.
    kill_cause: Option<String>,
    /// The longest message in characters.
    message_limit: usize,
    phase: Phase,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    NotYet,
    Checking {
        since: Moment,
        check: Option<Cycle>,
        health: Option<Cycle>,
    },
    Over,
}

/// The part of a status update that is about checks. The master keeps only the last update, so every update
/// has all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Checked {
    /// The last verdict of the health check; `None` before the first one.
    pub healthy: Option<bool>,
    /// The last result of the general check; `None` if there is no such check.
    pub status: Option<CheckStatus>,
}

/// What follows from a step of the checks, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CheckOutput {
    /// Start a probe.
    Start(ProbeId, Box<Probe>),
    /// Abandon a probe, and end the processes that it has started.
    Abandon(ProbeId),
    /// Send an update with this message.
    Report(Kind, String),
    /// Write a line to the log only.
    Note(String),
    /// Kill the task, because it is unhealthy.
    Kill,
}

// === impl Checks ===

impl Checks {
    /// The checks of a task whose command has not started. `message_limit` is the maximum length of a
    /// message in characters.
    pub fn new(plan: CheckPlan, message_limit: usize) -> Self {
        let Checked { healthy, status } = plan.before_first_probe();
        Self {
            healthy,
            status,
            failures: 0,
            kill_cause: None,
            message_limit,
            phase: Phase::NotYet,
            plan,
        }
    }

    /// The part of a status update that is about checks.
    pub fn checked(&self) -> Checked {
        Checked {
            healthy: self.healthy,
            status: self.status,
        }
    }

    /// Why a health check has killed the task, if one has.
    pub fn kill_cause(&self) -> Option<&str> {
        self.kill_cause.as_deref()
    }

    /// The command has started. `environment` is what commands get now.
    pub fn begin(&mut self, environment: &Environment, now: Moment) -> Vec<CheckOutput> {
        if self.phase == Phase::NotYet {
            let begin = |kind, check: &Check| Cycle::begin(kind, check.times, now);
            let check = self.plan.check.as_ref();
            let health = self.plan.health.as_ref();
            self.phase = Phase::Checking {
                since: now,
                check: check.map(|check| begin(Kind::Check, check)),
                health: health.map(|health| begin(Kind::Health, &health.check)),
            };
        }
        self.tick(environment, now)
    }

    /// Handles what is due.
    pub fn tick(&mut self, environment: &Environment, now: Moment) -> Vec<CheckOutput> {
        let mut outputs = Vec::new();
        for kind in [Kind::Check, Kind::Health] {
            match self.cycle(kind).and_then(|cycle| cycle.take_due(now)) {
                Some(Due::Start(id)) => {
                    if let Some(check) = self.plan.get(kind) {
                        let probe = check.probe.prepared(kind, environment);
                        outputs.push(CheckOutput::Start(id, Box::new(probe)));
                    }
                }
                Some(Due::GiveUp(id)) => {
                    outputs.push(CheckOutput::Abandon(id));
                    let check = self.plan.get(kind);
                    let timeout = check.and_then(|check| check.times.timeout);
                    let finding = Finding::TimedOut(timeout.unwrap_or(Span::ZERO).get());
                    self.judge(kind, &finding, now, &mut outputs);
                }
                None => {}
            }
        }
        outputs
    }

    /// The task is being stopped, or its command has ended: no further probes.
    pub fn end(&mut self) -> Vec<CheckOutput> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::NotYet | Phase::Over => Vec::new(),
            Phase::Checking { check, health, .. } => {
                let cycles = [check, health].into_iter().flatten();
                let in_flight = cycles.filter_map(|cycle| cycle.in_flight());
                in_flight.map(CheckOutput::Abandon).collect()
            }
        }
    }

    /// A probe has a result. It is ignored if the probe was abandoned.
    pub fn found(&mut self, id: ProbeId, finding: &Finding, now: Moment) -> Vec<CheckOutput> {
        let mut outputs = Vec::new();
        if self
            .cycle(id.kind)
            .is_some_and(|cycle| cycle.ended(id, now))
        {
            self.judge(id.kind, finding, now, &mut outputs);
        }
        outputs
    }

    /// When [`Self::tick`] has to be called.
    pub fn next_deadline(&self) -> Option<Moment> {
        match &self.phase {
            Phase::NotYet | Phase::Over => None,
            Phase::Checking { check, health, .. } => {
                let cycles = [check, health].into_iter().flatten();
                cycles.filter_map(Cycle::next_deadline).min()
            }
        }
    }

    fn cycle(&mut self, kind: Kind) -> Option<&mut Cycle> {
        match (&mut self.phase, kind) {
            (Phase::Checking { check, .. }, Kind::Check) => check.as_mut(),
            (Phase::Checking { health, .. }, Kind::Health) => health.as_mut(),
            (Phase::NotYet | Phase::Over, Kind::Check | Kind::Health) => None,
        }
    }

    fn judge(
        &mut self,
        kind: Kind,
        finding: &Finding,
        now: Moment,
        outputs: &mut Vec<CheckOutput>,
    ) {
        match kind {
            Kind::Check => outputs.extend(self.judge_check(finding)),
            Kind::Health => self.judge_health(finding, now, outputs),
        }
    }

    fn judge_check(&mut self, finding: &Finding) -> Option<CheckOutput> {
        let (check, before) = (self.plan.check.as_ref()?, self.status?);
        let status = before.of(finding);
        self.status = Some(status);
        let name = check.probe.kind_name();
        let message = format!("{name} check: {finding} ({})", check.probe);
        let message = truncate(&message, self.message_limit);
        (status != before).then_some(CheckOutput::Report(Kind::Check, message))
    }

    fn judge_health(&mut self, finding: &Finding, now: Moment, outputs: &mut Vec<CheckOutput>) {
        let (Some(plan), Phase::Checking { since, .. }) = (&self.plan.health, &self.phase) else {
            return;
        };
        let probe = &plan.check.probe;
        let name = probe.kind_name();
        if finding.is_healthy(&plan.statuses) {
            self.failures = 0;
            if self.healthy.replace(true) != Some(true) {
                let message = format!("{name} health check succeeded: {finding} ({probe})");
                let message = truncate(&message, self.message_limit);
                outputs.push(CheckOutput::Report(Kind::Health, message));
            }
            return;
        }
        // The first success ends the grace period, and so does the first failure after it.
        let grace = plan.grace;
        if self.healthy.is_none() && grace > Span::ZERO && now.since(*since) <= grace.get() {
            let message =
                format!("{name} health check failed in its grace period: {finding} ({probe})");
            outputs.push(CheckOutput::Note(message));
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.healthy = Some(false);
        let times = match self.failures {
            1 => String::new(),
            times => format!(" {times} times in a row"),
        };
        let message = format!("{name} health check failed{times}: {finding} ({probe})");
        let message = truncate(&message, self.message_limit);
        let is_over = self.failures >= plan.failures;
        if is_over {
            self.kill_cause = Some(format!("Killed: {message}"));
        }
        outputs.push(CheckOutput::Report(Kind::Health, message));
        outputs.extend(is_over.then_some(CheckOutput::Kill));
    }
}

// === impl CheckPlan ===

impl CheckPlan {
    /// The part of a status update that is about checks, before the first probe.
    pub fn before_first_probe(&self) -> Checked {
        let check = self.check.as_ref();
        Checked {
            healthy: None,
            status: check.map(|check| CheckStatus::unknown(&check.probe)),
        }
    }

    /// The check of this kind.
    pub fn get(&self, kind: Kind) -> Option<&Check> {
        match kind {
            Kind::Check => self.check.as_ref(),
            Kind::Health => self.health.as_ref().map(|health| &health.check),
        }
    }
}
