//! The commands as processes: started in groups of their own, waited for, signalled, and whatever they
//! leave behind found and ended.

pub mod cgroup;
mod check_commands;
pub mod descendants;
pub mod proc;
mod reserve;
pub mod signals;
pub mod spawn;

use std::cell::{OnceCell, RefCell};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use rustix::io::Errno;
use rustix::process::{
    Pid as RawPid, PidfdFlags, Signal, getpgid, kill_process, kill_process_group, pidfd_open,
    pidfd_send_signal,
};
use smol::LocalExecutor;
use smol::channel::Sender;
use tracing::{debug, warn};

use crate::core::effect::Start;
use crate::core::event::{Event, TaskEvent};
use crate::core::plan::CommandId;
use crate::words::outcome::Outcome;
use crate::words::units::{Pid, StopSignal};
use crate::world::inbox::Incoming;
use crate::world::process::cgroup::Cgroup;
use crate::world::process::check_commands::CheckCommands;
use crate::world::process::descendants::Descendant;
use crate::world::process::reserve::Reserve;
use crate::world::process::spawn::SpawnError;

/// The commands that live. An entry goes in the same moment as the process is reaped, so its pid,
/// which is also its process group, cannot mean another process.
type Alive = Rc<RefCell<Vec<(CommandId, RawPid)>>>;

/// Starts, signals and sweeps.
pub struct Processes {
    executor: Rc<LocalExecutor<'static>>,
    inbox: Sender<Incoming>,
    alive: Alive,
    /// Kept for what must not fail for lack of descriptors: the pidfd that async-process opens after
    /// it has started a program, without which a program would run that nobody waits for; and a look
    /// at what is below us.
    reserve: Reserve,
    /// Looked for when the first command starts: nothing waits for the agent then.
    cgroup: OnceCell<Option<Cgroup>>,
    /// The commands of checks.
    check_commands: CheckCommands,
}

/// What a sweep has found alive.
#[derive(Default)]
struct Left {
    in_reach: usize,
    /// What became another user, by setuid.
    beyond: usize,
}

/// A sweep that kills looks again until it finds nobody new, but not for ever: those who fork faster
/// than this are found by the next sweep.
const MAX_PASSES: usize = 32;

// === impl Processes ===

impl Processes {
    /// The ends of commands go to `inbox`.
    pub fn new(
        sandbox: PathBuf,
        executor: Rc<LocalExecutor<'static>>,
        inbox: Sender<Incoming>,
    ) -> Self {
        Self {
            executor,
            inbox,
            alive: Alive::default(),
            reserve: Reserve::new(),
            cgroup: OnceCell::new(),
            check_commands: CheckCommands::new(sandbox),
        }
    }

    /// Starts a command; says at once whether its program runs.
    pub fn start(&self, start: &Start) -> TaskEvent {
        let id = start.id;
        // Before there is a child: it must hold nobody else yet.
        let cgroup = self.cgroup.get_or_init(Cgroup::create).as_ref();
        let before = descendants::clock();
        let spawned = self
            .reserve
            .with(|| spawn::spawn(&start.program, &start.environment));
        let mut child = match spawned {
            Ok(child) => child,
            Err(SpawnError {
                is_transient,
                reason,
            }) => {
                warn!("failed to start {reason}");
                self.kill_unknown_since(before);
                return match is_transient {
                    true => TaskEvent::CommandDelayed(id, reason),
                    false => TaskEvent::CommandEnded(id, Outcome::NotStarted(reason)),
                };
            }
        };
        let pid = child.id();
        let Some(raw) = i32::try_from(pid).ok().and_then(RawPid::from_raw) else {
            return TaskEvent::CommandEnded(id, Outcome::Unknown);
        };
        self.alive.borrow_mut().push((id, raw));
        if let Some(Err(error)) = cgroup.map(|cgroup| cgroup.add(raw)) {
            debug!("failed to move a command to its cgroup: {error}");
        }
        let (alive, inbox) = (Rc::clone(&self.alive), self.inbox.clone());
        let wait = async move {
            let status = child.status().await;
            alive.borrow_mut().retain(|(other, _)| *other != id);
            let outcome = status.map_or(Outcome::Unknown, spawn::outcome);
            // The receiver lives as long as the runtime does.
            let _ = inbox
                .send(Incoming::Event(Event::Task(TaskEvent::CommandEnded(
                    id, outcome,
                ))))
                .await;
        };
        self.executor.spawn(wait).detach();
        TaskEvent::CommandStarted(id, Pid(pid))
    }

    /// Sends a signal to the process groups of commands that still live.
    pub fn signal(&self, commands: &[CommandId], signal: StopSignal) {
        for (id, group) in self.alive.borrow().iter() {
            if commands.contains(id) {
                signal_group(*group, signal);
                // It may have left its own group. It is not reaped, so its pid is still its own.
                if getpgid(Some(*group)) != Ok(*group) {
                    let _ = each_of(signal, |raw| kill_process(*group, raw));
                }
            }
        }
    }

    /// Reaps what ended, sends the signal to everything below us, and counts what lives: 0 is a proof
    /// that nothing does that we could end, and any other number an estimate.
    pub fn sweep(&self, signal: Option<StopSignal>) -> usize {
        if descendants::is_alone() {
            return 0;
        }
        let seen = self.reserve.with(|| self.pass_over(signal));
        match seen {
            _ if descendants::is_alone() => 0,
            Ok(Left {
                in_reach: 0,
                beyond,
            }) if beyond > 0 => {
                warn!("{beyond} processes run as another user now: only the agent can end them");
                0
            }
            Ok(Left { in_reach, .. }) => in_reach.max(1),
            // What cannot be seen here cannot be waited for either.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => 0,
            Err(error) => {
                warn!("failed to look for what is left of the task: {error}");
                1
            }
        }
    }

    fn pass_over(&self, signal: Option<StopSignal>) -> io::Result<Left> {
        let groups = self.groups();
        if signal == Some(StopSignal::Kill)
            && let Some(Some(cgroup)) = self.cgroup.get()
            && let Err(error) = cgroup.kill()
        {
            warn!("failed to kill the commands' cgroup: {error}");
        }
        let mut signalled = Vec::new();
        let mut left = Left::default();
        for _ in 0..MAX_PASSES {
            if let Some(signal) = signal {
                groups.iter().for_each(|group| signal_group(*group, signal));
            }
            let reaped = descendants::reap(&groups)?;
            let mut living = descendants::find()?;
            living.retain(|one| !one.is_zombie);
            left.in_reach = living.len().saturating_sub(left.beyond);
            let Some(signal) = signal else {
                break;
            };
            // The members of the groups have had theirs: a trap must not run twice.
            let is_new = |one: &&Descendant| {
                !groups.contains(&one.group) && !signalled.contains(&one.identity())
            };
            let strays: Vec<Descendant> = living.iter().filter(is_new).copied().collect();
            for stray in &strays {
                signalled.push(stray.identity());
                let signal = match self.check_commands.started(stray) {
                    true => StopSignal::Kill,
                    false => signal,
                };
                if signal_stray(stray, signal) == Err(Errno::PERM) {
                    left.beyond += 1;
                    left.in_reach = left.in_reach.saturating_sub(1);
                }
            }
            // What a trap starts to clean up is not asked to end in its turn. And while there are
            // some to reap, others may have become our children after we looked.
            let is_settled = strays.is_empty() && reaped == 0;
            if is_settled || signal == StopSignal::Terminate {
                break;
            }
        }
        Ok(left)
    }

    /// Reaps what ended and is no command of ours.
    pub fn reap_orphans(&self) {
        if let Err(error) = descendants::reap(&self.groups()) {
            // They are reaped with the next one.
            debug!("failed to look for what has ended: {error}");
        }
    }

    /// The process groups of the commands that live, which are also their pids; also those of checks.
    fn groups(&self) -> Vec<RawPid> {
        let alive = self.alive.borrow();
        let commands = alive.iter().map(|(_, pid)| *pid);
        commands.chain(self.check_commands.groups()).collect()
    }

    /// After a start that failed there may be a process all the same, which nobody waits for.
    fn kill_unknown_since(&self, before: u64) {
        let groups = self.groups();
        let is_unknown = |one: &&Descendant| {
            one.started >= before && one.group == one.pid && !groups.contains(&one.pid)
        };
        let children = self.reserve.with(descendants::find_children);
        for child in children.unwrap_or_default().iter().filter(is_unknown) {
            warn!(
                pid = child.pid.as_raw_nonzero().get(),
                "killed a process that could not be waited for"
            );
            signal_group(child.pid, StopSignal::Kill);
        }
    }
}

fn signal_group(group: RawPid, signal: StopSignal) {
    // What became another user has left for itself; the rest of the group has been signalled.
    let _ = each_of(signal, |raw| kill_process_group(group, raw));
}

/// Its pid may be another's by now: what is signalled is a pidfd that was found to be the same process.
fn signal_stray(stray: &Descendant, signal: StopSignal) -> Result<(), Errno> {
    let pid = stray.pid.as_raw_nonzero();
    let handle = pidfd_open(stray.pid, PidfdFlags::empty());
    if !stray.is_still_there() {
        return Ok(());
    }
    debug!(pid, ?signal, "signalling a left-over process");
    match handle {
        Ok(handle) => each_of(signal, |raw| pidfd_send_signal(&handle, raw)),
        // No descriptor, or a kernel before 5.3: the moment since the look has to be short enough.
        Err(_) => each_of(signal, |raw| kill_process(stray.pid, raw)),
    }
}

/// Sends what a stop signal stands for.
fn each_of(
    signal: StopSignal,
    send: impl Fn(Signal) -> rustix::io::Result<()>,
) -> Result<(), Errno> {
    let signals: &[Signal] = match signal {
        StopSignal::Terminate => &[Signal::TERM, Signal::CONT],
        StopSignal::Kill => &[Signal::KILL],
    };
    for raw in signals {
        match send(*raw) {
            // It ended by itself in the meantime.
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => {
                warn!(signal = raw.as_raw(), %error, "failed to send a signal");
                return Err(error);
            }
        }
    }
    Ok(())
}
