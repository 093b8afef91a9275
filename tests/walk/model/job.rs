//! Jobs, their hooks, and the settings of the executor.

use std::time::Duration;

use cook_executor::core::checks::CheckPlan;
use cook_executor::core::effect::Audience;
use cook_executor::core::environment::{Environment, Name, Value};
use cook_executor::core::event::{Event, Identity, LaunchedTask, Work};
use cook_executor::core::executor::Settings;
use cook_executor::core::plan::{Command, CommandId, Hook, Hooks, Plan, Program, TaskRefusal};
use cook_executor::core::progress::ProgressFile;
use cook_executor::core::session::Policy;
use cook_executor::words::units::{AgentId, Span, TaskId};

use super::checks;
use super::{BROKEN, GRACE};

/// What to launch.
pub struct Job {
    pub plan: Plan,
    pub kill_grace: Option<Span>,
    pub maximum_run_time: Option<Span>,
}

pub(super) fn settings(checkpoint: bool, recovery_timeout: Duration) -> Settings {
    Settings {
        environment: Environment::default(),
        for_commands: Vec::new(),
        shutdown_grace: Span::saturating(GRACE),
        progress_interval: Duration::from_secs(1),
        message_limit: 64,
        progress_file: ProgressFile {
            variable: Name::new("PROGRESS_FILE").expect("valid"),
            default: Value::new("progress").expect("valid"),
        },
        reset_variables: Vec::new(),
        test_exit: None,
        directory: Some("/sandbox".into()),
        policy: Policy {
            checkpoint,
            recovery_timeout: Span::saturating(recovery_timeout),
            backoff_max: Span::saturating(Duration::from_secs(2)),
            spread: 0,
        },
        uuid_seed: [0; 16],
        has_api: true,
    }
}

pub fn hook(guard: bool, is_async: bool) -> Hook {
    Hook {
        value: "hook".into(),
        guard,
        is_async,
        timeout: None,
    }
}

/// A plan with the job's hooks.
pub fn plan(before: &[Hook], after: &[Hook]) -> Plan {
    plan_with(hooks(before, after), Hooks::default())
}

pub fn plan_with(job: Hooks, operator: Hooks) -> Plan {
    Plan::new(Some(Program::Shell(b"main".to_vec())), job, operator)
}

pub fn hooks(before: &[Hook], after: &[Hook]) -> Hooks {
    Hooks {
        before: before.to_vec(),
        after: after.to_vec(),
    }
}

pub(super) fn launch(tasks: &[&str], job: &Job, has_checks: bool) -> Event {
    let of = |task: &&str| launched(task, Ok(job.work(has_checks)));
    Event::Launch(tasks.iter().map(of).collect())
}

pub(super) fn launched(task: &str, work: Result<Work, TaskRefusal>) -> LaunchedTask {
    LaunchedTask {
        identity: Identity {
            task: TaskId(task.into()),
            agent: AgentId("agent".into()),
            name: Vec::new(),
        },
        work,
        audience: Audience::Everybody,
    }
}

// === impl Job ===

impl Job {
    /// A job without timeouts and limits.
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            kill_grace: None,
            maximum_run_time: None,
        }
    }

    fn work(&self, has_checks: bool) -> Work {
        Work {
            plan: self.plan.clone(),
            environment: Vec::new(),
            for_commands: Vec::new(),
            executor_environment: Vec::new(),
            kill_grace: self.kill_grace,
            maximum_run_time: self.maximum_run_time,
            checks: match has_checks {
                true => checks::checks(),
                false => CheckPlan::default(),
            },
        }
    }

    pub(super) fn find(&self, description: &str) -> (CommandId, &Command) {
        let mut commands = self.plan.iter();
        let found = commands.find(|(_, command)| command.description == description);
        found.expect("each command has its own description")
    }

    pub(super) fn is_broken(&self, id: CommandId) -> bool {
        let program = self.plan.get(id).map(|command| &command.program);
        matches!(program, Some(Program::Shell(script)) if script == BROKEN.as_bytes())
    }

    pub(super) fn has_no_grace(&self) -> bool {
        self.kill_grace == Some(Span::ZERO)
    }
}
