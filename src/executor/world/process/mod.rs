//! The commands as processes: started in groups of their own, waited for, signalled, and whatever they
//! leave behind found and ended.

pub mod cgroup;
mod check_commands;
pub mod descendants;
pub mod proc;
mod reserve;
pub mod signals;
pub mod spawn;
mod strangers;
mod sweep;

use std::cell::{OnceCell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;

use rustix::io::Errno;
use rustix::process::{Pid as RawPid, Signal, getpgid, kill_process, kill_process_group};
use smol::LocalExecutor;
use smol::channel::Sender;
use smol::future::FutureExt;
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
use crate::world::process::strangers::Strangers;
use crate::world::process::sweep::{MAX_PASSES, Sweeps, signal_stray};

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
    /// Who was here before the first command.
    strangers: Strangers,
    /// Groups of commands that have had SIGTERM: a trap must not run twice.
    terminated: RefCell<Vec<RawPid>>,
    sweeps: Sweeps,
}

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
            strangers: Strangers::default(),
            terminated: RefCell::default(),
            sweeps: Sweeps::default(),
        }
    }

    /// Starts a command; says at once whether its program runs.
    pub fn start(&self, start: &Start) -> TaskEvent {
        let id = start.id;
        // Before there is a child of ours: whoever is there is somebody else's.
        self.reserve.with(|| self.strangers.look());
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
        self.executor.spawn(wait.boxed_local()).detach();
        TaskEvent::CommandStarted(id, Pid(pid))
    }

    /// Sends a signal to the process groups of commands that still live. Returns those of them that could not
    /// be killed, since they run as another user: they are not waited for.
    pub fn signal(&self, commands: &[CommandId], signal: StopSignal) -> Vec<CommandId> {
        let mut beyond = Vec::new();
        for (id, group) in self.alive.borrow().iter() {
            if commands.contains(id) {
                self.signal_command(*group, signal);
                if signal == StopSignal::Kill && descendants::is_beyond_reach(*group) {
                    self.sweeps.tell_of_beyond(&[*group]);
                    beyond.push(*id);
                }
                // It may have left its own group. It is not reaped, so its pid is still its own.
                if getpgid(Some(*group)) != Ok(*group) {
                    let _ = each_of(signal, |raw| kill_process(*group, raw));
                }
            }
        }
        beyond
    }

    fn signal_command(&self, group: RawPid, signal: StopSignal) {
        if signal == StopSignal::Terminate {
            let mut terminated = self.terminated.borrow_mut();
            if terminated.contains(&group) {
                return;
            }
            terminated.push(group);
        }
        signal_group(group, signal);
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
        let mut children = children.unwrap_or_default();
        self.strangers.leave_out(&mut children);
        for child in children.iter().filter(is_unknown) {
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
            // Another user's: that is told when it is not waited for any more.
            Err(Errno::PERM) => return Err(Errno::PERM),
            Err(error) => {
                warn!(signal = raw.as_raw(), %error, "failed to send a signal");
                return Err(error);
            }
        }
    }
    Ok(())
}
