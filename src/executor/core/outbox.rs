//! Everything that the agent must receive, in order, until it has received it.
//!
//! A status update is recorded here before it is sent, keeps its UUID, and is removed only when the agent
//! has acknowledged it: the response 202 to a call means "received", not "stored" (`src/slave/http.cpp`).
//! Framework messages have no acknowledgement in Mesos, so 202 counts as theirs.

use crate::core::checks::{Checked, Kind};
use crate::core::progress::ProgressReport;
use crate::core::request::{Results, View};
use crate::words::units::{AgentId, TaskId, Uuid, WallTime};

/// The states that this executor reports (`TaskState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// The task was received.
    Starting,
    /// The command's program has started.
    Running,
    /// A kill was requested. Sent only to frameworks with the capability for it.
    Killing,
    /// The command exited with status 0.
    Finished,
    /// The command or a guard has failed.
    Failed,
    /// The task was killed.
    Killed,
    /// The task is invalid.
    Error,
}

/// Why a task is in its state, if Mesos has a constant for it (`TaskStatus.Reason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The task is invalid.
    TaskInvalid,
    /// `TaskInfo.max_completion_time` has passed.
    MaxCompletionTimeReached,
    /// A check of this kind has a new result.
    Checked(Kind),
}

/// A status update. It never changes after it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Update {
    /// Identifies the update, however often it is sent.
    pub uuid: Uuid,
    /// The task.
    pub task: TaskId,
    /// The agent that runs the task.
    pub agent: AgentId,
    /// The task's new state.
    pub state: TaskState,
    /// The reason, if Mesos has a constant for it.
    pub reason: Option<Reason>,
    /// The reason as a text.
    pub message: Option<String>,
    /// What the update says about the task's commands.
    pub data: UpdateData,
    /// What the update says about the task's checks.
    pub checked: Checked,
    /// When it was recorded.
    pub at: WallTime,
}

/// What a status update says about the task's commands (`TaskStatus.data`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpdateData {
    /// Nothing.
    None,
    /// For TASK_RUNNING: the results of before commands.
    Running(Box<Results>),
    /// For the terminal state of a task that was run: everything that is known about it.
    Terminal(Box<View>),
}

/// A message to the framework, in one of the formats that the Cook scheduler reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// The path of the sandbox on the host.
    Directory(String),
    /// The latest progress.
    Progress(ProgressReport),
    /// The exit code of the command.
    ExitCode(i32),
}

/// Something that the agent must receive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// Kept until it is acknowledged.
    Update(Update),
    /// Kept until a call with it was accepted.
    Message(TaskId, Message),
}

/// Identifies an item in the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(pub u32);

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallAnswer {
    /// 202.
    Accepted,
    /// Unknown: no connection, no response, or a response that asks to try again (404, 500, 503).
    TryAgain,
    /// The agent does not know this executor, or says that it is not subscribed.
    NotSubscribed,
    /// The agent will never accept this call.
    Refused,
}

/// Items in order, each until the agent has received it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Outbox {
    entries: Vec<Entry>,
    next_serial: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    serial: Serial,
    item: Item,
    /// Whether it was sent in the current subscription.
    sent: bool,
    /// Whether the agent may have received it, or may still receive it: with a call, or with a subscription
    /// that it has accepted.
    may_be_there: bool,
}

// === impl TaskState ===

impl TaskState {
    /// Whether no other state can follow.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Starting | Self::Running | Self::Killing => false,
            Self::Finished | Self::Failed | Self::Killed | Self::Error => true,
        }
    }

    /// The name in `mesos.proto`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "TASK_STARTING",
            Self::Running => "TASK_RUNNING",
            Self::Killing => "TASK_KILLING",
            Self::Finished => "TASK_FINISHED",
            Self::Failed => "TASK_FAILED",
            Self::Killed => "TASK_KILLED",
            Self::Error => "TASK_ERROR",
        }
    }
}

// === impl Item ===

impl Item {
    /// Whether `older` is obsolete.
    fn replaces(&self, older: &Self) -> bool {
        match (self, older) {
            (Self::Message(_, Message::Progress(_)), Self::Message(_, Message::Progress(_))) => {
                true
            }
            // Each one has the results of all checks.
            (Self::Update(new), Self::Update(old)) => {
                matches!(new.reason, Some(Reason::Checked(_)))
                    && new.reason == old.reason
                    && new.task == old.task
            }
            (Self::Update(_) | Self::Message(..), Self::Update(_) | Self::Message(..)) => false,
        }
    }
}

// === impl Outbox ===

impl Outbox {
    /// Adds an item at the end. It replaces a progress report or a check's result that was never sent,
    /// because only the newest one is worth a call. An item that the agent may still receive is kept,
    /// because it must arrive before newer ones.
    pub fn put(&mut self, item: Item) {
        self.entries.retain(|entry| {
            let is_replaced = match entry.item {
                Item::Message(..) => !entry.sent,
                Item::Update(_) => !entry.may_be_there,
            };
            !(is_replaced && item.replaces(&entry.item))
        });
        let serial = Serial(self.next_serial);
        self.next_serial = self.next_serial.wrapping_add(1);
        self.entries.push(Entry {
            serial,
            item,
            sent: false,
            may_be_there: false,
        });
    }

    /// The first item that was not sent in this subscription. Messages are returned only `with_messages`.
    pub fn next(&self, with_messages: bool) -> Option<(Serial, &Item)> {
        let may_go = |item: &Item| with_messages || matches!(item, Item::Update(_));
        let mut unsent = self.entries.iter().filter(|entry| !entry.sent);
        let entry = unsent.find(|entry| may_go(&entry.item))?;
        Some((entry.serial, &entry.item))
    }

    /// A call with the item is being made.
    pub fn sending(&mut self, serial: Serial) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.serial == serial) {
            entry.sent = true;
            entry.may_be_there = true;
        }
    }

    /// Handles the result of a call. The item may be gone, because an update can be acknowledged before its
    /// call is answered.
    pub fn answered(&mut self, serial: Serial, answer: CallAnswer) {
        let Some(at) = self.entries.iter().position(|entry| entry.serial == serial) else {
            return;
        };
        let is_message = matches!(self.entries[at].item, Item::Message(..));
        match answer {
            CallAnswer::TryAgain | CallAnswer::NotSubscribed => self.entries[at].sent = false,
            CallAnswer::Accepted | CallAnswer::Refused if is_message => {
                drop(self.entries.remove(at))
            }
            // A refused update would be refused again. It is kept, so that it does not count as delivered,
            // and is sent with the next subscription.
            CallAnswer::Accepted | CallAnswer::Refused => {}
        }
    }

    /// The agent has accepted the subscription, including the updates in it.
    pub fn subscribed(&mut self) {
        for entry in &mut self.entries {
            entry.may_be_there |= entry.sent;
        }
    }

    /// Begins a new subscription. Returns the updates that it must contain.
    pub fn subscribing(&mut self) -> Vec<Update> {
        for entry in &mut self.entries {
            entry.sent = matches!(entry.item, Item::Update(_));
        }
        self.updates().cloned().collect()
    }

    /// The agent has stored an update. After a terminal update, no other update of that task may be sent:
    /// the agent would forward it as one of an unknown task, and never acknowledge it. Returns the
    /// acknowledged update; `None` for an unknown UUID.
    pub fn acknowledge(&mut self, uuid: &[u8]) -> Option<Update> {
        let at = self.entries.iter().position(|entry| match &entry.item {
            Item::Update(update) => update.uuid.0 == *uuid,
            Item::Message(..) => false,
        })?;
        let Item::Update(update) = self.entries.remove(at).item else {
            return None;
        };
        if update.state.is_terminal() {
            self.entries.retain(|entry| match &entry.item {
                Item::Update(other) => other.task != update.task,
                Item::Message(..) => true,
            });
        }
        Some(update)
    }

    /// Whether there is nothing left to send, and no acknowledgement is missing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether all updates are acknowledged.
    pub fn is_acknowledged(&self) -> bool {
        self.updates().next().is_none()
    }

    /// The unacknowledged updates, in order.
    pub fn updates(&self) -> impl Iterator<Item = &Update> {
        self.entries.iter().filter_map(|entry| match &entry.item {
            Item::Update(update) => Some(update),
            Item::Message(..) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::units::UuidSource;

    struct Fixture {
        outbox: Outbox,
        uuids: UuidSource,
    }

    impl Fixture {
        fn new() -> Self {
            Self {
                outbox: Outbox::default(),
                uuids: UuidSource::new([7; 16]),
            }
        }

        fn update(&mut self, state: TaskState) -> Uuid {
            self.put(state, None)
        }

        fn update_for(&mut self, reason: Option<Reason>) -> Uuid {
            self.put(TaskState::Running, reason)
        }

        fn put(&mut self, state: TaskState, reason: Option<Reason>) -> Uuid {
            let uuid = self.uuids.issue();
            self.outbox.put(Item::Update(Update {
                uuid,
                task: TaskId("t".into()),
                agent: AgentId("a".into()),
                state,
                reason,
                message: None,
                data: UpdateData::None,
                checked: Checked::default(),
                at: WallTime(0),
            }));
            uuid
        }

        fn progress(&mut self, sequence: u32) {
            let report = ProgressReport {
                sequence,
                percent: None,
                message: String::new(),
            };
            self.outbox
                .put(Item::Message(TaskId("t".into()), Message::Progress(report)));
        }

        /// Sends the next item, and returns it with its serial.
        fn send(&mut self) -> Option<(Serial, Item)> {
            let (serial, item) = self.outbox.next(true)?;
            let item = item.clone();
            self.outbox.sending(serial);
            Some((serial, item))
        }
    }

    #[test]
    fn an_accepted_update_is_kept_until_it_is_acknowledged() {
        let mut fixture = Fixture::new();
        let uuid = fixture.update(TaskState::Starting);
        let (serial, _) = fixture.send().expect("recorded");
        fixture.outbox.answered(serial, CallAnswer::Accepted);
        assert_eq!(fixture.outbox.next(true), None);
        assert!(!fixture.outbox.is_acknowledged());
        assert!(fixture.outbox.acknowledge(&uuid.0).is_some());
        assert!(fixture.outbox.is_acknowledged());
        assert!(fixture.outbox.acknowledge(&uuid.0).is_none());
    }

    #[test]
    fn an_update_that_was_not_accepted_is_sent_again_before_later_ones() {
        let mut fixture = Fixture::new();
        let first = fixture.update(TaskState::Starting);
        fixture.update(TaskState::Running);
        let (serial, _) = fixture.send().expect("recorded");
        fixture.outbox.answered(serial, CallAnswer::TryAgain);
        let (_, item) = fixture.send().expect("still there");
        assert!(matches!(item, Item::Update(update) if update.uuid == first));
    }

    #[test]
    fn a_subscription_carries_all_unacknowledged_updates_and_leaves_messages_to_calls() {
        let mut fixture = Fixture::new();
        let uuids = [
            fixture.update(TaskState::Starting),
            fixture.update(TaskState::Running),
        ];
        fixture.progress(1);
        let carried: Vec<Uuid> = fixture
            .outbox
            .subscribing()
            .iter()
            .map(|u| u.uuid)
            .collect();
        assert_eq!(carried, uuids);
        let (_, item) = fixture.send().expect("the message is still to be sent");
        assert!(matches!(item, Item::Message(..)));
        assert!(fixture.send().is_none());
    }

    #[test]
    fn an_unsent_progress_is_replaced_by_a_newer_one() {
        let mut fixture = Fixture::new();
        fixture.progress(1);
        fixture.progress(2);
        let (serial, item) = fixture.send().expect("the newest");
        assert!(matches!(item, Item::Message(_, Message::Progress(p)) if p.sequence == 2));
        fixture.outbox.answered(serial, CallAnswer::Accepted);
        assert_eq!(fixture.outbox.next(true), None);
    }

    #[test]
    fn a_checks_result_is_replaced_by_a_newer_one_unless_the_agent_may_still_receive_it() {
        let mut fixture = Fixture::new();
        let [health, check] = [Kind::Health, Kind::Check].map(|kind| Some(Reason::Checked(kind)));
        fixture.update(TaskState::Running);
        let left = |fixture: &mut Fixture| {
            let updates = fixture.outbox.updates().map(|update| update.uuid);
            updates.skip(1).collect::<Vec<_>>()
        };
        // While the agent is away, subscriptions with the update fail.
        fixture.update_for(health);
        fixture.outbox.subscribing();
        let first = fixture.update_for(check);
        let second = fixture.update_for(health);
        assert_eq!(left(&mut fixture), [first, second]);
        fixture.outbox.subscribing();
        fixture.outbox.subscribed();
        let third = fixture.update_for(health);
        assert_eq!(left(&mut fixture), [first, second, third]);
        // The call may still arrive, although it was given up.
        let (serial, _) = fixture.send().expect("the third");
        fixture.outbox.answered(serial, CallAnswer::TryAgain);
        let fourth = fixture.update_for(health);
        assert_eq!(left(&mut fixture), [first, second, third, fourth]);
        let fifth = fixture.update_for(health);
        assert_eq!(left(&mut fixture), [first, second, third, fifth]);
    }

    #[test]
    fn after_the_terminal_acknowledgement_only_messages_are_left() {
        let mut fixture = Fixture::new();
        fixture.update(TaskState::Starting);
        fixture.progress(1);
        let terminal = fixture.update(TaskState::Finished);
        assert!(fixture.outbox.acknowledge(&terminal.0).is_some());
        assert!(fixture.outbox.is_acknowledged());
        assert!(!fixture.outbox.is_empty());
        assert_eq!(fixture.outbox.next(false), None);
        assert!(matches!(fixture.send(), Some((_, Item::Message(..)))));
    }
}
