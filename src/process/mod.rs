//! The commands as processes: started in groups of their own, waited for, signalled, and whatever they
//! leave behind found and ended.

pub mod descendants;
pub mod spawn;

use std::cell::RefCell;
use std::rc::Rc;

use rustix::process::{Pid as RawPid, Signal, kill_process, kill_process_group};
use smol::LocalExecutor;
use smol::channel::Sender;
use tracing::{debug, warn};

use crate::core::environment::Environment;
use crate::core::event::Event;
use crate::core::lifecycle::{Pid, StopSignal};
use crate::core::plan::{Command, CommandId};
use crate::inbox::Incoming;
use crate::outcome::Outcome;

/// The commands that live. An entry goes in the same moment as the process is reaped, so its pid,
/// which is also its process group, cannot mean another process.
type Alive = Rc<RefCell<Vec<(CommandId, RawPid)>>>;

/// Starts, signals and sweeps.
pub struct Processes {
    executor: Rc<LocalExecutor<'static>>,
    inbox: Sender<Incoming>,
    alive: Alive,
}

// === impl Processes ===

impl Processes {
    /// The ends of commands go to `inbox`.
    pub fn new(executor: Rc<LocalExecutor<'static>>, inbox: Sender<Incoming>) -> Self {
        Self {
            executor,
            inbox,
            alive: Alive::default(),
        }
    }

    /// Starts a command; says at once whether its program runs.
    pub fn start(&self, id: CommandId, command: &Command, environment: &Environment) -> Event {
        let mut child = match spawn::spawn(&command.program, environment) {
            Ok(child) => child,
            Err(error) => {
                let reason = format!("{error}");
                return Event::CommandEnded(id, Outcome::NotStarted(reason));
            }
        };
        let pid = child.id();
        let Some(raw) = i32::try_from(pid).ok().and_then(RawPid::from_raw) else {
            return Event::CommandEnded(id, Outcome::Unknown);
        };
        self.alive.borrow_mut().push((id, raw));
        let (alive, inbox) = (Rc::clone(&self.alive), self.inbox.clone());
        let wait = async move {
            let status = child.status().await;
            alive.borrow_mut().retain(|(other, _)| *other != id);
            let outcome = status.map_or(Outcome::Unknown, spawn::outcome);
            // The receiver lives as long as the runtime does.
            let _ = inbox
                .send(Incoming::Event(Event::CommandEnded(id, outcome)))
                .await;
        };
        self.executor.spawn(wait).detach();
        Event::CommandStarted(id, Pid(pid))
    }

    /// Sends a signal to the process groups of commands that still live.
    pub fn signal(&self, commands: &[CommandId], signal: StopSignal) {
        for (id, group) in self.alive.borrow().iter() {
            if commands.contains(id) {
                signal_group(*group, signal);
            }
        }
    }

    /// Reaps what ended, sends the signal to everything below us, and counts what lives.
    pub fn sweep(&self, signal: Option<StopSignal>) -> usize {
        let groups: Vec<RawPid> = self.alive.borrow().iter().map(|(_, pid)| *pid).collect();
        if let Some(signal) = signal {
            for group in &groups {
                signal_group(*group, signal);
            }
        }
        let family = descendants::find();
        descendants::reap(&family, &groups);
        let living = family.iter().filter(|one| !one.is_zombie);
        if let Some(signal) = signal {
            // The members of the groups have had theirs: a trap must not run twice.
            for stray in living.clone().filter(|one| !groups.contains(&one.group)) {
                debug!(
                    pid = stray.pid.as_raw_nonzero().get(),
                    ?signal,
                    "signal a left-over process"
                );
                each_of(signal, |raw| kill_process(stray.pid, raw));
            }
        }
        living.count()
    }

    /// Reaps what ended and is no command of ours.
    pub fn reap_orphans(&self) {
        let groups: Vec<RawPid> = self.alive.borrow().iter().map(|(_, pid)| *pid).collect();
        descendants::reap(&descendants::find_children(), &groups);
    }
}

fn signal_group(group: RawPid, signal: StopSignal) {
    each_of(signal, |raw| kill_process_group(group, raw));
}

/// Sends what a stop signal stands for.
fn each_of(signal: StopSignal, send: impl Fn(Signal) -> rustix::io::Result<()>) {
    let signals: &[Signal] = match signal {
        StopSignal::Terminate => &[Signal::TERM, Signal::CONT],
        StopSignal::Kill => &[Signal::KILL],
    };
    for raw in signals {
        match send(*raw) {
            // It ended by itself in the meantime.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => warn!(signal = raw.as_raw(), %error, "failed to send a signal"),
        }
    }
}
