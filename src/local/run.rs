//! One run: the agent, its notices, and what the user wants.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use async_io::Timer;
use async_signal::{Signal, Signals};
use cook_agent::agent::{Agent, Config};
use cook_agent::core::Identity;
use cook_agent::notice::{Notice, What};
use cook_agent::spec::{ContainerId, Program, Spec};
use cook_mesos::messages::TaskInfo;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smol::LocalExecutor;
use smol::channel::Receiver;
use smol::future::{FutureExt, pending};
use smol::stream::StreamExt;

use crate::folder::Folder;
use crate::job::Job;
use crate::show::Show;
use crate::{Unusable, result};

/// The ids of the one task and its executor.
const TASK_ID: &str = "local-task";
const EXECUTOR_ID: &str = "local-executor";

/// How often the task's output is read. Updates are shown at once.
const TICK: Duration = Duration::from_millis(50);

/// The executor's grace period after SHUTDOWN; then the agent destroys the container.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// A run in progress.
pub struct Run {
    agent: Agent,
    notices: Receiver<Notice>,
    signals: Signals,
    show: Show<io::Stdout>,
    sandbox: PathBuf,
    phase: Phase,
    code: Option<u8>,
}

/// What the user wants at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Run,
    ShutDown,
    Destroy,
}

/// Why the loop woke up.
enum Woken {
    Notice(Notice),
    Interrupt,
    Tick,
}

// === impl Run ===

impl Run {
    /// Starts the job.
    pub fn start(
        job: Job,
        folder: PathBuf,
        program: PathBuf,
        sandbox: &Folder,
        agent_folder: &Folder,
        executor: Rc<LocalExecutor<'static>>,
    ) -> Result<Self, Unusable> {
        let broken = |error: io::Error| Unusable(format!("cannot start the agent: {error}"));
        let config = Config {
            identity: Identity {
                framework_id: "local-framework".to_owned(),
                agent_id: "local-agent".to_owned(),
                hostname: "localhost".to_owned(),
                capabilities: Vec::new(),
            },
            folder: agent_folder.path.clone(),
            files: folder,
            cgroups: None,
        };
        let (agent, notices) = Agent::start(config, executor).map_err(broken)?;
        for uri in &job.uris {
            let checked = agent.check_file(uri);
            checked.map_err(|error| Unusable(format!("uris: {}: {error}", uri.value)))?;
        }
        let signals = Signals::new([Signal::Int, Signal::Term, Signal::Hup]).map_err(broken)?;
        let variables = job.environment.into_iter();
        agent.launch(Spec {
            executor_id: EXECUTOR_ID.to_owned(),
            container: ContainerId::random().map_err(broken)?,
            task: TaskInfo {
                name: TASK_ID.into(),
                task_id: TASK_ID.into(),
                data: Some(job.data),
                ..TaskInfo::default()
            },
            program: Program::Direct(vec![program.into_os_string()]),
            executor_data: None,
            environment: variables
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            files: job.uris,
            sandbox: sandbox.path.clone(),
            shutdown_grace: SHUTDOWN_GRACE,
            memory: None,
            cpu: None,
            tag: Vec::new(),
            // The executor must end with its agent, however the agent ends.
            recovery_timeout: None,
        });
        Ok(Self {
            agent,
            notices,
            signals,
            show: Show::new(io::stdout()),
            sandbox: sandbox.path.clone(),
            phase: Phase::Run,
            code: None,
        })
    }

    /// Shows the run until it has ended, and ends it when the user interrupts. Returns the exit code.
    pub async fn follow(&mut self) -> u8 {
        loop {
            let woken = self.next().await;
            let shown = match woken {
                Woken::Notice(notice) => {
                    let shown = self.take(&notice);
                    if notice.what == What::Forgotten {
                        break;
                    }
                    shown
                }
                Woken::Interrupt => self.interrupt(),
                Woken::Tick => self.show.output(),
            };
            let is_cut_off = shown.is_err() || nobody_reads();
            if is_cut_off && self.phase == Phase::Run {
                // If the output was closed (`cook-local job.json | head`), the user has seen enough. Nobody
                // would read the output of the shutdown either.
                let _ = self.interrupt();
            }
        }
        // The output may be closed.
        let _ = self.show.finish();
        self.code.unwrap_or(1)
    }

    async fn next(&mut self) -> Woken {
        let notices = &self.notices;
        let notice = async {
            match notices.recv().await {
                Ok(notice) => Woken::Notice(notice),
                // The agent lives as long as this run.
                Err(_) => pending().await,
            }
        };
        let signals = &mut self.signals;
        let interrupt = async {
            match signals.next().await {
                Some(_) => Woken::Interrupt,
                None => pending().await,
            }
        };
        let tick = async {
            Timer::after(TICK).await;
            Woken::Tick
        };
        notice.or(interrupt).or(tick).await
    }

    fn take(&mut self, notice: &Notice) -> io::Result<()> {
        match &notice.what {
            What::Updated(status) => {
                self.code = result::of_status(status).or(self.code);
                let uuid = status.uuid.as_deref().unwrap_or_default();
                self.agent.acknowledge(&notice.executor_id, uuid);
            }
            What::Lost { cause, uuid } => {
                self.code = Some(result::of_loss(cause));
                self.agent.acknowledge(&notice.executor_id, uuid);
            }
            What::Started { .. } => self.follow_output()?,
            What::Subscribed
            | What::Message(_)
            | What::Sent(_)
            | What::Exited(_)
            | What::Stuck(_)
            | What::Forgotten => {}
        }
        self.show.notice(notice)
    }

    fn follow_output(&mut self) -> io::Result<()> {
        let sandbox: &Path = &self.sandbox;
        for label in ["stdout", "stderr"] {
            self.show.follow(label, &sandbox.join(label))?;
        }
        Ok(())
    }

    /// Handles an interrupt by the user.
    fn interrupt(&mut self) -> io::Result<()> {
        match self.phase {
            Phase::Run => {
                self.phase = Phase::ShutDown;
                self.agent.shut_down(EXECUTOR_ID);
                let text = "shutting down; interrupt again to kill everything at once";
                self.show.line("local", text)
            }
            Phase::ShutDown | Phase::Destroy => {
                self.phase = Phase::Destroy;
                self.agent.destroy(EXECUTOR_ID);
                self.show.line("local", "killing everything")
            }
        }
    }
}

/// Whether stdout is a pipe without a reader, or a terminal that was closed.
fn nobody_reads() -> bool {
    let stdout = rustix::stdio::stdout();
    let mut looked = [PollFd::new(&stdout, PollFlags::empty())];
    let closed = PollFlags::ERR | PollFlags::HUP;
    poll(&mut looked, Some(&Timespec::default())).is_ok() && looked[0].revents().intersects(closed)
}
