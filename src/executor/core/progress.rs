//! A task's progress and message: the newest value wins, is sent at most once per interval, and is
//! never lost.

use std::path::PathBuf;
use std::time::Duration;

use crate::core::environment::{Environment, Name, Value};
use crate::words::units::{Moment, Percent, truncate};

/// What is reported to the framework while the task runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProgressReport {
    /// Grows with every value; Cook drops a report that is not newer than what it has.
    pub sequence: u32,
    /// Absent if only a message was ever set.
    pub percent: Option<Percent>,
    /// Empty if only a progress was ever set.
    pub message: String,
}

/// A progress that the task has written into a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reading {
    /// How far the task is.
    pub percent: Percent,
    /// What it says about it, not yet cut to the configured length; absent where the pattern has no
    /// group for it.
    pub message: Option<String>,
}

/// How a task's progress file is found. The same variable names it for the task's commands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProgressFile {
    /// The variable that may hold its path.
    pub variable: Name,
    /// Its path if that variable is unset or empty.
    pub default: Value,
}

/// The newest values and when they may be sent.
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
    /// Nothing was ever sent: the first value goes out at once.
    Never,
    /// The newest value was handed out.
    Done { at: Moment },
    /// There is a newer value than the one handed out last.
    Pending { since_last: Option<Moment> },
}

// === impl ProgressFile ===

impl ProgressFile {
    /// Its path, which is in the environment from now on.
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
    /// Nothing reported yet. `interval` is the least time between two reports, `message_limit` the
    /// longest message in characters.
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

    /// Takes what came by the task API; what is absent stays as it was.
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

    /// Takes what was read in a file of the task.
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

    /// When the newest value may be sent, if it has not been.
    pub fn due_at(&self) -> Option<Moment> {
        match self.delivery {
            Delivery::Never | Delivery::Done { .. } => None,
            Delivery::Pending { since_last: None } => Some(Moment::default()),
            Delivery::Pending {
                since_last: Some(at),
            } => Some(at.plus(self.interval)),
        }
    }

    /// Hands out the newest value, if it has not been and the interval allows it.
    pub fn take_due(&mut self, now: Moment) -> Option<ProgressReport> {
        self.due_at().filter(|due| *due <= now)?;
        self.take_last(now)
    }

    /// Hands out the newest value, if it has not been, whatever the interval.
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

    /// The newest message that came by the task API, cut to the limit: the job's text for its last update.
    /// Messages in files are about progress only.
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
    fn the_first_value_goes_at_once_then_one_per_interval_and_the_newest_wins() {
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
    fn what_the_api_and_the_files_say_has_one_sequence_and_the_newest_of_it_wins() {
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
    fn the_last_value_is_handed_out_whatever_the_interval_and_only_once() {
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
