//! One attempt at a job.

use std::sync::Arc;

use super::reason::Reason;
use crate::core::words::{InstanceId, Message, Moment, Steady};

/// One attempt at a job. Its state only moves forward.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instance {
    /// Its name.
    pub id: InstanceId,
    /// Where it was sent.
    pub place: Arc<Place>,
    /// The ports that it has.
    pub ports: Box<[u16]>,
    /// When it was chosen to run (`start_time`).
    pub created: Moment,
    /// When it was first heard of (`mesos_start_time`).
    pub began: Option<Moment>,
    /// How far it is.
    pub state: InstanceState,
    /// It has to end, and why; kept over the reason of the update that reports its end.
    pub kill: Option<Reason>,
    /// A client has asked for the end of this instance alone (`cancelled`).
    pub is_cancelled: bool,
    /// Since when its agent cannot be reached.
    pub unreachable_since: Option<Steady>,
    /// What it has told of itself.
    pub report: Report,
    /// Its sandbox on the agent, once known.
    pub sandbox: Option<Box<str>>,
}

/// How far an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InstanceState {
    /// It was chosen, and nothing was heard of it yet (`unknown`).
    Unknown,
    /// It was heard of (`running`).
    Running,
    /// It has ended; this never changes.
    Ended(End),
}

/// How and when an instance ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct End {
    /// When it was heard of.
    pub at: Moment,
    /// How.
    pub outcome: Outcome,
}

/// How an instance ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// `success`
    Success,
    /// `failed`, and why.
    Failed(Reason),
}

/// Where an instance was sent. Shared, since many are sent to one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The agent.
    pub agent: Agent,
    /// The name of its host.
    pub hostname: Box<str>,
    /// `host:port` of the agent's file endpoints; `None` if this program serves the files itself.
    pub files_at: Option<Box<str>>,
}

/// An agent's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Agent(pub Box<str>);

/// What an instance has told of itself. Empty until something is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Report {
    /// Of the job's command.
    pub exit_code: Option<i32>,
    /// Of the job's before commands, by index; `None` before a later code.
    pub before_codes: Vec<Option<i32>>,
    /// Of its after commands.
    pub after_codes: Vec<Option<i32>>,
    /// Of the operator's before commands.
    pub default_before_codes: Vec<Option<i32>>,
    /// Of the operator's after commands.
    pub default_after_codes: Vec<Option<i32>>,
    /// Whole percent.
    pub progress: Option<u8>,
    /// What its commands said last, while it ran (`progress_message`) and at its end (`message`).
    pub message: Option<Message>,
}

/// How many attempts are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tally {
    /// Ended instances that count.
    pub used: u32,
}

// === impl Instance ===

impl Instance {
    /// It has ended.
    pub fn is_ended(&self) -> bool {
        match self.state {
            InstanceState::Unknown | InstanceState::Running => false,
            InstanceState::Ended(_) => true,
        }
    }

    /// How it ended, once it has.
    pub fn end(&self) -> Option<End> {
        match self.state {
            InstanceState::Unknown | InstanceState::Running => None,
            InstanceState::Ended(end) => Some(end),
        }
    }

    /// Why it failed, if it has.
    pub fn failure(&self) -> Option<Reason> {
        match self.end()?.outcome {
            Outcome::Success => None,
            Outcome::Failed(reason) => Some(reason),
        }
    }
}

// === impl Report ===

impl Report {
    /// Takes what `newer` knows: a report is never emptied by one that knows less.
    pub fn merge(&mut self, newer: Self) {
        let Self {
            exit_code,
            before_codes,
            after_codes,
            default_before_codes,
            default_after_codes,
            progress,
            message,
        } = newer;
        self.exit_code = exit_code.or(self.exit_code);
        longer(&mut self.before_codes, before_codes);
        longer(&mut self.after_codes, after_codes);
        longer(&mut self.default_before_codes, default_before_codes);
        longer(&mut self.default_after_codes, default_after_codes);
        self.progress = progress.or(self.progress);
        if message.is_some() {
            self.message = message;
        }
    }
}

/// Codes only become more.
fn longer(old: &mut Vec<Option<i32>>, new: Vec<Option<i32>>) {
    let count = |codes: &[Option<i32>]| codes.iter().flatten().count();
    if count(&new) > count(old) || (count(&new) == count(old) && new.len() >= old.len()) {
        *old = new;
    }
}
