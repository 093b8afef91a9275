use std::path::PathBuf;
use std::time::Duration;

use cook_mesos::messages::{
    Call, CallType, EventType, Subscribe, TaskInfo, TaskState, TaskStatus, Update,
};

use super::*;
use crate::notice::Cause;
use crate::record::{Delivery, RecordedProcess};
use crate::spec::{ContainerId, Program};

const ID: &str = "e";
const CONTAINER: ContainerId = ContainerId([9; 16]);
const PID: i32 = 100;

/// A core with one executor, and a clock.
struct World {
    core: Core,
    now: Duration,
}

fn spec() -> Spec {
    Spec {
        executor_id: ID.to_owned(),
        container: CONTAINER,
        task: TaskInfo {
            task_id: ID.into(),
            ..TaskInfo::default()
        },
        program: Program::Direct(vec!["x".into()]),
        executor_data: None,
        environment: Vec::new(),
        files: Vec::new(),
        sandbox: PathBuf::from("/s"),
        shutdown_grace: Duration::from_secs(5),
        memory: None,
        cpu: None,
        tag: Vec::new(),
        recovery_timeout: Some(Duration::from_secs(60)),
    }
}

fn status(state: TaskState, number: u8) -> TaskStatus {
    TaskStatus {
        task_id: ID.into(),
        state: state as i32,
        uuid: Some(vec![number; 16]),
        ..TaskStatus::default()
    }
}

fn process(pid: i32) -> RecordedProcess {
    RecordedProcess { pid, started: 1 }
}

fn survivor(pid: i32) -> Survivor {
    Survivor {
        process: Some(process(pid)),
        text: format!("{pid} (sleep)"),
    }
}

fn sent(effects: &[Effect]) -> Vec<EventType> {
    let kinds = effects.iter().filter_map(|effect| match effect {
        Effect::Send { event, .. } => event.kind,
        _ => None,
    });
    kinds
        .filter_map(|kind| EventType::try_from(kind).ok())
        .collect()
}

fn notices(effects: &[Effect]) -> Vec<What> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Notify(notice) => Some(notice.what.clone()),
        _ => None,
    });
    told.filter(|what| !matches!(what, What::Sent(_))).collect()
}

fn sweeps(effects: &[Effect]) -> Vec<Sweep> {
    let sweeps = effects.iter().filter_map(|effect| match effect {
        Effect::Sweep(sweep) => Some(sweep.clone()),
        _ => None,
    });
    sweeps.collect()
}

fn lost(cause: Cause) -> What {
    What::Lost {
        cause,
        uuid: CONTAINER.0,
    }
}

impl World {
    fn new() -> Self {
        let identity = Identity {
            framework_id: "f".to_owned(),
            agent_id: "a".to_owned(),
            hostname: "h".to_owned(),
            capabilities: Vec::new(),
        };
        Self {
            core: Core::new(identity),
            now: Duration::ZERO,
        }
    }

    /// A world in which the executor's process runs.
    fn started() -> Self {
        let mut world = Self::new();
        world.step(Event::Launch(Box::new(spec())));
        world.start();
        world
    }

    /// A world in which the executor has its task.
    fn running() -> Self {
        let mut world = Self::started();
        world.subscribe(Subscribe::default());
        world.update(TaskState::Running, 1);
        world.acknowledge(&[1; 16]);
        world
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        self.core.step(event, Moment(self.now))
    }

    fn start(&mut self) -> Vec<Effect> {
        self.step(Event::Started {
            executor_id: ID.to_owned(),
            process: process(PID),
        })
    }

    fn call(&mut self, pid: i32, call: Call) -> (Reply, Vec<Effect>) {
        let call = Call {
            executor_id: ID.into(),
            framework_id: "f".into(),
            ..call
        };
        self.core.call(Peer { pid }, call, Moment(self.now))
    }

    fn subscribe(&mut self, subscribe: Subscribe) -> Vec<Effect> {
        let call = Call {
            kind: Some(CallType::Subscribe as i32),
            subscribe: Some(subscribe),
            ..Call::default()
        };
        let (reply, effects) = self.call(PID, call);
        assert!(matches!(reply, Reply::Stream(_)), "{reply:?}");
        effects
    }

    fn update(&mut self, state: TaskState, number: u8) -> (Reply, Vec<Effect>) {
        let call = Call {
            kind: Some(CallType::Update as i32),
            update: Some(Update {
                status: status(state, number),
            }),
            ..Call::default()
        };
        self.call(PID, call)
    }

    fn acknowledge(&mut self, uuid: &[u8]) -> Vec<Effect> {
        self.step(Event::Acknowledge {
            executor_id: ID.to_owned(),
            uuid: uuid.to_vec(),
        })
    }

    fn exit(&mut self) -> Vec<Effect> {
        self.step(Event::Exited {
            executor_id: ID.to_owned(),
            code: None,
        })
    }

    fn swept(&mut self, survivors: Vec<Survivor>) -> Vec<Effect> {
        self.step(Event::Swept {
            executor_id: ID.to_owned(),
            survivors,
            out_of_memory: false,
        })
    }

    fn kill(&mut self) -> Vec<Effect> {
        self.step(Event::Kill {
            executor_id: ID.to_owned(),
            grace_period: None,
        })
    }

    /// Advances the clock to the next deadline.
    fn wait(&mut self) -> Vec<Effect> {
        self.now = self.core.next_deadline().expect("a deadline").0;
        self.step(Event::Tick)
    }
}

#[test]
fn an_executor_gets_its_task_once_and_is_forgotten_when_everything_is_acknowledged() {
    let mut world = World::started();
    let effects = world.subscribe(Subscribe::default());
    assert_eq!(sent(&effects), [EventType::Subscribed, EventType::Launch]);
    let (reply, effects) = world.update(TaskState::Finished, 1);
    assert_eq!(reply, Reply::Accepted);
    let told_status = What::Updated(Box::new(status(TaskState::Finished, 1)));
    assert_eq!(notices(&effects), [told_status]);
    let effects = world.acknowledge(&[1; 16]);
    assert_eq!(effects[0], Effect::MarkAcknowledged(CONTAINER));
    assert_eq!(sent(&effects), [EventType::Acknowledged]);
    let effects = world.exit();
    assert_eq!(
        sweeps(&effects),
        [],
        "the executor has ended its processes itself"
    );
    assert!(effects.contains(&Effect::Erase(CONTAINER)));
    assert_eq!(notices(&effects), [What::Exited(None), What::Forgotten]);
    assert_eq!(world.core.next_deadline(), None);
}

#[test]
fn until_the_first_acknowledgement_the_executor_decides_whether_it_needs_the_task_again() {
    let with_task = Subscribe {
        unacknowledged_tasks: vec![spec().task.into()],
        ..Subscribe::default()
    };
    for (delivery, subscribe, is_sent) in [
        (Delivery::Unknown, Subscribe::default(), true),
        (Delivery::Unknown, with_task, false),
        (Delivery::Acknowledged, Subscribe::default(), false),
    ] {
        let mut world = World::new();
        world.step(Event::Recovered(Box::new(Recovered {
            executor_id: ID.to_owned(),
            container: CONTAINER,
            sandbox: PathBuf::from("/s"),
            task: spec().task,
            executor_data: None,
            tag: Vec::new(),
            shutdown_grace: Duration::from_secs(5),
            delivery,
            process: Some(process(PID)),
        })));
        let sent = sent(&world.subscribe(subscribe));
        assert_eq!(sent.contains(&EventType::Launch), is_sent, "{delivery:?}");
    }
}

#[test]
fn a_loss_is_reported_when_no_process_is_left_and_repeated_until_acknowledged() {
    let mut world = World::running();
    let effects = world.exit();
    assert_eq!(notices(&effects), [What::Exited(None)]);
    let first = sweeps(&effects);
    assert_eq!(first[0].session, Some(PID));
    assert_eq!(first[0].found, []);
    // A process that was found is found again by its id and start, since it loses its marks while it is
    // ending.
    assert_eq!(notices(&world.swept(vec![survivor(7)])), []);
    let again = sweeps(&world.wait());
    assert_eq!(again[0].found, [process(7)]);
    assert_eq!(notices(&world.swept(Vec::new())), [lost(Cause::Terminated)]);
    assert_eq!(notices(&world.wait()), [lost(Cause::Terminated)]);
    assert_eq!(notices(&world.acknowledge(&CONTAINER.0)), [What::Forgotten]);
    assert_eq!(world.core.next_deadline(), None);
}

#[test]
fn processes_that_cannot_be_ended_are_reported_once_and_delay_the_end() {
    let mut world = World::running();
    world.exit();
    let mut stuck = 0;
    for _ in 0..50 {
        stuck += notices(&world.swept(vec![survivor(7)])).len();
        assert_eq!(notices(&world.wait()), []);
    }
    assert_eq!(stuck, 1);
    assert_eq!(notices(&world.swept(Vec::new())), [lost(Cause::Terminated)]);
}

#[test]
fn a_kill_works_in_every_phase() {
    // Before there is a process.
    let mut world = World::new();
    world.step(Event::Launch(Box::new(spec())));
    assert_eq!(world.kill(), []);
    assert_eq!(sweeps(&world.start()).len(), 1);
    let effects = world.swept(Vec::new());
    assert_eq!(notices(&effects), [lost(Cause::KilledDuringLaunch)]);
    // Before the executor subscribes: it never gets the task.
    let mut world = World::started();
    assert_eq!(world.kill(), []);
    let effects = world.subscribe(Subscribe::default());
    assert_eq!(sent(&effects), [EventType::Subscribed, EventType::Shutdown]);
    world.exit();
    let effects = world.swept(Vec::new());
    assert_eq!(notices(&effects), [lost(Cause::KilledDuringLaunch)]);
    // While it runs, and again after it has subscribed again.
    let mut world = World::running();
    assert_eq!(sent(&world.kill()), [EventType::Kill]);
    let effects = world.subscribe(Subscribe::default());
    assert_eq!(sent(&effects), [EventType::Subscribed, EventType::Kill]);
}

#[test]
fn an_executor_that_does_not_subscribe_or_shut_down_in_time_is_destroyed() {
    let mut world = World::started();
    assert_eq!(sweeps(&world.wait()).len(), 1);
    assert_eq!(
        notices(&world.swept(Vec::new())),
        [lost(Cause::NotSubscribed)]
    );
    let mut world = World::running();
    let effects = world.step(Event::Shutdown {
        executor_id: ID.to_owned(),
    });
    assert_eq!(sent(&effects), [EventType::Shutdown]);
    assert_eq!(sweeps(&world.wait()).len(), 1);
    assert_eq!(world.now, Duration::from_millis(5500));
    assert_eq!(notices(&world.swept(Vec::new())), [lost(Cause::Destroyed)]);
}

#[test]
fn an_executor_that_ends_before_its_last_update_is_acknowledged_is_not_lost() {
    let mut world = World::running();
    world.update(TaskState::Failed, 2);
    assert_eq!(notices(&world.exit()), [What::Exited(None)]);
    let failed = What::Updated(Box::new(status(TaskState::Failed, 2)));
    assert_eq!(notices(&world.wait()), [failed]);
    assert_eq!(notices(&world.acknowledge(&[2; 16])), [What::Forgotten]);
}

#[test]
fn calls_of_other_processes_and_malformed_calls_change_nothing() {
    let mut world = World::running();
    let subscribe = Call {
        kind: Some(CallType::Subscribe as i32),
        subscribe: Some(Subscribe::default()),
        ..Call::default()
    };
    let (reply, effects) = world.call(PID + 1, subscribe);
    assert!(matches!(reply, Reply::Refused(403, _)), "{reply:?}");
    assert_eq!(effects, []);
    let mut short = status(TaskState::Running, 3);
    short.uuid = Some(vec![3; 15]);
    let update = Call {
        kind: Some(CallType::Update as i32),
        update: Some(Update { status: short }),
        ..Call::default()
    };
    assert!(
        matches!(world.call(PID, update), (Reply::Refused(400, _), effects) if effects.is_empty())
    );
    let empty = Call {
        kind: Some(CallType::Message as i32),
        ..Call::default()
    };
    assert!(matches!(world.call(PID, empty).0, Reply::Refused(400, _)));
    let unknown = Call {
        kind: Some(99),
        ..Call::default()
    };
    assert!(matches!(world.call(PID, unknown).0, Reply::Refused(501, _)));
}

#[test]
fn the_number_of_unacknowledged_updates_is_bounded() {
    let mut world = World::running();
    for number in 2..=65 {
        assert_eq!(world.update(TaskState::Running, number).0, Reply::Accepted);
    }
    assert!(matches!(
        world.update(TaskState::Running, 66).0,
        Reply::Refused(503, _)
    ));
    // An update that is already known is a repetition.
    assert_eq!(world.update(TaskState::Running, 65).0, Reply::Accepted);
    world.acknowledge(&[2; 16]);
    assert_eq!(world.update(TaskState::Running, 66).0, Reply::Accepted);
}
