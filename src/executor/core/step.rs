//! One step of the core: the time, the session, and the effects so far. All parts of the core add their
//! effects to the step.

use crate::core::checks::{Checked, Kind};
use crate::core::effect::{Audience, Effect, Line, Note};
use crate::core::event::Identity;
use crate::core::lifecycle::Verdict;
use crate::core::outbox::{Item, Message, Reason, TaskState, Update, UpdateData};
use crate::core::request::Results;
use crate::core::session::Session;
use crate::words::units::{Moment, Now, TaskId, UuidSource};

/// One step.
pub(in crate::core) struct Step<'a> {
    now: Now,
    /// The session with the agent.
    pub(in crate::core) session: &'a mut Session,
    uuids: &'a mut UuidSource,
    effects: Vec<Effect>,
}

// === impl Step ===

impl<'a> Step<'a> {
    pub(in crate::core) fn new(
        now: Now,
        session: &'a mut Session,
        uuids: &'a mut UuidSource,
    ) -> Self {
        Self {
            now,
            session,
            uuids,
            effects: Vec::new(),
        }
    }

    /// The time of the step.
    pub(in crate::core) fn now(&self) -> Now {
        self.now
    }

    /// The time of the step, for deadlines.
    pub(in crate::core) fn moment(&self) -> Moment {
        self.now.moment
    }

    pub(in crate::core) fn perform(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(in crate::core) fn say(&mut self, line: Line, audience: Audience) {
        self.perform(Effect::Say(line, audience));
    }

    pub(in crate::core) fn note(&mut self, note: Note) {
        self.perform(Effect::Note(note));
    }

    /// Queues a message for the framework.
    pub(in crate::core) fn send(&mut self, task: &TaskId, message: Message) {
        self.session
            .outbox
            .put(Item::Message(task.clone(), message));
    }

    /// Records TASK_STARTING.
    pub(in crate::core) fn record_starting(&mut self, identity: &Identity, checked: Checked) {
        let update = self.update(identity, TaskState::Starting, checked);
        self.put(update);
    }

    /// Records TASK_RUNNING.
    pub(in crate::core) fn record_running(
        &mut self,
        identity: &Identity,
        results: Results,
        checked: Checked,
    ) {
        let update = Update {
            data: UpdateData::Running(Box::new(results)),
            ..self.update(identity, TaskState::Running, checked)
        };
        self.put(update);
    }

    /// Records an update for a new result of a check; `message` describes it.
    pub(in crate::core) fn record_check(
        &mut self,
        identity: &Identity,
        kind: Kind,
        message: String,
        results: Results,
        checked: Checked,
    ) {
        let update = Update {
            reason: Some(Reason::Checked(kind)),
            message: Some(message),
            data: UpdateData::Running(Box::new(results)),
            ..self.update(identity, TaskState::Running, checked)
        };
        self.put(update);
    }

    /// Records TASK_KILLING. `message` is the reason, unless the kill came from outside.
    pub(in crate::core) fn record_killing(
        &mut self,
        identity: &Identity,
        message: Option<String>,
        checked: Checked,
    ) {
        let update = Update {
            message,
            ..self.update(identity, TaskState::Killing, checked)
        };
        self.put(update);
    }

    /// Records the terminal update.
    pub(in crate::core) fn record_verdict(
        &mut self,
        identity: &Identity,
        verdict: Verdict,
        data: UpdateData,
        checked: Checked,
    ) {
        let update = Update {
            reason: verdict.reason,
            message: Some(verdict.message),
            data,
            ..self.update(identity, verdict.state, checked)
        };
        self.put(update);
    }

    fn update(&mut self, identity: &Identity, state: TaskState, checked: Checked) -> Update {
        Update {
            uuid: self.uuids.issue(),
            task: identity.task.clone(),
            agent: identity.agent.clone(),
            state,
            reason: None,
            message: None,
            data: UpdateData::None,
            checked,
            at: self.now.wall,
        }
    }

    /// From here on the update exists, and survives any loss of connection or agent.
    fn put(&mut self, update: Update) {
        let (uuid, message) = (update.uuid, update.message.clone());
        self.note(match update.reason {
            Some(Reason::Checked(_)) => Note::CheckRecorded(uuid, message.unwrap_or_default()),
            Some(Reason::TaskInvalid | Reason::MaxCompletionTimeReached) | None => {
                Note::Recorded(update.state, uuid, message)
            }
        });
        self.session.outbox.put(Item::Update(update));
    }

    /// Lets the session do what is due. `task` goes into a new subscription.
    pub(in crate::core) fn let_session_act(&mut self, task: Option<&Identity>) {
        self.session.act(task, self.now.moment, &mut self.effects);
    }

    pub(in crate::core) fn into_effects(self) -> Vec<Effect> {
        self.effects
    }
}
