//! A Mesos cluster as the backend: a framework, by the v1 scheduler API of the leading master.
//!
//! | module | what it is |
//! |---|---|
//! | `session` | the subscription: when to connect, and where; pure |
//! | `wire` | between the master's messages and the words of the core; pure |
//! | `framework` | both together, and the open offers; pure |
//! | `link` | the connections |
//! | `address`, `login`, `figures` | where a master is, who we are to it, what `/metrics` tells of it |
//!
//! Leaving closes the connections and nothing else: the master keeps the tasks for the failover timeout, and the next
//! start subscribes with the same id. TEARDOWN, which would end them, is never sent.

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
use self::session::{Note, Session};
use self::wire::launch::Recipe;
use crate::backend::Backend;
use crate::codec::config::ExecutorSettings;
use crate::core::face::{BackendEvent, Call, FrameworkId};

pub use self::address::{Address, Masters};
pub use self::figures::Figures;
pub use self::login::Login;

/// What is read of the master and was not looked at yet, in pieces: sockets wait meanwhile.
const MOST_UNREAD: usize = 16;

/// What the core has not looked at yet: the master waits meanwhile.
const MOST_UNTOLD: usize = 1000;

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which masters may lead.
    pub masters: Masters,
    /// Who to be to them.
    pub login: Option<Login>,
    /// `FrameworkInfo.principal`
    pub principal: Option<String>,
    /// The framework's name.
    pub name: String,
    /// The role whose resources are used.
    pub role: String,
    /// How long the master keeps tasks while nobody is subscribed.
    pub failover_timeout: Duration,
    /// The user that all jobs run as; without it, each runs as its owner.
    pub run_as_user: Option<String>,
    /// The user that the framework is of, where a job names none.
    pub user: String,
    /// The name of this machine.
    pub hostname: String,
    /// Where people find this program.
    pub web_page: Option<String>,
    /// How executors are started.
    pub executor: ExecutorSettings,
    /// `--executor`: a path on the agents.
    pub executor_file: Option<PathBuf>,
    /// How long any job may run, if that is limited.
    pub max_runtime: Option<Duration>,
    /// Random.
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
    /// Wakes the task that waits for deadlines.
    changed: Sender<()>,
}

// === impl Mesos ===

impl Mesos {
    /// Begins to subscribe; with the framework's id, if an earlier run had one. Lines for the operator come with it.
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
        if recipe.is_looked_for() {
            let command = &settings.executor.command;
            remarks.push(format!(
                "agents look for {command} in their PATH: where they do not have it, name a file to fetch by :executor \
                 {{:uri {{:value \"http://...\"}}}}"
            ));
        }
        let info = info(&settings, framework);
        let session = Session::new(settings.masters, info, settings.seed, Instant::now());
        let (inbox, inputs) = bounded(MOST_UNREAD);
        let (events, told) = unbounded();
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
        (backend, told, remarks)
    }

    /// What has happened so far.
    pub fn figures(&self) -> Figures {
        self.inner.framework.borrow().figures()
    }

    /// How many calls the master has not accepted yet.
    pub fn waiting(&self) -> usize {
        self.inner.link.borrow().waiting()
    }
}

impl Backend for Mesos {
    fn call(&self, call: Call) {
        self.inner.feed(Input::Asked(call));
        // If there is no room, it is about to look in any case.
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
            Output::Subscribe {
                attempt,
                master,
                call,
            } => self.link.borrow_mut().subscribe(attempt, master, &call),
            Output::Close => self.link.borrow_mut().close(),
            Output::Call {
                attempt,
                master,
                stream,
                call,
            } => self.link.borrow_mut().call(attempt, &master, stream, &call),
            // Nobody listens when the program is about to end.
            Output::Tell(event) => drop(self.events.try_send(event)),
            Output::Note(Note::Subscribed(text)) => tracing::info!("{text}"),
            Output::Note(Note::Trouble(text)) => tracing::warn!("{text}"),
        }
    }
}

/// Takes what comes from the connections, and ticks at the deadlines, for ever.
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
        while inner.events.len() > MOST_UNTOLD {
            yield_now().await;
        }
    }
}

/// As the framework subscribes.
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
        // Executors outlive their agent.
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
