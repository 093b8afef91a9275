//! Processes that commands leave behind: their kinds, and when each may be ended.

use std::time::Duration;

use cook_executor::core::event::TaskEvent;
use cook_executor::words::sweep::{Left, Sweep};
use cook_executor::words::units::Moment;

use super::{GRACE, Job, Model, Process};

/// A process that a command leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leftover {
    /// It ignores SIGTERM.
    Stubborn,
    /// It reads a command's output, and may end by itself.
    Reader,
    /// It runs as another user and cannot be ended.
    Beyond,
}

/// What is known about the sweeps so far.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Sweeps {
    /// When the ending of the remaining processes began.
    since: Option<Moment>,
    /// Readers had extra time.
    has_spared: bool,
    /// The executor did not run for an hour, so it cannot have been in time.
    pub(super) has_napped: bool,
}

/// How long readers may take to end by themselves, if the grace period is not shorter.
const READING: Duration = Duration::from_secs(5);

/// The end of a killed process is seen a moment later.
const MOMENT: Duration = Duration::from_millis(500);

// === impl Leftover ===

impl Leftover {
    pub const ALL: [Self; 3] = [Self::Stubborn, Self::Reader, Self::Beyond];

    pub(super) fn process(self) -> Process {
        match self {
            Self::Stubborn => Process::Leftover,
            Self::Reader => Process::Reader,
            Self::Beyond => Process::Beyond,
        }
    }
}

// === impl Model ===

impl Model {
    pub(super) fn sweep(&mut self, sweep: Sweep, job: &Job) -> TaskEvent {
        self.commands.is_clearing = true;
        if sweep != Sweep::Look {
            self.sweeps.since.get_or_insert(self.now);
        }
        if let Some(signal) = sweep.signal() {
            self.swept(signal, job);
        }
        match sweep {
            Sweep::Look => {}
            Sweep::TerminateOthers => {
                self.sweeps.has_spared |= self.alive.contains(&Process::Reader);
            }
            Sweep::Terminate => {
                self.check_reading(job);
                // A reader that has got SIGTERM is not treated as a reader any more.
                for process in &mut self.alive {
                    if *process == Process::Reader {
                        *process = Process::Leftover;
                    }
                }
            }
            Sweep::Kill => {
                self.check_reading(job);
                let is_killed =
                    |process: &Process| matches!(process, Process::Leftover | Process::Reader);
                self.alive.retain(|process| !is_killed(process));
                let first = self.alive_commands().next();
                if let Some(id) = first {
                    return self.killed(id);
                }
            }
        }
        let count = |wanted| self.alive.iter().filter(|one| **one == wanted).count();
        let (readers, beyond) = (count(Process::Reader), count(Process::Beyond));
        TaskEvent::Swept(Left {
            readers,
            others: self.alive.len() - readers - beyond,
            beyond,
        })
    }

    /// Only processes that cannot be ended are alive.
    pub(super) fn check_alone(&self) {
        let mut alive = self.alive.iter();
        assert!(
            alive.all(|process| *process == Process::Beyond),
            "left alive at the end: {:?}",
            self.alive
        );
    }

    /// No reader is ended before its time is over, unless the task is being stopped.
    fn check_reading(&self, job: &Job) {
        let waited = self.sweeps.since.map(|since| self.now.since(since));
        let wanted = READING.min(grace(job));
        assert!(
            self.is_stopped() || !self.alive.contains(&Process::Reader) || waited >= Some(wanted),
            "a reader was ended after {waited:?}"
        );
    }

    /// Processes of other users are waited for as long as others, but no longer than the grace period. A
    /// stop order has its own limits.
    pub(super) fn check_patience(&self, job: &Job) {
        let is_there = self.alive.contains(&Process::Beyond);
        if !is_there || self.sweeps.has_napped || self.is_stopped() {
            return;
        }
        let waited = self.sweeps.since.map(|since| self.now.since(since));
        let reading = match self.sweeps.has_spared {
            true => READING,
            false => Duration::ZERO,
        };
        let longest = grace(job).saturating_add(reading + MOMENT);
        assert!(waited <= Some(longest), "waited for {waited:?}");
        assert!(waited >= Some(grace(job)), "waited only for {waited:?}");
    }
}

fn grace(job: &Job) -> Duration {
    job.kill_grace.map_or(GRACE, |grace| grace.get())
}
