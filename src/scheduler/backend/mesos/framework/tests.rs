//! What the master receives of what the core requests, and the other way round.

use std::sync::Arc;

use cook_mesos::messages::Id;
use cook_mesos::scheduler::{
    CallType, EventType, FrameworkInfo, Resource, Scalar, TaskInfo, Update,
};
use prost::Message as _;

use super::*;
use crate::backend::mesos::address::{Address, Masters};
use crate::backend::mesos::session::StreamId;
use crate::backend::mesos::wire::read;
use crate::codec::config::ExecutorSettings;
use crate::codec::job::fixture;
use crate::core::backend::{FrameworkId, Token};
use crate::core::job::Agent;
use crate::core::words::{InstanceId, Uuid};

struct World {
    framework: Framework,
    now: Instant,
}

fn id(value: &str) -> Id {
    Id {
        value: value.to_owned(),
    }
}

fn instance(number: u8) -> InstanceId {
    InstanceId(Uuid::from_bytes([number; 16]))
}

fn agent() -> Agent {
    Agent("A".into())
}

fn task(number: u8, body: &str) -> Task {
    Task {
        instance: instance(number),
        job: Arc::new(fixture::job("bob", fixture::spec(body))),
        number: 0,
        ports: [].into(),
    }
}

fn offer(name: &str, cpus: f64) -> pb::Offer {
    let scalar = |name: &str, value| Resource {
        name: name.to_owned(),
        scalar: Some(Scalar { value }),
        ..Resource::default()
    };
    pb::Offer {
        id: id(name),
        agent_id: id("A"),
        hostname: b"host".to_vec(),
        resources: vec![scalar("cpus", cpus), scalar("mem", 4096.0)],
        ..pb::Offer::default()
    }
}

fn event(kind: EventType) -> pb::Event {
    pb::Event {
        kind: Some(kind as i32),
        ..pb::Event::default()
    }
}

fn status(task: &str, state: pb::TaskState, uuid: Option<&[u8]>) -> pb::Event {
    pb::Event {
        update: Some(Update {
            status: pb::TaskStatus {
                task_id: id(task),
                agent_id: Some(id("A")),
                state: state as i32,
                uuid: uuid.map(<[u8]>::to_vec),
                ..pb::TaskStatus::default()
            },
        }),
        ..event(EventType::Update)
    }
}

impl World {
    /// A framework that is subscribed.
    fn new() -> Self {
        let now = Instant::now();
        let address = Address::parse("a:1").expect("an address");
        let masters = Masters::new(vec![address]).expect("one");
        let info = FrameworkInfo {
            roles: vec!["cook".to_owned()],
            ..FrameworkInfo::default()
        };
        let recipe = Recipe::new(&ExecutorSettings::default(), None, None, None);
        let framework = Framework::new(Session::new(masters, info, 1, now), recipe);
        let mut world = Self { framework, now };
        world.step(Input::Tick);
        world.subscribe();
        world
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        self.framework.step(input, self.now)
    }

    fn subscribe(&mut self) -> Vec<Output> {
        let attempt = self.attempt();
        let accepted = SubscribeReply::Accepted(StreamId("s".to_owned()));
        self.step(Input::Replied(attempt, accepted));
        self.receive(&pb::Event {
            subscribed: Some(pb::Subscribed {
                framework_id: id("F"),
                heartbeat_interval_seconds: Some(15.0),
                master_info: None,
            }),
            ..event(EventType::Subscribed)
        })
    }

    fn attempt(&self) -> Attempt {
        Attempt(self.framework.figures.subscriptions + 1 - u64::from(self.is_subscribed()))
    }

    fn is_subscribed(&self) -> bool {
        self.framework.figures.subscriptions > self.framework.figures.disconnections
    }

    fn receive(&mut self, event: &pb::Event) -> Vec<Output> {
        let event = read(&event.encode_to_vec());
        self.step(Input::Received(self.attempt(), event))
    }

    fn offer(&mut self, offers: Vec<pb::Offer>) -> Vec<Output> {
        self.receive(&pb::Event {
            offers: Some(pb::Offers { offers }),
            ..event(EventType::Offers)
        })
    }

    fn request(&mut self, call: Call) -> Vec<Output> {
        self.step(Input::Requested(call))
    }

    fn launch(&mut self, offer: &str, tasks: Vec<Task>) -> Vec<Output> {
        self.request(Call::Launch {
            offer: OfferId(offer.into()),
            tasks,
        })
    }

    /// Loses the subscription, and waits until it is to be tried again.
    fn disconnect(&mut self) {
        self.step(Input::Ended(self.attempt(), "cut".to_owned()));
        self.now = self.framework.deadline().expect("a deadline");
        self.step(Input::Tick);
    }
}

/// The calls among the outputs.
fn calls(outputs: &[Output]) -> Vec<&pb::Call> {
    fn call(output: &Output) -> Option<&pb::Call> {
        match output {
            Output::Link(LinkAction::Call { call, .. }) => Some(call),
            _ => None,
        }
    }
    outputs.iter().filter_map(call).collect()
}

fn only_call(outputs: &[Output]) -> &pb::Call {
    match calls(outputs)[..] {
        [call] => call,
        _ => panic!("not one call: {outputs:?}"),
    }
}

fn launched(outputs: &[Output]) -> &[TaskInfo] {
    let accept = only_call(outputs).accept.as_ref().expect("an ACCEPT");
    &accept.operations[0]
        .launch
        .as_ref()
        .expect("a launch")
        .task_infos
}

/// The instances that are reported as dropped.
fn dropped(outputs: &[Output]) -> Vec<InstanceId> {
    let dropped = |output: &Output| match output {
        Output::Event(BackendEvent::Updated(update)) => {
            assert_eq!((update.state, &update.token), (TaskState::Dropped, &None));
            Some(update.instance)
        }
        _ => None,
    };
    outputs.iter().filter_map(dropped).collect()
}

#[test]
fn an_offer_is_accepted_with_all_its_tasks_at_once() {
    let mut world = World::new();
    let outputs = world.offer(vec![offer("O", 4.0)]);
    assert!(
        matches!(&outputs[..], [Output::Event(BackendEvent::Offered(offers))] if offers.len() == 1)
    );
    let tasks = vec![
        task(1, r#"{"command": "a", "cpus": 1}"#),
        task(2, r#"{"command": "b", "cpus": 3}"#),
    ];
    let outputs = world.launch("O", tasks);
    let accept = only_call(&outputs).accept.as_ref().expect("an ACCEPT");
    assert_eq!(accept.offer_ids, [id("O")]);
    let cpus: Vec<f64> = launched(&outputs)
        .iter()
        .map(|info| info.resources[0].scalar.as_ref().expect("cpus").value)
        .collect();
    assert_eq!(cpus, [1.0, 3.0]);
    assert_eq!(world.framework.figures().launches, 2);
}

#[test]
fn a_task_whose_offer_is_void_is_dropped_and_never_sent() {
    let mut world = World::new();
    world.offer(vec![offer("O", 4.0), offer("P", 4.0)]);
    let rescind = pb::Event {
        rescind: Some(pb::Rescind { offer_id: id("O") }),
        ..event(EventType::Rescind)
    };
    world.receive(&rescind);
    let outputs = world.launch("O", vec![task(1, r#"{"command": "a"}"#)]);
    assert_eq!(
        (calls(&outputs).len(), dropped(&outputs)),
        (0, vec![instance(1)])
    );

    // Twice on one offer: the second launch has none.
    world.launch("P", vec![task(2, r#"{"command": "a"}"#)]);
    let outputs = world.launch("P", vec![task(2, r#"{"command": "a"}"#)]);
    assert_eq!(
        (calls(&outputs).len(), dropped(&outputs)),
        (0, vec![instance(2)])
    );
}

#[test]
fn offers_and_calls_do_not_survive_their_subscription() {
    let mut world = World::new();
    world.offer(vec![offer("O", 4.0)]);
    world.disconnect();
    let outputs = world.launch("O", vec![task(1, r#"{"command": "a"}"#)]);
    assert_eq!(
        (calls(&outputs).len(), dropped(&outputs)),
        (0, vec![instance(1)])
    );
    let reconcile = Call::Reconcile(vec![(instance(1), agent())]);
    assert_eq!(world.request(reconcile), []);
    // Nothing of it comes later.
    let outputs = world.subscribe();
    assert_eq!(calls(&outputs).len(), 0);
    let outputs = world.launch("O", vec![task(1, r#"{"command": "a"}"#)]);
    assert_eq!(
        (calls(&outputs).len(), dropped(&outputs)),
        (0, vec![instance(1)])
    );
}

#[test]
fn a_task_that_does_not_fit_is_dropped_and_the_others_start() {
    let mut world = World::new();
    world.offer(vec![offer("O", 1.0)]);
    let tasks = vec![
        task(1, r#"{"command": "a", "cpus": 9}"#),
        task(2, r#"{"command": "a", "cpus": 1}"#),
    ];
    let outputs = world.launch("O", tasks);
    assert_eq!(dropped(&outputs), [instance(1)]);
    assert_eq!(launched(&outputs).len(), 1);

    // Where none fits, the offer goes back.
    world.offer(vec![offer("P", 1.0)]);
    let outputs = world.launch("P", vec![task(3, r#"{"command": "a", "cpus": 9}"#)]);
    assert_eq!(dropped(&outputs), [instance(3)]);
    assert!(only_call(&outputs).decline.is_some());
}

#[test]
fn a_declined_offer_is_refused_for_the_time_that_the_core_says() {
    let mut world = World::new();
    world.offer(vec![offer("O", 4.0)]);
    let decline = |refuse_for| Call::Decline {
        offer: OfferId("O".into()),
        refuse_for,
    };
    let outputs = world.request(decline(Duration::from_secs(3600)));
    let declined = only_call(&outputs).decline.as_ref().expect("a DECLINE");
    assert_eq!(declined.offer_ids, [id("O")]);
    let refuse = |call: &pb::Decline| call.filters.as_ref().and_then(|it| it.refuse_seconds);
    assert_eq!(refuse(declined), Some(3600.0));
    assert_eq!(
        world.request(decline(Duration::ZERO)),
        [],
        "it is declined already"
    );

    world.offer(vec![offer("O", 4.0)]);
    let outputs = world.request(decline(Duration::MAX));
    let declined = only_call(&outputs).decline.as_ref().expect("a DECLINE");
    assert_eq!(
        refuse(declined),
        Some(31_536_000.0),
        "a master takes no more than a year"
    );
}

#[test]
fn every_request_of_the_core_is_one_call() {
    let mut world = World::new();
    let token = Token([7; 16].as_slice().into());
    for (request, kind) in [
        (Call::Revive, CallType::Revive),
        (Call::Suppress, CallType::Suppress),
        (
            Call::Kill {
                instance: instance(1),
                agent: Some(agent()),
            },
            CallType::Kill,
        ),
        (
            Call::Kill {
                instance: instance(1),
                agent: None,
            },
            CallType::Kill,
        ),
        (
            Call::Shutdown {
                instance: instance(1),
                agent: agent(),
            },
            CallType::Shutdown,
        ),
        (
            Call::Acknowledge {
                instance: instance(1),
                agent: Some(agent()),
                token: token.clone(),
            },
            CallType::Acknowledge,
        ),
        (
            Call::Reconcile(vec![(instance(1), agent())]),
            CallType::Reconcile,
        ),
        (Call::ReconcileAll, CallType::Reconcile),
    ] {
        let outputs = world.request(request.clone());
        let call = only_call(&outputs);
        assert_eq!(call.kind, Some(kind as i32), "{request:?}");
        assert_eq!(call.framework_id, Some(id("F")));
        if let Some(kill) = &call.kill {
            assert_eq!(
                kill.kill_policy, None,
                "a repeated kill must not shorten the first one"
            );
        }
        if let Some(reconcile) = &call.reconcile {
            assert_eq!(reconcile.tasks.is_empty(), request == Call::ReconcileAll);
        }
        if let Some(acknowledge) = &call.acknowledge {
            assert_eq!(
                (&acknowledge.agent_id, &acknowledge.uuid[..]),
                (&id("A"), &[7; 16][..])
            );
        }
    }
    // An empty list would mean everything.
    assert_eq!(world.request(Call::Reconcile(Vec::new())), []);
    assert_eq!(world.request(Call::Forget(vec![instance(1)])), []);
    let unknown = Call::Acknowledge {
        instance: instance(1),
        agent: None,
        token,
    };
    assert_eq!(world.request(unknown), []);
}

#[test]
fn a_task_that_is_no_instance_is_killed_and_its_updates_are_acknowledged() {
    let mut world = World::new();
    let upper = instance(0xab).to_string().to_uppercase();
    for task in ["some-other-task", &upper] {
        let outputs = world.receive(&status(task, pb::TaskState::Running, Some(b"u")));
        let calls = calls(&outputs);
        assert_eq!(calls.len(), 2, "{task}");
        assert_eq!(
            calls[0].kill.as_ref().map(|kill| &kill.task_id),
            Some(&id(task))
        );
        assert_eq!(
            calls[1].acknowledge.as_ref().map(|it| &it.task_id),
            Some(&id(task))
        );
        // A kill of a task that has ended would be answered by another update, for ever.
        let outputs = world.receive(&status(task, pb::TaskState::Finished, Some(b"u")));
        assert!(only_call(&outputs).acknowledge.is_some(), "{task}");
        let outputs = world.receive(&status(task, pb::TaskState::Unreachable, None));
        assert_eq!(outputs, []);
    }
}

#[test]
fn an_update_without_a_uuid_has_nothing_to_acknowledge() {
    let mut world = World::new();
    for (uuid, token) in [
        (None, None),
        (Some(&b""[..]), None),
        (Some(&b"u"[..]), Some(b"u")),
    ] {
        let outputs = world.receive(&status(
            &instance(1).to_string(),
            pb::TaskState::Running,
            uuid,
        ));
        let [Output::Event(BackendEvent::Updated(update))] = &outputs[..] else {
            panic!("{outputs:?}");
        };
        assert_eq!(
            update.token,
            token.map(|token| Token(token.as_slice().into()))
        );
        assert_eq!(update.agent, Some(agent()));
    }
}

#[test]
fn the_failure_of_an_agent_is_told_and_that_of_an_executor_is_not() {
    let mut world = World::new();
    let failure = |executor: Option<&str>| pb::Event {
        failure: Some(pb::Failure {
            agent_id: Some(id("A")),
            executor_id: executor.map(id),
            status: Some(9),
        }),
        ..event(EventType::Failure)
    };
    assert_eq!(world.receive(&failure(Some("E"))), []);
    let outputs = world.receive(&failure(None));
    assert_eq!(outputs, [Output::Event(BackendEvent::AgentLost(agent()))]);
}

#[test]
fn events_that_mean_nothing_here_are_ignored() {
    let mut world = World::new();
    for kind in [
        EventType::Heartbeat,
        EventType::InverseOffers,
        EventType::RescindInverseOffer,
        EventType::UpdateOperationStatus,
        EventType::Unknown,
        // Without the message that belongs to them.
        EventType::Offers,
        EventType::Rescind,
        EventType::Update,
        EventType::Message,
        EventType::Failure,
        EventType::Error,
        EventType::Subscribed,
    ] {
        assert_eq!(world.receive(&event(kind)), [], "{kind:?}");
    }
    let newer = pb::Event {
        kind: Some(99),
        ..pb::Event::default()
    };
    assert_eq!(world.receive(&newer), []);
}

#[test]
fn a_removed_framework_is_told_to_the_core_and_starts_anew() {
    let mut world = World::new();
    world.offer(vec![offer("O", 4.0)]);
    let outputs = world.receive(&pb::Event {
        error: Some(pb::Error {
            message: b"Framework has been removed".to_vec(),
        }),
        ..event(EventType::Error)
    });
    let told: Vec<_> = outputs
        .iter()
        .filter(|output| matches!(output, Output::Event(_)))
        .collect();
    assert_eq!(
        told,
        [
            &Output::Event(BackendEvent::Disconnected),
            &Output::Event(BackendEvent::FrameworkRemoved)
        ]
    );
    assert_eq!(world.request(Call::SubscribeAnew), []);
    world.now = world.framework.deadline().expect("a deadline");
    let outputs = world.step(Input::Tick);
    let [Output::Link(LinkAction::Subscribe { call, .. })] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(call.framework_id, None);
    let outputs = world.subscribe();
    let framework = Some(FrameworkId("F".into()));
    assert_eq!(
        outputs.last(),
        Some(&Output::Event(BackendEvent::Subscribed(framework)))
    );
}
