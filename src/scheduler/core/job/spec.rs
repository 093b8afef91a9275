//! A job as it was submitted. It never changes afterwards.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use crate::core::words::{
    ApplicationText, Command, Demand, EnvName, GroupId, Hook, JobName, LabelText, NotEmpty,
    TextError,
};

/// A job as it was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobSpec {
    /// The command; a job may consist of hooks only.
    pub command: Option<Command>,
    /// The before commands, in order.
    pub before: Vec<Hook>,
    /// The after commands, in order.
    pub after: Vec<Hook>,
    /// Its name, for people.
    pub name: JobName,
    /// Among the jobs of one user, higher priorities start first.
    pub priority: Priority,
    /// The resources of one instance.
    pub demand: Demand,
    /// How many attempts it had when submitted; [`Job::max_retries`](super::Job::max_retries) is the
    /// current number.
    pub max_retries: Retries,
    /// How long an instance may run; `None` for no limit.
    pub max_runtime: Option<Runtime>,
    /// How long it is expected to run; only shown.
    pub expected_runtime: Option<Runtime>,
    /// The environment variables of its commands; names are unique.
    pub env: Vec<Variable>,
    /// Labels, only shown; names are unique.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// Files to fetch into the sandbox.
    pub uris: Vec<Uri>,
    /// Where it may run; all constraints must hold.
    pub constraints: Vec<Constraint>,
    /// Its group.
    pub group: Option<GroupId>,
    /// The file that its commands write progress lines to.
    pub progress_output_file: Option<NotEmpty>,
    /// The regular expression that recognises a progress line.
    pub progress_regex: Option<NotEmpty>,
    /// Whether failures that are not the job's fault count as attempts too.
    pub counts_all_failures: bool,
    /// The application that the job belongs to; only shown.
    pub application: Option<Application>,
    /// Whether `executor` was given as `cook`; only shown.
    pub names_executor: bool,
    /// `pool`; only shown.
    pub pool: Option<NotEmpty>,
    /// `checkpoint` as checked JSON; only shown.
    pub checkpoint: Option<Box<str>>,
}

/// 0 to 16,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u32);

/// The total number of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Retries(NonZeroU32);

/// A time limit, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Runtime(NonZeroU64);

/// An environment variable; name and value together fit into the kernel's limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Variable {
    name: EnvName,
    value: Box<str>,
}

/// A file to fetch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uri {
    /// Its URL or path.
    pub value: NotEmpty,
    /// How it is prepared after fetching.
    pub is_for: UriUse,
    /// Whether the agent may cache it for other tasks.
    pub cache: bool,
}

/// How a fetched file is prepared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UriUse {
    /// It is made executable and, as in Mesos' fetcher, not extracted.
    pub executable: bool,
    /// It is extracted if it is an archive.
    pub extract: bool,
}

/// `[attribute, "EQUALS", value]`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Constraint {
    /// An attribute of the agent, or `HOSTNAME`.
    pub attribute: LabelText,
    /// The value that it must have.
    pub value: LabelText,
}

/// The application that a job belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Application {
    /// `name`
    pub name: ApplicationText,
    /// `version`
    pub version: ApplicationText,
    /// `workload-class`
    pub workload_class: Option<NotEmpty>,
    /// `workload-id`
    pub workload_id: Option<NotEmpty>,
    /// `workload-details`
    pub workload_details: Option<NotEmpty>,
}

// === impl Priority ===

impl Priority {
    /// The highest priority.
    pub const HIGHEST: u32 = 16_000_000;

    /// `None` above [`Self::HIGHEST`].
    pub fn new(value: u32) -> Option<Self> {
        (value <= Self::HIGHEST).then_some(Self(value))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Priority {
    /// The default of Cook.
    fn default() -> Self {
        Self(50)
    }
}

// === impl Retries ===

impl Retries {
    /// A single attempt.
    pub const ONE: Self = Self(NonZeroU32::MIN);

    /// The maximum for any configuration: it bounds the size of a job's record in a commit. The
    /// operator's limit is usually far lower.
    pub const MOST: u32 = 10_000;

    /// `None` for zero and above [`Self::MOST`].
    pub fn new(value: u32) -> Option<Self> {
        NonZeroU32::new(value)
            .filter(|value| value.get() <= Self::MOST)
            .map(Self)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

// === impl Runtime ===

impl Runtime {
    /// `None` for zero.
    pub fn from_millis(value: u64) -> Option<Self> {
        NonZeroU64::new(value).map(Self)
    }

    /// In milliseconds.
    pub fn millis(self) -> u64 {
        self.0.get()
    }

    /// As a `Duration`.
    pub fn get(self) -> Duration {
        Duration::from_millis(self.0.get())
    }
}

// === impl Variable ===

impl Variable {
    /// A variable.
    ///
    /// # Errors
    /// The value contains a NUL byte, or name and value together are too long for the kernel.
    pub fn new(name: EnvName, value: impl Into<Box<str>>) -> Result<Self, TextError> {
        let value = value.into();
        name.allows(&value)?;
        Ok(Self { name, value })
    }

    /// Its name.
    pub fn name(&self) -> &EnvName {
        &self.name
    }

    /// Its value.
    pub fn value(&self) -> &str {
        &self.value
    }
}
