//! What commands leave behind: who it is, and what may be done to whom, and when.

use std::time::Duration;

use cook_executor::core::event::TaskEvent;
use cook_executor::words::sweep::{Left, Sweep};
use cook_executor::words::units::Moment;

use super::{GRACE, Job, Model, Process};

/// What a command may leave behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leftover {
    /// It ignores SIGTERM.
    Stubborn,
    /// It reads what a command has written, and ends by itself or not.
    Reader,
    /// Another user's: nobody can end it.
    Beyond,
}

/// What is known of the sweeps so far.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Sweeps {
    /// Since when what is left is being ended.
    since: Option<Moment>,
    /// Readers had time of their own.
    has_spared: bool,
    /// The executor has not run for an hour: it cannot have been in time.
    pub(super) has_napped: bool,
}

/// How long readers have to end by themselves, and no longer than the grace.
const READING: Duration = Duration::from_secs(5);

/// What SIGKILL has ended is seen a moment later.
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
                // Whoever does not hear SIGTERM is no reader any more.
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

    /// Nobody lives but whom nobody can end.
    pub(super) fn check_alone(&self) {
        let mut alive = self.alive.iter();
        assert!(
            alive.all(|process| *process == Process::Beyond),
            "left alive at the end: {:?}",
            self.alive
        );
    }

    /// Nobody who reads what a command has written is ended before the time is up, unless the task is to stop.
    fn check_reading(&self, job: &Job) {
        let waited = self.sweeps.since.map(|since| self.now.since(since));
        let wanted = READING.min(grace(job));
        assert!(
            self.is_stopped() || !self.alive.contains(&Process::Reader) || waited >= Some(wanted),
            "a reader was ended after {waited:?}"
        );
    }

    /// Whom nobody can end is waited for as long as the others were, and no longer than the grace. A stop order
    /// has a budget of its own.
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
