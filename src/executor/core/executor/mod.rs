//! The executor as a whole: a session with the agent, and at most one task.
//!
//! `assignment` has the state of the task, `launch` accepts or refuses tasks, `leaving` is the time from
//! the last update to the exit.

mod assignment;
mod launch;
mod leaving;

use crate::core::effect::Effect;
use crate::core::environment::{Environment, Name, Value};
use crate::core::event::Event;
use crate::core::progress::ProgressFile;
use crate::core::request::{ApiRequest, Reply};
use crate::core::session::{Policy, Session};
use crate::core::step::Step;
use crate::words::units::{Moment, Now, Span, UuidSource};
use assignment::Assignment;

/// The configuration of the core.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// The environment that commands inherit.
    pub environment: Environment,
    /// Variables that the executor sets for commands, and that are known at its start.
    pub for_commands: Vec<(Name, Value)>,
    /// `MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD`.
    pub shutdown_grace: Span,
    /// The minimum time between two progress messages.
    pub progress_interval: std::time::Duration,
    /// Maximum length of a message in characters.
    pub message_limit: usize,
    /// Where the task may write its progress.
    pub progress_file: ProgressFile,
    /// Variables that are restored to the values that the framework has set (`EXECUTOR_RESET_VARS`).
    pub reset_variables: Vec<Name>,
    /// After subscribing, exit with this status instead of accepting a task: the operator tests how the
    /// scheduler reacts (`EXECUTOR_TEST_EXIT`).
    pub test_exit: Option<u8>,
    /// The path of the sandbox on the host, if the agent has set it.
    pub directory: Option<String>,
    /// How to keep the subscription.
    pub policy: Policy,
    /// Makes the UUIDs of this executor unique.
    pub uuid_seed: [u8; 16],
    /// Whether commands can reach the task API. If not, the terminal message says so.
    pub has_api: bool,
}

/// The complete state of the executor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Executor {
    session: Session,
    uuids: UuidSource,
    assignment: Assignment,
}

/// The core's answer to a request of the task API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The reply for the client.
    pub reply: Reply,
    /// Further effects.
    pub effects: Vec<Effect>,
}

// === impl Executor ===

impl Executor {
    /// An executor without a task and a subscription. [`Self::next_deadline`] is due immediately.
    pub fn new(settings: Settings) -> Self {
        Self {
            uuids: UuidSource::new(settings.uuid_seed),
            session: Session::new(settings.policy),
            assignment: Assignment::new(settings),
        }
    }

    /// Processes an event. Returns the effects, in the order in which to perform them.
    pub fn step(&mut self, event: Event, now: Now) -> Vec<Effect> {
        let assignment = &mut self.assignment;
        let mut step = Step::new(now, &mut self.session, &mut self.uuids);
        match event {
            Event::Subscribed {
                generation,
                killing_state,
            } => {
                if step
                    .session
                    .subscribed(generation, killing_state, now.moment)
                {
                    assignment.fail_later(now.moment);
                }
            }
            Event::StreamEnded(generation, end) => {
                step.session.ended(generation, end, now.moment);
            }
            Event::CallAnswered(serial, answer) => {
                step.session.answered(serial, answer, now.moment);
            }
            Event::Acknowledged(uuid) => assignment.acknowledged(&uuid, &mut step),
            Event::Launch(tasks) => assignment.launch(tasks, &mut step),
            Event::Kill(task, grace) => assignment.kill(task, grace, &mut step),
            Event::Shutdown => assignment.shut_down(&mut step),
            Event::Task(event) => assignment.handle(event, &mut step),
            Event::Tick => assignment.tick(&mut step),
        }
        assignment.settle(&mut step);
        step.into_effects()
    }

    /// Answers a request of the task API.
    pub fn answer(&mut self, request: ApiRequest, now: Now) -> Answered {
        let mut step = Step::new(now, &mut self.session, &mut self.uuids);
        let reply = self.assignment.answer(request, &step);
        self.assignment.settle(&mut step);
        Answered {
            reply,
            effects: step.into_effects(),
        }
    }

    /// When [`Event::Tick`] is due if nothing happens before.
    pub fn next_deadline(&self) -> Option<Moment> {
        let deadlines = [
            self.session.next_deadline(),
            self.assignment.next_deadline(&self.session),
        ];
        deadlines.into_iter().flatten().min()
    }
}
