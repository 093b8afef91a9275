//! The Mesos backend: a framework that uses the v1 scheduler API of the leading master.
//!
//! | module | content |
//! |---|---|
//! | `session` | when and where to subscribe; pure |
//! | `wire` | translation between the messages of Mesos and the types of the core; pure |
//! | `framework` | both of them, and the open offers; pure |
//! | `link` | the connections |
//! | `address`, `login`, `figures` | addresses of masters, credentials, counters for `/metrics` |
//!
//! The end of the program only closes the connections. The master keeps the tasks for the failover timeout, and the
//! next start subscribes with the same id. TEARDOWN, which would kill them, is never sent.

mod address;
mod figures;
mod framework;
mod link;
mod login;
mod session;
mod wire;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cook_http::alarm::Alarm;
use cook_mesos::messages::Id;
use cook_mesos::scheduler::{Capability, CapabilityType, FrameworkInfo};
use smol::LocalExecutor;
use smol::channel::{Receiver, Sender, bounded, unbounded};
use smol::future::{or, yield_now};

use self::framework::{Framework, Input, Output};
use self::link::Link;
use self::session::{LogLine, Session};
use self::wire::launch::Recipe;
use crate::backend::Backend;
use crate::codec::config::ExecutorSettings;
use crate::core::backend::{BackendEvent, Call, FrameworkId};

pub use self::address::{Address, Masters};
pub use self::figures::Figures;
pub use self::login::Login;

/// The maximum number of inputs that wait for the framework; the sockets wait meanwhile.
const MAX_INPUTS: usize = 16;

/// The maximum number of events that wait for the core; the framework waits meanwhile.
const MAX_EVENTS: usize = 1000;

/// The settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The masters.
    pub masters: Masters,
    /// The credentials.
    pub login: Option<Login>,
    /// `FrameworkInfo.principal`
    pub principal: Option<String>,
    /// The framework's name.
    pub name: String,
    /// The role of the framework.
    pub role: String,
    /// How long the master keeps the tasks while the scheduler is not subscribed.
    pub failover_timeout: Duration,
    /// The user that all jobs run as. Without it, each job runs as its owner.
    pub run_as_user: Option<String>,
    /// `FrameworkInfo.user`
    pub user: String,
    /// The name of this host.
    pub hostname: String,
    /// `FrameworkInfo.webui_url`
    pub web_page: Option<String>,
    /// How the executors are started.
    pub executor: ExecutorSettings,
    /// `--executor`: a path on the agents.
    pub executor_file: Option<PathBuf>,
    /// The maximum run time of any job, if there is a limit.
    pub max_runtime: Option<Duration>,
    /// A random number.
    pub seed: u64,
}

/// The backend.
#[derive(Debug)]
pub struct Mesos {
    inner: Rc<Inner>,
    _task: smol::Task<()>,
}

#[derive(Debug)]
struct Inner {
    framework: RefCell<Framework>,
    link: RefCell<Link>,
    events: Sender<BackendEvent>,
    /// Wakes the task that waits for the deadline.
    changed: Sender<()>,
}

// === impl Mesos ===

impl Mesos {
    /// Starts to subscribe, with the framework's id of an earlier run if there is one. Returns the events for the core, and
    /// lines for the log.
    pub fn start(
        settings: Settings,
        framework: Option<&FrameworkId>,
        executor: &Rc<LocalExecutor<'static>>,
    ) -> (Self, Receiver<BackendEvent>, Vec<String>) {
        let recipe = Recipe::new(
            &settings.executor,
            settings.executor_file.as_deref(),
            settings.run_as_user.clone(),
            settings.max_runtime,
        );
        let mut remarks = Vec::new();
        if recipe.is_in_path() {
            let command = &settings.executor.command;
            remarks.push(format!(
                "the agents look for {command} in their PATH; to have it fetched, configure :executor {{:uri {{:value \
                 \"http://...\"}}}}"
            ));
        }
        let info = info(&settings, framework);
        let session = Session::new(settings.masters, info, settings.seed, Instant::now());
        let (inbox, inputs) = bounded(MAX_INPUTS);
        let (events, receiver) = unbounded();
        let (changed, changes) = bounded(1);
        let inner = Rc::new(Inner {
            framework: RefCell::new(Framework::new(session, recipe)),
            link: RefCell::new(Link::new(Rc::clone(executor), settings.login, inbox)),
            events,
            changed,
        });
        let work = drive(Rc::clone(&inner), inputs, changes);
        let backend = Self {
            inner,
            _task: executor.spawn(work),
        };
        (backend, receiver, remarks)
    }

    /// The counters.
    pub fn figures(&self) -> Figures {
        self.inner.framework.borrow().figures()
    }

    /// The number of calls that are not yet accepted.
    pub fn waiting(&self) -> usize {
        self.inner.link.borrow().waiting()
    }
}

impl Backend for Mesos {
    fn call(&self, call: Call) {
        self.inner.feed(Input::Requested(call));
        // If the channel is full, the task is about to run anyway.
        let _ = self.inner.changed.try_send(());
    }

    fn is_empty(&self) -> bool {
        self.waiting() == 0
    }
}

// === impl Inner ===

impl Inner {
    fn feed(&self, input: Input) {
        let outputs = self.framework.borrow_mut().step(input, Instant::now());
        for output in outputs {
            self.perform(output);
        }
    }

    fn perform(&self, output: Output) {
        match output {
            Output::Link(action) => self.link.borrow_mut().perform(action),
            // The receiver is gone only when the program ends.
            Output::Event(event) => drop(self.events.try_send(event)),
            Output::Log(LogLine::Info(text)) => tracing::info!("{text}"),
            Output::Log(LogLine::Warning(text)) => tracing::warn!("{text}"),
        }
    }
}

/// Handles inputs and deadlines, for ever.
async fn drive(inner: Rc<Inner>, inputs: Receiver<Input>, changes: Receiver<()>) {
    let mut alarm = Alarm::new();
    inner.feed(Input::Tick);
    loop {
        let deadline = inner.framework.borrow().deadline();
        let input = async { inputs.recv().await.ok() };
        let change = async {
            let _ = changes.recv().await;
            Some(Input::Tick)
        };
        let tick = async {
            alarm.until(deadline).await;
            Some(Input::Tick)
        };
        let Some(input) = or(input, or(change, tick)).await else {
            return;
        };
        inner.feed(input);
        while inner.events.len() > MAX_EVENTS {
            yield_now().await;
        }
    }
}

/// The description of the framework for SUBSCRIBE.
fn info(settings: &Settings, id: Option<&FrameworkId>) -> FrameworkInfo {
    let capability = |kind: CapabilityType| Capability {
        kind: Some(kind as i32),
    };
    FrameworkInfo {
        user: settings.user.clone(),
        name: settings.name.clone(),
        id: id.map(|id| Id {
            value: id.0.to_string(),
        }),
        failover_timeout: Some(settings.failover_timeout.as_secs_f64()),
        // Executors survive a restart of their agent.
        checkpoint: Some(true),
        role: None,
        hostname: Some(settings.hostname.clone()),
        principal: settings.principal.clone(),
        webui_url: settings.web_page.clone(),
        capabilities: vec![
            capability(CapabilityType::PartitionAware),
            capability(CapabilityType::TaskKillingState),
            capability(CapabilityType::MultiRole),
            capability(CapabilityType::ReservationRefinement),
        ],
        roles: vec![settings.role.clone()],
    }
}
