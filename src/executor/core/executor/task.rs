//! What happens to the task: the LAUNCH and its refusals, orders to stop, requests, its end.

use std::time::Duration;

use super::{Active, EarlyKill, Executor, State, Step};
use crate::core::effect::{Effect, ExitStatus, Line, Note};
use crate::core::event::{Identity, Launch};
use crate::core::lifecycle::{
    Lifecycle, Limits, Output, Report, StopOrder, TaskEvent, Turn, Verdict,
};
use crate::core::outbox::{Message, Reason, TaskState};
use crate::core::plan::Refusal;
use crate::core::progress::{Progress, Reading};
use crate::core::request::{Patch, Reply, Request, View};
use crate::words::units::{Span, TaskId};

/// A request that would need the agent is answered as if it was there for this long, since a
/// re-subscription usually takes less.
const ABSENCE_TOLERATED: Duration = Duration::from_secs(1);

/// So many kills of tasks that have not come are remembered, the newest ones. An agent has one task
/// for an executor like this.
const MAX_EARLY_KILLS: usize = 16;

/// So many tasks are refused; a group may have several.
const MAX_REFUSED: usize = 256;

impl Executor {
    pub(super) fn launch(&mut self, launches: Vec<Launch>, step: &mut Step) {
        let killed = match &mut self.state {
            State::Waiting { killed } => std::mem::take(killed),
            State::Failing { .. } => return,
            State::Active(_) | State::Leaving { .. } | State::Gone => {
                for launch in launches {
                    self.refuse_another(launch.identity, step);
                }
                return;
            }
        };
        let mut launches = launches;
        match (launches.pop(), launches.is_empty()) {
            (Some(launch), true) => self.accept(launch, killed, step),
            (last, _) => {
                self.state = State::Leaving {
                    since: step.now.moment,
                };
                for launch in launches.into_iter().chain(last) {
                    let message = "cook-executor runs one task; this group has several".to_owned();
                    self.refuse(launch.identity, message, step);
                }
            }
        }
    }

    /// The one task of this executor.
    fn accept(&mut self, launch: Launch, killed: Vec<EarlyKill>, step: &mut Step) {
        let Launch { identity, work } = launch;
        step.perform(Effect::Say(Line::Starting(identity.task.clone())));
        self.record(&identity, TaskState::Starting, step);
        if let Some(directory) = self.settings.directory.clone() {
            self.tell(&identity.task, Message::Directory(directory));
        }
        let work = match work {
            Ok(work) => work,
            Err(Refusal(message)) => {
                step.perform(Effect::Say(Line::Completed(
                    identity.task.clone(),
                    TaskState::Error,
                )));
                self.state = State::Leaving {
                    since: step.now.moment,
                };
                return self.refuse(identity, message, step);
            }
        };
        // There is no other task to need it.
        let mut environment = std::mem::take(&mut self.settings.environment);
        environment.reset(&self.settings.reset_variables, &work.executor_environment);
        for (name, value) in work.environment {
            environment.set(name, value);
        }
        let progress_file = self.settings.progress_file.settle(&mut environment);
        let progress = Progress::new(self.settings.progress_interval, self.settings.message_limit);
        let limits = Limits {
            grace: work.kill_grace.unwrap_or(self.settings.shutdown_grace),
            run_until: work
                .maximum_run_time
                .map(|limit| step.now.moment.plus(limit)),
        };
        step.perform(Effect::Publish(identity.task.clone()));
        step.perform(Effect::Track(progress_file));
        let mut turn = Turn::new(step.now.moment);
        let kill = killed.iter().find(|kill| kill.task == identity.task);
        let order = kill.map(|kill| StopOrder::Kill {
            grace: kill.grace.unwrap_or(limits.grace),
        });
        let lifecycle =
            Lifecycle::launch(work.plan, environment, progress, limits, order, &mut turn);
        self.state = State::Active(Box::new(Active {
            identity,
            lifecycle,
            is_acknowledged: false,
            last_state: TaskState::Starting,
            reported_at: step.now.moment,
        }));
        self.carry_out(turn, step);
    }

    /// This executor has had its task. An update of the task it has must not be made up: the agent
    /// would take it for the end of that task.
    fn refuse_another(&mut self, identity: Identity, step: &mut Step) {
        let is_ours = match &self.state {
            State::Active(active) => active.identity.task == identity.task,
            State::Waiting { .. } | State::Failing { .. } | State::Leaving { .. } | State::Gone => {
                false
            }
        };
        if !is_ours {
            let message = "cook-executor runs one task, and has one already".to_owned();
            self.refuse(identity, message, step);
        }
    }

    fn refuse(&mut self, identity: Identity, message: String, step: &mut Step) {
        if self.refused.contains(&identity.task) || self.refused.len() == MAX_REFUSED {
            return;
        }
        self.refused.push(identity.task.clone());
        let verdict = Verdict {
            state: TaskState::Error,
            reason: Some(Reason::TaskInvalid),
            message,
        };
        self.record_terminal(&identity, verdict, None, step);
    }

    pub(super) fn kill(&mut self, task: TaskId, grace: Option<Span>, step: &mut Step) {
        let active = match &mut self.state {
            State::Waiting { killed } => {
                killed.truncate(MAX_EARLY_KILLS - 1);
                return killed.insert(0, EarlyKill { task, grace });
            }
            State::Active(active) if active.identity.task == task => active,
            State::Active(_) | State::Failing { .. } | State::Leaving { .. } | State::Gone => {
                return;
            }
        };
        let grace = grace.unwrap_or(active.lifecycle.grace());
        self.stop(StopOrder::Kill { grace }, step);
    }

    pub(super) fn shut_down(&mut self, step: &mut Step) {
        match &self.state {
            State::Waiting { .. } => {
                self.state = State::Gone;
                step.perform(Effect::Exit(ExitStatus::Done));
            }
            State::Failing { status, .. } => {
                let status = ExitStatus::Test(*status);
                self.state = State::Gone;
                step.perform(Effect::Exit(status));
            }
            State::Leaving { .. } => {
                self.state = State::Gone;
                step.perform(Effect::Exit(self.exit_status()));
            }
            State::Active(_) => {
                let grace = self.settings.shutdown_grace;
                self.stop(StopOrder::Shutdown { grace }, step);
            }
            State::Gone => {}
        }
    }

    /// A stop order from outside; the first of them is told to everybody.
    pub(super) fn stop(&mut self, order: StopOrder, step: &mut Step) {
        if let State::Active(active) = &self.state
            && !active.lifecycle.is_reported()
        {
            let identity = active.identity.clone();
            let (StopOrder::Kill { grace }
            | StopOrder::Shutdown { grace }
            | StopOrder::MaximumRunTime { grace }) = order;
            step.perform(Effect::Say(Line::Killing(identity.task.clone(), grace)));
            if self.killing_state && active.last_state != TaskState::Killing {
                self.record(&identity, TaskState::Killing, step);
            }
        }
        self.task_step(TaskEvent::Stop(order), step);
    }

    pub(super) fn task_step(&mut self, event: TaskEvent, step: &mut Step) {
        let State::Active(active) = &mut self.state else {
            return;
        };
        let mut turn = Turn::new(step.now.moment);
        active.lifecycle.step(event, &mut turn);
        self.carry_out(turn, step);
    }

    /// Does what a step of the task has led to, in its order: what people read of one command comes
    /// before the next command starts.
    fn carry_out(&mut self, turn: Turn, step: &mut Step) {
        let State::Active(active) = &self.state else {
            return;
        };
        let identity = active.identity.clone();
        for output in turn.outputs {
            match output {
                Output::Effect(effect) => step.perform(effect),
                Output::Report(Report::Running(pid)) => {
                    step.perform(Effect::Say(Line::Forked(pid)));
                    self.running(&identity, step);
                }
                Output::Report(Report::MainEnded(outcome, pid)) => {
                    if let Some(code) = outcome.code() {
                        self.tell(&identity.task, Message::ExitCode(code));
                    }
                    step.perform(Effect::Say(Line::Ended(outcome, pid)));
                }
                Output::Report(Report::HookEnded(name, outcome)) => {
                    step.note(Note::HookEnded(name, outcome));
                }
                Output::Report(Report::Over(verdict)) => self.over(&identity, verdict, step),
            }
        }
    }

    /// A command that was still on its way when a kill came does not run for the framework.
    fn running(&mut self, identity: &Identity, step: &mut Step) {
        if let State::Active(active) = &self.state
            && active.last_state == TaskState::Starting
        {
            self.record(identity, TaskState::Running, step);
        }
    }

    /// No process of the task lives.
    fn over(&mut self, identity: &Identity, verdict: Verdict, step: &mut Step) {
        let State::Active(active) = &mut self.state else {
            return;
        };
        active.reported_at = step.now.moment;
        let result = active.lifecycle.view();
        if let Some(report) = active.lifecycle.progress.take_last(step.now.moment) {
            self.tell(&identity.task, Message::Progress(report));
        }
        step.perform(Effect::Say(Line::Completed(
            identity.task.clone(),
            verdict.state,
        )));
        self.record_terminal(identity, verdict, Some(result), step);
    }

    /// The task has written its progress into a file.
    pub(super) fn tracked(&mut self, reading: Reading) {
        if let State::Active(active) = &mut self.state
            && !active.lifecycle.is_reported()
        {
            active.lifecycle.progress.read(reading);
        }
    }

    // --- the task API ---

    pub(super) fn answer(&mut self, request: Request, step: &Step) -> Reply {
        let is_without_agent = self.session.down_for(step.now.moment) > ABSENCE_TOLERATED;
        let State::Active(active) = &mut self.state else {
            return Reply::TaskEnded;
        };
        match request {
            Request::View => Reply::View(View {
                state: Some(active.last_state.name()),
                ..active.lifecycle.view()
            }),
            Request::Patch(_) if active.lifecycle.is_reported() => Reply::TaskEnded,
            Request::Patch(patch)
                if !active
                    .lifecycle
                    .environment
                    .has_room_for(&patch.environment) =>
            {
                Reply::EnvironmentTooLarge
            }
            Request::Patch(patch) => {
                let Patch {
                    progress, message, ..
                } = &patch;
                let needs_agent = progress.is_some() || message.is_some();
                active.lifecycle.patch(patch);
                match needs_agent && is_without_agent {
                    true => Reply::AppliedWithoutAgent,
                    false => Reply::Applied,
                }
            }
        }
    }
}
