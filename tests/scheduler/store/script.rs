//! Batches as the core makes them during many random events; the same for the same seed.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cook_scheduler::core::Scheduler;
use cook_scheduler::core::backend::{
    BackendEvent, Call, FrameworkId, InstanceMessage, Offer, OfferId, TaskState, Token, Update,
};
use cook_scheduler::core::effect::{Batch, Effect};
use cook_scheduler::core::event::{Event, LoadAnswer};
use cook_scheduler::core::job::{
    Agent, Constraint, Group, GroupName, Place, Report, Retries, Variable,
};
use cook_scheduler::core::request::{
    ApiRequest, GroupRule, KillOrder, NewJob, RequestId, Submission,
};
use cook_scheduler::core::settings::Settings;
use cook_scheduler::core::words::{
    Anchor, BootId, Command, EnvName, GroupId, Guard, Hook, HookTimeout, InstanceId, JobName,
    LabelText, Message, Ports, Timing, Uptime,
};
use cook_scheduler::store::{Archive, Image};

use crate::jobs::{at, demand, job_id, spec, user, uuid};

/// This number of batches.
pub fn batches(seed: u64, count: usize) -> Vec<Batch> {
    let mut script = Script::new(seed);
    while script.batches.len() < count {
        script.turn();
    }
    script.batches.truncate(count);
    script.batches
}

/// The content of a store with these batches.
pub fn image(batches: &[Batch]) -> Image {
    let mut image = Image::default();
    for batch in batches {
        image.apply(batch);
    }
    image
}

/// The time of a batch.
pub fn anchor(batch: &Batch) -> Anchor {
    let uptime = Uptime(Duration::from_millis(batch.moment.steady.0));
    Anchor {
        boot: BootId([9; 16]),
        uptime,
        moment: batch.moment,
    }
}

/// Checks that both have the same content.
pub fn assert_same(image: &Image, archive: &dyn Archive) {
    for job in image.jobs() {
        let stored = archive
            .job(job.key)
            .expect("it can be read")
            .expect("it is there");
        assert_eq!(**job, stored);
    }
}

/// A new folder for one test.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("store")
        .join(name);
    let _ = std::fs::remove_dir_all(&folder);
    // A scheduler refuses a folder that its group can write, as new ones are with umask 002.
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(&folder);
    made.expect("a folder can be made");
    folder
}

struct Script {
    core: Scheduler,
    image: Image,
    batches: Vec<Batch>,
    running: BTreeMap<InstanceId, u64>,
    random: u64,
    time: u64,
    jobs: u64,
    offers: u64,
}

impl Script {
    fn new(seed: u64) -> Self {
        // A low limit of completed jobs, so that some are removed.
        let settings = Settings {
            keep_count: 20,
            ..Settings::mesos([7; 16])
        };
        let core = Scheduler::new(settings, Image::default().start());
        let mut script = Self {
            core,
            image: Image::default(),
            batches: Vec::new(),
            running: BTreeMap::new(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            time: 0,
            jobs: 0,
            offers: 0,
        };
        let id = FrameworkId("framework".into());
        script.event(Event::Backend(BackendEvent::Subscribed(Some(id))));
        script
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    fn event(&mut self, event: Event) {
        self.time += 1 + self.roll(2000);
        for effect in self.core.step(event, at(self.time)) {
            match effect {
                Effect::Store(batch) => {
                    self.image.apply(&batch);
                    let number = batch.number;
                    self.batches.push(batch);
                    self.event(Event::Stored(number));
                }
                Effect::Load(key) => {
                    let answer = match self.image.job(key) {
                        Some(job) => LoadAnswer::Found(Box::new(job.as_ref().clone())),
                        None => LoadAnswer::Missing,
                    };
                    self.event(Event::Loaded(key, answer));
                }
                Effect::Call(Call::Launch { tasks, .. }) => {
                    self.running
                        .extend(tasks.iter().map(|task| (task.instance, 0)));
                }
                Effect::Call(_)
                | Effect::Reply(..)
                | Effect::Log(_)
                | Effect::ReopenStore
                | Effect::Leave(_) => (),
            }
        }
    }

    fn turn(&mut self) {
        match self.roll(6) {
            0 => self.submit(),
            1 => self.offer(),
            2 => self.say(),
            3 => self.event(Event::Tick),
            4 if self.roll(3) == 0 => self.kill(),
            _ => self.update(),
        }
    }

    fn submit(&mut self) {
        let mut jobs = Vec::new();
        let mut groups = Vec::new();
        let declared = self.roll(3) == 0;
        let group = GroupId(uuid(3, self.jobs));
        if declared {
            groups.push(Group {
                id: group,
                name: GroupName::new("a group").expect("a name"),
            });
        }
        for _ in 0..=self.roll(3) {
            let mut job = spec();
            job.max_retries = Retries::new(1 + self.roll(3) as u32).expect("a number");
            job.demand = demand(0.1);
            if self.roll(2) == 0 {
                job.name = JobName::new("other.name").expect("a name");
                job.labels = vec![("key/a".into(), "välue".into())];
                let name = EnvName::new("NAME").expect("a name");
                job.env =
                    vec![Variable::new(name, "x".repeat(self.roll(500) as usize)).expect("one")];
                job.before = vec![Hook {
                    command: Command::new("./lock.sh").expect("a command"),
                    guard: Guard::Guarded,
                    timing: Timing::Asynchronous,
                    timeout: HookTimeout::from_seconds(1.5),
                }];
                let text = |text: &str| LabelText::new(text).expect("a label");
                job.constraints = vec![Constraint {
                    attribute: text("HOSTNAME"),
                    value: text("host"),
                }];
            }
            job.group = declared.then_some(group);
            jobs.push(NewJob {
                id: Some(job_id(self.jobs)),
                spec: job,
            });
            self.jobs += 1;
        }
        let submission = Submission {
            user: user("alice"),
            jobs,
            groups,
            group_rule: GroupRule::Immutable,
        };
        self.event(Event::Request(
            RequestId(self.jobs),
            ApiRequest::Submit(submission),
        ));
    }

    fn offer(&mut self) {
        self.offers += 1;
        let place = Place {
            agent: Agent("agent".into()),
            hostname: "host".into(),
            files_at: None,
        };
        let offer = Offer {
            id: OfferId(self.offers.to_string().into()),
            place: Arc::new(place),
            resources: demand(0.3),
            ports: Ports::default(),
            attributes: Vec::new(),
            capacity: None,
            most_tasks: None,
        };
        self.event(Event::Backend(BackendEvent::Offered(vec![offer])));
    }

    fn some_running(&mut self) -> Option<InstanceId> {
        let count = self.running.len() as u64;
        if count == 0 {
            return None;
        }
        let index = self.roll(count) as usize;
        self.running.keys().nth(index).copied()
    }

    fn say(&mut self) {
        let Some(id) = self.some_running() else {
            return;
        };
        let sequence = self.time;
        let percent = Some(self.roll(101) as u8);
        let message = Some(Message::cut("half way"));
        let message = InstanceMessage::Progress {
            sequence,
            percent,
            message,
        };
        self.event(Event::Backend(BackendEvent::Messaged(id, message)));
        let sandbox = InstanceMessage::Sandbox("/sandbox".into());
        self.event(Event::Backend(BackendEvent::Messaged(id, sandbox)));
    }

    fn update(&mut self) {
        let Some(id) = self.some_running() else {
            return;
        };
        let states = [
            TaskState::Running,
            TaskState::Unreachable,
            TaskState::Finished,
            TaskState::Failed,
        ];
        let state = states[self.roll(4) as usize];
        let report = Report {
            exit_code: Some(-9),
            before_codes: vec![None, Some(3)],
            message: Some(Message::cut("done")),
            ..Report::default()
        };
        let is_end = matches!(state, TaskState::Finished | TaskState::Failed);
        if is_end {
            self.running.remove(&id);
        }
        let update = Update {
            instance: id,
            agent: Some(Agent("agent".into())),
            state,
            reason: None,
            token: Some(Token([1].into())),
            report: is_end.then_some(report),
        };
        self.event(Event::Backend(BackendEvent::Updated(Box::new(update))));
    }

    fn kill(&mut self) {
        let id = job_id(self.roll(self.jobs.max(1)));
        let order = KillOrder {
            jobs: vec![id],
            ..KillOrder::default()
        };
        self.event(Event::Request(
            RequestId(self.time),
            ApiRequest::Kill(order),
        ));
    }
}
