//! The calls that the executor makes, and the end of its event stream.

use cook_mesos::messages::{self, EventType, Launch, Subscribe, Subscribed, TaskStatus};

use super::super::event::{Effect, Moment, Peer, Reply, StreamNumber};
use super::{Container, Link, Phase, Repeat, Wish, is_terminal, kill_event};
use crate::notice::What;
use crate::record::Delivery;

/// Maximum number of unacknowledged updates. A task has a handful; further ones are refused with 503.
const MAX_UPDATES: usize = 64;

impl Container {
    /// Only the executor's own process may make calls for it.
    pub fn check_peer(&self, peer: Peer) -> Result<(), Reply> {
        match &self.phase {
            Phase::Running { process, .. } if process.pid == peer.pid => Ok(()),
            Phase::Running { process, .. } => Err(Reply::refused(
                403,
                format!(
                    "this call comes from process {}, but the executor is process {}: it has to take over the \
                     process that was started, by exec",
                    peer.pid, process.pid
                ),
            )),
            // The process may call before the agent knows its id. The executor tries again.
            Phase::Starting { .. } => Err(Reply::refused(503, "The executor is being started")),
            Phase::Sweeping { .. } | Phase::Over { .. } => {
                Err(Reply::refused(400, "Executor cannot be found"))
            }
        }
    }

    /// The executor subscribes.
    pub fn subscribe(
        &mut self,
        stream: StreamNumber,
        greeting: Subscribed,
        subscribe: Subscribe,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        // `check_peer` has made sure that it runs.
        let Phase::Running { link, wish, .. } = &mut self.phase else {
            return;
        };
        *link = Link::Up(stream);
        let wish = *wish;
        let has_task = self.delivery == Delivery::Acknowledged
            || !subscribe.unacknowledged_tasks.is_empty()
            || !subscribe.unacknowledged_updates.is_empty();
        self.notify(What::Subscribed, effects);
        let subscribed = messages::Event {
            subscribed: Some(greeting),
            ..messages::Event::default()
        };
        self.send(EventType::Subscribed, subscribed, effects);
        for update in subscribe.unacknowledged_updates {
            self.take_update(update.status, now, effects);
        }
        match wish {
            Wish::Run if has_task => {}
            Wish::Run => {
                let launch = messages::Event {
                    launch: Some(Launch {
                        task: self.task.clone(),
                    }),
                    ..messages::Event::default()
                };
                self.send(EventType::Launch, launch, effects);
            }
            Wish::Kill(grace) if has_task => {
                let event = kill_event(&self.task, grace);
                self.send(EventType::Kill, event, effects);
            }
            Wish::Kill(_) => {
                self.shut_down(now, effects);
                if let Phase::Running {
                    wish: Wish::ShutDown { is_undelivered, .. },
                    ..
                } = &mut self.phase
                {
                    *is_undelivered = true;
                }
            }
            Wish::ShutDown { .. } => {
                self.send(EventType::Shutdown, messages::Event::default(), effects);
            }
        }
    }

    /// The executor sends a status update.
    pub fn update(
        &mut self,
        status: TaskStatus,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) -> Result<Reply, Reply> {
        self.check_is_up()?;
        let is_known = self.updates.iter().any(|it| it.uuid == status.uuid);
        if !is_known && self.updates.len() >= MAX_UPDATES {
            return Err(Reply::refused(
                503,
                "too many updates are not acknowledged yet",
            ));
        }
        self.take_update(status, now, effects);
        Ok(Reply::Accepted)
    }

    /// The executor sends a message to the framework.
    pub fn message(&self, data: Vec<u8>, effects: &mut Vec<Effect>) -> Result<Reply, Reply> {
        self.check_is_up()?;
        self.notify(What::Message(data), effects);
        Ok(Reply::Accepted)
    }

    /// The executor's event stream was closed.
    pub fn stream_closed(&mut self, stream: StreamNumber) {
        if let Phase::Running { link, .. } = &mut self.phase
            && *link == Link::Up(stream)
        {
            *link = Link::Down;
        }
    }

    pub(super) fn check_is_up(&self) -> Result<(), Reply> {
        match &self.phase {
            Phase::Running {
                link: Link::Up(_), ..
            } => Ok(()),
            Phase::Running { .. }
            | Phase::Starting { .. }
            | Phase::Sweeping { .. }
            | Phase::Over { .. } => Err(Reply::refused(403, "Executor is not subscribed")),
        }
    }

    fn take_update(&mut self, status: TaskStatus, now: Moment, effects: &mut Vec<Effect>) {
        self.has_ended |= is_terminal(status.state());
        if !self.updates.iter().any(|it| it.uuid == status.uuid) {
            self.updates.push_back(status.clone());
        }
        if self.repeat.is_none() {
            self.repeat = Some(Repeat::first(now));
        }
        self.notify(What::Updated(Box::new(status)), effects);
    }
}
