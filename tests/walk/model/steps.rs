//! What may happen next in a state.

use cook_executor::core::outbox::CallAnswer;
use cook_executor::core::session::StreamEnd;
use cook_executor::words::outcome::Outcome;
use cook_executor::words::units::Span;

use super::{GRACE, Leftover, Model, Step};

impl Model {
    /// Everything that may happen next.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.exit.is_some() {
            return steps;
        }
        if self.mischief.prompt_agent
            && let Some(step) = self.prompt_step()
        {
            return vec![step];
        }
        if self.subscribing.is_some() {
            steps.push(Step::Subscribed);
        }
        self.stream_steps(&mut steps);
        if self.up.is_some() {
            self.agent_steps(&mut steps);
        }
        if !self.has_room {
            steps.push(Step::RoomIsBack);
        }
        for id in self.alive_commands() {
            for outcome in [Outcome::Exited(0), Outcome::Exited(1)] {
                steps.push(Step::Ends(id, outcome));
            }
            let kinds = match self.mischief.odd_leftovers {
                true => &Leftover::ALL[..],
                false => &[Leftover::Stubborn],
            };
            let is_new = |kind: &Leftover| !self.alive.contains(&kind.process());
            let kinds = kinds.iter().copied().filter(is_new);
            steps.extend(kinds.map(|kind| Step::EndsLeaving(id, kind)));
        }
        for kind in [Leftover::Reader, Leftover::Beyond] {
            if self.alive.contains(&kind.process()) {
                steps.push(Step::LeftoverEnds(kind));
            }
        }
        if self.mischief.patches > 0 && self.launched_at.is_some() {
            steps.extend([Step::Patch, Step::Tracked]);
        }
        if self.mischief.findings > 0 {
            for id in &self.probes_in_flight {
                steps.extend([Step::Finds(*id, true), Step::Finds(*id, false)]);
            }
        }
        if self.is_draining {
            steps.push(Step::TrackingEnds);
        }
        if self.mischief.naps > 0 {
            steps.push(Step::AnHourPasses);
            if self.mischief.extremes {
                steps.push(Step::AnAgePasses);
            }
        }
        if self.has_room && self.mischief.shortages > 0 {
            steps.push(Step::RoomRunsOut);
        }
        // An agent that is silent until it is given up counts as lost.
        let is_awaited = match (self.subscribing, &self.call) {
            (Some(_), _) => self.mischief.losses == 0,
            (None, Some(_)) => self.mischief.lost_calls == 0,
            (None, None) => false,
        };
        if self.core.next_deadline().is_some() && !is_awaited {
            steps.push(Step::TimePasses);
        }
        steps
    }

    /// How connections can end.
    fn stream_steps(&self, steps: &mut Vec<Step>) {
        if self.mischief.losses > 0 {
            let refusals = [StreamEnd::NotReady, StreamEnd::Unknown, StreamEnd::Refused];
            match (self.subscribing, self.up) {
                (Some(_), _) => {
                    steps.push(Step::StreamEnds(StreamEnd::Disconnected));
                    steps.extend(refusals.map(Step::StreamEnds));
                }
                (None, Some(_)) => steps.push(Step::StreamEnds(StreamEnd::Disconnected)),
                (None, None) => {}
            }
        }
        if self.mischief.echoes > 0 {
            let newest = self.subscribing.or(self.up);
            if newest.is_some_and(|generation| generation.0 > 1) {
                steps.push(Step::OlderStreamEnds);
            }
            if self.stray.is_some() && !self.terminal_acknowledged {
                steps.push(Step::AbandonedCallArrives);
            }
        }
    }

    /// What an agent with a stream can do.
    fn agent_steps(&self, steps: &mut Vec<Step>) {
        let was_launched = self.launched_at.is_some();
        if !was_launched {
            steps.push(Step::Launch);
        }
        if !was_launched && self.mischief.odd_launches {
            steps.extend([Step::LaunchInvalid, Step::LaunchGroup]);
        }
        if self.mischief.launches > 0 && was_launched {
            steps.extend([Step::LaunchAgain, Step::LaunchAnother]);
        }
        if self.mischief.kills > 0 {
            steps.push(Step::Kill(Span::saturating(GRACE)));
            steps.push(Step::Kill(Span::ZERO));
            if self.mischief.extremes {
                steps.push(Step::Kill(Span::MAX));
            }
            if was_launched {
                steps.push(Step::KillAnother);
            }
        }
        if self.mischief.shutdowns > 0 {
            steps.push(Step::Shutdown);
        }
        if self.call.is_some() {
            steps.push(Step::CallArrives(CallAnswer::Accepted));
            if self.mischief.lost_calls > 0 {
                steps.push(Step::CallArrives(CallAnswer::TryAgain));
                steps.push(Step::CallArrives(CallAnswer::NotSubscribed));
                steps.push(Step::CallIsLost);
            }
        }
        for index in 0..self.unacknowledged.len().min(2) {
            steps.push(Step::Acknowledge(index));
        }
        if self.mischief.extra_acknowledgements > 0 && !self.seen.is_empty() {
            steps.push(Step::AcknowledgeAgain);
        }
    }

    /// The next step of a correct agent, if it has anything to do.
    pub fn prompt_step(&self) -> Option<Step> {
        if self.subscribing.is_some() {
            return Some(Step::Subscribed);
        }
        if self.is_draining && self.mischief.patches == 0 {
            return Some(Step::TrackingEnds);
        }
        self.up?;
        if self.call.is_some() {
            return Some(Step::CallArrives(CallAnswer::Accepted));
        }
        if !self.unacknowledged.is_empty() {
            return Some(Step::Acknowledge(0));
        }
        let may_choose = self.mischief.kills > 0 || self.mischief.odd_launches;
        (self.launched_at.is_none() && !may_choose).then_some(Step::Launch)
    }
}
