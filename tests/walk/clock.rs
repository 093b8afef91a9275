//! Time as an argument: agents that are away, silent or forgetful for an exact time, in each phase of a
//! task. A quarter of an hour passes in a moment.

use std::time::Duration;

use cook_executor::core::effect::ExitStatus;
use cook_executor::core::outbox::CallAnswer;
use cook_executor::core::plan::CommandId;
use cook_executor::core::session::StreamEnd;
use cook_executor::words::outcome::Outcome;
use cook_executor::words::units::{Moment, Span};

use crate::model::{Job, Mischief, Model, QUIET, Step, hook, plan};

/// The usual value of `MESOS_RECOVERY_TIMEOUT`.
const RECOVERY: Duration = Duration::from_secs(15 * 60);

/// How long the end of a task without an agent may take: the grace period, and a last attempt to report.
const LAST_WORDS: Duration = Duration::from_secs(7);

const SECOND: Duration = Duration::from_secs(1);

/// Any number of losses.
const FAULTY: Mischief = Mischief {
    prompt_agent: false,
    losses: u16::MAX,
    ..QUIET
};

/// How many things have happened to a task in each of its phases: a subscription, a launch, and the ends of
/// its three commands.
const PHASES: std::ops::RangeInclusive<usize> = 0..=5;

/// A task with a before and an after command.
struct Trial {
    model: Model,
    job: Job,
}

impl Trial {
    fn at(phase: usize, checkpoint: bool) -> Self {
        let mut trial = Self {
            model: Model::with_patience(checkpoint, FAULTY, RECOVERY),
            job: Job::new(plan(&[hook(false, false)], &[hook(false, false)])),
        };
        let ended = |id| Step::Ends(CommandId(id), Outcome::Exited(0));
        let steps = [Step::Subscribed, Step::Launch, ended(0), ended(1), ended(2)];
        for (at, step) in steps.iter().enumerate().take(phase) {
            trial.take(step);
            // The last update must stay unacknowledged.
            if (1..4).contains(&at) {
                trial.be_good();
            }
        }
        trial
    }

    fn take(&mut self, step: &Step) {
        assert!(self.can(step), "{step:?} cannot happen now");
        self.model.take(step, &self.job);
        self.model.check(&self.job);
    }

    fn can(&self, step: &Step) -> bool {
        self.model.steps().contains(step)
    }

    /// The agent does everything that it has to do.
    fn be_good(&mut self) {
        while let Some(step) = self.model.prompt_step() {
            self.take(&step);
        }
    }

    /// The stream ends, and for some time each further attempt ends in this way, or gets no response.
    fn fail_for(&mut self, time: Duration, end: Option<StreamEnd>) {
        let until = self.model.now.plus(time);
        let breaks = Step::StreamEnds(StreamEnd::Disconnected);
        if self.can(&breaks) {
            self.take(&breaks);
        }
        while self.model.exit.is_none() {
            let refusal = end.map(Step::StreamEnds).filter(|step| self.can(step));
            match (refusal, self.model.next_deadline()) {
                (Some(step), _) => self.take(&step),
                (None, Some(next)) if next <= until => self.take(&Step::TimePasses),
                (None, _) => {
                    self.model.now = until;
                    return;
                }
            }
        }
    }

    /// From here on, a correct agent and commands that end.
    fn finish(mut self) -> Option<ExitStatus> {
        self.model.mischief = QUIET;
        while let Some(step) = self.model.steps().first().cloned() {
            self.take(&step);
        }
        self.model.exit
    }
}

/// A fault of the agent of this length loses nothing in any phase.
#[track_caller]
fn costs_nothing(times: &[Duration], end: Option<StreamEnd>) {
    for phase in PHASES {
        for time in times {
            let mut trial = Trial::at(phase, true);
            trial.fail_for(*time, end);
            assert_eq!(
                trial.finish(),
                Some(ExitStatus::Done),
                "phase {phase}, {time:?}"
            );
        }
    }
}

/// With a permanent fault, the agent is given up after this time, and the executor exits.
#[track_caller]
fn is_given_up_after(patience: Duration, end: Option<StreamEnd>) {
    for phase in PHASES {
        let mut trial = Trial::at(phase, true);
        trial.fail_for(RECOVERY * 2, end);
        assert_eq!(
            trial.model.exit,
            Some(ExitStatus::Unreported),
            "phase {phase}"
        );
        let lasted = trial.model.now.0;
        let limits = patience..=patience + LAST_WORDS;
        assert!(
            limits.contains(&lasted),
            "phase {phase}: it took {lasted:?}"
        );
    }
}

#[test]
fn an_agent_may_be_away_for_up_to_the_recovery_timeout() {
    let times = [SECOND / 10, SECOND, 30 * SECOND, RECOVERY - SECOND];
    costs_nothing(&times, Some(StreamEnd::Disconnected));
    is_given_up_after(RECOVERY, Some(StreamEnd::Disconnected));
}

#[test]
fn an_agent_may_recover_for_up_to_the_recovery_timeout() {
    costs_nothing(&[2 * SECOND, RECOVERY - SECOND], Some(StreamEnd::NotReady));
    is_given_up_after(RECOVERY, Some(StreamEnd::NotReady));
}

#[test]
fn an_agent_may_refuse_the_token_for_up_to_the_recovery_timeout() {
    costs_nothing(&[2 * SECOND, RECOVERY - SECOND], Some(StreamEnd::Refused));
    is_given_up_after(RECOVERY, Some(StreamEnd::Refused));
}

#[test]
fn an_agent_may_be_silent_for_up_to_the_recovery_timeout() {
    costs_nothing(&[SECOND, 30 * SECOND, RECOVERY - SECOND], None);
    is_given_up_after(RECOVERY, None);
}

#[test]
fn an_agent_may_have_forgotten_us_for_ten_seconds() {
    costs_nothing(&[SECOND, 9 * SECOND], Some(StreamEnd::Unknown));
    is_given_up_after(10 * SECOND, Some(StreamEnd::Unknown));
}

#[test]
fn without_a_checkpoint_a_lost_agent_is_given_up_immediately() {
    for phase in PHASES.skip(1) {
        let mut trial = Trial::at(phase, false);
        trial.fail_for(RECOVERY, Some(StreamEnd::Disconnected));
        assert_eq!(
            trial.model.exit,
            Some(ExitStatus::Unreported),
            "phase {phase}"
        );
        let lasted = trial.model.now.0;
        assert!(lasted <= LAST_WORDS, "phase {phase}: it took {lasted:?}");
    }
}

#[test]
fn without_a_checkpoint_the_first_subscription_is_tried_as_long_as_agents_wait_for_it() {
    for (time, status) in [(59, ExitStatus::Done), (61, ExitStatus::Unreported)] {
        let mut trial = Trial::at(0, false);
        trial.fail_for(time * SECOND, Some(StreamEnd::NotReady));
        assert_eq!(trial.finish(), Some(status), "{time} s");
    }
}

#[test]
fn an_agent_that_never_acknowledges_the_last_update_is_given_up_a_minute_after_a_new_subscription()
{
    let mut trial = Trial::at(5, true);
    while trial.model.exit.is_none() {
        let prompt = [
            Step::TrackingEnds,
            Step::Subscribed,
            Step::CallArrives(CallAnswer::Accepted),
        ];
        let step = prompt.into_iter().find(|step| trial.can(step));
        trial.take(&step.unwrap_or(Step::TimePasses));
    }
    assert_eq!(trial.model.exit, Some(ExitStatus::Unreported));
    // After 20 seconds the executor has subscribed again.
    assert_eq!(trial.model.now.0, 80 * SECOND);
}

#[test]
fn nothing_overflows_at_the_end_of_the_clock() {
    for phase in PHASES {
        let mut trial = Trial::at(phase, true);
        trial.job.kill_grace = Some(Span::MAX);
        trial.model.now = Moment(Duration::MAX - 3600 * SECOND);
        trial.fail_for(SECOND, Some(StreamEnd::NotReady));
        assert!(trial.finish().is_some(), "phase {phase}");
    }
}
