//! Random hostile tasks: what they start, which signals they ignore, what they leave behind, and when they
//! are stopped. In every case no process survives, after commands run once, and grace periods are kept.
//!
//! `cargo test` runs a few of them, `make torture` a thousand. `TORTURE_RUNS` sets the number and
//! `TORTURE_SEED` the seed; `TORTURE_ONLY` runs one of them alone.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::support::hostile::{STRAYS, Stray, prelude};
use crate::support::{Run, Setup, TASK, say};
use cook_mesos::messages::{DurationInfo, TaskInfo, TaskState};
use cook_test_agent::journal::{Journal, What, is_terminal};
use rustix::process::Signal;
use serde_json::{Value, json};

/// How many `cargo test` runs.
const FEW: u64 = 20;

/// How many `make torture` runs.
const MANY: u64 = 1000;

/// How much later than its limit an end may come, because test machines are loaded.
const TOLERANCE: Duration = Duration::from_secs(6);

/// With at least this much time, all after commands must run.
const AMPLE: Duration = Duration::from_millis(1500);

/// Maximum part of the agent's grace period that the executor keeps for the report.
const RESERVE: Duration = Duration::from_millis(500);

/// Random numbers from a seed (splitmix64).
struct Chance(u64);

/// How a command behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Exits with this status.
    Exits(u8),
    /// Ends by its own signal.
    Crashes,
    /// Ends at SIGTERM.
    Obeys,
    /// Ignores SIGTERM, and so do its children.
    Ignores,
    /// Cleans up at SIGTERM and exits with 0.
    CleansUp,
    /// Is stopped by SIGSTOP.
    Sleeps,
    /// Is stopped by SIGSTOP, and ignores SIGTERM.
    SleepsDeaf,
    /// Forks at SIGTERM, and ends.
    Forks,
}

/// What ends the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Kill(Duration),
    Shutdown,
    Signal,
}

/// One before or after command.
#[derive(Debug)]
struct Hook {
    manner: Manner,
    guard: bool,
    is_async: bool,
    timeout: Option<f64>,
}

/// One run.
#[derive(Debug)]
struct Plan {
    before: Vec<Hook>,
    main: Manner,
    after: Vec<Hook>,
    /// What each command leaves behind, by index; the main command has index 0.
    strays: Vec<(usize, &'static str)>,
    /// The agent's grace period.
    grace: Duration,
    stops: Vec<(Duration, Stop)>,
    maximum: Option<Duration>,
}

/// The totals of all runs.
#[derive(Debug, Default)]
struct Totals {
    survivors: usize,
    failures: Vec<u64>,
    after_commands: usize,
    stops: usize,
    latest: Duration,
    states: [usize; 3],
}

// === impl Chance ===

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn millis(&mut self, limit: u64) -> Duration {
        Duration::from_millis(self.below(limit))
    }
}

// === impl Manner ===

impl Manner {
    const ENDING: [Self; 4] = [
        Self::Exits(0),
        Self::Exits(0),
        Self::Exits(3),
        Self::Crashes,
    ];

    const LASTING: [Self; 6] = [
        Self::Obeys,
        Self::Ignores,
        Self::CleansUp,
        Self::Sleeps,
        Self::SleepsDeaf,
        Self::Forks,
    ];

    fn ends(self) -> bool {
        matches!(self, Self::Exits(_) | Self::Crashes)
    }

    fn script(self) -> String {
        match self {
            Self::Exits(status) => format!("exit {status}"),
            Self::Crashes => "kill -SEGV $$".to_owned(),
            Self::Obeys => "exec sleep 600".to_owned(),
            Self::Ignores => "trap '' TERM; sleep 600".to_owned(),
            Self::CleansUp => "trap 'sleep 0.05; exit 0' TERM; sleep 600 & wait".to_owned(),
            Self::Sleeps => "kill -STOP $$; sleep 600".to_owned(),
            Self::SleepsDeaf => "trap '' TERM; kill -STOP $$; sleep 600".to_owned(),
            Self::Forks => {
                "trap 'setsid sleep 600 & sleep 600 & exit 4' TERM; sleep 600 & wait".to_owned()
            }
        }
    }
}

// === impl Hook ===

impl Hook {
    fn random(chance: &mut Chance, may_last: bool) -> Self {
        let is_async = chance.percent(30);
        let timeout = chance
            .percent(20)
            .then(|| 0.05 + chance.below(300) as f64 / 1000.0);
        let lasts = chance.percent(40) && (is_async || timeout.is_some() || may_last);
        let manner = match lasts {
            true => chance.of(&Manner::LASTING),
            false => chance.of(&Manner::ENDING),
        };
        Self {
            manner,
            guard: chance.percent(15),
            is_async,
            timeout,
        }
    }

    /// Whether its end can be a guard failure.
    fn may_fail_the_task(&self) -> bool {
        self.guard && (self.manner != Manner::Exits(0) || self.timeout.is_some())
    }

    fn json(&self, script: String) -> Value {
        let mut json = json!({"value": script, "guard": self.guard, "async": self.is_async});
        if let Some(timeout) = self.timeout {
            json["timeout"] = json!(timeout);
        }
        json
    }
}

// === impl Stop ===

impl Stop {
    fn random(chance: &mut Chance) -> Self {
        match chance.below(4) {
            0 => Self::Shutdown,
            1 => Self::Signal,
            _ => Self::Kill(Duration::from_millis(chance.of(&[0, 100, 300, 700, 2000]))),
        }
    }
}

// === impl Plan ===

impl Plan {
    fn random(chance: &mut Chance) -> Self {
        let grace = Duration::from_millis(chance.of(&[200, 400, 800, 5000]));
        let mut stops = Vec::new();
        if chance.percent(65) {
            stops.push((chance.millis(500), Stop::random(chance)));
            if chance.percent(25) {
                stops.push((chance.millis(400), Stop::random(chance)));
            }
        }
        let is_stopped = !stops.is_empty();
        let maximum = chance
            .percent(20)
            .then(|| Duration::from_millis(50) + chance.millis(500));
        let hooks = |chance: &mut Chance, may_last| {
            let count = chance.below(4);
            (0..count).map(|_| Hook::random(chance, may_last)).collect()
        };
        // The maximum run time ends before commands, but not after commands.
        let before: Vec<Hook> = hooks(chance, is_stopped || maximum.is_some());
        let after: Vec<Hook> = hooks(chance, is_stopped);
        let main_lasts = (is_stopped || maximum.is_some()) && chance.percent(70);
        let main = match main_lasts {
            true => chance.of(&Manner::LASTING),
            false => chance.of(&Manner::ENDING),
        };
        let commands = 1 + before.len() + after.len();
        let count = chance.of(&[0, 1, 1, 2, 3, 5]);
        let strays = (0..count).map(|_| {
            let stray: &Stray = &STRAYS[chance.below(STRAYS.len() as u64) as usize];
            (chance.below(commands as u64) as usize, stray.script)
        });
        let strays = strays.collect();
        Self {
            before,
            main,
            after,
            strays,
            grace,
            stops,
            maximum,
        }
    }

    fn script(&self, index: usize, word: &str, manner: Manner) -> String {
        let mut script = format!("{}; ", say(word));
        let own = self.strays.iter().filter(|(of, _)| *of == index);
        let own: Vec<&str> = own.map(|(_, stray)| *stray).collect();
        if !own.is_empty() {
            script += &format!("{}\n{}\n", prelude(), own.join("\n"));
        }
        script + &manner.script()
    }

    fn job(&self) -> Value {
        let list = |hooks: &[Hook], first: usize, name: &str| -> Vec<Value> {
            let numbered = hooks.iter().enumerate();
            let json = numbered.map(|(at, hook)| {
                hook.json(self.script(first + at, &format!("{name}-{at}"), hook.manner))
            });
            json.collect()
        };
        json!({
            "before_commands": list(&self.before, 1, "before"),
            "command": self.script(0, "main", self.main),
            "after_commands": list(&self.after, 1 + self.before.len(), "after"),
        })
    }

    fn start(&self) -> Run {
        let grace = format!("{}ms", self.grace.as_millis());
        let setup = Setup::new().grace(&grace);
        let run = setup.start_with(|agent| agent.hold_acknowledgements());
        run.agent.launch(TaskInfo {
            max_completion_time: self.maximum.map(|maximum| DurationInfo {
                nanoseconds: maximum.as_nanos() as i64,
            }),
            ..run.task(TASK, &self.job())
        });
        run
    }

    fn stop(&self, run: &Run) {
        for (pause, stop) in &self.stops {
            // A random moment: here, time itself is tested.
            let _ = run.executor.wait(*pause);
            run.agent.note(&format!("stop: {stop:?}"));
            match stop {
                Stop::Kill(grace) => run.agent.kill(TASK, Some(*grace)),
                Stop::Shutdown => run.agent.shutdown(),
                Stop::Signal => run.executor.signal(Signal::TERM),
            }
        }
    }

    /// Maximum time from the first order to the terminal update: the grace period for running commands and
    /// for after commands.
    fn longest(&self) -> Option<Duration> {
        self.stops.iter().map(|(_, stop)| self.budget(*stop)).next()
    }

    fn budget(&self, stop: Stop) -> Duration {
        match stop {
            Stop::Kill(grace) => grace * 2,
            Stop::Shutdown | Stop::Signal => self.grace,
        }
    }

    /// Minimum time from the first order to the end of a command that ignores SIGTERM.
    fn shortest(&self) -> Option<Duration> {
        let stop_within = |(_, stop): &(Duration, Stop)| match stop {
            Stop::Kill(grace) => *grace,
            Stop::Shutdown | Stop::Signal => {
                let whole = self.grace.saturating_sub(RESERVE);
                if self.after.is_empty() {
                    whole
                } else {
                    whole / 2
                }
            }
        };
        let maximum = self.maximum.map(|_| Duration::ZERO);
        self.stops.iter().map(stop_within).chain(maximum).min()
    }

    /// Whether all after commands must run: no guard can prevent them, none delays the others, and there is
    /// enough time.
    fn all_after_commands_run(&self) -> bool {
        let hooks = || self.before.iter().chain(&self.after);
        let is_quick = |hook: &Hook| hook.is_async || hook.manner.ends();
        let has_time = self.stops.iter().all(|(_, stop)| match stop {
            Stop::Kill(grace) => *grace >= AMPLE,
            Stop::Shutdown | Stop::Signal => self.grace >= AMPLE * 3,
        });
        let has_time = has_time && (self.maximum.is_none() || self.grace >= AMPLE);
        has_time && !hooks().any(Hook::may_fail_the_task) && self.after.iter().all(is_quick)
    }
}

/// When something happened for the first time.
fn at(journal: &Journal, is_it: impl Fn(&What) -> bool) -> Option<Duration> {
    let entries = journal.entries().iter();
    entries
        .filter(|entry| is_it(&entry.what))
        .map(|entry| entry.at)
        .next()
}

fn is_stop(what: &What) -> bool {
    matches!(what, What::Note(text) if text.starts_with("stop: "))
}

fn is_terminal_update(what: &What) -> bool {
    matches!(what, What::Update(status) if is_terminal(status.state()))
}

fn is_exit_code(what: &What) -> bool {
    matches!(what, What::Message(data) if String::from_utf8_lossy(data).contains("exit-code"))
}

fn lock(totals: &Mutex<Totals>) -> MutexGuard<'_, Totals> {
    totals.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one plan. Panics if a promise is broken.
fn torture(plan: &Plan, totals: &Mutex<Totals>) {
    let run = plan.start();
    run.wait_for_subscriptions(1);
    plan.stop(&run);
    run.wait_until("a terminal update", |journal| {
        journal.terminal_of(TASK).is_some()
    });
    let (processes, children) = run.look_around();
    lock(totals).survivors += processes.len();
    assert!(processes.is_empty(), "survivors: {}", processes.join(", "));
    assert!(children.is_empty(), "not reaped: {children:?}");
    let ended = run.finish();

    let terminal = ended.states.iter().filter(|state| is_terminal(**state));
    assert_eq!(terminal.count(), 1, "{:?}", ended.states);

    let mut words = run.order();
    words.retain(|word| word.starts_with("after-"));
    let different: HashSet<&String> = words.iter().collect();
    assert_eq!(
        different.len(),
        words.len(),
        "after commands ran twice: {words:?}"
    );
    if plan.all_after_commands_run() {
        // An async one may be stopped before it writes its word.
        let codes = ended.codes("after_codes");
        let ran = codes.iter().flatten().count();
        assert_eq!(ran, plan.after.len(), "after commands: {codes:?}");
        let hooks = plan.after.iter().enumerate();
        for (index, _) in hooks.filter(|(_, hook)| !hook.is_async) {
            let word = format!("after-{index}");
            assert!(words.contains(&word), "{word} did not run: {words:?}");
        }
    }

    let (stopped, ended_at, exited_at) = run.agent.inspect(|journal| {
        let stopped = at(journal, is_stop);
        (
            stopped,
            at(journal, is_terminal_update),
            at(journal, is_exit_code),
        )
    });
    let mut late = Duration::ZERO;
    if let (Some(stopped), Some(ended_at), Some(longest)) = (stopped, ended_at, plan.longest()) {
        late = ended_at.saturating_sub(stopped).saturating_sub(longest);
        assert!(late < TOLERANCE, "{late:?} after its limit");
    }
    if let (Some(stopped), Some(exited_at), Some(shortest)) = (stopped, exited_at, plan.shortest())
        && exited_at > stopped
        && ended.exit_code() == Some(-9)
    {
        let grace = exited_at.saturating_sub(stopped);
        assert!(
            grace >= shortest,
            "killed after {grace:?}, not {shortest:?}"
        );
    }

    let mut totals = lock(totals);
    totals.after_commands += words.len();
    totals.stops += plan.stops.len();
    totals.latest = totals.latest.max(late);
    totals.states[match ended.state {
        TaskState::Finished => 0,
        TaskState::Failed => 1,
        _ => 2,
    }] += 1;
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn torture_all(runs: u64) {
    let seed = number("TORTURE_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now();
        let now = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        now.subsec_nanos().into()
    });
    println!("torture: TORTURE_SEED={seed} TORTURE_RUNS={runs}");
    let totals = Mutex::new(Totals::default());
    let only = number("TORTURE_ONLY");
    let next = AtomicU64::new(only.unwrap_or(0));
    let end = only.map_or(runs, |only| only + 1);
    let work = || {
        loop {
            let run = next.fetch_add(1, Ordering::Relaxed);
            if run >= end {
                return;
            }
            let plan = Plan::random(&mut Chance(seed.wrapping_mul(0x1000_0000_01b3) ^ run << 20));
            if catch_unwind(AssertUnwindSafe(|| torture(&plan, &totals))).is_err() {
                eprintln!("torture: TORTURE_SEED={seed} TORTURE_ONLY={run} failed: {plan:#?}");
                lock(&totals).failures.push(run);
            } else if (run + 1).is_multiple_of(100) {
                println!("torture: {} of {runs}", run + 1);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let totals = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    let [finished, failed, killed] = totals.states;
    println!(
        "torture: {runs} runs, {} survivors, {} broken promises; {finished} finished, {failed} failed, \
         {killed} killed; {} after commands, none twice; {} stops, at most {} ms past their bound; \
         seed {seed}",
        totals.survivors,
        totals.failures.len(),
        totals.after_commands,
        totals.stops,
        totals.latest.as_millis(),
    );
    assert!(totals.failures.is_empty(), "failed: {:?}", totals.failures);
}

#[test]
fn a_few_hostile_tasks_leave_nothing_behind_and_keep_their_graces() {
    torture_all(FEW);
}

#[test]
#[ignore = "takes minutes: make torture"]
fn many_hostile_tasks_leave_nothing_behind_and_keep_their_graces() {
    torture_all(number("TORTURE_RUNS").unwrap_or(MANY));
}
