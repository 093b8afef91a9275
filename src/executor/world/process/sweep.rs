//! Finds the processes that commands have left behind, and ends them.

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid as RawPid, PidfdFlags, kill_process, pidfd_open, pidfd_send_signal};
use tracing::{debug, info, warn};

use super::descendants::{self, Descendant, Pipe};
use super::{Processes, each_of, proc};
use crate::words::sweep::{Left, Sweep};
use crate::words::units::StopSignal;
use crate::world::log::ENDING;

/// The state of earlier sweeps.
#[derive(Default)]
pub(super) struct Sweeps {
    /// Processes that got SIGTERM, by [`Descendant::identity`]. They get it once, because a second one
    /// would run a trap twice.
    terminated: RefCell<Vec<(RawPid, u64)>>,
    /// Processes that were spared as readers when all others got SIGTERM, and when that was.
    spared: RefCell<Option<Spared>>,
    /// What was logged last. There may be a sweep for each process that ends.
    logged: Cell<Option<(Sweep, Left)>>,
    /// Processes for which the log says that they are not waited for.
    logged_out_of_reach: RefCell<Vec<RawPid>>,
}

struct Spared {
    since: Instant,
    processes: Vec<(RawPid, u64)>,
}

/// A process that a command has left behind.
struct Stray {
    process: Descendant,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reader,
    Other,
    Beyond,
}

/// During this time after the first SIGTERM, a process that may become a reader is treated as one.
const EARLY: Duration = Duration::from_millis(200);

/// A sweep with SIGKILL is repeated until it finds no new process, but at most this often. Faster forks are
/// found by the next sweep.
pub(super) const MAX_PASSES: usize = 32;

// === impl Sweeps ===

impl Sweeps {
    fn spare(&self, readers: impl Iterator<Item = (RawPid, u64)>) {
        self.spared.replace(Some(Spared {
            since: Instant::now(),
            processes: readers.collect(),
        }));
    }

    fn has_spared(&self, process: &Descendant) -> bool {
        let spared = self.spared.borrow();
        let is_one = |spared: &Spared| spared.processes.contains(&process.identity());
        spared.as_ref().is_some_and(is_one)
    }

    /// After this time, a process has become what it was started for.
    fn is_early(&self) -> bool {
        let spared = self.spared.borrow();
        let age = spared.as_ref().map(|spared| spared.since.elapsed());
        age.is_none_or(|age| age < EARLY)
    }

    /// Logs which processes are not waited for, and why; each one once.
    pub(super) fn log_out_of_reach(&self, pids: &[RawPid]) {
        let mut logged = self.logged_out_of_reach.borrow_mut();
        let mut list = String::new();
        for pid in pids {
            if logged.contains(pid) {
                continue;
            }
            logged.push(*pid);
            let pid = pid.as_raw_nonzero();
            let status = proc::read_text(&format!("/proc/{pid}/status")).unwrap_or_default();
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|line| line.split_ascii_whitespace().next())
                    .unwrap_or("unknown")
            };
            let comma = if list.is_empty() { "" } else { ", " };
            let (name, user) = (field("Name:"), field("Uid:"));
            // Writing to a String cannot fail.
            let _ = write!(list, "{comma}pid {pid} ({name}) runs as uid {user}");
        }
        if !list.is_empty() {
            warn!(
                target: ENDING,
                "not waiting for processes that the kernel does not let this user end: {list}"
            );
        }
    }
}

impl Processes {
    /// Reaps ended processes, does what is ordered to all descendants, and counts those alive. A count of
    /// zero is a proof that there are none; any other count is an estimate.
    pub fn sweep(&self, sweep: Sweep) -> Left {
        if self.is_clear() {
            return Left::default();
        }
        let seen = self.reserve.with(|| self.pass_over(sweep));
        let at_least_one = Left {
            others: 1,
            ..Left::default()
        };
        let left = match seen {
            _ if self.is_clear() => Left::default(),
            // There is a process that was missed.
            Ok(left) if left.is_nothing() => at_least_one,
            Ok(left) => left,
            // Without /proc nothing can be seen, and so nothing waited for.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => Left::default(),
            Err(error) => {
                warn!("failed to look for the remaining processes of the task: {error}");
                at_least_one
            }
        };
        self.log_change(sweep, left);
        left
    }

    fn is_clear(&self) -> bool {
        descendants::is_alone() || self.reserve.with(|| self.earlier.are_all())
    }

    fn pass_over(&self, sweep: Sweep) -> io::Result<Left> {
        if sweep == Sweep::Kill
            && let Some(Some(cgroup)) = self.cgroup.get()
            && let Err(error) = cgroup.kill()
        {
            warn!("failed to kill the commands' cgroup: {error}");
        }
        let groups = self.groups();
        let mut killed = Vec::new();
        let mut left = Left::default();
        for _ in 0..MAX_PASSES {
            if let Some(signal) = sweep.signal() {
                let each = |group: &RawPid| self.signal_command(*group, signal);
                groups.iter().for_each(each);
            }
            let reaped = descendants::reap(&groups)?;
            let strays = self.find_strays()?;
            left = count(&strays);
            let strays = strays.iter().map(|stray| (&stray.process, stray.kind));
            // The members of the groups were signalled with their group.
            let is_alone = |stray: &(&Descendant, Kind)| !groups.contains(&stray.0.group);
            let strays = strays.filter(is_alone);
            let others = strays.clone().filter(|(_, kind)| *kind != Kind::Reader);
            let new = match sweep {
                Sweep::Look => {
                    self.terminate(others.filter(|(one, _)| self.sweeps.has_spared(one)))
                }
                Sweep::TerminateOthers => {
                    let readers = strays.filter(|(_, kind)| *kind == Kind::Reader);
                    self.sweeps.spare(readers.map(|(one, _)| one.identity()));
                    self.terminate(others)
                }
                Sweep::Terminate => self.terminate(strays),
                Sweep::Kill => kill(strays, &mut killed),
            };
            // A process that a trap has started to clean up gets no SIGTERM. While there were some to reap,
            // others may have become our children after the list was read.
            let is_settled = new == 0 && reaped == 0;
            if is_settled || sweep != Sweep::Kill {
                break;
            }
        }
        Ok(left)
    }

    /// All processes of the task that are alive, and what may be done to each.
    fn find_strays(&self) -> io::Result<Vec<Stray>> {
        let mut family = descendants::find()?;
        self.earlier.leave_out(&mut family);
        let ours = Pipe::ours();
        let is_early = self.sweeps.is_early();
        let mut strays: Vec<Stray> = Vec::with_capacity(family.len());
        for process in family.into_iter().filter(|one| !one.is_zombie) {
            let is_of_reader = strays
                .iter()
                .any(|parent| parent.kind == Kind::Reader && parent.process.pid == process.parent);
            let is_reader = || {
                let pipe = process.pipe();
                let may_become_one = || is_early && process.is_unfinished();
                is_of_reader || pipe.is_some() && pipe != ours || may_become_one()
            };
            // A process that got SIGTERM is not spared as a reader.
            let kind = match self.has_had_signal(&process) {
                _ if process.is_beyond_reach() => Kind::Beyond,
                _ if self.check_commands.started(&process) => Kind::Other,
                false if is_reader() => Kind::Reader,
                true | false => Kind::Other,
            };
            strays.push(Stray { process, kind });
        }
        Ok(strays)
    }

    fn has_had_signal(&self, process: &Descendant) -> bool {
        let groups = self.terminated.borrow();
        let others = self.sweeps.terminated.borrow();
        groups.contains(&process.group) || others.contains(&process.identity())
    }

    /// Sends SIGTERM to those that have not got it yet. Returns their number.
    fn terminate<'a>(&self, strays: impl Iterator<Item = (&'a Descendant, Kind)>) -> usize {
        let new: Vec<&Descendant> = strays
            .map(|(process, _)| process)
            .filter(|process| !self.has_had_signal(process))
            .collect();
        for process in &new {
            // A process of a check has had its time.
            let signal = match self.check_commands.started(process) {
                true => StopSignal::Kill,
                false => StopSignal::Terminate,
            };
            signal_stray(process, signal);
            let mut terminated = self.sweeps.terminated.borrow_mut();
            terminated.push(process.identity());
        }
        new.len()
    }

    /// Logs only changes: a process that does not end must not fill the log.
    fn log_change(&self, sweep: Sweep, left: Left) {
        if self.sweeps.logged.replace(Some((sweep, left))) == Some((sweep, left)) {
            return;
        }
        let Left {
            readers,
            others,
            beyond,
        } = left;
        match sweep {
            Sweep::TerminateOthers | Sweep::Terminate if others > 0 => {
                info!("sent SIGTERM to {others} remaining processes of the task");
            }
            Sweep::Kill if left.in_reach() > 0 => {
                let alive = left.in_reach();
                info!("sent SIGKILL to {alive} remaining processes of the task");
            }
            Sweep::Kill if beyond > 0 => {
                let strays = self.reserve.with(|| self.find_strays()).unwrap_or_default();
                let beyond = strays.iter().filter(|stray| stray.kind == Kind::Beyond);
                let pids: Vec<RawPid> = beyond.map(|stray| stray.process.pid).collect();
                self.sweeps.log_out_of_reach(&pids);
            }
            Sweep::Look | Sweep::TerminateOthers | Sweep::Terminate | Sweep::Kill => {}
        }
        if sweep == Sweep::TerminateOthers && readers > 0 {
            info!("{readers} processes are still reading the output of commands");
        }
    }
}

/// Sends SIGKILL to new ones. Returns their number.
fn kill<'a>(
    strays: impl Iterator<Item = (&'a Descendant, Kind)>,
    killed: &mut Vec<(RawPid, u64)>,
) -> usize {
    let mut new = 0;
    for (process, kind) in strays {
        if kind != Kind::Beyond && !killed.contains(&process.identity()) {
            killed.push(process.identity());
            signal_stray(process, StopSignal::Kill);
            new += 1;
        }
    }
    new
}

fn count(strays: &[Stray]) -> Left {
    let of_kind = |kind| strays.iter().filter(|stray| stray.kind == kind).count();
    Left {
        readers: of_kind(Kind::Reader),
        others: of_kind(Kind::Other),
        beyond: of_kind(Kind::Beyond),
    }
}

/// The pid may have been reused. So the signal is sent by a pidfd that is known to belong to the same
/// process.
pub(super) fn signal_stray(stray: &Descendant, signal: StopSignal) {
    let pid = stray.pid.as_raw_nonzero();
    let handle = pidfd_open(stray.pid, PidfdFlags::empty());
    if !stray.is_still_there() {
        return;
    }
    debug!(pid, ?signal, "signalling a remaining process");
    // A process that runs as another user by now is found by the next sweep.
    let _ = match handle {
        Ok(handle) => each_of(signal, |raw| pidfd_send_signal(&handle, raw)),
        // There is no descriptor, or the kernel is older than 5.3. The time since the look must be short
        // enough.
        Err(_) => each_of(signal, |raw| kill_process(stray.pid, raw)),
    };
}
