//! The subscription to the backend, and reconciliation: asking for the state of instances until it is
//! known.

use std::time::Duration;

use super::disk::Disk;
use super::live::{Repeat, Sent};
use super::{Scheduler, Step};
use crate::core::backend::{Call, FrameworkId};
use crate::core::effect::{Effect, LeaveReason, LogLine};
use crate::core::job::{Agent, Outcome, Reason};
use crate::core::words::{InstanceId, Steady};

/// The subscription.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Link {
    /// Incremented with every subscription and disconnection. An offer is void if the number has
    /// changed since.
    number: u64,
    state: LinkState,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum LinkState {
    /// Not subscribed.
    Down,
    /// Subscribed.
    Up {
        /// When to reconcile all tasks next.
        ask_all_at: Option<Steady>,
        /// From when on an instance that is still unreachable may be given up.
        give_up_from: Steady,
    },
    /// The framework's id is no longer valid; this will be recorded when the store works again.
    Removed,
}

/// The first delay before a reconciliation is repeated, as Mesos' documentation recommends.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(5);

/// The longest delay between two reconciliations of one instance.
pub(super) const ASK_MOST: Duration = Duration::from_secs(120);

/// How long after a subscription agents may still come back, for example to a new master: an agent tries to register
/// at least once a minute (`REGISTER_RETRY_INTERVAL_MAX` of Mesos). With a shorter timeout for unreachable instances,
/// the operator has asked not to wait for that.
pub(super) const RETURN_WAIT: Duration = Duration::from_secs(60);

/// Maximum number of instances in one reconciliation, so that the request stays far below size limits.
const ASK_TOGETHER: usize = 1000;

impl Link {
    pub fn new() -> Self {
        Self {
            number: 0,
            state: LinkState::Down,
        }
    }

    /// Whether the backend is connected.
    pub fn is_up(&self) -> bool {
        match self.state {
            LinkState::Up { .. } => true,
            LinkState::Down | LinkState::Removed => false,
        }
    }

    /// The number of the present subscription.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When to reconcile all tasks next.
    pub fn ask_all_at(&self) -> Option<Steady> {
        match self.state {
            LinkState::Up { ask_all_at, .. } => ask_all_at,
            LinkState::Down | LinkState::Removed => None,
        }
    }

    /// From when on an instance that is unreachable may be given up; `None` without a subscription.
    pub fn give_up_from(&self) -> Option<Steady> {
        match self.state {
            LinkState::Up { give_up_from, .. } => Some(give_up_from),
            LinkState::Down | LinkState::Removed => None,
        }
    }

    fn change(&mut self, state: LinkState) {
        self.number += 1;
        self.state = state;
    }
}

impl Scheduler {
    pub(super) fn is_subscribed_since(&self, number: u64) -> bool {
        self.link.is_up() && self.link.number() == number
    }

    pub(super) fn subscribed(&mut self, step: &mut Step, framework: Option<FrameworkId>) {
        let now = step.now.steady;
        let every = self.settings.reconcile_every;
        self.link.change(LinkState::Up {
            // Once more when the agents have registered with a new master.
            ask_all_at: every.map(|every| now.plus(every.min(RETURN_WAIT))),
            give_up_from: now.plus(RETURN_WAIT.min(self.settings.unreachable_timeout)),
        });
        if let Some(id) = framework
            && self.framework.newest.as_ref() != Some(&id)
        {
            self.framework.newest = Some(id);
            if self.disk == Disk::Works {
                step.framework = Some(self.framework.newest.clone());
            }
        }
        self.offer_demand.forget();
        self.free_resources.clear();
        self.reconcile_all(step);
        self.kill_again(step);
        self.table.renew_deadlines();
    }

    pub(super) fn disconnected(&mut self) {
        match self.link.state {
            LinkState::Up { .. } | LinkState::Down => self.link.change(LinkState::Down),
            LinkState::Removed => (),
        }
        self.free_resources.clear();
    }

    pub(super) fn agent_lost(&mut self, step: &mut Step, agent: &Agent) {
        self.free_resources.remove(agent);
        let there = |id: &InstanceId| self.place_of(*id).as_ref() == Some(agent);
        let ids: Vec<_> = self
            .table
            .lives
            .iter()
            .map(|(id, _)| id)
            .filter(there)
            .collect();
        self.ask(step, ids);
    }

    pub(super) fn framework_removed(&mut self, step: &mut Step) {
        if self.disk != Disk::Works {
            return self.link.change(LinkState::Removed);
        }
        self.link.change(LinkState::Down);
        let ids: Vec<_> = self.table.lives.iter().map(|(id, _)| id).collect();
        step.log(LogLine::FrameworkRemoved { lost: ids.len() });
        for id in ids {
            self.end_live(step, id, Outcome::Failed(Reason::FrameworkRemoved));
        }
        self.framework.newest = None;
        step.framework = Some(None);
        step.call(Call::SubscribeAnew);
    }

    pub(super) fn framework_taken(&mut self, step: &mut Step) {
        self.link.change(LinkState::Down);
        step.perform(Effect::Leave(LeaveReason::FrameworkTaken));
    }

    /// Called when the store works again: calls and replies that were held back are lost.
    pub(super) fn link_after_loss(&mut self, step: &mut Step) {
        match self.link.state {
            LinkState::Removed => self.framework_removed(step),
            LinkState::Up { .. } => {
                self.ask_after_all(step);
                self.kill_again(step);
            }
            LinkState::Down => (),
        }
    }

    /// Reconciles all tasks if it is time.
    pub(super) fn ask_regularly(&mut self, step: &mut Step) {
        let now = step.now.steady;
        let every = self.settings.reconcile_every;
        if let LinkState::Up { ask_all_at, .. } = &mut self.link.state
            && let Some(every) = every.filter(|_| ask_all_at.is_some_and(|at| at <= now))
        {
            *ask_all_at = Some(now.plus(every));
            self.reconcile_all(step);
        }
    }

    /// Asks for the states of all unfinished instances and, if that is wanted, of all tasks that the backend knows.
    fn reconcile_all(&mut self, step: &mut Step) {
        self.ask_after_all(step);
        if self.settings.reconcile_every.is_some() {
            step.perform(Effect::Call(Call::ReconcileAll));
        }
    }

    fn ask_after_all(&mut self, step: &mut Step) {
        let ids = self.table.lives.iter().map(|(id, _)| id).collect();
        self.ask(step, ids);
    }

    /// Reconciles these instances now, and again until an update arrives. Instances whose launch is
    /// still held are left out, because the backend would report them as unknown just before they
    /// start.
    fn ask(&mut self, step: &mut Step, ids: Vec<InstanceId>) {
        let now = step.now.steady;
        let mut asked = Vec::new();
        for id in ids {
            let sent = self.table.lives.edit(id, |live| match live.sent {
                Sent::Held => false,
                Sent::Sent => {
                    live.ask = Some(Repeat::starting(now, ASK_AGAIN));
                    true
                }
            });
            if sent == Some(true) {
                asked.push(id);
            }
        }
        self.call_reconcile(step, &asked);
    }

    /// Reconciles these instances. They are on disk already, so the call does not have to wait.
    pub(super) fn call_reconcile(&self, step: &mut Step, ids: &[InstanceId]) {
        let named: Vec<_> = ids
            .iter()
            .filter_map(|&id| Some((id, self.place_of(id)?)))
            .collect();
        for some in named.chunks(ASK_TOGETHER) {
            step.perform(Effect::Call(Call::Reconcile(some.to_vec())));
        }
    }

    /// Repeats all kills: calls made under an earlier subscription may be lost.
    fn kill_again(&mut self, step: &mut Step) {
        let wanted = |id: &InstanceId| {
            let job = self
                .table
                .lives
                .get(*id)
                .and_then(|live| self.table.job(live.key));
            job.and_then(|job| job.live())
                .is_some_and(|instance| instance.kill.is_some())
        };
        let ids: Vec<_> = self
            .table
            .lives
            .iter()
            .map(|(id, _)| id)
            .filter(wanted)
            .collect();
        let now = step.now.steady;
        for id in ids {
            self.table.lives.edit(id, |live| {
                let again = Repeat::starting(now, super::tick::KILL_AGAIN);
                live.kill = Some(Repeat {
                    since: live.kill.map_or(now, |old| old.since),
                    ..again
                });
            });
            step.call(Call::Kill {
                instance: id,
                agent: self.place_of(id),
            });
        }
    }

    /// The agent of an instance that has not ended.
    pub(super) fn place_of(&self, id: InstanceId) -> Option<Agent> {
        let live = self.table.lives.get(id)?;
        let instance = self.table.job(live.key)?.live()?;
        Some(instance.place.agent.clone())
    }
}
