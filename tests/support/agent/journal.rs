//! Everything that happened between agent and executor, in order and with times. Tests inspect the journal,
//! and a failing test prints it.

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::connection::Transport;
use cook_mesos::messages::{TaskState, TaskStatus};

/// Maximum number of bytes of a message in a transcript.
const MAX_SHOWN: usize = 400;

/// The note for a call that arrives while the agent hangs.
pub const UNANSWERED: &str = "a call waits for its answer";

/// Everything that happened since the agent's start.
#[derive(Debug)]
pub struct Journal {
    started: Instant,
    entries: Vec<Entry>,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The time since the agent's start.
    pub at: Duration,
    /// What happened.
    pub what: What,
}

/// The kinds of entries.
#[derive(Clone, Debug)]
pub enum What {
    /// An accepted SUBSCRIBE.
    Subscribed(Subscription),
    /// An accepted update with a uuid not seen before.
    Update(Box<TaskStatus>),
    /// An accepted update that had been accepted before.
    Repeated(Box<TaskStatus>),
    /// An accepted framework message.
    Message(Vec<u8>),
    /// An event was sent.
    Sent(String),
    /// An event was lost because there was no stream, as in a real agent.
    Lost(String),
    /// A call was refused, because of the script or of the protocol.
    Refused {
        /// The call's type.
        call: &'static str,
        /// The status code; `None` if the connection was reset instead.
        status: Option<u16>,
    },
    /// A task was delivered, but the executor did not list it when it subscribed again: the agent reports
    /// it as dropped.
    Dropped(String),
    /// The event stream ended.
    StreamEnded {
        /// Who ended it.
        by: Side,
    },
    /// The executor has violated the protocol.
    Violation(String),
    /// The executor's process ended, with this exit code or (`None`) by a signal.
    Exited(Option<i32>),
    /// A note by the test.
    Note(String),
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This agent.
    Agent,
    /// The executor.
    Executor,
}

/// What the executor sent when it subscribed.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// How the connection reached the agent.
    pub transport: Transport,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The ids of its unacknowledged tasks.
    pub tasks: Vec<String>,
    /// Its unacknowledged updates.
    pub updates: Vec<TaskStatus>,
}

// === impl Journal ===

impl Journal {
    /// An empty journal. Times count from now.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            entries: Vec::new(),
        }
    }

    /// Adds an entry with the present time.
    pub fn record(&mut self, what: What) {
        self.record_at(self.now(), what);
    }

    /// Adds an entry with an earlier time from [`Self::now`].
    pub fn record_at(&mut self, at: Duration, what: What) {
        self.entries.push(Entry { at, what });
    }

    /// The time since the agent's start.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The accepted updates in the order of their first arrival, each uuid once.
    pub fn updates(&self) -> impl Iterator<Item = &TaskStatus> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            What::Update(status) => Some(&**status),
            _ => None,
        })
    }

    /// The states of all updates, in order.
    pub fn states(&self) -> Vec<TaskState> {
        self.updates().map(TaskStatus::state).collect()
    }

    /// The states of one task's updates, in order.
    pub fn states_of(&self, task_id: &str) -> Vec<TaskState> {
        let of_task = self.updates().filter(|s| s.task_id.value == task_id);
        of_task.map(TaskStatus::state).collect()
    }

    /// The first terminal update of a task.
    pub fn terminal_of(&self, task_id: &str) -> Option<&TaskStatus> {
        self.updates()
            .find(|status| status.task_id.value == task_id && is_terminal(status.state()))
    }

    /// The first terminal update of any task.
    pub fn terminal(&self) -> Option<&TaskStatus> {
        self.updates().find(|status| is_terminal(status.state()))
    }

    /// The framework messages; `null` for one that is not JSON.
    pub fn messages(&self) -> Vec<Value> {
        let data = self.entries.iter().filter_map(|entry| match &entry.what {
            What::Message(data) => Some(data),
            _ => None,
        });
        data.map(|data| serde_json::from_slice(data).unwrap_or_default())
            .collect()
    }

    /// All accepted SUBSCRIBE calls.
    pub fn subscriptions(&self) -> Vec<&Subscription> {
        let subscriptions = self.entries.iter().filter_map(|entry| match &entry.what {
            What::Subscribed(subscription) => Some(subscription),
            _ => None,
        });
        subscriptions.collect()
    }

    /// How many calls were refused with this status.
    pub fn refused(&self, wanted: u16) -> usize {
        let refused = self.entries.iter().filter(
            |entry| matches!(entry.what, What::Refused { status, .. } if status == Some(wanted)),
        );
        refused.count()
    }

    /// How many calls have arrived while the agent was hanging.
    pub fn unanswered(&self) -> usize {
        let is_one = |entry: &&Entry| matches!(&entry.what, What::Note(text) if text == UNANSWERED);
        self.entries.iter().filter(is_one).count()
    }

    /// The violations of the protocol.
    pub fn violations(&self) -> Vec<&str> {
        let violations = self.entries.iter().filter_map(|entry| match &entry.what {
            What::Violation(text) => Some(text.as_str()),
            _ => None,
        });
        violations.collect()
    }

    /// The updates and messages in the order of their arrival, each as a short text: `TASK_RUNNING`, or the
    /// JSON of the message.
    pub fn arrivals(&self) -> Vec<String> {
        let arrivals = self.entries.iter().filter_map(|entry| match &entry.what {
            What::Update(status) => Some(state_name(status.state()).to_owned()),
            What::Message(data) => Some(String::from_utf8_lossy(data).into_owned()),
            _ => None,
        });
        arrivals.collect()
    }

    /// The exit code of the executor, if it has ended; the inner `None` means a signal.
    pub fn exit(&self) -> Option<Option<i32>> {
        self.entries.iter().find_map(|entry| match entry.what {
            What::Exited(code) => Some(code),
            _ => None,
        })
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.entries {
            writeln!(f, "{:>8.3}  {}", entry.at.as_secs_f64(), entry.what)?;
        }
        Ok(())
    }
}

// === impl What ===

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscribed(subscription) => write!(f, "<- SUBSCRIBE {subscription}"),
            Self::Update(status) => write!(f, "<- UPDATE {}", StatusLine(status)),
            Self::Repeated(status) => write!(f, "<- UPDATE (again) {}", StatusLine(status)),
            Self::Message(data) => write!(f, "<- MESSAGE {}", shown(data)),
            Self::Sent(event) => write!(f, "-> {event}"),
            Self::Lost(event) => write!(f, "-x {event} (no stream)"),
            Self::Refused { call, status: None } => write!(f, "<- {call}: connection reset"),
            Self::Refused {
                call,
                status: Some(status),
            } => write!(f, "<- {call}: refused with {status}"),
            Self::Dropped(task) => write!(f, "!! the executor no longer knows task {task}"),
            Self::StreamEnded { by: Side::Agent } => f.write_str("-- stream ended by the agent"),
            Self::StreamEnded { by: Side::Executor } => {
                f.write_str("-- stream ended by the executor")
            }
            Self::Violation(text) => write!(f, "!! violation: {text}"),
            Self::Exited(Some(code)) => write!(f, "-- executor exited with status {code}"),
            Self::Exited(None) => f.write_str("-- executor terminated by a signal"),
            Self::Note(text) => write!(f, "-- {text}"),
        }
    }
}

// === impl Subscription ===

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "over {:?}, unacknowledged tasks ", self.transport)?;
        write!(f, "[{}], updates [", self.tasks.join(" "))?;
        for (index, status) in self.updates.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}{}", state_name(status.state()))?;
        }
        f.write_str("]")
    }
}

/// An update in one line.
struct StatusLine<'a>(&'a TaskStatus);

impl fmt::Display for StatusLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.0;
        let state = state_name(status.state());
        write!(f, "{state} of {}", status.task_id.value)?;
        if let Some(reason) = status.reason {
            write!(f, ", {}", reason_name(reason))?;
        }
        if let Some(healthy) = status.healthy {
            write!(f, ", healthy {healthy}")?;
        }
        if let Some(info) = &status.check_status {
            let found = [
                info.command
                    .as_ref()
                    .and_then(|one| one.exit_code)
                    .map(i64::from),
                info.http
                    .as_ref()
                    .and_then(|one| one.status_code)
                    .map(i64::from),
                info.tcp
                    .as_ref()
                    .and_then(|one| one.succeeded)
                    .map(i64::from),
            ];
            let found = found.into_iter().flatten().next();
            let found = found.map_or("nothing".to_owned(), |found| found.to_string());
            write!(
                f,
                ", check of type {} found {found}",
                info.kind.unwrap_or_default()
            )?;
        }
        if let Some(message) = &status.message {
            write!(f, ", message {message:?}")?;
        }
        if let Some(data) = &status.data {
            write!(f, ", data {}", shown(data))?;
        }
        Ok(())
    }
}

/// Bytes as text, shortened for one line.
fn shown(data: &[u8]) -> String {
    let cut = &data[..data.len().min(MAX_SHOWN)];
    let dots = if cut.len() < data.len() { "..." } else { "" };
    format!("{}{dots}", String::from_utf8_lossy(cut))
}

/// Whether no update may follow this state.
pub fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::Starting | TaskState::Running | TaskState::Killing => false,
        TaskState::Finished | TaskState::Failed | TaskState::Killed | TaskState::Error => true,
    }
}

/// The name of a state in Mesos.
pub fn state_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Starting => "TASK_STARTING",
        TaskState::Running => "TASK_RUNNING",
        TaskState::Finished => "TASK_FINISHED",
        TaskState::Failed => "TASK_FAILED",
        TaskState::Killed => "TASK_KILLED",
        TaskState::Error => "TASK_ERROR",
        TaskState::Killing => "TASK_KILLING",
    }
}

/// The name in Mesos of a reason that an executor may send.
pub fn reason_name(reason: i32) -> String {
    match reason {
        14 => "REASON_TASK_INVALID".to_owned(),
        15 => "REASON_TASK_UNAUTHORIZED".to_owned(),
        28 => "REASON_TASK_CHECK_STATUS_UPDATED".to_owned(),
        29 => "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED".to_owned(),
        33 => "REASON_MAX_COMPLETION_TIME_REACHED".to_owned(),
        other => format!("reason {other}"),
    }
}

/// The JSON in an update's `data`, if there is any.
pub fn data_of(status: &TaskStatus) -> Option<Value> {
    serde_json::from_slice(status.data.as_deref()?).ok()
}
