//! The only loop: waits for the next event, passes it to the core, and performs the effects.
//!
//! Nothing is decided here. There is one reactor and one thread that does all the work. Everything that
//! waits is a smol task on this thread, and sends its result to one of two inboxes. Requests of the task
//! API have their own inbox, so that no number of them delays the agent, the commands or a signal. The only
//! other thread is started by async-io, to wait for the reactor while this thread is busy.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_io::block_on;
use smol::LocalExecutor;
use smol::channel::{Receiver, bounded};
use smol::future::{FutureExt, or, yield_now};
use tracing::{debug, info, warn};

use crate::codec::api::request::TASK_PATH;
use crate::codec::mesos::call::Caller;
use crate::codec::mesos::event::{Meaning, Severity, Translator};
use crate::core::effect::{Audience, Effect, ExitStatus, Line};
use crate::core::environment::{Name, Value};
use crate::core::event::{Event, TaskEvent};
use crate::core::executor::{Answered, Executor};
use crate::core::variables;
use crate::shell::config::Config;
use crate::words::outcome::Outcome;
use crate::words::units::{Moment, Now, TaskId, WallTime};
use crate::world::agent::Agent;
use crate::world::api::{self, Api};
use crate::world::checks::Prober;
use crate::world::inbox::{self, Incoming};
use crate::world::log::{CHECK, ENDING};
use crate::world::memory;
use crate::world::process::{Processes, descendants, signals, spawn};
use crate::world::program::OwnFile;
use crate::world::stdio;
use crate::world::tracking::Tracker;
use crate::world::users;
use cook_http::alarm::Alarm;
use cook_http::task;

/// Maximum number of other tasks' steps per turn of the loop: a client that never stops sending must not
/// delay a kill.
const TURNS: usize = 32;

/// The state of the shell around the core.
struct Runtime {
    core: Executor,
    started: Instant,
    caller: Caller,
    translator: Translator,
    agent: Agent,
    processes: Processes,
    prober: Prober,
    tracker: Tracker,
    spawner: Rc<LocalExecutor<'static>>,
    /// How often our memory use is logged; taken when the reports begin.
    memory_interval: Option<Duration>,
    /// Signals that have arrived.
    signals: signals::Received,
    served_task: Rc<OnceCell<TaskId>>,
    program: OwnFile,
}

/// Runs one executor until it exits. The log must be open.
pub fn run(config: Config, signals: signals::Caught, started: Instant) -> ExitStatus {
    let spawner = Rc::new(LocalExecutor::new());
    // Before the first spawn: otherwise async-process starts a thread for this.
    spawner.spawn(async_process::driver()).detach();
    let main = start(config, signals, started, Rc::clone(&spawner));
    let others = async {
        loop {
            for _ in 0..TURNS {
                spawner.tick().await;
            }
            yield_now().await;
        }
    };
    // This thread waits in the reactor itself. With any other block_on, async-io's thread would wait and
    // wake this one. That is ten system calls less for a task, but each request would take twice as long.
    block_on(or(main, others))
}

async fn start(
    config: Config,
    signals: signals::Caught,
    started: Instant,
    spawner: Rc<LocalExecutor<'static>>,
) -> ExitStatus {
    let (inbox, events) = bounded(inbox::SIZE);
    let (api_inbox, requests) = bounded(inbox::SIZE);
    if let Err(error) = descendants::become_subreaper() {
        warn!("failed to become a subreaper, so orphaned processes will not be found: {error}");
    }
    let signals = signals.announce(&spawner, inbox.clone());
    let served_task = Rc::new(OnceCell::new());
    let mut settings = config.settings;
    let chance = u64::from_le_bytes(std::array::from_fn(|at| settings.uuid_seed[at]));
    let endpoint = match Api::open(config.api_port, chance) {
        Ok(api) => {
            let endpoint = format!("http://{}{TASK_PATH}", api.address());
            info!("serving the task API at {endpoint}");
            let (spawner, task) = (Rc::clone(&spawner), Rc::clone(&served_task));
            let serve = api.serve(Rc::clone(&spawner), task, api_inbox.clone());
            task::spawn(&spawner, serve).detach();
            Some(endpoint)
        }
        Err(unavailable) => {
            warn!(
                "there is no task API, and {} is not set: {unavailable}",
                variables::ENDPOINT
            );
            settings.has_api = false;
            None
        }
    };
    let mut program = OwnFile::new(&config.sandbox);
    settings.for_commands.extend(own_path(&mut program));
    let mut runtime = Runtime {
        core: Executor::new(settings),
        started,
        caller: config.caller,
        translator: Translator::new(
            config.hooks,
            config.arguments,
            endpoint,
            find_curl,
            users::is_own,
        ),
        agent: Agent::new(config.target, Rc::clone(&spawner), inbox.clone()),
        tracker: Tracker::new(config.tracking, Rc::clone(&spawner), inbox.clone()),
        prober: Prober::new(Rc::clone(&spawner), inbox.clone()),
        processes: Processes::new(config.sandbox, Rc::clone(&spawner), inbox),
        spawner,
        memory_interval: Some(config.memory_interval),
        signals,
        served_task,
        program,
    };
    let status = runtime.run(&events, &requests).await;
    // Without an API there is no other sender, and the loop would take the closed channel for a request.
    drop(api_inbox);
    status
}

/// The path of this program, so that commands can use it as a client of the task API.
fn own_path(program: &mut OwnFile) -> Option<(Name, Value)> {
    let path = Value::new(program.path().into_vec());
    Name::new(variables::BIN).ok().zip(path.ok())
}

/// Why the loop woke up.
enum Woken {
    Incoming(Incoming),
    Request(api::Incoming),
    Deadline,
}

// === impl Runtime ===

impl Runtime {
    async fn run(
        &mut self,
        events: &Receiver<Incoming>,
        requests: &Receiver<api::Incoming>,
    ) -> ExitStatus {
        let mut alarm = Alarm::punctual();
        loop {
            let next = self.core.next_deadline();
            let next = next.and_then(|deadline| self.started.checked_add(deadline.0));
            // The loop holds a sender of each inbox, so both stay open.
            let event = async { events.recv().await.map_or(Woken::Deadline, Woken::Incoming) };
            let request = async {
                requests
                    .recv()
                    .await
                    .map_or(Woken::Deadline, Woken::Request)
            };
            let deadline = async {
                alarm.until(next).await;
                Woken::Deadline
            };
            let exit = match event.or(deadline).or(request).await {
                Woken::Incoming(incoming) => {
                    let events = self.meaning(incoming);
                    self.handle(events)
                }
                Woken::Request(incoming) => self.answer(incoming),
                Woken::Deadline => self.handle(vec![Event::Tick]),
            };
            if let Some(status) = exit {
                return status;
            }
        }
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            moment: Moment(self.started.elapsed()),
            // Enough for 500 million years.
            wall: WallTime(wall.as_millis() as u64),
        }
    }

    /// The events that an input means for the core; empty if it only concerns the log.
    fn meaning(&mut self, incoming: Incoming) -> Vec<Event> {
        match incoming {
            Incoming::Event(event) => vec![event],
            Incoming::Signals => {
                let mut events = vec![Event::Task(TaskEvent::ChildrenChanged)];
                if self.signals.take_end() {
                    events.push(Event::Shutdown);
                }
                events
            }
            Incoming::Record(generation, record) => {
                let mut log = |severity, line: String| match severity {
                    Severity::Info => info!("{line}"),
                    Severity::Warning => warn!("{line}"),
                };
                match self.translator.translate(generation, &record, &mut log) {
                    Ok(Meaning::Event(event)) => vec![event],
                    Ok(Meaning::Nothing) => Vec::new(),
                    Ok(Meaning::Ended(end)) => vec![Event::StreamEnded(generation, end)],
                    Err(error) => {
                        warn!(bytes = record.len(), "skipped a record: {error}");
                        Vec::new()
                    }
                }
            }
        }
    }

    /// Answers a request of the task API.
    fn answer(&mut self, incoming: api::Incoming) -> Option<ExitStatus> {
        debug!("event: request");
        let now = self.now();
        let Answered { reply, effects } = self.core.answer(incoming.request, now);
        debug!("effect: reply");
        // There is no receiver if the client has disconnected.
        let _ = incoming.reply.try_send(reply);
        let mut events = VecDeque::new();
        if let Some(status) = self.perform_all(effects, &mut events) {
            return Some(status);
        }
        self.handle(events)
    }

    /// Processes events, and all events that their effects cause immediately.
    fn handle(&mut self, events: impl Into<VecDeque<Event>>) -> Option<ExitStatus> {
        let mut events = events.into();
        while let Some(event) = events.pop_front() {
            debug!("event: {}", event.name());
            if matches!(event, Event::Subscribed { .. }) {
                self.report_memory();
            }
            let now = self.now();
            let effects = self.core.step(event, now);
            if let Some(status) = self.perform_all(effects, &mut events) {
                return Some(status);
            }
        }
        None
    }

    /// Performs the effects of a step. Results that are known immediately are added to `events`.
    fn perform_all(
        &mut self,
        effects: Vec<Effect>,
        events: &mut VecDeque<Event>,
    ) -> Option<ExitStatus> {
        for effect in effects {
            debug!("effect: {}", effect.name());
            if let Effect::Exit(status) = effect {
                return Some(status);
            }
            events.extend(self.perform(effect));
        }
        None
    }

    /// Starts when there is an agent, so that it does not delay the start.
    fn report_memory(&mut self) {
        if let Some(interval) = self.memory_interval.take() {
            let reports = memory::report_every(interval);
            task::spawn(&self.spawner, reports).detach();
        }
    }

    /// Performs one effect, and returns the events that are known immediately. Other events follow later.
    fn perform(&mut self, effect: Effect) -> Vec<Event> {
        match effect {
            Effect::Subscribe {
                generation,
                task,
                updates,
            } => {
                let call = self.caller.subscribe(task.as_ref(), &updates);
                self.agent.subscribe(generation, call);
                Vec::new()
            }
            Effect::Call(serial, item) => {
                self.agent.call(serial, self.caller.report(&item));
                Vec::new()
            }
            Effect::AbandonCall => {
                info!("gave up waiting for the agent's response");
                self.agent.abandon_call();
                Vec::new()
            }
            Effect::Start(mut start) => {
                // The file may have been removed since the last command started.
                if let Some((name, path)) = own_path(&mut self.program) {
                    start.environment.set(name, path);
                }
                let event = self.processes.start(&start);
                if let TaskEvent::CommandStarted(_, pid) = &event {
                    info!(pid = pid.0, "started {}", start.description);
                }
                vec![Event::Task(event)]
            }
            Effect::Signal { commands, signal } => {
                let beyond = self.processes.signal(&commands, signal);
                let ended = |id| Event::Task(TaskEvent::CommandEnded(id, Outcome::OutOfReach));
                beyond.into_iter().map(ended).collect()
            }
            Effect::Sweep(sweep) => {
                let left = self.processes.sweep(sweep);
                vec![Event::Task(TaskEvent::Swept(left))]
            }
            Effect::ReapOrphans => {
                self.processes.reap_orphans();
                Vec::new()
            }
            Effect::Publish(task) => {
                // The core publishes one task, once.
                let _ = self.served_task.set(task);
                Vec::new()
            }
            Effect::Track(progress_file) => {
                self.tracker.start(&progress_file);
                Vec::new()
            }
            Effect::FinishTracking => self.tracker.finish().into_iter().collect(),
            Effect::Probe(id, probe) => {
                let event = self.prober.start(id, &probe, &self.processes);
                event.into_iter().map(Event::Task).collect()
            }
            Effect::AbandonProbe(id) => {
                self.prober.abandon(id, &self.processes);
                Vec::new()
            }
            Effect::Say(line, audience) => {
                say(&line, audience);
                Vec::new()
            }
            Effect::Note(note) => {
                match (note.explains_the_end(), note.is_of_a_check()) {
                    (true, _) => info!(target: ENDING, "{note}"),
                    (false, true) => info!(target: CHECK, "{note}"),
                    (false, false) => info!("{note}"),
                }
                Vec::new()
            }
            // Ends the loop in `handle`.
            Effect::Exit(_) => Vec::new(),
        }
    }
}

/// The path of curl, which probes HTTPS servers.
fn find_curl() -> Option<Vec<u8>> {
    let path = spawn::find("curl")?;
    Some(path.into_os_string().into_vec())
}

/// Writes a line to the log, and also to stdout if the audience reads that. On stdout it begins on a new
/// line, because the task may have written a part of a line.
fn say(line: &Line, audience: Audience) {
    match line.explains_the_end() {
        true => info!(target: ENDING, "{line}"),
        false => info!("{line}"),
    }
    match (audience, line) {
        (Audience::Log, _) => {}
        // The first line of the output.
        (Audience::Everybody, Line::Version) => stdio::print(&format!("{line}\n")),
        (Audience::Everybody, _) => stdio::print(&format!("\n{line}\n")),
    }
}
