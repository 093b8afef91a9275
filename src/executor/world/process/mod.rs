//! Commands as processes: each is started in its own process group, waited for and signalled; what they
//! leave behind is found and ended.

pub mod cgroup;
mod check_commands;
pub mod descendants;
mod earlier;
pub mod proc;
mod reserve;
pub mod signals;
pub mod spawn;
mod sweep;

use std::cell::{OnceCell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;

use cook_http::task;
use rustix::io::Errno;
use rustix::process::{Pid as RawPid, Signal, getpgid, kill_process, kill_process_group};
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
use crate::world::process::earlier::EarlierProcesses;
use crate::world::process::reserve::Reserve;
use crate::world::process::spawn::SpawnError;
use crate::world::process::sweep::{MAX_PASSES, Sweeps, signal_stray};

/// The running commands. An entry is removed at the moment when its process is reaped, so its pid, which is
/// also its process group, cannot belong to another process.
type Alive = Rc<RefCell<Vec<(CommandId, RawPid)>>>;

/// Starts commands, signals them, and sweeps.
pub struct Processes {
    executor: Rc<LocalExecutor<'static>>,
    inbox: Sender<Incoming>,
    alive: Alive,
    /// Descriptors for what must not fail. async-process opens a pidfd after it has started a program; if
    /// that failed, the program would run and nobody would wait for it. The search for descendants needs
    /// descriptors too.
    reserve: Reserve,
    /// Looked up when the first command starts, so that the subscription does not wait for it.
    cgroup: OnceCell<Option<Cgroup>>,
    /// The commands of checks.
    check_commands: CheckCommands,
    /// Processes that existed before the first command.
    earlier: EarlierProcesses,
    /// Process groups that got SIGTERM. They get it once, because a second one would run a trap twice.
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
            earlier: EarlierProcesses::default(),
            terminated: RefCell::default(),
            sweeps: Sweeps::default(),
        }
    }

    /// Starts a command. The event says whether its program has started.
    pub fn start(&self, start: &Start) -> TaskEvent {
        let id = start.id;
        // Before we start a child: all children are earlier processes now.
        self.reserve.with(|| self.earlier.look());
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
            // The receiver lives as long as the runtime.
            let _ = inbox
                .send(Incoming::Event(Event::Task(TaskEvent::CommandEnded(
                    id, outcome,
                ))))
                .await;
        };
        task::spawn(&self.executor, wait).detach();
        TaskEvent::CommandStarted(id, Pid(pid))
    }

    /// Sends a signal to the process groups of running commands. Returns the commands that could not be
    /// killed because they run as another user.
    pub fn signal(&self, commands: &[CommandId], signal: StopSignal) -> Vec<CommandId> {
        let mut beyond = Vec::new();
        for (id, group) in self.alive.borrow().iter() {
            if commands.contains(id) {
                self.signal_command(*group, signal);
                if signal == StopSignal::Kill && descendants::is_beyond_reach(*group) {
                    self.sweeps.log_out_of_reach(&[*group]);
                    beyond.push(*id);
                }
                // It may have left its own group. It is not reaped yet, so its pid is not reused.
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

    /// Reaps ended processes that are not commands.
    pub fn reap_orphans(&self) {
        if let Err(error) = descendants::reap(&self.groups()) {
            // They will be reaped next time.
            debug!("failed to look for what has ended: {error}");
        }
    }

    /// The process groups of running commands, which are also their pids, including those of checks.
    fn groups(&self) -> Vec<RawPid> {
        let alive = self.alive.borrow();
        let commands = alive.iter().map(|(_, pid)| *pid);
        commands.chain(self.check_commands.groups()).collect()
    }

    /// Kills a process that a failed start has left, because nobody waits for it.
    fn kill_unknown_since(&self, before: u64) {
        let groups = self.groups();
        let is_unknown = |one: &&Descendant| {
            one.started >= before && one.group == one.pid && !groups.contains(&one.pid)
        };
        let children = self.reserve.with(descendants::find_children);
        let mut children = children.unwrap_or_default();
        self.earlier.leave_out(&mut children);
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
    // A process that runs as another user cannot be signalled; the rest of the group was.
    let _ = each_of(signal, |raw| kill_process_group(group, raw));
}

/// Sends the signals that a stop signal consists of.
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
            // It has ended meanwhile.
            Ok(()) | Err(Errno::SRCH) => {}
            // A process of another user. It is logged when it is not waited for any more.
            Err(Errno::PERM) => return Err(Errno::PERM),
            Err(error) => {
                warn!(signal = raw.as_raw(), %error, "failed to send a signal");
                return Err(error);
            }
        }
    }
    Ok(())
}
