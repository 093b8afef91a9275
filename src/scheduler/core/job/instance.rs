//! One attempt at a job.

use std::sync::Arc;

use super::reason::Reason;
use crate::core::words::{InstanceId, Message, Moment, Steady};

/// One attempt at a job. Its state only moves forward.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The agent that it was sent to.
    pub place: Arc<Place>,
    /// The ports that were assigned to it.
    pub ports: Box<[u16]>,
    /// When the scheduler decided to start it (`start_time`).
    pub created: Moment,
    /// When its executor was first heard of (`mesos_start_time`).
    pub began: Option<Moment>,
    /// Its state.
    pub state: InstanceState,
    /// Why it was killed, if it was. This reason takes precedence over the reason of its terminal
    /// update.
    pub kill: Option<Reason>,
    /// A client has killed this instance alone, not its job (`cancelled`).
    pub is_cancelled: bool,
    /// Since when its agent cannot be reached.
    pub unreachable_since: Option<Steady>,
    /// What it has reported about itself.
    pub report: Report,
    /// The path of its sandbox on the agent, once known.
    pub sandbox: Option<Box<str>>,
}

/// The state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InstanceState {
    /// It was sent; nothing was heard of it yet (`unknown`).
    Unknown,
    /// Its executor has reported it (`running`).
    Running,
    /// It has ended. An end never changes.
    Ended(End),
}

/// How and when an instance ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct End {
    /// When the end was reported.
    pub at: Moment,
    /// The result.
    pub outcome: Outcome,
}

/// The result of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// `success`
    Success,
    /// `failed`, with the reason.
    Failed(Reason),
}

/// An agent and its host. Shared, because many instances are sent to the same agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The agent.
    pub agent: Agent,
    /// The name of its host.
    pub hostname: Box<str>,
    /// `host:port` of the agent's file endpoints; `None` if this scheduler serves the files itself.
    pub files_at: Option<Box<str>>,
}

/// An agent's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Agent(pub Box<str>);

/// What an instance has reported about itself. Empty at first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Report {
    /// The exit code of the job's command.
    pub exit_code: Option<i32>,
    /// The exit codes of the job's before commands, by index; `None` where a code is missing before a
    /// later one.
    pub before_codes: Vec<Option<i32>>,
    /// The exit codes of the job's after commands.
    pub after_codes: Vec<Option<i32>>,
    /// The exit codes of the operator's before commands.
    pub default_before_codes: Vec<Option<i32>>,
    /// The exit codes of the operator's after commands.
    pub default_after_codes: Vec<Option<i32>>,
    /// Percent, 0 to 100.
    pub progress: Option<u8>,
    /// The newest message: from a progress update (`progress_message`) or from the terminal update
    /// (`message`).
    pub message: Option<Message>,
}

/// How many attempts a job has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tally {
    /// The number of ended instances that count as attempts.
    pub used: u32,
}

// === impl Instance ===

impl Instance {
    /// Whether it has ended.
    pub fn is_ended(&self) -> bool {
        match self.state {
            InstanceState::Unknown | InstanceState::Running => false,
            InstanceState::Ended(_) => true,
        }
    }

    /// Its end, once it has ended.
    pub fn end(&self) -> Option<End> {
        match self.state {
            InstanceState::Unknown | InstanceState::Running => None,
            InstanceState::Ended(end) => Some(end),
        }
    }

    /// The reason of its failure, if it failed.
    pub fn failure(&self) -> Option<Reason> {
        match self.end()?.outcome {
            Outcome::Success => None,
            Outcome::Failed(reason) => Some(reason),
        }
    }
}

// === impl Report ===

impl Report {
    /// Adds what `newer` knows. What is known already is kept where `newer` says nothing.
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
        replace_unless_fewer(&mut self.before_codes, before_codes);
        replace_unless_fewer(&mut self.after_codes, after_codes);
        replace_unless_fewer(&mut self.default_before_codes, default_before_codes);
        replace_unless_fewer(&mut self.default_after_codes, default_after_codes);
        self.progress = progress.or(self.progress);
        if message.is_some() {
            self.message = message;
        }
    }
}

/// Replaces the codes, unless the new list knows fewer of them.
fn replace_unless_fewer(old: &mut Vec<Option<i32>>, new: Vec<Option<i32>>) {
    let count = |codes: &[Option<i32>]| codes.iter().flatten().count();
    if count(&new) > count(old) || (count(&new) == count(old) && new.len() >= old.len()) {
        *old = new;
    }
}
