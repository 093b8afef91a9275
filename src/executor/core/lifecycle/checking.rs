//! The task's checks: they are active while its command runs and the task is not being stopped.

use super::{Lifecycle, Phase, StopOrder};
use crate::core::checks::{CheckOutput, Checked, Finding, ProbeId};
use crate::core::effect::{Effect, Note};
use crate::core::step::Step;

impl Lifecycle {
    /// The part of a status update that is about checks.
    pub(in crate::core) fn checked(&self) -> Checked {
        self.checks.checked()
    }

    /// The command has started.
    pub(super) fn begin_checks(&mut self, step: &mut Step<'_>) {
        match self.phase {
            Phase::Sequence { .. } => {
                let outputs = self.checks.begin(&self.environment, step.moment());
                self.carry_out(outputs, step);
            }
            // The task was stopped before its command had started.
            Phase::After { .. }
            | Phase::Stopping { .. }
            | Phase::Clearing { .. }
            | Phase::Draining { .. } => {}
        }
    }

    pub(super) fn tick_checks(&mut self, step: &mut Step<'_>) {
        let outputs = self.checks.tick(&self.environment, step.moment());
        self.carry_out(outputs, step);
    }

    pub(super) fn probed(&mut self, id: ProbeId, finding: &Finding, step: &mut Step<'_>) {
        let outputs = self.checks.found(id, finding, step.moment());
        self.carry_out(outputs, step);
    }

    /// Called before a sweep counts processes, because the processes of checks must not count.
    pub(super) fn end_checks(&mut self, step: &mut Step<'_>) {
        let outputs = self.checks.end();
        self.carry_out(outputs, step);
    }

    fn carry_out(&mut self, outputs: Vec<CheckOutput>, step: &mut Step<'_>) {
        for output in outputs {
            match output {
                CheckOutput::Start(id, probe) => step.perform(Effect::Probe(id, probe)),
                CheckOutput::Abandon(id) => step.perform(Effect::AbandonProbe(id)),
                CheckOutput::Report(kind, message) => {
                    let (results, checked) = (self.results(), self.checked());
                    step.record_check(&self.identity, kind, message, results, checked);
                }
                CheckOutput::Note(text) => step.note(Note::CheckIgnored(text)),
                // Like a KILL without a kill policy.
                CheckOutput::Kill => {
                    let grace = self.limits.grace;
                    self.stop(StopOrder::Kill { grace }, step);
                }
            }
        }
    }
}
