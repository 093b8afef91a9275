//! A task's progress and message. The newest value replaces older ones, is sent at most once per interval,
//! and is never lost.

use std::path::PathBuf;
use std::time::Duration;

use crate::core::environment::{Environment, Name, Value};
use crate::words::units::{Moment, Percent, truncate};

/// What is reported to the framework while the task runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProgressReport {
    /// Increases with every value. Cook ignores a report that is not newer than the last one.
    pub sequence: u32,
    /// `None` if only messages were set.
    pub percent: Option<Percent>,
    /// Empty if only progress was set.
    pub message: String,
}

/// Progress that the task has written to a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reading {
    /// The percentage.
    pub percent: Percent,
    /// The message, not yet cut to the maximum length. `None` if the pattern has no group for it.
    pub message: Option<String>,
}

/// How to find a task's progress file. Commands get the path in the same variable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProgressFile {
    /// The variable that may contain its path.
    pub variable: Name,
    /// The path to use if that variable is unset or empty.
    pub default: Value,
}

/// The newest values, and when they may be sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Progress {
    interval: Duration,
    message_limit: usize,
    percent: Option<Percent>,
    message: Option<String>,
    own_message: Option<String>,
    sequence: u32,
    delivery: Delivery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Delivery {
    /// Nothing was sent yet: the first value is sent immediately.
    Never,
    /// The newest value was sent.
    Done { at: Moment },
    /// There is a newer value than the last one sent.
    Pending { since_last: Option<Moment> },
}

// === impl ProgressFile ===

impl ProgressFile {
    /// The path of the file. If the variable is unset or empty, sets it.
    pub fn settle(&self, environment: &mut Environment) -> PathBuf {
        let given = environment.get(self.variable.as_os_str());
        if let Some(path) = given.filter(|path| !path.is_empty()) {
            return PathBuf::from(path);
        }
        environment.set(self.variable.clone(), self.default.clone());
        PathBuf::from(self.default.as_os_str())
    }
}

// === impl Progress ===

impl Progress {
    /// No values. `interval` is the minimum time between two reports, `message_limit` the maximum length of
    /// a message in characters.
    pub fn new(interval: Duration, message_limit: usize) -> Self {
        Self {
            interval,
            message_limit,
            percent: None,
            message: None,
            own_message: None,
            sequence: 0,
            delivery: Delivery::Never,
        }
    }

    /// Takes values of a PATCH. Absent ones do not change.
    pub fn update(&mut self, percent: Option<Percent>, message: Option<String>) {
        if percent.is_none() && message.is_none() {
            return;
        }
        let has_message = message.is_some();
        self.put(percent, message);
        if has_message {
            self.own_message.clone_from(&self.message);
        }
    }

    /// Takes a progress that was read from a file of the task.
    pub fn read(&mut self, reading: Reading) {
        self.put(Some(reading.percent), reading.message);
    }

    fn put(&mut self, percent: Option<Percent>, message: Option<String>) {
        self.percent = percent.or(self.percent);
        if let Some(message) = message {
            self.message = Some(truncate(&message, self.message_limit));
        }
        self.sequence = self.sequence.saturating_add(1);
        self.delivery = match self.delivery {
            Delivery::Never => Delivery::Pending { since_last: None },
            Delivery::Done { at } => Delivery::Pending {
                since_last: Some(at),
            },
            pending @ Delivery::Pending { .. } => pending,
        };
    }

    /// When the newest value may be sent, if it was not sent yet.
    pub fn due_at(&self) -> Option<Moment> {
        match self.delivery {
            Delivery::Never | Delivery::Done { .. } => None,
            Delivery::Pending { since_last: None } => Some(Moment::default()),
            Delivery::Pending {
                since_last: Some(at),
            } => Some(at.plus(self.interval)),
        }
    }

    /// Returns the newest value to send, if it was not sent yet and the interval has passed.
    pub fn take_due(&mut self, now: Moment) -> Option<ProgressReport> {
        self.due_at().filter(|due| *due <= now)?;
        self.take_last(now)
    }

    /// Returns the newest value to send, if it was not sent yet, regardless of the interval.
    pub fn take_last(&mut self, now: Moment) -> Option<ProgressReport> {
        self.due_at()?;
        self.delivery = Delivery::Done { at: now };
        Some(ProgressReport {
            sequence: self.sequence,
            percent: self.percent,
            message: self.message.clone().unwrap_or_default(),
        })
    }

    /// The newest progress.
    pub fn percent(&self) -> Option<Percent> {
        self.percent
    }

    /// The newest message, cut to the limit.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The newest message that was set by PATCH, cut to the limit. It becomes the message of the terminal
    /// update. Messages from files are only about progress.
    pub fn own_message(&self) -> Option<&str> {
        self.own_message.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Moment {
        Moment(Duration::from_millis(milliseconds))
    }

    fn report(progress: &mut Progress, now: u64) -> Option<(u32, f64)> {
        let report = progress.take_due(at(now))?;
        Some((report.sequence, report.percent?.get()))
    }

    #[test]
    fn the_first_value_is_sent_immediately_then_the_newest_once_per_interval() {
        let mut progress = Progress::new(Duration::from_secs(1), 64);
        assert_eq!(report(&mut progress, 0), None);
        progress.update(Percent::new(1.0), None);
        assert_eq!(report(&mut progress, 10), Some((1, 1.0)));
        progress.update(Percent::new(2.0), None);
        progress.update(Percent::new(3.0), None);
        assert_eq!(report(&mut progress, 1009), None);
        assert_eq!(progress.due_at(), Some(at(1010)));
        assert_eq!(report(&mut progress, 1010), Some((3, 3.0)));
        assert_eq!(progress.due_at(), None);
    }

    #[test]
    fn values_from_api_and_files_share_one_sequence_and_the_newest_wins() {
        let mut progress = Progress::new(Duration::from_secs(1), 64);
        let reading = |percent, message: Option<&str>| Reading {
            percent: Percent::new(percent).expect("in range"),
            message: message.map(str::to_owned),
        };
        progress.read(reading(1.0, Some("in a file")));
        assert_eq!(
            (progress.message(), progress.own_message()),
            (Some("in a file"), None)
        );
        progress.update(None, Some("by the API".into()));
        progress.read(reading(2.0, None));
        let report = progress.take_due(at(0)).expect("nothing was sent yet");
        assert_eq!(
            (report.sequence, report.message.as_str()),
            (3, "by the API")
        );
        progress.read(reading(3.0, Some("in a file again")));
        assert_eq!(progress.message(), Some("in a file again"));
        assert_eq!(progress.own_message(), Some("by the API"));
    }

    #[test]
    fn the_last_value_is_sent_once_regardless_of_the_interval() {
        let mut progress = Progress::new(Duration::from_secs(1), 64);
        progress.update(Percent::new(1.0), None);
        assert!(progress.take_due(at(0)).is_some());
        progress.update(None, Some("done".into()));
        let last = progress.take_last(at(1)).expect("a value is pending");
        assert_eq!(
            (last.percent, last.message.as_str()),
            (Percent::new(1.0), "done")
        );
        assert_eq!(progress.take_last(at(2)), None);
    }
}
