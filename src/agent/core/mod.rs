//! Every decision of the agent: one function from (state, event, now) to (state, effects).
//!
//! The life of a container:
//!
//! ```text
//! Starting -- fetched, forked --> Running -- the executor is gone --> Sweeping -- nothing is left --> Over
//!     |                              |                                    ^                            |
//!     +------- cannot be started ----|------------------------------------+              all updates acknowledged
//!                                    +-- gone after its terminal update --> Over                       |
//!                                                                                                  forgotten
//! ```

mod container;
mod event;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use cook_mesos::messages::{
    AgentInfo, Call, CallType, ExecutorInfo, FrameworkInfo, Id, Subscribed, TaskStatus,
};

use self::container::Container;
pub use self::event::{
    Effect, Event, Known, Moment, Peer, Recovered, Reply, Standing, StreamNumber, Survivor, Sweep,
};
use crate::notice::{Notice, What};
use crate::spec::Spec;

/// The length of an update's uuid in bytes.
const UUID_LENGTH: usize = 16;

/// Identity of the agent and of its framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The framework's id.
    pub framework_id: String,
    /// The agent's id.
    pub agent_id: String,
    /// This machine's name.
    pub hostname: String,
    /// The framework's capabilities, as numbers of `FrameworkInfo.Capability.Type`.
    pub capabilities: Vec<i32>,
}

/// The agent's state.
#[derive(Clone, Debug)]
pub struct Core {
    identity: Identity,
    containers: BTreeMap<String, Container>,
    streams: u64,
}

// === impl Core ===

impl Core {
    /// An agent without executors.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            containers: BTreeMap::new(),
            streams: 0,
        }
    }

    /// When [`Event::Tick`] is due, if ever.
    pub fn next_deadline(&self) -> Option<Moment> {
        let deadlines = self.containers.values();
        deadlines.filter_map(Container::next_deadline).min()
    }

    /// All executors that have not been forgotten.
    pub fn executors(&self) -> Vec<Known> {
        self.containers.values().map(Container::known).collect()
    }

    /// One executor.
    pub fn executor(&self, executor_id: &str) -> Option<Known> {
        self.containers.get(executor_id).map(Container::known)
    }

    /// Processes one event.
    pub fn step(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Launch(spec) => self.launch(*spec, &mut effects),
            Event::Recovered(recovered) => {
                let id = recovered.executor_id.clone();
                let container = Container::recovered(*recovered, now, &mut effects);
                self.containers.insert(id, container);
            }
            Event::Kill {
                executor_id,
                grace_period,
            } => self.with(&executor_id, |it| it.kill(grace_period, &mut effects)),
            Event::Shutdown { executor_id } => {
                self.with(&executor_id, |it| it.shut_down(now, &mut effects));
            }
            Event::Destroy { executor_id } => {
                self.with(&executor_id, |it| it.destroy(now, &mut effects));
            }
            Event::Acknowledge { executor_id, uuid } => {
                self.with(&executor_id, |it| it.acknowledge(&uuid, &mut effects));
                self.forget_if_done(&executor_id, &mut effects);
            }
            Event::Started {
                executor_id,
                process,
            } => self.with(&executor_id, |it| it.started(process, now, &mut effects)),
            Event::NotStarted { executor_id, text } => {
                self.with(&executor_id, |it| it.not_started(text, now, &mut effects));
            }
            Event::Exited { executor_id, code } => {
                self.with(&executor_id, |it| it.exited(code, now, &mut effects));
                self.forget_if_done(&executor_id, &mut effects);
            }
            Event::StreamClosed {
                executor_id,
                stream,
            } => self.with(&executor_id, |it| it.stream_closed(stream)),
            Event::Swept {
                executor_id,
                survivors,
                out_of_memory,
            } => {
                self.with(&executor_id, |it| {
                    it.swept(survivors, out_of_memory, now, &mut effects);
                });
                self.forget_if_done(&executor_id, &mut effects);
            }
            Event::Tick => {
                for container in self.containers.values_mut() {
                    container.tick(now, &mut effects);
                }
            }
        }
        effects
    }

    /// Handles a call of the executor API.
    pub fn call(&mut self, peer: Peer, call: Call, now: Moment) -> (Reply, Vec<Effect>) {
        let mut effects = Vec::new();
        let reply = match self.check_and_take(peer, call, now, &mut effects) {
            Ok(reply) | Err(reply) => reply,
        };
        (reply, effects)
    }

    fn launch(&mut self, mut spec: Spec, effects: &mut Vec<Effect>) {
        spec.task.agent_id = self.identity.agent_id.as_str().into();
        let container = Container::starting(&spec);
        if self.containers.contains_key(&spec.executor_id) {
            // A program that is not sure whether its first launch arrived repeats it. The first one counts.
            return;
        }
        self.containers.insert(spec.executor_id.clone(), container);
        effects.push(Effect::Start(Box::new(spec)));
    }

    /// An unknown executor was forgotten and needs nothing.
    fn with(&mut self, executor_id: &str, change: impl FnOnce(&mut Container)) {
        if let Some(container) = self.containers.get_mut(executor_id) {
            change(container);
        }
    }

    fn forget_if_done(&mut self, executor_id: &str, effects: &mut Vec<Effect>) {
        let Some(container) = self.containers.get(executor_id) else {
            return;
        };
        if !container.is_done() {
            return;
        }
        effects.push(Effect::Erase(container.id()));
        effects.push(Effect::Notify(Notice {
            executor_id: executor_id.to_owned(),
            what: What::Forgotten,
        }));
        self.containers.remove(executor_id);
    }

    fn check_and_take(
        &mut self,
        peer: Peer,
        call: Call,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) -> Result<Reply, Reply> {
        if call.framework_id.value != self.identity.framework_id {
            return Err(Reply::refused(400, "Framework cannot be found"));
        }
        let id = call.executor_id.value.as_str();
        let Some(container) = self.containers.get_mut(id) else {
            return Err(Reply::refused(400, "Executor cannot be found"));
        };
        container.check_peer(peer)?;
        let kind = call.kind.unwrap_or_default();
        match (
            CallType::try_from(kind),
            call.subscribe,
            call.update,
            call.message,
        ) {
            (Ok(CallType::Subscribe), Some(subscribe), _, _) => {
                for update in &subscribe.unacknowledged_updates {
                    check_uuid(&update.status)?;
                }
                self.streams += 1;
                let stream = StreamNumber(self.streams);
                let greeting = greeting(&self.identity, id, container);
                container.subscribe(stream, greeting, subscribe, now, effects);
                Ok(Reply::Stream(stream))
            }
            (Ok(CallType::Update), _, Some(update), _) => {
                check_uuid(&update.status)?;
                container.update(update.status, now, effects)
            }
            (Ok(CallType::Message), _, _, Some(message)) => {
                container.message(message.data, effects)
            }
            (Ok(CallType::Subscribe | CallType::Update | CallType::Message), ..) => {
                Err(Reply::refused(400, "the call lacks the field of its type"))
            }
            (Ok(CallType::Unknown) | Err(_), ..) => {
                Err(Reply::refused(501, "calls of this type are not supported"))
            }
        }
    }
}

/// The SUBSCRIBED event.
fn greeting(identity: &Identity, executor_id: &str, container: &Container) -> Subscribed {
    let capability = |kind: &i32| cook_mesos::messages::Capability { kind: Some(*kind) };
    Subscribed {
        executor_info: ExecutorInfo {
            executor_id: executor_id.into(),
            data: container.executor_data().map(<[u8]>::to_vec),
            command: None,
        },
        framework_info: FrameworkInfo {
            id: Some(identity.framework_id.as_str().into()),
            capabilities: identity.capabilities.iter().map(capability).collect(),
        },
        agent_info: AgentInfo {
            hostname: identity.hostname.clone().into_bytes(),
            id: Some(identity.agent_id.as_str().into()),
        },
        container_id: Some(Id {
            value: container.id().to_string(),
        }),
    }
}

fn check_uuid(status: &TaskStatus) -> Result<(), Reply> {
    match &status.uuid {
        Some(uuid) if uuid.len() == UUID_LENGTH => Ok(()),
        Some(_) | None => Err(Reply::refused(400, "an update needs a uuid of 16 bytes")),
    }
}

/// `now` plus `by`; a moment that is never reached if the sum is too large.
fn later(now: Moment, by: Duration) -> Moment {
    Moment(now.0.saturating_add(by))
}
