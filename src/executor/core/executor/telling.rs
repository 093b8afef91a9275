//! What the agent is told of the task: recorded here first, sent later, waited for until it is known
//! to have arrived.

use super::{Executor, State, Step};
use crate::core::effect::Note;
use crate::core::event::Identity;
use crate::core::lifecycle::Verdict;
use crate::core::outbox::{Item, Message, TaskState, Update};
use crate::core::request::View;
use crate::words::units::TaskId;

impl Executor {
    pub(super) fn tell(&mut self, task: &TaskId, message: Message) {
        self.session
            .outbox
            .put(Item::Message(task.clone(), message));
    }

    pub(super) fn record(&mut self, identity: &Identity, state: TaskState, step: &mut Step) {
        let update = self.update(identity, state, step);
        self.put(update, step);
    }

    pub(super) fn record_terminal(
        &mut self,
        identity: &Identity,
        verdict: Verdict,
        result: Option<View>,
        step: &mut Step,
    ) {
        let update = Update {
            reason: verdict.reason,
            message: Some(verdict.message),
            result,
            ..self.update(identity, verdict.state, step)
        };
        self.put(update, step);
    }

    fn update(&mut self, identity: &Identity, state: TaskState, step: &Step) -> Update {
        Update {
            uuid: self.uuids.issue(),
            task: identity.task.clone(),
            agent: identity.agent.clone(),
            state,
            reason: None,
            message: None,
            result: None,
            at: step.now.wall,
        }
    }

    /// From here on the update exists, whatever becomes of wires and agents.
    fn put(&mut self, update: Update, step: &mut Step) {
        if let State::Active(active) = &mut self.state
            && active.identity.task == update.task
        {
            active.last_state = update.state;
        }
        let note = Note::Recorded(update.state, update.uuid, update.message.clone());
        step.note(note);
        self.session.outbox.put(Item::Update(update));
    }

    pub(super) fn acknowledged(&mut self, uuid: &[u8], step: &mut Step) {
        let Some(update) = self.session.outbox.acknowledge(uuid) else {
            return step.note(Note::AcknowledgedUnknown);
        };
        let note = Note::Acknowledged(update.state, update.uuid);
        step.note(note);
        if let State::Active(active) = &mut self.state
            && active.identity.task == update.task
        {
            active.is_acknowledged = true;
        }
    }
}
