//! The framework: the session with the master, the open offers, and the translation between core and master.
//!
//! Pure: time is an argument, effects are data.
//!
//! An offer is open until the core has accepted or declined it: at once, or when the launch is on disk. The end of
//! the subscription voids all open offers. A task whose offer is void is reported as dropped: it was never sent.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cook_mesos::scheduler as pb;

use super::figures::Figures;
use super::session::{
    self, Attempt, CallError, Event, LinkAction, LogLine, MasterEvent, Request, Session,
    SubscribeReply,
};
use super::wire::launch::Recipe;
use super::wire::offer::{self, OpenOffer};
use super::wire::{ForeignUpdate, Notice, StatusUpdate, call};
use crate::core::backend::{BackendEvent, Call, Offer, OfferId, Task, TaskState, Update};
use crate::core::job::Reason;

/// The framework.
#[derive(Debug)]
pub struct Framework {
    session: Session,
    recipe: Recipe,
    open: BTreeMap<OfferId, OpenOffer>,
    figures: Figures,
}

/// Everything that can happen to the framework.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A deadline may have passed.
    Tick,
    /// The head of the response to SUBSCRIBE has arrived.
    Replied(Attempt, SubscribeReply),
    /// An event of the master.
    Received(Attempt, MasterEvent),
    /// The event stream has ended, or could not be opened. The text is the reason.
    Ended(Attempt, String),
    /// The master has not accepted a call.
    CallFailed(Attempt, CallError),
    /// A request of the core.
    Requested(Call),
}

/// Everything that the framework wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Connect, send or close.
    Link(LinkAction),
    /// An event for the core.
    Event(BackendEvent),
    /// A line for the log.
    Log(LogLine),
}

// === impl Framework ===

impl Framework {
    /// A framework that begins with [`Input::Tick`].
    pub fn new(session: Session, recipe: Recipe) -> Self {
        Self {
            session,
            recipe,
            open: BTreeMap::new(),
            figures: Figures::default(),
        }
    }

    /// When the next [`Input::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }

    /// The counters.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// Handles an input.
    pub fn step(&mut self, input: Input, now: Instant) -> Vec<Output> {
        let mut outputs = Vec::new();
        let event = match input {
            Input::Tick => Event::Tick,
            Input::Replied(attempt, reply) => Event::Replied(attempt, reply),
            Input::Received(attempt, event) => Event::Received(attempt, event),
            Input::Ended(attempt, why) => Event::Ended(attempt, why),
            Input::CallFailed(attempt, error) => Event::CallFailed(attempt, error),
            Input::Requested(call) => {
                self.requested(call, now, &mut outputs);
                return outputs;
            }
        };
        self.session_step(event, now, &mut outputs);
        outputs
    }

    fn session_step(&mut self, event: Event, now: Instant, outputs: &mut Vec<Output>) {
        for effect in self.session.step(event, now) {
            self.follow(effect, now, outputs);
        }
    }

    fn follow(&mut self, effect: session::Effect, now: Instant, outputs: &mut Vec<Output>) {
        use session::Effect;
        outputs.push(match effect {
            Effect::Link(action) => {
                if let LinkAction::Call { call, .. } = &action {
                    self.figures.count(call);
                }
                Output::Link(action)
            }
            Effect::Log(line) => Output::Log(line),
            Effect::Notice(notice) => return self.notice(notice, now, outputs),
            Effect::Subscribed(framework) => {
                self.open.clear();
                self.figures.subscriptions += 1;
                Output::Event(BackendEvent::Subscribed(Some(framework)))
            }
            Effect::Disconnected => {
                self.open.clear();
                self.figures.disconnections += 1;
                Output::Event(BackendEvent::Disconnected)
            }
            Effect::Removed => Output::Event(BackendEvent::FrameworkRemoved),
            Effect::FailedOver => Output::Event(BackendEvent::FrameworkTaken),
        });
    }

    // --- events of the master ---

    fn notice(&mut self, notice: Notice, now: Instant, outputs: &mut Vec<Output>) {
        let event = match notice {
            Notice::Offers(offers) => BackendEvent::Offered(self.offered(offers)),
            Notice::Rescinded(offer) => {
                self.open.remove(&offer);
                self.figures.rescinded += 1;
                BackendEvent::Rescinded(offer)
            }
            Notice::Updated(StatusUpdate::Instance(update)) => {
                self.figures.updates += 1;
                BackendEvent::Updated(update)
            }
            Notice::Updated(StatusUpdate::Foreign(update)) => {
                self.figures.updates += 1;
                return self.foreign(update, now, outputs);
            }
            Notice::Messaged(instance, note) => BackendEvent::Messaged(instance, note),
            Notice::AgentLost(agent) => {
                self.figures.agents_lost += 1;
                BackendEvent::AgentLost(agent)
            }
        };
        outputs.push(Output::Event(event));
    }

    fn offered(&mut self, offers: Vec<pb::Offer>) -> Vec<Offer> {
        self.figures.offers += offers.len() as u64;
        let open = |offer| {
            let (shown, open) = offer::open(offer);
            self.open.insert(shown.id.clone(), open);
            shown
        };
        offers.into_iter().map(open).collect()
    }

    /// Kills a task that this scheduler cannot have launched, and acknowledges its updates, which would be repeated
    /// for ever.
    fn foreign(&mut self, update: ForeignUpdate, now: Instant, outputs: &mut Vec<Output>) {
        let ForeignUpdate {
            task,
            agent,
            state,
            uuid,
        } = update;
        // The kill of a task that has ended would be answered by another update.
        if state.is_some_and(TaskState::is_alive) {
            let kill = call::kill(task.clone(), agent.clone());
            self.request(Request::Call(kill), now, outputs);
        }
        if let (Some(agent), Some(uuid)) = (agent, uuid) {
            let acknowledge = call::acknowledge(task, agent, uuid);
            self.request(Request::Call(acknowledge), now, outputs);
        }
    }

    // --- requests of the core ---

    fn requested(&mut self, call: Call, now: Instant, outputs: &mut Vec<Output>) {
        let request = match call {
            Call::Launch { offer, tasks } => return self.launch(&offer, &tasks, now, outputs),
            Call::Decline { offer, refuse_for } => match self.open.remove(&offer) {
                Some(open) => Request::Call(call::decline(open.id, refuse_for)),
                // A void offer needs no answer.
                None => return,
            },
            Call::Revive => Request::Revive,
            Call::Suppress => Request::Suppress,
            Call::Kill { instance, agent } => {
                let agent = agent.as_ref().map(call::agent_id);
                Request::Call(call::kill(call::task_id(instance), agent))
            }
            Call::Shutdown { instance, agent } => {
                let (executor, agent) = (call::task_id(instance), call::agent_id(&agent));
                Request::Call(call::shutdown(executor, agent))
            }
            Call::Acknowledge {
                instance,
                agent: Some(agent),
                token,
            } => {
                let (task, agent) = (call::task_id(instance), call::agent_id(&agent));
                Request::Call(call::acknowledge(task, agent, token.0.into_vec()))
            }
            // The backend sends no such token to the core.
            Call::Acknowledge { agent: None, .. } => return,
            // An empty list would mean all tasks.
            Call::Reconcile(instances) if instances.is_empty() => return,
            Call::Reconcile(instances) => Request::Call(call::reconcile(instances)),
            Call::ReconcileAll => Request::Call(call::reconcile([])),
            Call::SubscribeAnew => Request::SubscribeAnew,
            // The agents remove the sandboxes.
            Call::Forget(_) => return,
        };
        self.request(request, now, outputs);
    }

    fn request(&mut self, request: Request, now: Instant, outputs: &mut Vec<Output>) {
        self.session_step(Event::Requested(request), now, outputs);
    }

    fn launch(&mut self, offer: &OfferId, tasks: &[Task], now: Instant, outputs: &mut Vec<Output>) {
        let mut offer = self.open.remove(offer);
        let mut infos = Vec::with_capacity(tasks.len());
        for task in tasks {
            let framework = self.session.framework();
            let info = offer
                .as_mut()
                .and_then(|offer| self.recipe.task(task, framework, offer));
            match info {
                Some(info) => infos.push(info),
                None => {
                    let update = Box::new(dropped(task));
                    outputs.push(Output::Event(BackendEvent::Updated(update)));
                }
            }
        }
        let Some(offer) = offer else { return };
        let call = match infos.is_empty() {
            true => call::decline(offer.id, Duration::ZERO),
            false => call::accept(offer.id, infos),
        };
        self.request(Request::Call(call), now, outputs);
    }
}

/// The update that a master sends for a task whose offer is void.
fn dropped(task: &Task) -> Update {
    Update {
        instance: task.instance,
        agent: None,
        state: TaskState::Dropped,
        reason: Some(Reason::InvalidOffer),
        token: None,
        report: None,
    }
}
