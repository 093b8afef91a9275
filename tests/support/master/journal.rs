//! Everything that happened between the master and the scheduler, in order and with times.

use std::fmt;
use std::time::{Duration, Instant};

use cook_mesos::scheduler::{Call, CallType, TaskInfo};

/// Everything that happened since the master's start.
#[derive(Debug)]
pub struct Journal {
    started: Instant,
    entries: Vec<Entry>,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The time since the master's start.
    pub at: Duration,
    /// What happened.
    pub what: What,
}

/// The kinds of entries.
#[derive(Clone, Debug)]
pub enum What {
    /// A call has arrived, whether or not it is accepted.
    Called(Box<Called>),
    /// A call was refused with this status and text.
    Refused(CallType, u16, String),
    /// An event was sent.
    Sent(String),
    /// An event was lost because there was no stream.
    Lost(String),
    /// The event stream ended; `true` if the scheduler ended it.
    StreamEnded(bool),
    /// The scheduler has violated the protocol.
    Violation(String),
    /// A note by the test.
    Note(String),
}

/// A call as received.
#[derive(Clone, Debug)]
pub struct Called {
    /// The number of the connection.
    pub connection: u64,
    /// The header `Mesos-Stream-Id`.
    pub stream: Option<String>,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    /// The call.
    pub call: Call,
}

// === impl Journal ===

impl Journal {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            entries: Vec::new(),
        }
    }

    pub(crate) fn record(&mut self, what: What) {
        let at = self.started.elapsed();
        self.entries.push(Entry { at, what });
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The calls of this kind, from the entry with this number on.
    pub fn calls(&self, kind: CallType, from: usize) -> impl Iterator<Item = &Called> {
        let entries = self.entries.get(from..).unwrap_or_default().iter();
        entries.filter_map(move |entry| match &entry.what {
            What::Called(called) if called.call.kind() == kind => Some(&**called),
            _ => None,
        })
    }

    /// The times of the calls of this kind.
    pub fn times(&self, kind: CallType) -> Vec<Duration> {
        let of_kind = self.entries.iter().filter(
            |entry| matches!(&entry.what, What::Called(called) if called.call.kind() == kind),
        );
        of_kind.map(|entry| entry.at).collect()
    }

    /// The tasks of all ACCEPT calls, in order, whether or not they were launched.
    pub fn tasks(&self) -> Vec<TaskInfo> {
        let accepts = self.calls(CallType::Accept, 0);
        let operations = accepts.flat_map(|called| called.call.accept.iter());
        let operations = operations.flat_map(|accept| accept.operations.iter());
        let launches = operations.filter_map(|operation| operation.launch.as_ref());
        launches
            .flat_map(|launch| launch.task_infos.iter().cloned())
            .collect()
    }

    /// The violations of the protocol.
    pub fn violations(&self) -> Vec<&str> {
        let violations = self.entries.iter().filter_map(|entry| match &entry.what {
            What::Violation(text) => Some(text.as_str()),
            _ => None,
        });
        violations.collect()
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

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Called(called) => write!(f, "<- {called}"),
            Self::Refused(kind, status, text) => write!(f, "-> {kind:?} refused: {status} {text}"),
            Self::Sent(event) => write!(f, "-> {event}"),
            Self::Lost(event) => write!(f, "-x {event} (no stream)"),
            Self::StreamEnded(true) => f.write_str("-- stream ended by the scheduler"),
            Self::StreamEnded(false) => f.write_str("-- stream ended by the master"),
            Self::Violation(text) => write!(f, "!! violation: {text}"),
            Self::Note(text) => write!(f, "-- {text}"),
        }
    }
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = &self.call;
        let kind = format!("{:?}", call.kind()).to_uppercase();
        write!(f, "{kind} on connection {}", self.connection)?;
        if let Some(accept) = &call.accept {
            for offer in &accept.offer_ids {
                write!(f, " {}", offer.value)?;
            }
            let launches = accept.operations.iter().filter_map(|it| it.launch.as_ref());
            for task in launches.flat_map(|launch| &launch.task_infos) {
                write!(f, " {}", task.task_id.value)?;
            }
        }
        if let Some(decline) = &call.decline {
            for offer in &decline.offer_ids {
                write!(f, " {}", offer.value)?;
            }
        }
        if let Some(kill) = &call.kill {
            write!(f, " {}", kill.task_id.value)?;
        }
        if let Some(acknowledge) = &call.acknowledge {
            write!(f, " {}", acknowledge.task_id.value)?;
        }
        if let Some(reconcile) = &call.reconcile {
            for task in &reconcile.tasks {
                write!(f, " {}", task.task_id.value)?;
            }
        }
        Ok(())
    }
}
