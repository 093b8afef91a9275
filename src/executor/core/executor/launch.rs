//! LAUNCH: accepting one task, and refusing all others.

use super::assignment::{Active, Assignment, EarlyKill, State};
use super::leaving::Leaving;
use crate::core::checks::{Checked, Checks};
use crate::core::effect::{Effect, Line, Note};
use crate::core::event::{Identity, LaunchedTask};
use crate::core::lifecycle::{Launch, Lifecycle, Limits, StopOrder, Verdict};
use crate::core::outbox::{Message, Reason, TaskState, UpdateData};
use crate::core::plan::TaskRefusal;
use crate::core::progress::Progress;
use crate::core::step::Step;
use crate::words::units::TaskId;

/// Maximum number of refused tasks to remember; a group may contain several.
const MAX_REFUSED: usize = 256;

impl Assignment {
    pub(super) fn launch(&mut self, mut tasks: Vec<LaunchedTask>, step: &mut Step<'_>) {
        let killed = match &mut self.state {
            State::Waiting { killed } => std::mem::take(killed),
            State::Failing { .. } => return,
            State::Active(_) | State::Leaving(_) | State::Gone => {
                return tasks
                    .into_iter()
                    .for_each(|task| self.refuse_another(task.identity, step));
            }
        };
        match (tasks.pop(), tasks.is_empty()) {
            (Some(task), true) => self.accept(task, killed, step),
            (last, _) => {
                self.leave(step);
                for task in tasks.into_iter().chain(last) {
                    let message = "cook-executor runs one task; this group has several".to_owned();
                    self.refuse(&task.identity, message, step);
                }
            }
        }
    }

    /// Accepts the only task of this executor.
    fn accept(&mut self, task: LaunchedTask, killed: Vec<EarlyKill>, step: &mut Step<'_>) {
        let LaunchedTask {
            identity,
            work,
            audience,
        } = task;
        step.say(Line::Version, audience);
        step.say(Line::Starting(identity.task.clone()), audience);
        let checked = work.as_ref().map(|work| work.checks.before_first_probe());
        step.record_starting(&identity, checked.unwrap_or_default());
        if let Some(directory) = self.settings.directory.clone() {
            step.send(&identity.task, Message::Directory(directory));
        }
        let work = match work {
            Ok(work) => work,
            Err(TaskRefusal(message)) => {
                step.say(
                    Line::Completed(identity.task.clone(), TaskState::Error),
                    audience,
                );
                self.leave(step);
                return self.refuse(&identity, message, step);
            }
        };
        // No other task will need it.
        let mut environment = std::mem::take(&mut self.settings.environment);
        environment.reset(&self.settings.reset_variables, &work.executor_environment);
        environment.set_all(work.environment);
        let own = std::mem::take(&mut self.settings.for_commands);
        let own = own.into_iter().chain(work.for_commands).collect();
        let overridden = environment.take_over(own);
        if !overridden.is_empty() {
            step.note(Note::Overridden(overridden));
        }
        let progress_file = self.settings.progress_file.settle(&mut environment);
        let progress = Progress::new(self.settings.progress_interval, self.settings.message_limit);
        let limits = Limits {
            grace: work.kill_grace.unwrap_or(self.settings.shutdown_grace),
            run_until: work.maximum_run_time.map(|limit| step.moment().plus(limit)),
        };
        step.perform(Effect::Publish(identity.task.clone()));
        step.perform(Effect::Track(progress_file));
        let kill = killed.iter().find(|kill| kill.task == identity.task);
        let order = kill.map(|kill| StopOrder::Kill {
            grace: kill.grace.unwrap_or(limits.grace),
        });
        let launch = Launch {
            identity,
            plan: work.plan,
            environment,
            progress,
            limits,
            checks: Checks::new(work.checks, self.settings.message_limit),
            audience,
            has_api: self.settings.has_api,
        };
        let lifecycle = Lifecycle::launch(launch, order, step);
        self.state = State::Active(Box::new(Active {
            lifecycle,
            is_acknowledged: false,
            refused: Vec::new(),
        }));
    }

    /// Every launched task was refused.
    fn leave(&mut self, step: &Step<'_>) {
        let leaving = Leaving::new(None, Vec::new(), step.moment());
        self.state = State::Leaving(Box::new(leaving));
    }

    /// Refuses a task because there is one already. If it is the same task, it gets no update, because the
    /// agent would take that for the end of the task.
    fn refuse_another(&mut self, identity: Identity, step: &mut Step<'_>) {
        if self.own_task().is_none_or(|own| own.task != identity.task) {
            let message = "cook-executor runs one task, and has one already".to_owned();
            self.refuse(&identity, message, step);
        }
    }

    /// Sends one update for a refused task, even if it is launched again.
    fn refuse(&mut self, identity: &Identity, message: String, step: &mut Step<'_>) {
        let Some(refused) = self.refused() else {
            return;
        };
        if refused.contains(&identity.task) || refused.len() == MAX_REFUSED {
            return;
        }
        refused.push(identity.task.clone());
        let verdict = Verdict {
            state: TaskState::Error,
            reason: Some(Reason::TaskInvalid),
            message,
        };
        step.record_verdict(identity, verdict, UpdateData::None, Checked::default());
    }

    /// The refused tasks; `None` before the LAUNCH.
    fn refused(&mut self) -> Option<&mut Vec<TaskId>> {
        match &mut self.state {
            State::Active(active) => Some(&mut active.refused),
            State::Leaving(leaving) => Some(&mut leaving.refused),
            State::Waiting { .. } | State::Failing { .. } | State::Gone => None,
        }
    }
}
