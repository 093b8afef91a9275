//! Runs the scheduler until it is asked to exit.

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

use super::driver::Driver;
use super::setup::{RunsOn, Setup};
use super::{clock, http, log};
use crate::api::{BackendFigures, Fetching, Row};
use crate::backend::Backend;
use crate::backend::embedded::Embedded;
use crate::backend::mesos::Mesos;
use crate::core::Start;
use crate::core::backend::{BackendEvent, FrameworkId};
use crate::core::effect::LeaveReason;
use crate::core::event::Event;
use crate::core::request::{ApiRequest, KillOrder, Refusal, Reply};
use crate::store::{self, Folder};

/// How long the program waits for a second Ctrl-C after the first one.
const SECOND_CTRL_C: Duration = Duration::from_secs(5);

/// The delay before a kill is tried again that could not be stored.
const AGAIN: Duration = Duration::from_secs(1);

/// How often to check whether executors have exited after their jobs have ended, and the maximum number
/// of checks.
const LOOK: Duration = Duration::from_millis(20);
const MOST_LOOKS: u32 = 1500;

/// Why the program exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to.
    Asked,
    /// It cannot continue.
    Failed,
}

/// What to do once the store is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Serve the API and run jobs.
    Serve,
    /// Start nothing, end the running jobs, and exit.
    Drain,
}

/// Why the program could not start; a text for the operator.
#[derive(Debug)]
pub struct StartError(pub String);

impl From<std::io::Error> for StartError {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// Opens everything, and runs until asked to exit.
///
/// # Errors
///
/// The program could not start; the text is for the operator.
pub fn run(mut setup: Setup, task: Task) -> Result<Ending, StartError> {
    for remark in &setup.remarks {
        log::line(remark);
    }
    let folder = match task {
        Task::Serve => Folder::open(&setup.data),
        // In a new folder it would end no jobs and report success, although only the path may be wrong.
        Task::Drain => Folder::open_existing(&setup.data),
    };
    let mut folder = folder.map_err(|error| StartError(error.to_string()))?;
    let (store, start, anchor) =
        store::open(&mut folder).map_err(|error| StartError(error.to_string()))?;
    let clock = clock::resume(anchor)?;
    let executor = Rc::new(LocalExecutor::new());
    check_places(&setup.runs_on, &start)?;
    let (backend, events, remarks) =
        backend(&mut setup, start.framework.as_ref(), &executor).map_err(StartError)?;
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
                    "cannot listen at {listen}: {error}; choose another address with --listen"
                ))
            })?)
        }
    };
    let driver = Driver::new(setup.core, start, store, Some(folder), clock, backend)?;
    spawn(&executor, &driver, |driver| async move {
        driver.store_events().await
    });
    spawn(&executor, &driver, |driver| async move {
        driver.backend_events(events).await
    });
    spawn(&executor, &driver, |driver| async move {
        driver.deadlines().await
    });
    let mut signals = Signals::new([Signal::Term, Signal::Int])?;
    let main = async {
        match listener {
            None => or(drain(&driver), asked(&mut signals)).await,
            Some(listener) => {
                let address = listener.address().unwrap_or(setup.listen);
                let served = Rc::new(http::Served::new(Rc::clone(&driver), setup.api)?);
                let serving = server::serve(listener, http::limits(), served, Rc::clone(&executor));
                executor.spawn(serving).detach();
                // This line may be read by a script; an error is ignored, because stdout may be closed.
                use std::io::Write;
                let mut out = std::io::stdout();
                let _ = writeln!(out, "cook-scheduler: serving http://{address}");
                let _ = out.flush();
                or(signalled(&driver, &mut signals), left(&driver)).await
            }
        }
    };
    async_io::block_on(executor.run(main))
}

/// The backend, its events, and lines for the log.
type Started = (Box<dyn Backend>, Receiver<BackendEvent>, Vec<String>);

fn backend(
    setup: &mut Setup,
    framework: Option<&FrameworkId>,
    executor: &Rc<LocalExecutor<'static>>,
) -> Result<Started, String> {
    match &setup.runs_on {
        RunsOn::Here(here) => {
            let (embedded, events, remarks) =
                Embedded::start((**here).clone(), Rc::clone(executor))?;
            let embedded = Rc::new(embedded);
            let checking = Rc::clone(&embedded);
            setup.api.fetching = Fetching::by(move |job| checking.check(job));
            Ok((Box::new(embedded), events, remarks))
        }
        RunsOn::Mesos(there) => {
            let (mesos, events, remarks) = Mesos::start((**there).clone(), framework, executor);
            let mesos = Rc::new(mesos);
            let asked = Rc::clone(&mesos);
            setup.api.backend_figures = BackendFigures::by(move || {
                let counters = asked.figures().rows();
                let counters = counters.map(|(name, help, value)| Row::Counter(name, help, value));
                let (name, help) = (
                    "cook_mesos_calls_waiting",
                    "Calls that the master has not accepted yet.",
                );
                let waiting = Row::Gauge(name, help, asked.waiting() as u64);
                counters.into_iter().chain([waiting]).collect()
            });
            Ok((Box::new(mesos), events, remarks))
        }
    }
}

/// Refuses a data folder with running instances of the other backend. Otherwise they would be considered lost, and their
/// jobs would be started again while they still run.
fn check_places(runs_on: &RunsOn, start: &Start) -> Result<(), StartError> {
    let live = start.jobs.iter().filter_map(|job| job.live());
    let (here, there): (Vec<_>, Vec<_>) =
        live.partition(|instance| instance.place.files_at.is_none());
    match runs_on {
        RunsOn::Here(_) if !there.is_empty() => Err(StartError(format!(
            "{} jobs of this data folder run on Mesos: start with --master, or kill them with --drain --master",
            there.len()
        ))),
        RunsOn::Mesos(_) if !here.is_empty() => Err(StartError(format!(
            "{} jobs of this data folder run on this machine: start without --master, or kill them with --drain",
            here.len()
        ))),
        RunsOn::Here(_) | RunsOn::Mesos(_) => Ok(()),
    }
}

fn spawn<F: Future<Output = ()> + 'static>(
    executor: &LocalExecutor<'static>,
    driver: &Rc<Driver>,
    task: impl FnOnce(Rc<Driver>) -> F,
) {
    executor.spawn(task(Rc::clone(driver))).detach();
}

/// Waits until the core asks the program to exit.
async fn left(driver: &Driver) -> Result<Ending, StartError> {
    match driver.leaving().await {
        LeaveReason::FrameworkTaken => {
            log::line("another scheduler has taken over this framework and its jobs; exiting");
            Ok(Ending::Failed)
        }
    }
}

/// Waits for a signal, and returns how to exit. In all cases but the last, running jobs continue.
///
/// * SIGTERM: exits at once.
/// * SIGINT without a terminal, or while no job is running: exits at once.
/// * Ctrl-C in a terminal while jobs are running: exits after [`SECOND_CTRL_C`].
/// * A second Ctrl-C within this time: ends the jobs, and then exits.
async fn signalled(driver: &Driver, signals: &mut Signals) -> Result<Ending, StartError> {
    let first = signals.next().await;
    let running = driver.read(|view| view.live());
    let is_typed = matches!(first, Some(Ok(Signal::Int))) && std::io::stderr().is_terminal();
    if !is_typed || running == 0 {
        log::line(format!("exiting; {running} running jobs continue"));
        return Ok(Ending::Asked);
    }
    let seconds = SECOND_CTRL_C.as_secs();
    log::line(format!(
        "exiting in {seconds} s; {running} running jobs will continue; press Ctrl-C again to end them"
    ));
    let second = or(async { signals.next().await }, async {
        Timer::after(SECOND_CTRL_C).await;
        None
    });
    match second.await {
        Some(_) => or(drain(driver), asked(signals)).await,
        None => Ok(Ending::Asked),
    }
}

/// Exits at any signal.
async fn asked(signals: &mut Signals) -> Result<Ending, StartError> {
    let _ = signals.next().await;
    log::line("exiting before all jobs have ended");
    Ok(Ending::Failed)
}

/// Ends all running jobs, with their after commands, and waits for them.
async fn drain(driver: &Driver) -> Result<Ending, StartError> {
    driver.feed(Event::Drain);
    let running = driver.read(|view| view.running(None));
    let count = running.len();
    log::line(format!(
        "ending {count} running jobs, including their after commands"
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
        while let Reply::Refused(Refusal::Unavailable(_)) = driver.ask(order()).await {
            Timer::after(AGAIN).await;
        }
    }
    driver.until(|view| view.live() == 0).await;
    // Once this is on disk, the next start does not ask about these instances.
    driver.until(|view| view.is_settled()).await;
    // An executor whose end was not acknowledged would wait for days, so wait until all have exited.
    let mut looks = 0;
    while !driver.is_empty() && looks < MOST_LOOKS {
        Timer::after(LOOK).await;
        looks += 1;
    }
    match driver.is_empty() {
        true => log::line(format!("{count} jobs have ended")),
        false => log::line(format!(
            "{count} jobs have ended; some of their executors have not exited yet"
        )),
    }
    Ok(Ending::Asked)
}
