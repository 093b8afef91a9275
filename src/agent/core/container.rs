//! One executor with its task, from its start until everything is acknowledged.

mod calls;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use cook_mesos::messages::{
    self, Acknowledged, DurationInfo, EventType, Kill, KillPolicy, TaskInfo, TaskState, TaskStatus,
};

use super::event::{Effect, Known, Moment, Recovered, Standing, StreamNumber, Survivor, Sweep};
use super::later;
use crate::notice::{Cause, Notice, What};
use crate::record::{Delivery, RecordedProcess};
use crate::spec::{ContainerId, Spec};

/// How long an executor may take to subscribe after its own start, or after the agent's. The default of
/// Mesos.
const SUBSCRIPTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Added to the shutdown grace period before the executor is destroyed.
const SHUTDOWN_MARGIN: Duration = Duration::from_millis(500);

/// First and longest interval for repeating an update, as in Mesos.
const FIRST_REPEAT: Duration = Duration::from_secs(10);
const LAST_REPEAT: Duration = Duration::from_secs(600);

/// First and longest interval for repeating a sweep. A process that got SIGKILL is usually gone within a
/// millisecond.
const FIRST_SWEEP: Duration = Duration::from_millis(2);
const LAST_SWEEP: Duration = Duration::from_secs(1);

/// How long processes may survive a sweep before the program gets a notice.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// One executor with its task.
#[derive(Clone, Debug)]
pub struct Container {
    executor_id: String,
    id: ContainerId,
    sandbox: PathBuf,
    task: TaskInfo,
    executor_data: Option<Vec<u8>>,
    tag: Vec<u8>,
    shutdown_grace: Duration,
    /// Whether the record on disk is complete, except for the process.
    is_recorded: bool,
    delivery: Delivery,
    /// Updates of the executor that were not acknowledged, in order.
    updates: VecDeque<TaskStatus>,
    /// When the first of them, or the loss of the task, is repeated.
    repeat: Option<Repeat>,
    /// Whether a terminal update was received.
    has_ended: bool,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Its sandbox is being filled and its process started.
    Starting { is_unwanted: bool },
    /// Its executor runs.
    Running {
        process: RecordedProcess,
        link: Link,
        wish: Wish,
    },
    /// Its executor has ended or must end, and its remaining processes are being ended.
    Sweeping {
        cause: Cause,
        session: Option<i32>,
        /// What the last sweep found.
        found: Vec<RecordedProcess>,
        since: Moment,
        next: Moment,
        interval: Duration,
        told: Option<String>,
    },
    /// No process of it is left. `lost` is reported if the executor sent no terminal update.
    Over { lost: Option<Cause> },
}

/// The executor's subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Awaited { until: Moment },
    Up(StreamNumber),
    Down,
}

/// What the framework wants from a running executor. It is sent again when the executor subscribes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Run,
    Kill(Option<Duration>),
    /// `is_undelivered`: the reason is a kill that arrived before the executor got its task. The task is then
    /// reported as killed during its launch.
    ShutDown {
        until: Moment,
        is_undelivered: bool,
    },
}

#[derive(Clone, Copy, Debug)]
struct Repeat {
    at: Moment,
    interval: Duration,
}

// === impl Container ===

impl Container {
    /// A container that is about to be started.
    pub fn starting(spec: &Spec) -> Self {
        Self {
            executor_id: spec.executor_id.clone(),
            id: spec.container,
            sandbox: spec.sandbox.clone(),
            task: spec.task.clone(),
            executor_data: spec.executor_data.clone(),
            tag: spec.tag.clone(),
            shutdown_grace: spec.shutdown_grace,
            is_recorded: spec.recovery_timeout.is_some(),
            delivery: Delivery::Unknown,
            updates: VecDeque::new(),
            repeat: None,
            has_ended: false,
            phase: Phase::Starting { is_unwanted: false },
        }
    }

    /// A container that an earlier process of the agent started.
    pub fn recovered(it: Recovered, now: Moment, effects: &mut Vec<Effect>) -> Self {
        let mut container = Self {
            executor_id: it.executor_id,
            id: it.container,
            sandbox: it.sandbox,
            task: it.task,
            executor_data: it.executor_data,
            tag: it.tag,
            shutdown_grace: it.shutdown_grace,
            is_recorded: true,
            delivery: it.delivery,
            updates: VecDeque::new(),
            repeat: None,
            has_ended: false,
            phase: Phase::Starting { is_unwanted: false },
        };
        match it.process {
            Some(process) => container.run(process, now),
            None => container.sweep(Cause::Terminated, None, now, effects),
        }
        container
    }

    /// The container's id.
    pub fn id(&self) -> ContainerId {
        self.id
    }

    /// `ExecutorInfo.data`.
    pub fn executor_data(&self) -> Option<&[u8]> {
        self.executor_data.as_deref()
    }

    /// The state as the program sees it.
    pub fn known(&self) -> Known {
        let standing = match (&self.phase, self.delivery) {
            (Phase::Sweeping { .. } | Phase::Over { .. }, _) => Standing::Ending,
            (Phase::Starting { .. } | Phase::Running { .. }, _) if self.has_ended => {
                Standing::Ending
            }
            (Phase::Starting { .. } | Phase::Running { .. }, Delivery::Unknown) => {
                Standing::Starting
            }
            (Phase::Starting { .. } | Phase::Running { .. }, Delivery::Acknowledged) => {
                Standing::Acknowledged
            }
        };
        Known {
            executor_id: self.executor_id.clone(),
            tag: self.tag.clone(),
            standing,
        }
    }

    /// Whether no process of it is left and everything was acknowledged.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Over { lost: None }) && self.updates.is_empty()
    }

    /// When [`Self::tick`] has to be called.
    pub fn next_deadline(&self) -> Option<Moment> {
        let own = match &self.phase {
            Phase::Running { link, wish, .. } => {
                let subscription = match link {
                    Link::Awaited { until } => Some(*until),
                    Link::Up(_) | Link::Down => None,
                };
                let shutdown = match wish {
                    Wish::ShutDown { until, .. } => Some(*until),
                    Wish::Run | Wish::Kill(_) => None,
                };
                subscription.into_iter().chain(shutdown).min()
            }
            Phase::Sweeping { next, .. } => Some(*next),
            Phase::Starting { .. } | Phase::Over { .. } => None,
        };
        own.into_iter().chain(self.repeat.map(|it| it.at)).min()
    }

    /// Handles the deadlines that have passed.
    pub fn tick(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.repeat.is_some_and(|it| it.at <= now) {
            self.notify_again(now, effects);
        }
        match &self.phase {
            Phase::Running { link, wish, .. } => {
                let is_late = matches!(link, Link::Awaited { until } if *until <= now);
                let is_slow = matches!(wish, Wish::ShutDown { until, .. } if *until <= now);
                if is_slow {
                    self.destroy(now, effects);
                } else if is_late {
                    self.sweep_now(Cause::NotSubscribed, now, effects);
                }
            }
            Phase::Sweeping {
                next,
                session,
                found,
                ..
            } if *next <= now => {
                effects.push(self.sweep_effect(*session, found.clone()));
            }
            Phase::Sweeping { .. } | Phase::Starting { .. } | Phase::Over { .. } => {}
        }
    }

    // Requests of the framework.

    /// Kills the task.
    pub fn kill(&mut self, grace: Option<Duration>, effects: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Starting { is_unwanted } => *is_unwanted = true,
            Phase::Running { link, wish, .. } => {
                if matches!(wish, Wish::Run | Wish::Kill(_)) {
                    *wish = Wish::Kill(grace);
                }
                if let Link::Up(_) = link {
                    let event = kill_event(&self.task, grace);
                    self.send(EventType::Kill, event, effects);
                }
            }
            Phase::Sweeping { .. } | Phase::Over { .. } => {}
        }
    }

    /// Shuts the executor down.
    pub fn shut_down(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let until = later(now, self.shutdown_grace.saturating_add(SHUTDOWN_MARGIN));
        match &mut self.phase {
            Phase::Starting { is_unwanted } => *is_unwanted = true,
            Phase::Running { link, wish, .. } => {
                if !matches!(wish, Wish::ShutDown { .. }) {
                    *wish = Wish::ShutDown {
                        until,
                        is_undelivered: false,
                    };
                }
                if let Link::Up(_) = link {
                    self.send(EventType::Shutdown, messages::Event::default(), effects);
                }
            }
            Phase::Sweeping { .. } | Phase::Over { .. } => {}
        }
    }

    /// Ends everything at once.
    pub fn destroy(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Starting { is_unwanted } => *is_unwanted = true,
            Phase::Running { wish, .. } => {
                let cause = match wish {
                    Wish::ShutDown {
                        is_undelivered: true,
                        ..
                    } => Cause::KilledDuringLaunch,
                    Wish::Run | Wish::Kill(_) | Wish::ShutDown { .. } => Cause::Destroyed,
                };
                self.sweep_now(cause, now, effects);
            }
            Phase::Sweeping { .. } | Phase::Over { .. } => {}
        }
    }

    /// The program has processed an update, or the loss of the task.
    pub fn acknowledge(&mut self, uuid: &[u8], effects: &mut Vec<Effect>) {
        if let Phase::Over { lost } = &mut self.phase
            && uuid == self.id.0
        {
            *lost = None;
            self.repeat = None;
            return;
        }
        self.updates
            .retain(|status| status.uuid.as_deref() != Some(uuid));
        self.repeat = self.repeat.filter(|_| !self.updates.is_empty());
        if self.is_recorded && self.delivery == Delivery::Unknown {
            // Before the executor gets the acknowledgement: after that, it does not list the task when it
            // subscribes.
            effects.push(Effect::MarkAcknowledged(self.id));
        }
        self.delivery = Delivery::Acknowledged;
        let event = messages::Event {
            acknowledged: Some(Acknowledged {
                task_id: self.task.task_id.clone(),
                uuid: uuid.to_vec(),
            }),
            ..messages::Event::default()
        };
        self.send_if_up(EventType::Acknowledged, event, effects);
    }

    // Events of the process.

    /// The executor's process was started.
    pub fn started(&mut self, process: RecordedProcess, now: Moment, effects: &mut Vec<Effect>) {
        let Phase::Starting { is_unwanted } = self.phase else {
            return;
        };
        self.notify(What::Started { pid: process.pid }, effects);
        self.run(process, now);
        if is_unwanted {
            self.sweep_now(Cause::KilledDuringLaunch, now, effects);
        }
    }

    /// The executor's process could not be started. Helper processes of the fetcher may be left.
    pub fn not_started(&mut self, text: String, now: Moment, effects: &mut Vec<Effect>) {
        let Phase::Starting { is_unwanted } = self.phase else {
            return;
        };
        let cause = match is_unwanted {
            true => Cause::KilledDuringLaunch,
            false => Cause::LaunchFailed(text),
        };
        self.sweep(cause, None, now, effects);
    }

    /// The executor's process has ended.
    pub fn exited(&mut self, code: Option<i32>, now: Moment, effects: &mut Vec<Effect>) {
        let Phase::Running { process, wish, .. } = &self.phase else {
            return;
        };
        let session = Some(process.pid);
        let cause = match wish {
            Wish::ShutDown {
                is_undelivered: true,
                ..
            } => Cause::KilledDuringLaunch,
            Wish::Run | Wish::Kill(_) | Wish::ShutDown { .. } => Cause::Terminated,
        };
        self.notify(What::Exited(code), effects);
        if self.has_ended {
            // The executor sends its terminal update only after its processes have ended, so no sweep is
            // needed.
            self.phase = Phase::Over { lost: None };
        } else {
            self.sweep(cause, session, now, effects);
        }
    }

    /// The result of a sweep.
    pub fn swept(
        &mut self,
        survivors: Vec<Survivor>,
        out_of_memory: bool,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Phase::Sweeping {
            cause,
            since,
            next,
            interval,
            told,
            found,
            ..
        } = &mut self.phase
        else {
            return;
        };
        if out_of_memory && *cause == Cause::Terminated {
            *cause = Cause::MemoryLimit;
        }
        if survivors.is_empty() {
            let lost = (!self.has_ended).then(|| cause.clone());
            self.phase = Phase::Over { lost };
            self.notify_first(now, effects);
            return;
        }
        *next = later(now, *interval);
        *interval = interval.saturating_mul(2).min(LAST_SWEEP);
        *found = survivors.iter().filter_map(|it| it.process).collect();
        let texts: Vec<String> = survivors.into_iter().map(|it| it.text).collect();
        let text = texts.join("; ");
        if later(*since, STUCK_AFTER) <= now && told.as_ref() != Some(&text) {
            *told = Some(text.clone());
            self.notify(What::Stuck(text), effects);
        }
    }

    // Helpers.

    fn run(&mut self, process: RecordedProcess, now: Moment) {
        self.phase = Phase::Running {
            process,
            link: Link::Awaited {
                until: later(now, SUBSCRIPTION_TIMEOUT),
            },
            wish: Wish::Run,
        };
    }

    /// Ends the executor and all its processes.
    fn sweep_now(&mut self, cause: Cause, now: Moment, effects: &mut Vec<Effect>) {
        let Phase::Running { process, .. } = &self.phase else {
            return;
        };
        let session = Some(process.pid);
        self.sweep(cause, session, now, effects);
    }

    fn sweep(
        &mut self,
        cause: Cause,
        session: Option<i32>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        self.phase = Phase::Sweeping {
            cause,
            session,
            found: Vec::new(),
            since: now,
            next: now,
            interval: FIRST_SWEEP,
            told: None,
        };
        effects.push(Effect::EndStream {
            executor_id: self.executor_id.clone(),
        });
        effects.push(self.sweep_effect(session, Vec::new()));
    }

    fn sweep_effect(&self, session: Option<i32>, found: Vec<RecordedProcess>) -> Effect {
        Effect::Sweep(Sweep {
            executor_id: self.executor_id.clone(),
            container: self.id,
            sandbox: self.sandbox.clone(),
            found,
            session,
        })
    }

    fn notify_first(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.repeat = Some(Repeat::first(now));
        self.notify_all(effects);
        self.repeat = self.repeat.filter(|_| !self.is_done());
    }

    fn notify_again(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.repeat = self.repeat.map(|it| it.after(now));
        self.notify_all(effects);
    }

    fn notify_all(&self, effects: &mut Vec<Effect>) {
        for status in &self.updates {
            self.notify(What::Updated(Box::new(status.clone())), effects);
        }
        if let Phase::Over { lost: Some(cause) } = &self.phase {
            let lost = What::Lost {
                cause: cause.clone(),
                uuid: self.id.0,
            };
            self.notify(lost, effects);
        }
    }

    fn send_if_up(&self, kind: EventType, event: messages::Event, effects: &mut Vec<Effect>) {
        if self.check_is_up().is_ok() {
            self.send(kind, event, effects);
        }
    }

    fn send(&self, kind: EventType, event: messages::Event, effects: &mut Vec<Effect>) {
        effects.push(Effect::Send {
            executor_id: self.executor_id.clone(),
            event: Box::new(messages::Event {
                kind: Some(kind as i32),
                ..event
            }),
        });
        self.notify(What::Sent(kind), effects);
    }

    fn notify(&self, what: What, effects: &mut Vec<Effect>) {
        effects.push(Effect::Notify(Notice {
            executor_id: self.executor_id.clone(),
            what,
        }));
    }
}

fn kill_event(task: &TaskInfo, grace: Option<Duration>) -> messages::Event {
    let policy = |grace: Duration| KillPolicy {
        grace_period: Some(DurationInfo {
            nanoseconds: i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX),
        }),
    };
    messages::Event {
        kill: Some(Kill {
            task_id: task.task_id.clone(),
            kill_policy: grace.map(policy),
        }),
        ..messages::Event::default()
    }
}

/// Whether a task in this state has ended.
pub fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::Finished | TaskState::Failed | TaskState::Killed | TaskState::Error => true,
        TaskState::Starting | TaskState::Running | TaskState::Killing => false,
    }
}

// === impl Repeat ===

impl Repeat {
    fn first(now: Moment) -> Self {
        Self {
            at: later(now, FIRST_REPEAT),
            interval: FIRST_REPEAT,
        }
    }

    fn after(self, now: Moment) -> Self {
        let interval = self.interval.saturating_mul(2).min(LAST_REPEAT);
        Self {
            at: later(now, interval),
            interval,
        }
    }
}
