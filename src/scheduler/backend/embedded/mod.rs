//! The embedded backend: an agent for this machine, in the scheduler's own process.
//!
//! | module | content |
//! |---|---|
//! | `resources` | the machine's resources, who uses them, and when to offer the rest; pure |
//! | `spec` | converts a task of the core to an executor to start |
//! | `events` | converts notices of the agent to events of the core |
//! | `program` | finds the executor |
//! | `sandboxes` | removes old sandboxes |

mod events;
pub mod program;
mod resources;
mod sandboxes;
mod spec;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cook_agent::agent::{Agent, Config};
use cook_agent::cgroup::Cgroups;
use cook_agent::core::{Identity, Known, Standing};
use cook_agent::notice::{Notice, What};
use cook_agent::spec::ContainerId;
use cook_http::alarm::Alarm;
use rustix::process::{Resource, getrlimit};
use smol::LocalExecutor;
use smol::channel::{Receiver, Sender, bounded, unbounded};
use smol::future::or;

use self::resources::{Holding, Resources, most_alive};
pub use self::sandboxes::SandboxLimits;
use self::sandboxes::Sandboxes;
use self::spec::Recipe;
use crate::backend::Backend;
use crate::codec::config::ExecutorSettings;
use crate::core::backend::{self, BackendEvent, Call, Offer, TaskState, Update};
use crate::core::job::{self, JobSpec, Place};
use crate::core::words::{Demand, InstanceId, Uuid};

/// The ids of the agent and the framework. They never change, so that executors started by an earlier
/// process are recognised.
const AGENT_ID: &str = "embedded";
const FRAMEWORK_ID: &str = "cook-scheduler";

/// `FrameworkInfo.Capability.Type.TASK_KILLING_STATE`: the core handles this state.
const CAPABILITIES: [i32; 1] = [cook_mesos::messages::TASK_KILLING_STATE];

/// How often an absent executor is looked for.
const ABSENT_PAUSE: Duration = Duration::from_secs(1);

/// The settings of the backend.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The absolute path of the data folder.
    pub data: PathBuf,
    /// The resources for all jobs together.
    pub resources: Demand,
    /// How long executors wait for a stopped scheduler.
    pub recovery_timeout: Duration,
    /// The maximum run time of any job; `None` for no limit.
    pub max_runtime: Option<Duration>,
    /// How executors are started.
    pub executor: ExecutorSettings,
    /// The absolute path given by `--executor`.
    pub executor_file: Option<PathBuf>,
    /// How long sandboxes are kept.
    pub keep: SandboxLimits,
}

/// The embedded backend.
#[derive(Debug)]
pub struct Embedded {
    inner: Rc<Inner>,
    _tasks: Vec<smol::Task<()>>,
}

#[derive(Debug)]
struct Inner {
    agent: Agent,
    recipe: Recipe,
    /// Whether the executor was absent when it was last looked for.
    is_absent: Cell<bool>,
    place: Arc<Place>,
    resources: RefCell<Resources>,
    /// Whether the log says that the limit of open files was reached.
    has_warned: Cell<bool>,
    sandboxes: Sandboxes,
    events: Sender<BackendEvent>,
    /// Wakes the task that makes offers.
    changed: Sender<()>,
}

// === impl Embedded ===

impl Embedded {
    /// Starts the agent, which finds the executors of an earlier process. Also returns lines for the
    /// log.
    ///
    /// # Errors
    ///
    /// What is missing, as a text for the operator.
    pub fn start(
        settings: Settings,
        executor: Rc<LocalExecutor<'static>>,
    ) -> Result<(Self, Receiver<BackendEvent>, Vec<String>), String> {
        let program = program::find(&settings.executor, settings.executor_file.as_deref())?;
        let cgroups = Cgroups::detect();
        let mut remarks = Vec::new();
        if !cgroups.as_ref().is_some_and(|it| it.enforces) {
            remarks.push(
                "the cpus and memory of jobs are only counted, not enforced: this process has no delegated cgroup (under \
                 systemd: Delegate=yes and DelegateSubgroup=)"
                    .to_owned(),
            );
        }
        let hostname = hostname();
        let config = Config {
            identity: Identity {
                framework_id: FRAMEWORK_ID.to_owned(),
                agent_id: AGENT_ID.to_owned(),
                hostname: hostname.clone(),
                capabilities: CAPABILITIES.to_vec(),
            },
            folder: settings.data.clone(),
            // Relative paths in a job are relative to the root, the only folder that means the same to
            // everybody.
            files: PathBuf::from("/"),
            cgroups,
        };
        let started = Agent::start(config, executor.clone());
        let (agent, notices) = started.map_err(|error| {
            let data = settings.data.display();
            format!("cannot use the data folder {data}: {error}")
        })?;
        let recipe = Recipe::new(&settings, program);
        recipe.check_own(&agent)?;
        // The agent has raised the soft limit.
        let most_alive = most_alive(getrlimit(Resource::Nofile).current);
        let mut resources = Resources::new(settings.resources, most_alive);
        for known in agent.executors() {
            if let (Some(id), Some(holding)) = (id(&known), Holding::decode(&known.tag)) {
                resources.hold(id, holding);
            }
        }
        let (events, receiver) = unbounded();
        let (changed, changes) = bounded(1);
        // The core then reconciles all instances that it knows, as with a master.
        let _ = events.try_send(BackendEvent::Subscribed(None));
        let inner = Rc::new(Inner {
            agent,
            recipe,
            is_absent: Cell::new(false),
            place: Arc::new(Place {
                agent: job::Agent(AGENT_ID.into()),
                hostname: hostname.into(),
                files_at: None,
            }),
            resources: RefCell::new(resources),
            has_warned: Cell::new(false),
            sandboxes: Sandboxes::start(settings.data.join("sandboxes"), settings.keep)?,
            events,
            changed,
        });
        let tasks = vec![
            executor.spawn(translate(inner.clone(), notices)),
            executor.spawn(offer(inner.clone(), changes)),
        ];
        let backend = Self {
            inner,
            _tasks: tasks,
        };
        Ok((backend, receiver, remarks))
    }

    /// Checks whether this machine can fetch a job's files.
    ///
    /// # Errors
    ///
    /// Which file cannot be fetched, and why.
    pub fn check(&self, job: &JobSpec) -> Result<(), String> {
        self.inner.recipe.check(&self.inner.agent, job)
    }
}

impl Backend for Embedded {
    fn call(&self, call: Call) {
        let inner = &self.inner;
        match call {
            Call::Launch { offer, tasks } => {
                inner.resources.borrow_mut().used(&offer);
                for task in &tasks {
                    inner.launch(task);
                }
            }
            Call::Decline { offer, refuse_for } => {
                let until = Instant::now().checked_add(refuse_for);
                inner.resources.borrow_mut().declined(&offer, until);
            }
            Call::Revive => inner.resources.borrow_mut().revive(),
            Call::Suppress => inner.resources.borrow_mut().suppress(),
            Call::Kill { instance, .. } => match inner.known(instance) {
                Some(known) => inner.agent.kill(&known.executor_id, None),
                None => inner.report_gone(instance),
            },
            Call::Shutdown { instance, .. } => inner.agent.shut_down(&instance.to_string()),
            Call::Acknowledge {
                instance, token, ..
            } => inner.agent.acknowledge(&instance.to_string(), &token.0),
            Call::Reconcile(instances) => {
                for (instance, _) in instances {
                    match inner.known(instance) {
                        Some(known) => inner.report_standing(instance, known.standing),
                        None => inner.report_gone(instance),
                    }
                }
            }
            Call::ReconcileAll => {
                for known in inner.agent.executors() {
                    if let Some(instance) = id(&known) {
                        inner.report_standing(instance, known.standing);
                    }
                }
            }
            // There is no master that assigns ids.
            Call::SubscribeAnew => inner.report(BackendEvent::Subscribed(None)),
            Call::Forget(instances) => {
                let gone = instances
                    .into_iter()
                    .filter(|it| inner.known(*it).is_none());
                inner.sandboxes.remove(gone.collect());
            }
        }
        inner.check_offers();
    }

    fn is_empty(&self) -> bool {
        self.inner.agent.executors().is_empty()
    }
}

// === impl Inner ===

impl Inner {
    fn launch(&self, task: &backend::Task) {
        let holding = Holding {
            demand: task.job.spec.demand,
            ports: task.ports.to_vec(),
        };
        let container = match ContainerId::random() {
            Ok(container) => container,
            Err(error) => {
                tracing::error!("cannot name a container: {error}");
                return self.report_gone(task.instance);
            }
        };
        let spec = self.recipe.spec(task, container, holding.encode());
        self.resources.borrow_mut().hold(task.instance, holding);
        self.agent.launch(spec);
    }

    fn known(&self, instance: InstanceId) -> Option<Known> {
        self.agent.executor(&instance.to_string())
    }

    fn report(&self, event: BackendEvent) {
        // Fails only while the program exits.
        let _ = self.events.try_send(event);
    }

    fn report_gone(&self, instance: InstanceId) {
        self.report_state(instance, TaskState::Gone);
    }

    fn report_standing(&self, instance: InstanceId, standing: Standing) {
        match standing {
            Standing::Starting => self.report_state(instance, TaskState::Staging),
            Standing::Acknowledged => self.report_state(instance, TaskState::Running),
            // The agent reports its end by itself and repeats that until it is acknowledged.
            Standing::Ending => {}
        }
    }

    fn report_state(&self, instance: InstanceId, state: TaskState) {
        self.report(BackendEvent::Updated(Box::new(Update {
            instance,
            agent: Some(self.place.agent.clone()),
            state,
            reason: None,
            token: None,
            report: None,
        })));
    }

    /// Handles a notice of the agent.
    fn take(&self, notice: &Notice) {
        let Some(instance) = Uuid::parse(&notice.executor_id).map(InstanceId) else {
            return;
        };
        if let Some(event) = events::event(instance, &notice.what, &self.place.agent) {
            let has_ended =
                matches!(&event, BackendEvent::Updated(it) if events::is_terminal(it.state));
            self.report(event);
            if has_ended {
                self.resources.borrow_mut().release(instance);
                self.sandboxes.look();
                self.check_offers();
            }
        }
        if notice.what == What::Forgotten {
            self.resources.borrow_mut().forget(instance);
            self.check_offers();
        }
    }

    fn check_offers(&self) {
        // If the channel is full, the task will check anyway.
        let _ = self.changed.try_send(());
    }

    /// Offers the free resources, unless it is too early.
    fn offer(&self) {
        let now = Instant::now();
        let free = self.resources.borrow_mut().offer(now);
        if self.resources.borrow().is_full() && !self.has_warned.replace(true) {
            tracing::warn!(
                "more jobs do not run at once with this limit of open files: raise the hard limit (LimitNOFILE= or \
                 ulimit -Hn)"
            );
        }
        let Some(free) = free else {
            return;
        };
        if self.is_executor_absent() {
            let until = now.checked_add(ABSENT_PAUSE).unwrap_or(now);
            self.resources.borrow_mut().declined(&free.id, Some(until));
            return;
        }
        self.report(BackendEvent::Offered(vec![Offer {
            id: free.id,
            place: self.place.clone(),
            resources: free.resources,
            ports: free.ports,
            attributes: Vec::new(),
            capacity: Some(self.resources.borrow().capacity()),
            most_tasks: Some(free.most_tasks),
        }]));
    }

    /// Whether the executor cannot be started, for example while it is being replaced. Every waiting job would
    /// fail within milliseconds.
    fn is_executor_absent(&self) -> bool {
        let program = self.recipe.program();
        let is_absent = !program::is_present(program);
        let was_absent = self.is_absent.replace(is_absent);
        if is_absent && !was_absent {
            tracing::error!(
                "the executor is not an executable file any more; jobs wait for it: {program:?}"
            );
        }
        is_absent
    }
}

/// Converts notices of the agent to events of the core.
async fn translate(inner: Rc<Inner>, notices: Receiver<Notice>) {
    while let Ok(notice) = notices.recv().await {
        inner.take(&notice);
    }
}

/// Offers free resources whenever they change or a declined offer may be repeated.
async fn offer(inner: Rc<Inner>, changes: Receiver<()>) {
    let mut alarm = Alarm::new();
    loop {
        inner.offer();
        let again = inner.resources.borrow().declined_until();
        let refusal = async {
            alarm.until(again).await;
            true
        };
        let is_open = or(async { changes.recv().await.is_ok() }, refusal).await;
        if !is_open {
            return;
        }
    }
}

fn id(known: &Known) -> Option<InstanceId> {
    Uuid::parse(&known.executor_id).map(InstanceId)
}

fn hostname() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}
