//! A job as it was submitted: never changed afterwards.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use crate::core::words::{
    ApplicationText, Command, Demand, EnvName, GroupId, Hook, JobName, LabelText, NotEmpty,
    TextError,
};

/// A job as it was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobSpec {
    /// The command; a job of hooks only has none.
    pub command: Option<Command>,
    /// What runs before it, in order.
    pub before: Vec<Hook>,
    /// What runs after it, in order.
    pub after: Vec<Hook>,
    /// For people.
    pub name: JobName,
    /// Higher goes first among the jobs of its user.
    pub priority: Priority,
    /// What an instance needs.
    pub demand: Demand,
    /// How often it may be tried at first; [`Job::max_retries`](super::Job::max_retries) is today's.
    pub max_retries: Retries,
    /// How long an instance may run, if it is limited.
    pub max_runtime: Option<Runtime>,
    /// How long it is expected to run; for people.
    pub expected_runtime: Option<Runtime>,
    /// The environment of its commands, each name once.
    pub env: Vec<Variable>,
    /// Labels for whoever reads it, each name once.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// What is fetched into the sandbox.
    pub uris: Vec<Uri>,
    /// Where it may run; all of them hold.
    pub constraints: Vec<Constraint>,
    /// Its group.
    pub group: Option<GroupId>,
    /// Where its commands write their progress to.
    pub progress_output_file: Option<NotEmpty>,
    /// How a line of progress looks.
    pub progress_regex: Option<NotEmpty>,
    /// Failures that are not the job's own fault count as attempts as well.
    pub counts_all_failures: bool,
    /// What it belongs to; echoed.
    pub application: Option<Application>,
    /// `executor` was given as `cook`; echoed.
    pub names_executor: bool,
    /// `pool`; echoed.
    pub pool: Option<NotEmpty>,
    /// `checkpoint`, checked and as JSON; echoed.
    pub checkpoint: Option<Box<str>>,
}

/// 0 to 16,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u32);

/// How many attempts there may be in total.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Retries(NonZeroU32);

/// A limit in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Runtime(NonZeroU64);

/// A variable whose name and value are allowed together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Variable {
    name: EnvName,
    value: Box<str>,
}

/// A file to fetch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uri {
    /// Where it is.
    pub value: NotEmpty,
    /// What it is for.
    pub is_for: UriUse,
    /// Whether the agent may keep it for others.
    pub cache: bool,
}

/// What becomes of a fetched file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UriUse {
    /// It is made executable; then it is not extracted, as Mesos' fetcher decides.
    pub executable: bool,
    /// It is unpacked if it is an archive.
    pub extract: bool,
}

/// `[attribute, "EQUALS", value]`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Constraint {
    /// An attribute of the agent, or `HOSTNAME`.
    pub attribute: LabelText,
    /// What it has to be.
    pub value: LabelText,
}

/// What a job belongs to.
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
    /// The highest one.
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
    /// Cook's.
    fn default() -> Self {
        Self(50)
    }
}

// === impl Retries ===

impl Retries {
    /// One attempt.
    pub const ONE: Self = Self(NonZeroU32::MIN);

    /// The most of any scheduler: records of a job stay of a size that a commit can carry. The
    /// operator's limit is usually far below.
    pub const MOST: u32 = 10_000;

    /// `None` for zero, and above [`Self::MOST`].
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

    /// As a span.
    pub fn get(self) -> Duration {
        Duration::from_millis(self.0.get())
    }
}

// === impl Variable ===

impl Variable {
    /// A variable.
    ///
    /// # Errors
    /// The value has a NUL, or both together are too long for the kernel.
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
