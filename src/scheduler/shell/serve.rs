//! Serving, until it is asked to leave.

use std::future::Future;
use std::io::IsTerminal;
use std::rc::Rc;
use std::time::Duration;

use async_io::Timer;
use async_signal::{Signal, Signals};
use cook_http::server::{self, Listener};
use smol::LocalExecutor;
use smol::channel::Receiver;
use smol::future::or;
use smol::stream::StreamExt;

use super::hub::Hub;
use super::setup::{RunsOn, Setup};
use super::{clock, http, log};
use crate::api::Fetching;
use crate::backend::Backend;
use crate::backend::embedded::Embedded;
use crate::core::effect::LeaveReason;
use crate::core::event::Event;
use crate::core::face::BackendEvent;
use crate::core::request::{ApiRequest, KillOrder, Refusal, Reply};
use crate::store::{self, Folder};

/// How long a first Ctrl-C waits for a second one.
const SECOND_CTRL_C: Duration = Duration::from_secs(5);

/// How long to wait before what could not be recorded is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How often and how long to look whether executors have gone, once their jobs have ended.
const LOOK: Duration = Duration::from_millis(20);
const MOST_LOOKS: u32 = 1500;

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to leave.
    Asked,
    /// It cannot go on.
    Failed,
}

/// What to do with the store once it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Serve the API and run jobs.
    Serve,
    /// End what runs, start nothing, and leave.
    Drain,
}

/// Why it could not start, in words for the operator.
#[derive(Debug)]
pub struct StartError(pub String);

impl From<std::io::Error> for StartError {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// Opens everything, and runs until it is asked to leave.
///
/// # Errors
///
/// It could not start: a text for the operator.
pub fn run(mut setup: Setup, task: Task) -> Result<Ending, StartError> {
    for remark in &setup.remarks {
        log::line(remark);
    }
    let folder = Folder::open(&setup.data).map_err(|error| StartError(error.to_string()))?;
    let mut folder = folder;
    let (store, start, anchor) =
        store::open(&mut folder).map_err(|error| StartError(error.to_string()))?;
    let clock = clock::resume(anchor)?;
    let executor = Rc::new(LocalExecutor::new());
    let (backend, told, remarks) = backend(&mut setup, &executor).map_err(StartError)?;
    for remark in remarks {
        log::line(remark);
    }
    let listener = match task {
        Task::Drain => None,
        Task::Serve => {
            let listen = setup.listen;
            let listener = Listener::tcp(listen);
            Some(listener.map_err(|error| {
                StartError(format!(
                    "cannot listen at {listen}: {error}; choose another address by --listen"
                ))
            })?)
        }
    };
    let hub = Hub::new(setup.core, start, store, Some(folder), clock, backend)?;
    spawn(
        &executor,
        &hub,
        |hub| async move { hub.store_events().await },
    );
    spawn(&executor, &hub, |hub| async move {
        hub.backend_events(told).await
    });
    spawn(&executor, &hub, |hub| async move { hub.deadlines().await });
    let mut signals = Signals::new([Signal::Term, Signal::Int])?;
    let main = async {
        match listener {
            None => or(drain(&hub), asked(&mut signals)).await,
            Some(listener) => {
                let address = listener.address().unwrap_or(setup.listen);
                let served = Rc::new(http::Served::new(Rc::clone(&hub), setup.api)?);
                let serving = server::serve(listener, http::limits(), served, Rc::clone(&executor));
                executor.spawn(serving).detach();
                // Somebody may wait for this line; where nobody does, nothing is lost.
                use std::io::Write;
                let mut out = std::io::stdout();
                let _ = writeln!(out, "cook-scheduler: serving http://{address}");
                let _ = out.flush();
                or(signalled(&hub, &mut signals), left(&hub)).await
            }
        }
    };
    async_io::block_on(executor.run(main))
}

/// What runs the jobs, what it tells, and lines for the operator.
type Started = (Box<dyn Backend>, Receiver<BackendEvent>, Vec<String>);

fn backend(setup: &mut Setup, executor: &Rc<LocalExecutor<'static>>) -> Result<Started, String> {
    match &setup.runs_on {
        RunsOn::Here(here) => {
            let (embedded, told, remarks) = Embedded::start(here.clone(), Rc::clone(executor))?;
            let embedded = Rc::new(embedded);
            let checking = Rc::clone(&embedded);
            setup.api.fetching = Fetching::by(move |job| checking.check(job));
            Ok((Box::new(embedded), told, remarks))
        }
        RunsOn::Mesos(_) => Err(
            "this version cannot be a framework on Mesos yet: leave --master and :mesos :master out"
                .to_owned(),
        ),
    }
}

fn spawn<F: Future<Output = ()> + 'static>(
    executor: &LocalExecutor<'static>,
    hub: &Rc<Hub>,
    task: impl FnOnce(Rc<Hub>) -> F,
) {
    executor.spawn(task(Rc::clone(hub))).detach();
}

/// The core wants to leave.
async fn left(hub: &Hub) -> Result<Ending, StartError> {
    match hub.leaving().await {
        LeaveReason::FrameworkTaken => {
            log::line("another scheduler has taken over this framework: leaving its jobs to it");
            Ok(Ending::Failed)
        }
    }
}

/// SIGTERM leaves at once, and jobs go on. So does SIGINT, but for a terminal while jobs run: somebody
/// who has tried something may want it to end.
async fn signalled(hub: &Hub, signals: &mut Signals) -> Result<Ending, StartError> {
    let first = signals.next().await;
    let running = hub.read(|view| view.live());
    let is_typed = matches!(first, Some(Ok(Signal::Int))) && std::io::stderr().is_terminal();
    if !is_typed || running == 0 {
        log::line(format!("leaving; {running} running jobs go on"));
        return Ok(Ending::Asked);
    }
    let seconds = SECOND_CTRL_C.as_secs();
    log::line(format!(
        "{running} jobs are running, and go on when this leaves in {seconds} s; press Ctrl-C again to end them"
    ));
    let second = or(async { signals.next().await }, async {
        Timer::after(SECOND_CTRL_C).await;
        None
    });
    match second.await {
        Some(_) => or(drain(hub), asked(signals)).await,
        None => Ok(Ending::Asked),
    }
}

/// Any signal: leaves at once.
async fn asked(signals: &mut Signals) -> Result<Ending, StartError> {
    let _ = signals.next().await;
    log::line("leaving before everything has ended");
    Ok(Ending::Failed)
}

/// Ends what runs, in order, and waits until it has ended.
async fn drain(hub: &Hub) -> Result<Ending, StartError> {
    hub.feed(Event::Drain);
    let running = hub.read(|view| view.running(None));
    let count = running.len();
    log::line(format!(
        "ending {count} running jobs, after commands included"
    ));
    let instances: Vec<_> = running
        .iter()
        .filter_map(|job| job.live().map(|instance| instance.id))
        .collect();
    let order = || {
        ApiRequest::Kill(KillOrder {
            instances: instances.clone(),
            ..KillOrder::default()
        })
    };
    if count > 0 {
        while let Reply::Refused(Refusal::Unavailable(_)) = hub.ask(order()).await {
            Timer::after(AGAIN).await;
        }
    }
    hub.until(|view| view.live() == 0).await;
    // What has ended is on disk: only then nobody has to ask again.
    hub.until(|view| view.is_settled()).await;
    // An executor that does not know that its end was noted would wait for it for days.
    let mut looks = 0;
    while !hub.is_empty() && looks < MOST_LOOKS {
        Timer::after(LOOK).await;
        looks += 1;
    }
    match hub.is_empty() {
        true => log::line(format!("{count} jobs have ended")),
        false => log::line(format!(
            "{count} jobs have ended; some of their executors have not"
        )),
    }
    Ok(Ending::Asked)
}
