//! The commands of checks. All processes of such a command end with it, and none of them counts as a
//! process of the task. They are identified by their process group or, if they have left it, by
//! `EXECUTOR_PHASE` in their environment.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;

use cook_http::task;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::Pid as RawPid;
use tracing::debug;

use super::{MAX_PASSES, Processes, descendants, proc, signal_group, signal_stray, spawn};
use crate::core::checks::{Finding, Kind, ProbeId};
use crate::core::environment::Environment;
use crate::core::event::{Event, TaskEvent};
use crate::core::plan::Program;
use crate::core::variables::PHASE;
use crate::words::outcome::Outcome;
use crate::words::units::StopSignal;
use crate::world::inbox::Incoming;
use crate::world::process::descendants::Descendant;
use crate::world::process::spawn::SpawnError;
use crate::world::regular;

/// The running commands of checks.
pub(super) struct CheckCommands {
    /// Each check's output goes to its own file there, because the task's output is searched for progress.
    /// Each run replaces the output of the previous run.
    sandbox: PathBuf,
    running: Rc<RefCell<Vec<CheckCommand>>>,
    /// When the first one was started, by [`descendants::clock`]. No process of a check is older.
    since: Cell<Option<u64>>,
}

/// An entry is removed at the moment when the process is reaped, as for the task's commands.
#[derive(Clone, Copy)]
struct CheckCommand {
    id: ProbeId,
    group: RawPid,
    /// Its result is not wanted any more.
    is_abandoned: bool,
}

/// Maximum length of curl's output: an error message and a status.
const MAX_PRINTED: u64 = 512;

// === impl CheckCommands ===

impl CheckCommands {
    pub(super) fn new(sandbox: PathBuf) -> Self {
        Self {
            sandbox,
            running: Rc::default(),
            since: Cell::new(None),
        }
    }

    /// Their process groups.
    pub(super) fn groups(&self) -> Vec<RawPid> {
        self.running
            .borrow()
            .iter()
            .map(|command| command.group)
            .collect()
    }

    /// Whether a check has started this process.
    pub(super) fn started(&self, process: &Descendant) -> bool {
        let is_marked = |kind| is_marked(process.pid, kind);
        self.since.get().is_some() && [Kind::Check, Kind::Health].into_iter().any(is_marked)
    }

    /// A file for the output of a check's command.
    fn output(&self, kind: Kind) -> io::Result<OwnedFd> {
        let name = format!("executor.{}.log", kind.phase());
        let file = regular::append(&self.sandbox.join(name))?;
        ftruncate(&file, 0)?;
        Ok(file)
    }
}

// === impl Processes ===

impl Processes {
    /// Runs a check's command. Returns the result immediately if it cannot be started.
    pub fn run_check(
        &self,
        id: ProbeId,
        program: &Program,
        environment: &Environment,
    ) -> Option<TaskEvent> {
        let output = self.check_commands.output(id.kind);
        let output = output.inspect_err(|error| debug!("a check's output is lost: {error}"));
        self.run(id, program, environment, output.ok(), None)
    }

    /// Runs a client that prints the status of an HTTP server.
    pub fn run_client(
        &self,
        id: ProbeId,
        client: &Program,
        environment: &Environment,
    ) -> Option<TaskEvent> {
        let output = memfd_create("status", MemfdFlags::CLOEXEC);
        // With CLOEXEC, so that commands do not inherit it.
        let copy = |output| Ok((fcntl_dupfd_cloexec(&output, 0)?, output));
        let both = output.and_then(copy);
        match both {
            Ok((reader, output)) => {
                let printed = File::from(reader);
                self.run(id, client, environment, Some(output), Some(printed))
            }
            Err(error) => {
                let reason = format!("cannot store the output: {error}");
                Some(TaskEvent::Probed(id, Finding::Failed(reason)))
            }
        }
    }

    /// Ends the command of this probe, if it is running.
    pub fn abandon_check(&self, id: ProbeId) {
        let mut running = self.check_commands.running.borrow_mut();
        let Some(command) = running.iter_mut().find(|command| command.id == id) else {
            return;
        };
        command.is_abandoned = true;
        let command = *command;
        drop(running);
        // It is not reaped yet, so its pid is not reused.
        signal_group(command.group, StopSignal::Kill);
        self.left_overs().end(&command);
    }

    /// `printed` is the file to which the command prints the status of a server. Without it, the result is
    /// the exit status.
    fn run(
        &self,
        id: ProbeId,
        program: &Program,
        environment: &Environment,
        output: Option<OwnedFd>,
        printed: Option<File>,
    ) -> Option<TaskEvent> {
        let since = descendants::clock();
        let spawned = self
            .reserve
            .with(|| spawn::spawn_aside(program, environment, output));
        let mut child = match spawned {
            Ok(child) => child,
            Err(SpawnError { reason, .. }) => {
                self.kill_unknown_since(since);
                let finding = Finding::Ended(Outcome::NotStarted(reason));
                return Some(TaskEvent::Probed(id, finding));
            }
        };
        let pid = i32::try_from(child.id()).ok().and_then(RawPid::from_raw);
        let Some(group) = pid else {
            return Some(TaskEvent::Probed(id, Finding::Ended(Outcome::Unknown)));
        };
        let first = self.check_commands.since.get().unwrap_or(since);
        self.check_commands.since.set(Some(first));
        self.check_commands.running.borrow_mut().push(CheckCommand {
            id,
            group,
            is_abandoned: false,
        });
        let (running, inbox) = (Rc::clone(&self.check_commands.running), self.inbox.clone());
        let left = self.left_overs();
        let wait = async move {
            let end = child.status().await;
            let position = running.borrow().iter().position(|one| one.id == id);
            let command = position.map(|position| running.borrow_mut().swap_remove(position));
            let outcome = end.map_or(Outcome::Unknown, spawn::outcome);
            // The processes of an abandoned command have been ended already. The check's next command may be running.
            let wanted = command.filter(|command| !command.is_abandoned);
            if let Some(command) = &wanted {
                left.end(command);
            }
            let is_wanted = wanted.is_some();
            let event = match (is_wanted, printed) {
                (true, None) => TaskEvent::Probed(id, Finding::Ended(outcome)),
                (true, Some(printed)) => TaskEvent::Probed(id, status(printed, &outcome)),
                // A sweep that waits for the last process may have counted this one.
                (false, _) => TaskEvent::ChildrenChanged,
            };
            // The receiver lives as long as the runtime.
            let _ = inbox.send(Incoming::Event(Event::Task(event))).await;
        };
        task::spawn(&self.executor, wait).detach();
        None
    }

    fn left_overs(&self) -> LeftOvers {
        LeftOvers {
            commands: Rc::clone(&self.alive),
            since: self.check_commands.since.get().unwrap_or_default(),
        }
    }
}

/// Finds processes that a check's command has left behind.
struct LeftOvers {
    /// The task's commands, whose descendants belong to the task.
    commands: super::Alive,
    /// When the first command of a check was started, not the last one: a process cannot be recognised during its
    /// `execve`. One that was missed for this reason is found when the next command ends.
    since: u64,
}

impl LeftOvers {
    /// Sends SIGKILL to all of them at once, without SIGTERM, because their check is over.
    fn end(&self, command: &CheckCommand) {
        let commands = self.commands.borrow();
        let commands: Vec<RawPid> = commands.iter().map(|(_, pid)| *pid).collect();
        let mut signalled = Vec::new();
        for _ in 0..MAX_PASSES {
            let Ok(mut found) = descendants::find_since(self.since, &commands) else {
                // They are found when the task ends.
                return;
            };
            found.retain(|one| {
                let is_its_own = one.group == command.group || is_marked(one.pid, command.id.kind);
                !one.is_zombie && !signalled.contains(&one.identity()) && is_its_own
            });
            if found.is_empty() {
                return;
            }
            for one in &found {
                signalled.push(one.identity());
                // This fails for a process that runs as another user.
                signal_stray(one, StopSignal::Kill);
            }
        }
    }
}

/// Whether the command of such a check has started this process, directly or not.
fn is_marked(process: RawPid, kind: Kind) -> bool {
    let mark = format!("{PHASE}={}", kind.phase());
    // The environment of another user's process cannot be read.
    let variables = proc::read(&format!("/proc/{}/environ", process.as_raw_nonzero()));
    let variables = variables.unwrap_or_default();
    variables
        .split(|byte| *byte == 0)
        .any(|one| one == mark.as_bytes())
}

/// The result from curl's output: an error message, or only a status.
fn status(mut printed: File, outcome: &Outcome) -> Finding {
    let mut text = String::new();
    let read = printed.rewind().and_then(|()| {
        let mut printed = printed.take(MAX_PRINTED);
        printed.read_to_string(&mut text)
    });
    let first = text.lines().next().unwrap_or_default();
    match (read, first.parse()) {
        (Ok(_), Ok(status)) if outcome.succeeded() => Finding::Answered(status),
        (Ok(_), Err(_)) if !first.is_empty() => Finding::Failed(first.to_owned()),
        (Ok(_), _) | (Err(_), _) => Finding::Failed(format!("curl {outcome}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn printed(text: &str) -> File {
        let file = memfd_create("status", MemfdFlags::CLOEXEC).expect("memory");
        let mut file = File::from(file);
        file.write_all(text.as_bytes()).expect("memory");
        file
    }

    #[test]
    fn curls_output_is_a_status_or_an_error_message() {
        let refused = "curl: (7) Failed to connect\n000";
        let failed = |text: &str| Finding::Failed(text.to_owned());
        for (text, outcome, finding) in [
            ("200", Outcome::Exited(0), Finding::Answered(200)),
            (
                refused,
                Outcome::Exited(7),
                failed("curl: (7) Failed to connect"),
            ),
            (
                "000",
                Outcome::Exited(7),
                failed("curl exited with status 7"),
            ),
            ("", Outcome::Exited(0), failed("curl exited with status 0")),
        ] {
            assert_eq!(status(printed(text), &outcome), finding, "{text:?}");
        }
    }
}
