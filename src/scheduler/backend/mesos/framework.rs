//! The framework: the subscription, the open offers, and the words between the core and the master.
//!
//! Pure, as its parts are: time is an argument, what it wants done is data.
//!
//! An offer is open from the moment that the core is told of it until the core has answered, which is in the same
//! step, or as soon as a launch is on disk. With the subscription all of them are void. A task that cannot be
//! launched, because its offer is not there any more, is reported as dropped at once: nothing of it was sent.

use std::collections::BTreeMap;
use std::time::Instant;

use cook_mesos::messages::Id;
use cook_mesos::scheduler as pb;

use super::address::Address;
use super::figures::Figures;
use super::session::{self, Answer, Ask, Attempt, CallFault, Event, Note, Session, StreamId};
use super::wire::launch::Recipe;
use super::wire::offer::{self, OpenOffer};
use super::wire::{News, StatusOf, call, read};
use crate::core::face::{BackendEvent, Call, OfferId, Task, TaskState, Update};
use crate::core::job::Reason;

/// The framework.
#[derive(Debug)]
pub struct Framework {
    session: Session,
    recipe: Recipe,
    open: BTreeMap<OfferId, OpenOffer>,
    figures: Figures,
}

/// Everything that can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A deadline may be over.
    Tick,
    /// The response to SUBSCRIBE has begun.
    Answered(Attempt, Answer),
    /// A record of the stream.
    Record(Attempt, Vec<u8>),
    /// The stream is over, or has never begun: why.
    Ended(Attempt, String),
    /// A call was not accepted.
    CallFailed(Attempt, CallFault),
    /// The core asks for something.
    Asked(Call),
}

/// Everything that it wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send SUBSCRIBE there, over a connection of its own.
    Subscribe {
        /// Its number.
        attempt: Attempt,
        /// Where.
        master: Address,
        /// The call.
        call: Box<pb::Call>,
    },
    /// Close all connections. Calls that were not sent never are.
    Close,
    /// Make this call after all earlier ones of the attempt.
    Call {
        /// Of which subscription.
        attempt: Attempt,
        /// Where.
        master: Address,
        /// What it must carry.
        stream: StreamId,
        /// The call.
        call: Box<pb::Call>,
    },
    /// Tell the core.
    Tell(BackendEvent),
    /// Write a line for the operator.
    Note(Note),
}

// === impl Framework ===

impl Framework {
    /// To be begun with [`Input::Tick`].
    pub fn new(session: Session, recipe: Recipe) -> Self {
        Self {
            session,
            recipe,
            open: BTreeMap::new(),
            figures: Figures::default(),
        }
    }

    /// When to step again at the latest, with [`Input::Tick`].
    pub fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }

    /// What has happened so far.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// Takes what happened, and says what to do about it, in order.
    pub fn step(&mut self, input: Input, now: Instant) -> Vec<Output> {
        let mut outputs = Vec::new();
        let event = match input {
            Input::Tick => Event::Tick,
            Input::Answered(attempt, answer) => Event::Answered(attempt, answer),
            Input::Record(attempt, record) => Event::Said(attempt, read(&record)),
            Input::Ended(attempt, why) => Event::Ended(attempt, why),
            Input::CallFailed(attempt, fault) => Event::CallFailed(attempt, fault),
            Input::Asked(asked) => {
                self.asked(asked, now, &mut outputs);
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
            Effect::Subscribe {
                attempt,
                master,
                call,
            } => Output::Subscribe {
                attempt,
                master,
                call,
            },
            Effect::Close => Output::Close,
            Effect::Call {
                attempt,
                master,
                stream,
                call,
            } => Output::Call {
                attempt,
                master,
                stream,
                call,
            },
            Effect::Note(note) => Output::Note(note),
            Effect::News(news) => return self.news(news, now, outputs),
            Effect::Subscribed(framework) => {
                self.open.clear();
                self.figures.subscriptions += 1;
                Output::Tell(BackendEvent::Subscribed(Some(framework)))
            }
            Effect::Disconnected => {
                self.open.clear();
                self.figures.disconnections += 1;
                Output::Tell(BackendEvent::Disconnected)
            }
            Effect::Removed => Output::Tell(BackendEvent::FrameworkRemoved),
            Effect::Taken => Output::Tell(BackendEvent::FrameworkTaken),
        });
    }

    // --- what the master says ---

    fn news(&mut self, news: News, now: Instant, outputs: &mut Vec<Output>) {
        let told = match news {
            News::Offers(offers) => BackendEvent::Offered(self.offered(offers)),
            News::Rescinded(offer) => {
                self.open.remove(&offer);
                self.figures.rescinded += 1;
                BackendEvent::Rescinded(offer)
            }
            News::Updated(StatusOf::Instance(update)) => {
                self.figures.updates += 1;
                BackendEvent::Updated(update)
            }
            News::Updated(StatusOf::Stranger {
                task,
                agent,
                state,
                uuid,
            }) => {
                self.figures.updates += 1;
                return self.stranger(task, agent, state, uuid, now, outputs);
            }
            News::Messaged(instance, note) => BackendEvent::Messaged(instance, note),
            News::AgentLost(agent) => {
                self.figures.agents_lost += 1;
                BackendEvent::AgentLost(agent)
            }
        };
        outputs.push(Output::Tell(told));
    }

    fn offered(&mut self, offers: Vec<pb::Offer>) -> Vec<crate::core::face::Offer> {
        let mut told = Vec::with_capacity(offers.len());
        for offer in offers {
            let (shown, open) = offer::open(offer);
            self.figures.offers += 1;
            self.open.insert(shown.id.clone(), open);
            told.push(shown);
        }
        told
    }

    /// A task of this framework that no instance can be: nobody here has started it. It is ended, and what is said
    /// of it is acknowledged, so that it does not come for ever.
    fn stranger(
        &mut self,
        task: Id,
        agent: Option<Id>,
        state: Option<TaskState>,
        uuid: Option<Vec<u8>>,
        now: Instant,
        outputs: &mut Vec<Output>,
    ) {
        let is_alive = state.is_some_and(|state| match state {
            TaskState::Staging | TaskState::Starting | TaskState::Running | TaskState::Killing => {
                true
            }
            TaskState::Finished
            | TaskState::Failed
            | TaskState::Killed
            | TaskState::Error
            | TaskState::Lost
            | TaskState::Dropped
            | TaskState::Unreachable
            | TaskState::Gone
            | TaskState::GoneByOperator
            | TaskState::Unknown => false,
        });
        if is_alive {
            self.figures.kills += 1;
            self.ask(
                Ask::Call(call::kill(task.clone(), agent.clone())),
                now,
                outputs,
            );
        }
        if let (Some(agent), Some(uuid)) = (agent, uuid) {
            self.figures.acknowledgements += 1;
            self.ask(
                Ask::Call(call::acknowledge(task, agent, uuid)),
                now,
                outputs,
            );
        }
    }

    // --- what the core asks for ---

    fn asked(&mut self, asked: Call, now: Instant, outputs: &mut Vec<Output>) {
        let figures = &mut self.figures;
        let ask = match asked {
            Call::Launch { offer, tasks } => return self.launch(&offer, &tasks, now, outputs),
            Call::Decline { offer, refuse_for } => {
                // One that is not there any more needs no answer.
                let Some(open) = self.open.remove(&offer) else {
                    return;
                };
                figures.declined += 1;
                Ask::Call(call::decline(open.id, refuse_for))
            }
            Call::Revive => {
                figures.revives += 1;
                Ask::Revive
            }
            Call::Suppress => {
                figures.suppresses += 1;
                Ask::Suppress
            }
            Call::Kill { instance, agent } => {
                figures.kills += 1;
                let agent = agent.as_ref().map(call::agent_id);
                Ask::Call(call::kill(call::task_id(instance), agent))
            }
            Call::Shutdown { instance, agent } => {
                figures.kills += 1;
                Ask::Call(call::shutdown(
                    call::task_id(instance),
                    call::agent_id(&agent),
                ))
            }
            Call::Acknowledge {
                instance,
                agent,
                token,
            } => {
                let Some(agent) = agent else { return };
                figures.acknowledgements += 1;
                let (task, agent) = (call::task_id(instance), call::agent_id(&agent));
                Ask::Call(call::acknowledge(task, agent, token.0.into_vec()))
            }
            Call::Reconcile(instances) => {
                // A list without entries would ask for everything.
                if instances.is_empty() {
                    return;
                }
                figures.reconciliations += 1;
                Ask::Call(call::reconcile(instances))
            }
            Call::ReconcileAll => {
                figures.reconciliations += 1;
                Ask::Call(call::reconcile([]))
            }
            Call::SubscribeAnew => Ask::SubscribeAnew,
            // Agents remove sandboxes by themselves.
            Call::Forget(_) => return,
        };
        self.ask(ask, now, outputs);
    }

    fn ask(&mut self, ask: Ask, now: Instant, outputs: &mut Vec<Output>) {
        self.session_step(Event::Asked(ask), now, outputs);
    }

    fn launch(&mut self, offer: &OfferId, tasks: &[Task], now: Instant, outputs: &mut Vec<Output>) {
        let open = self.open.remove(offer);
        let mut infos = Vec::with_capacity(tasks.len());
        let mut offer = open;
        for task in tasks {
            let info = offer
                .as_mut()
                .and_then(|offer| self.recipe.task(task, self.session.framework(), offer));
            match info {
                Some(info) => infos.push(info),
                None => outputs.push(Output::Tell(BackendEvent::Updated(Box::new(dropped(task))))),
            }
        }
        let Some(offer) = offer else { return };
        let call = match infos.is_empty() {
            true => call::decline(offer.id, std::time::Duration::ZERO),
            false => {
                self.figures.launches += infos.len() as u64;
                call::accept(offer.id, infos)
            }
        };
        self.ask(Ask::Call(call), now, outputs);
    }
}

/// What a master says of a task whose offer it does not know.
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
