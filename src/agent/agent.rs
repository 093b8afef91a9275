//! The shell around the core: turns what happens into events and performs effects, on the program's own
//! thread.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use cook_http::alarm::Alarm;
use cook_http::live;
use cook_http::message::Response;
use cook_http::server::{self, Limits, Listener};
use cook_mesos::messages::{self, Call};
use cook_mesos::recordio;
use prost::Message;
use rustix::process::Pid;
use smol::LocalExecutor;
use smol::channel::{Receiver, Sender, bounded, unbounded};
use smol::future::or;
use tracing::{error, info, warn};

use crate::cgroup::Cgroups;
use crate::core::{
    Core, Effect, Event, Identity, Known, Moment, Peer, Recovered, Reply, StreamNumber, Survivor,
    Sweep,
};
use crate::fetch::{FetchError, Tools};
use crate::launch::{Launcher, Watched};
use crate::limits::raise_open_files;
use crate::notice::{Notice, What};
use crate::process::{Process, boot_id};
use crate::record::{Found, Records};
use crate::server::{Calls, MAX_UNSENT, response, stream_type};
use crate::spec::{Spec, Uri};
use crate::sweep;

/// Maximum number of executor connections at the same time: two for each executor, and twice as many while
/// they are being replaced.
const CONNECTIONS: usize = 4096;

/// Maximum size of a call: a task's data and message come back in an update.
const MAX_CALL: usize = 4 << 20;

/// What an agent needs to start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Identity of the agent and of its framework.
    pub identity: Identity,
    /// The agent's own folder, for its socket and its records. No other agent may use it.
    pub folder: PathBuf,
    /// The folder where relative paths of files to fetch start.
    pub files: PathBuf,
    /// Where containers get cgroups; `None` for no cgroups.
    pub cgroups: Option<Cgroups>,
}

/// A running agent. Dropping it stops the agent, but not its executors.
#[derive(Debug)]
pub struct Agent {
    inner: Rc<Inner>,
    _tasks: Vec<smol::Task<()>>,
}

/// State that the agent's tasks share.
#[derive(Debug)]
pub struct Inner {
    started: Instant,
    core: RefCell<Core>,
    streams: RefCell<HashMap<String, EventStream>>,
    /// Events to process; effects may add some immediately.
    queue: RefCell<VecDeque<Event>>,
    launcher: Launcher,
    /// Unbounded, but the core sends only a small number of notices for each executor.
    notices: Sender<Notice>,
    deadline_tx: Sender<()>,
    executor: Rc<LocalExecutor<'static>>,
}

/// The agent's end of an executor's event stream.
#[derive(Debug)]
struct EventStream {
    number: StreamNumber,
    records: Sender<Vec<u8>>,
}

// === impl Agent ===

impl Agent {
    /// Starts an agent on the program's executor. When it returns, the executors of an earlier process have
    /// been recovered.
    ///
    /// # Errors
    ///
    /// The agent's folder cannot be used.
    pub fn start(
        config: Config,
        executor: Rc<LocalExecutor<'static>>,
    ) -> io::Result<(Self, Receiver<Notice>)> {
        fs::create_dir_all(&config.folder)?;
        let folder = fs::canonicalize(&config.folder)?;
        let socket = folder.join("agent.sock");
        // Left by an earlier process. The program that owns the folder makes sure that there is only one
        // agent.
        let _ = fs::remove_file(&socket);
        let listener = Listener::unix(&socket)?;
        let (records, found) = Records::open(&folder.join("containers"))?;
        let (notices, receiver) = unbounded();
        let (deadline_tx, deadline_rx) = bounded(1);
        let inner = Rc::new(Inner {
            started: Instant::now(),
            core: RefCell::new(Core::new(config.identity.clone())),
            streams: RefCell::default(),
            queue: RefCell::default(),
            launcher: Launcher {
                framework_id: config.identity.framework_id,
                agent_id: config.identity.agent_id,
                socket,
                boot: boot_id()?,
                folder: config.files,
                records,
                tools: Tools::find(),
                open_files: raise_open_files(),
                cgroups: config.cgroups,
            },
            notices,
            deadline_tx,
            executor: executor.clone(),
        });
        for found in found {
            inner.recover(found);
        }
        let limits = Limits {
            body: MAX_CALL,
            connections: CONNECTIONS,
            // An executor may be silent as long as its task runs.
            idle_time: Duration::MAX,
            ..Limits::default()
        };
        let calls = Rc::new(Calls::new(&inner));
        let serving = server::serve(listener, limits, calls, executor.clone());
        let tasks = vec![
            executor.spawn(serving),
            executor.spawn(keep_deadlines(inner.clone(), deadline_rx)),
        ];
        let agent = Self {
            inner,
            _tasks: tasks,
        };
        Ok((agent, receiver))
    }

    /// Starts an executor, unless there is already one with this id.
    pub fn launch(&self, spec: Spec) {
        self.inner.step(Event::Launch(Box::new(spec)));
    }

    /// Sends KILL. A `grace_period` overrides the task's own. KILL is sent again when the executor
    /// subscribes again.
    pub fn kill(&self, executor_id: &str, grace_period: Option<Duration>) {
        self.inner.step(Event::Kill {
            executor_id: executor_id.to_owned(),
            grace_period,
        });
    }

    /// Sends SHUTDOWN. If the executor has not ended in time, it is destroyed.
    pub fn shut_down(&self, executor_id: &str) {
        self.inner.step(Event::Shutdown {
            executor_id: executor_id.to_owned(),
        });
    }

    /// Ends an executor and all of its processes at once.
    pub fn destroy(&self, executor_id: &str) {
        self.inner.step(Event::Destroy {
            executor_id: executor_id.to_owned(),
        });
    }

    /// Acknowledges an update, or the loss of a task: the program has processed it, and the notice is not
    /// repeated.
    pub fn acknowledge(&self, executor_id: &str, uuid: &[u8]) {
        self.inner.step(Event::Acknowledge {
            executor_id: executor_id.to_owned(),
            uuid: uuid.to_vec(),
        });
    }

    /// All executors that have not been forgotten.
    pub fn executors(&self) -> Vec<Known> {
        self.inner.core.borrow().executors()
    }

    /// One executor.
    pub fn executor(&self, executor_id: &str) -> Option<Known> {
        self.inner.core.borrow().executor(executor_id)
    }

    /// Checks whether a file could be fetched on this machine.
    ///
    /// # Errors
    ///
    /// Why it cannot be fetched.
    pub fn check_file(&self, uri: &Uri) -> Result<(), FetchError> {
        self.inner.launcher.tools.check(uri)
    }

    /// The socket on which executors reach the agent.
    pub fn socket(&self) -> &Path {
        &self.inner.launcher.socket
    }
}

/// Sends ticks to the core when its deadlines are reached. Sleeps while there are none.
async fn keep_deadlines(inner: Rc<Inner>, changed: Receiver<()>) {
    let mut alarm = Alarm::new();
    loop {
        let deadline = inner.core.borrow().next_deadline();
        let deadline = deadline.and_then(|it| inner.started.checked_add(it.0));
        let due = async {
            alarm.until(deadline).await;
            true
        };
        let is_due = or(due, async { changed.recv().await.is_err() }).await;
        if is_due {
            inner.step(Event::Tick);
        }
    }
}

// === impl Inner ===

impl Inner {
    fn now(&self) -> Moment {
        Moment(self.started.elapsed())
    }

    /// Processes an event, and all events that its effects cause immediately.
    fn step(self: &Rc<Self>, event: Event) {
        self.queue.borrow_mut().push_back(event);
        self.take_queue();
    }

    fn take_queue(self: &Rc<Self>) {
        loop {
            let next = self.queue.borrow_mut().pop_front();
            let Some(event) = next else { break };
            let effects = self.core.borrow_mut().step(event, self.now());
            self.perform_all(effects);
        }
        self.deadlines_changed();
    }

    fn perform_all(self: &Rc<Self>, effects: Vec<Effect>) {
        for effect in effects {
            self.perform(effect);
        }
    }

    fn deadlines_changed(&self) {
        // If the channel is full, the task is going to check the deadlines anyway.
        let _ = self.deadline_tx.try_send(());
    }

    /// Handles a call of the executor API.
    pub fn call(self: &Rc<Self>, peer: Peer, call: Call) -> Response {
        let executor_id = call.executor_id.value.clone();
        let (reply, effects) = self.core.borrow_mut().call(peer, call, self.now());
        let response = match &reply {
            Reply::Stream(number) => self.open_stream(executor_id, *number),
            Reply::Accepted => response(&reply),
            Reply::Refused(status, text) => {
                info!(
                    "{executor_id}: refused a call of process {} with {status}: {text}",
                    peer.pid
                );
                response(&reply)
            }
        };
        self.perform_all(effects);
        self.take_queue();
        response
    }

    fn open_stream(self: &Rc<Self>, executor_id: String, number: StreamNumber) -> Response {
        let (sender, stream) = live::channel(MAX_UNSENT);
        let closed = sender.clone();
        let agent = self.clone();
        let id = executor_id.clone();
        let watch = async move {
            closed.closed().await;
            agent.stream_closed(id, number);
        };
        self.executor.spawn(watch).detach();
        // Replacing an older stream ends it.
        let new = EventStream {
            number,
            records: sender,
        };
        if let Some(old) = self.streams.borrow_mut().insert(executor_id, new) {
            old.records.close();
        }
        Response::new(cook_http::message::StatusCode::Ok).with_stream(stream_type(), stream)
    }

    fn stream_closed(self: &Rc<Self>, executor_id: String, stream: StreamNumber) {
        let mut streams = self.streams.borrow_mut();
        if streams
            .get(&executor_id)
            .is_some_and(|it| it.number == stream)
        {
            streams.remove(&executor_id);
        }
        drop(streams);
        self.step(Event::StreamClosed {
            executor_id,
            stream,
        });
    }

    fn perform(self: &Rc<Self>, effect: Effect) {
        match effect {
            Effect::Start(spec) => {
                let agent = self.clone();
                self.executor
                    .spawn(async move { agent.start(&spec).await })
                    .detach();
            }
            Effect::MarkAcknowledged(container) => {
                if let Err(error) = self.launcher.records.mark_acknowledged(container) {
                    warn!("cannot mark the record of {container} as acknowledged: {error}");
                }
            }
            Effect::Erase(container) => {
                self.launcher.records.erase(container);
                if let Some(cgroups) = &self.launcher.cgroups {
                    cgroups.remove(container);
                }
            }
            Effect::Send { executor_id, event } => self.send(&executor_id, &event),
            Effect::EndStream { executor_id } => {
                if let Some(stream) = self.streams.borrow_mut().remove(&executor_id) {
                    stream.records.close();
                }
            }
            Effect::Sweep(sweep) => self.sweep(sweep),
            Effect::Notify(notice) => self.notify(notice),
        }
    }

    fn notify(&self, notice: Notice) {
        let id = &notice.executor_id;
        match &notice.what {
            What::Started { pid } => info!("{id}: the executor is process {pid}"),
            What::Exited(code) => info!("{id}: the executor has ended: {code:?}"),
            What::Lost { cause, .. } => warn!("{id}: {cause}"),
            What::Stuck(text) => error!("{id}: cannot end its processes: {text}"),
            What::Subscribed
            | What::Updated(_)
            | What::Message(_)
            | What::Sent(_)
            | What::Forgotten => {}
        }
        // There is no receiver any more when the program is about to exit.
        let _ = self.notices.try_send(notice);
    }

    async fn start(self: Rc<Self>, spec: &Spec) {
        let executor_id = spec.executor_id.clone();
        match self.launcher.launch(spec).await {
            Ok(watched) => {
                let event = Event::Started {
                    executor_id: executor_id.clone(),
                    process: watched.process.to_record(),
                };
                self.watch(executor_id, watched, event);
            }
            Err(text) => {
                // This is where the author of a job looks first.
                let stderr = fs::OpenOptions::new()
                    .append(true)
                    .open(spec.sandbox.join("stderr"));
                let _ = stderr.and_then(|mut stderr| writeln!(stderr, "{text}"));
                self.step(Event::NotStarted { executor_id, text });
            }
        }
    }

    /// Reports that a process started, and later that it ended.
    fn watch(self: &Rc<Self>, executor_id: String, watched: Watched, event: Event) {
        self.step(event);
        let agent = self.clone();
        let wait = async move {
            let code = watched.ended().await;
            agent.step(Event::Exited { executor_id, code });
        };
        self.executor.spawn(wait).detach();
    }

    fn send(&self, executor_id: &str, event: &messages::Event) {
        let streams = self.streams.borrow();
        let Some(stream) = streams.get(executor_id) else {
            return;
        };
        let record = recordio::encode(&event.encode_to_vec());
        if stream.records.try_send(record).is_err() {
            warn!("{executor_id}: the executor does not read its events; closing its stream");
            stream.records.close();
        }
    }

    fn sweep(self: &Rc<Self>, it: Sweep) {
        let Sweep {
            executor_id,
            container,
            sandbox,
            found,
            session,
        } = it;
        let cgroups = self.launcher.cgroups.as_ref();
        if let Some(cgroups) = cgroups {
            cgroups.kill(container);
        }
        let members = cgroups.map(|it| it.members(container)).unwrap_or_default();
        let survivors = sweep::kill(&sweep::Marks {
            container,
            session: session.and_then(Pid::from_raw),
            sandbox: &sandbox,
            members: &members,
            found: &found,
        });
        let survivors = survivors.iter().map(|it| Survivor {
            process: Some(it.process.to_record()),
            text: it.to_string(),
        });
        let mut survivors: Vec<Survivor> = survivors.collect();
        if survivors.is_empty() && cgroups.is_some_and(|it| it.is_populated(container)) {
            survivors.push(Survivor {
                process: None,
                text: "a process that has ended but is still in its cgroup".to_owned(),
            });
        }
        self.queue.borrow_mut().push_back(Event::Swept {
            executor_id,
            survivors,
            out_of_memory: cgroups.is_some_and(|it| it.was_out_of_memory(container)),
        });
    }

    /// Takes over an executor of an earlier process.
    fn recover(self: &Rc<Self>, found: Found) {
        let Found {
            container,
            record,
            process,
            delivery,
        } = found;
        let is_this_boot = record.boot == self.launcher.boot;
        let process = match process {
            _ if !is_this_boot => None,
            Some(process) => Process::recorded(process),
            None => sweep::find_root(container),
        };
        let watched = process.and_then(|process| {
            let watched = Watched::of_recovered(process);
            watched.unwrap_or_else(|error| {
                error!("cannot watch an executor: {error}");
                None
            })
        });
        let executor_id = record.executor_id;
        let sandbox = PathBuf::from(OsString::from_vec(record.sandbox));
        info!(
            "{executor_id}: recovered; its executor {}",
            if watched.is_some() {
                "lives"
            } else {
                "is gone"
            }
        );
        let event = Event::Recovered(Box::new(Recovered {
            executor_id: executor_id.clone(),
            container,
            sandbox,
            task: record.task.unwrap_or_default(),
            executor_data: record.executor_data,
            tag: record.tag,
            shutdown_grace: Duration::from_millis(record.grace),
            delivery,
            process: watched.as_ref().map(|it| it.process.to_record()),
        }));
        match watched {
            Some(watched) => self.watch(executor_id, watched, event),
            None => self.step(event),
        }
    }
}
