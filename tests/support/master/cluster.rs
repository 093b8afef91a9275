//! The state of the master: agents, open offers, and tasks. No agent is running; tests decide what happens
//! to tasks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cook_mesos::scheduler::{
    Address, AllocationInfo, Attribute, Offer, Range, Ranges, Reason, ReconcileTask, Resource,
    Scalar, TaskInfo, TaskState, TaskStatus, Text, Url, ValueType,
};

use crate::events;

/// The role of all offers.
pub const ROLE: &str = "*";

/// An agent, as the master knows it.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Its status.
    pub standing: Standing,
    /// Its host name.
    pub hostname: String,
    /// Its port.
    pub port: u16,
    /// Its resources, as in an offer.
    pub resources: Vec<Resource>,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
}

/// The status of an agent. An unknown agent is not in the master's map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is registered.
    Registered,
    /// It was registered before the master's failover, and is not back yet.
    Recovering,
    /// It does not respond.
    Unreachable,
    /// An operator has marked it as gone.
    Gone,
}

/// A task, as the master knows it.
#[derive(Clone, Debug)]
pub struct Task {
    /// The id of its agent.
    pub agent: String,
    /// The last state that was reported to the master.
    pub state: TaskState,
    /// Unacknowledged updates. Only the first one is sent.
    pub pending: VecDeque<TaskStatus>,
}

/// The state of the master.
#[derive(Debug, Default)]
pub struct Cluster {
    /// The agents by id.
    pub agents: BTreeMap<String, Agent>,
    /// The tasks by id.
    pub tasks: BTreeMap<String, Task>,
    /// All task ids that were ever launched.
    launched: BTreeSet<String>,
    offers: BTreeMap<String, Offer>,
    issued: BTreeSet<String>,
    uuids: u64,
}

// === impl Agent ===

impl Agent {
    /// An agent with 4 cpus, 4 GB, and the ports 31000 to 31009, all unreserved.
    pub fn new(hostname: &str) -> Self {
        Self {
            standing: Standing::Registered,
            hostname: hostname.to_owned(),
            port: 5051,
            resources: vec![
                scalar("cpus", 4.0),
                scalar("mem", 4096.0),
                scalar("disk", 10_000.0),
                ports(&[(31_000, 31_009)]),
            ],
            attributes: Vec::new(),
        }
    }

    /// Adds a text attribute.
    #[must_use]
    pub fn with_attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.push(Attribute {
            name: name.into(),
            kind: ValueType::Text as i32,
            text: Some(Text {
                value: value.into(),
            }),
            ..Attribute::default()
        });
        self
    }

    /// Replaces its resources.
    #[must_use]
    pub fn with_resources(mut self, resources: Vec<Resource>) -> Self {
        self.resources = resources;
        self
    }
}

/// An amount, allocated to [`ROLE`].
pub fn scalar(name: &str, value: f64) -> Resource {
    Resource {
        name: name.to_owned(),
        kind: ValueType::Scalar as i32,
        scalar: Some(Scalar { value }),
        allocation_info: allocated(ROLE),
        ..Resource::default()
    }
}

/// Ports, allocated to [`ROLE`].
pub fn ports(ranges: &[(u64, u64)]) -> Resource {
    let range = ranges.iter().map(|&(begin, end)| Range { begin, end });
    Resource {
        name: "ports".to_owned(),
        kind: ValueType::Ranges as i32,
        ranges: Some(Ranges {
            range: range.collect(),
        }),
        allocation_info: allocated(ROLE),
        ..Resource::default()
    }
}

/// The same resource for another role: allocated to it, and also reserved for it if `is_reserved`.
pub fn for_role(mut resource: Resource, role: &str, is_reserved: bool) -> Resource {
    use cook_mesos::scheduler::ReservationInfo;
    /// `ReservationInfo.Type.STATIC`.
    const STATIC: i32 = 1;
    resource.allocation_info = allocated(role);
    if is_reserved {
        resource.reservations = vec![ReservationInfo {
            role: Some(role.to_owned()),
            kind: Some(STATIC),
            ..ReservationInfo::default()
        }];
    }
    resource
}

fn allocated(role: &str) -> Option<AllocationInfo> {
    Some(AllocationInfo {
        role: Some(role.to_owned()),
    })
}

/// Whether no update may follow this state.
pub fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::Staging
        | TaskState::Starting
        | TaskState::Running
        | TaskState::Killing
        | TaskState::Unreachable => false,
        TaskState::Finished
        | TaskState::Failed
        | TaskState::Killed
        | TaskState::Lost
        | TaskState::Error
        | TaskState::Dropped
        | TaskState::Gone
        | TaskState::GoneByOperator
        | TaskState::Unknown => true,
    }
}

// === impl Cluster ===

impl Cluster {
    /// An offer with all resources of an agent.
    pub fn issue(&mut self, framework: &str, agent_id: &str) -> Offer {
        let agent = &self.agents[agent_id];
        let id = format!("offer-{}", self.issued.len() + 1);
        let offer = Offer {
            id: id.as_str().into(),
            framework_id: framework.into(),
            agent_id: agent_id.into(),
            hostname: agent.hostname.clone().into_bytes(),
            resources: agent.resources.clone(),
            attributes: agent.attributes.clone(),
            url: Some(Url {
                scheme: b"http".to_vec(),
                address: Address {
                    hostname: Some(agent.hostname.clone().into_bytes()),
                    ip: Some(b"127.0.0.1".to_vec()),
                    port: agent.port.into(),
                },
                path: Some(b"/slave(1)".to_vec()),
            }),
            allocation_info: agent
                .resources
                .first()
                .and_then(|it| it.allocation_info.clone()),
            ..Offer::default()
        };
        self.issued.insert(id.clone());
        self.offers.insert(id, offer.clone());
        offer
    }

    /// The offer that a call answers; `None` if it is not valid any more.
    ///
    /// # Errors
    ///
    /// There was never such an offer.
    pub fn take(&mut self, id: &str) -> Result<Option<Offer>, String> {
        match (self.offers.remove(id), self.issued.contains(id)) {
            (Some(offer), _) => Ok(Some(offer)),
            (None, true) => Ok(None),
            (None, false) => Err(format!("there never was an offer {id}")),
        }
    }

    /// The offers that were not answered.
    pub fn outstanding(&self) -> Vec<String> {
        self.offers.keys().cloned().collect()
    }

    /// Makes all offers invalid.
    pub fn forget_offers(&mut self) {
        self.offers.clear();
    }

    /// Whether this task id was launched before. Records it as launched.
    pub fn was_launched(&mut self, task: &TaskInfo) -> bool {
        !self.launched.insert(task.task_id.value.clone())
    }

    /// A task was sent to its agent.
    pub fn launch(&mut self, task: &TaskInfo) {
        let staging = Task {
            agent: task.agent_id.value.clone(),
            state: TaskState::Staging,
            pending: VecDeque::new(),
        };
        self.tasks.insert(task.task_id.value.clone(), staging);
    }

    /// An agent has an update. Returns the status to send now, unless an earlier update is unacknowledged.
    pub fn update(&mut self, mut status: TaskStatus) -> Option<TaskStatus> {
        self.uuids += 1;
        let mut uuid = self.uuids.to_be_bytes().to_vec();
        uuid.resize(16, 7);
        status.uuid = Some(uuid);
        let agent = status.agent_id.clone().unwrap_or_default().value;
        let task = self
            .tasks
            .entry(status.task_id.value.clone())
            .or_insert(Task {
                agent,
                state: TaskState::Staging,
                pending: VecDeque::new(),
            });
        task.state = TaskState::try_from(status.state).unwrap_or(TaskState::Unknown);
        task.pending.push_back(status.clone());
        (task.pending.len() == 1).then_some(status)
    }

    /// Acknowledges an update. Returns the next update of that task, if any.
    ///
    /// # Errors
    ///
    /// No update of that task has this uuid.
    pub fn acknowledge(&mut self, task: &str, uuid: &[u8]) -> Result<Option<TaskStatus>, String> {
        let known = self.tasks.get_mut(task);
        let known = known.ok_or_else(|| format!("ACKNOWLEDGE for the unknown task {task}"))?;
        let is_it = |status: &TaskStatus| status.uuid.as_deref() == Some(uuid);
        if known.pending.front().is_some_and(is_it) {
            known.pending.pop_front();
            return Ok(known.pending.front().cloned());
        }
        // A repeated acknowledgement.
        match known.pending.iter().any(is_it) {
            true => Err(format!(
                "ACKNOWLEDGE of an update of {task} that was not sent yet"
            )),
            false => Ok(None),
        }
    }

    /// What agents repeat: the first unacknowledged update of each task.
    pub fn unacknowledged(&self) -> Vec<TaskStatus> {
        let tasks = self.tasks.values();
        tasks
            .filter_map(|task| task.pending.front().cloned())
            .collect()
    }

    /// The status for one task of an explicit reconciliation, for a framework with the capability
    /// PARTITION_AWARE.
    pub fn reconcile(&self, asked: &ReconcileTask) -> Option<TaskStatus> {
        let id = asked.task_id.value.as_str();
        let because = |agent: Option<&str>, state| {
            Some(events::masters_status(
                id,
                agent,
                state,
                Reason::Reconciliation,
            ))
        };
        if let Some(task) = self.tasks.get(id) {
            let standing = self.agents.get(&task.agent).map(|agent| agent.standing);
            match standing {
                Some(Standing::Registered) | None => {
                    return because(Some(&task.agent), task.state);
                }
                Some(Standing::Recovering | Standing::Unreachable | Standing::Gone) => (),
            }
        }
        let Some(agent) = asked.agent_id.as_ref().map(|id| id.value.as_str()) else {
            let is_missing = |agent: &Agent| agent.standing == Standing::Recovering;
            return match self.agents.values().any(is_missing) {
                true => None,
                false => because(None, TaskState::Unknown),
            };
        };
        match self.agents.get(agent).map(|agent| agent.standing) {
            Some(Standing::Recovering) => None,
            Some(Standing::Registered) => because(Some(agent), TaskState::Gone),
            Some(Standing::Unreachable) => because(Some(agent), TaskState::Unreachable),
            Some(Standing::Gone) => because(Some(agent), TaskState::GoneByOperator),
            None => because(Some(agent), TaskState::Unknown),
        }
    }

    /// The statuses for an implicit reconciliation: every task of a registered agent.
    pub fn reconcile_all(&self) -> Vec<TaskStatus> {
        let is_there = |task: &Task| {
            let agent = self.agents.get(&task.agent);
            agent.is_none_or(|agent| agent.standing == Standing::Registered)
        };
        let tasks = self.tasks.iter().filter(|(_, task)| is_there(task));
        let answers = tasks.map(|(id, task)| {
            events::masters_status(id, Some(&task.agent), task.state, Reason::Reconciliation)
        });
        answers.collect()
    }
}
