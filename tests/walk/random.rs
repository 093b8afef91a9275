//! Long random walks of large plans with many faults, by seeds. A walk that fails is reduced to the steps
//! that it needs to fail.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::Duration;

use cook_executor::core::effect::ExitStatus;
use cook_executor::core::plan::{Hook, Plan};
use cook_executor::words::units::Span;

use crate::model::{BROKEN, Job, Mischief, Model, QUIET, Step, hook, hooks, plan_with};

/// If this variable has a seed, the test walks only that one.
const SEED: &str = "COOK_WALK_SEED";

/// The number of walks.
const WALKS: u64 = 8000;

/// Steps with faults. After them the agent is correct, and the executor must exit.
const STEPS: usize = 250;

/// Within this many steps with a correct agent, every executor must have exited.
const LAST_STEPS: usize = 500;

const SECOND: Duration = Duration::from_secs(1);

/// xorshift64*, which is random enough to select steps.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        // Any odd number, because the state must not be zero.
        Self(
            seed.wrapping_mul(2)
                .wrapping_add(1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15),
        )
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}

/// The beginning of a walk. The rest are its steps.
struct Start {
    job: Job,
    checkpoint: bool,
    mischief: Mischief,
}

/// Something that must be true in every state, in addition to the checks of the model.
type Promise = fn(&Model);

impl Start {
    fn new(random: &mut Random) -> Self {
        let mut some_hooks = |most: usize| -> Vec<Hook> {
            let count = random.below(most + 1);
            (0..count)
                .map(|_| {
                    let timeouts = [None, None, Some(Span::saturating(SECOND)), Some(Span::MAX)];
                    let one = Hook {
                        timeout: timeouts[random.below(timeouts.len())],
                        ..hook(random.chance(4), random.chance(3))
                    };
                    match random.chance(8) {
                        true => Hook {
                            value: BROKEN.into(),
                            ..one
                        },
                        false => one,
                    }
                })
                .collect()
        };
        let of_job = hooks(&some_hooks(4), &some_hooks(4));
        let of_operator = hooks(&some_hooks(1), &some_hooks(1));
        let plan = match random.chance(8) {
            true => Plan::new(None, of_job, of_operator),
            false => plan_with(of_job, of_operator),
        };
        let spans = [None, None, Some(Span::ZERO), Some(Span::MAX)];
        let mut span = |some| match random.below(5) {
            at if at < spans.len() => spans[at],
            _ => Some(Span::saturating(some)),
        };
        let job = Job {
            plan,
            kill_grace: span(SECOND),
            maximum_run_time: span(20 * SECOND),
        };
        let mut some = |most: usize| random.below(most + 1) as u8;
        let mischief = Mischief {
            prompt_agent: false,
            // Few kills, so that most walks reach the end of their commands.
            kills: some(6).saturating_sub(3),
            shutdowns: some(4).saturating_sub(3),
            losses: some(40).into(),
            lost_calls: some(40),
            extra_acknowledgements: some(10),
            patches: some(20),
            echoes: some(10),
            launches: some(3),
            naps: some(8).saturating_sub(6),
            // Half of the tasks have no checks.
            findings: some(60).saturating_sub(30),
            shortages: some(8).saturating_sub(5),
            odd_launches: random.chance(8),
            extremes: random.chance(2),
            odd_leftovers: true,
        };
        let checkpoint = !random.chance(5);
        Self {
            job,
            checkpoint,
            mischief,
        }
    }

    fn model(&self) -> Model {
        match self.mischief.extremes {
            true => Model::with_patience(self.checkpoint, self.mischief, Span::MAX.get()),
            false => Model::new(self.checkpoint, self.mischief),
        }
    }

    /// Walks at random. On failure, returns all steps including the failing one.
    fn walk(&self, random: &mut Random, promise: Promise) -> Result<usize, Vec<Step>> {
        let mut model = self.model();
        let mut taken = Vec::new();
        for _ in 0..STEPS {
            let steps = model.steps();
            if steps.is_empty() {
                break;
            }
            let mut step = steps[random.below(steps.len())].clone();
            // Commands run for some time, so that faults can happen while they do.
            if matches!(step, Step::Ends(..) | Step::EndsLeaving(..)) && !random.chance(8) {
                step = steps[random.below(steps.len())].clone();
            }
            taken.push(step.clone());
            if !self.holds(&mut model, &step, promise) {
                return Err(taken);
            }
        }
        self.come_to_an_end(&mut model, promise)
            .map_err(|()| taken.clone())?;
        Ok(taken.len())
    }

    /// Takes these steps, as far as they are possible. Returns whether all promises were kept.
    fn replay(&self, steps: &[Step], promise: Promise) -> bool {
        let mut model = self.model();
        for step in steps {
            if model.steps().contains(step) && !self.holds(&mut model, step, promise) {
                return false;
            }
        }
        self.come_to_an_end(&mut model, promise).is_ok()
    }

    fn holds(&self, model: &mut Model, step: &Step, promise: Promise) -> bool {
        quietly(|| {
            model.take(step, &self.job);
            model.check(&self.job);
            promise(model);
        })
    }

    /// With a correct agent and commands that end, every executor must exit.
    fn come_to_an_end(&self, model: &mut Model, promise: Promise) -> Result<(), ()> {
        model.mischief = QUIET;
        for _ in 0..LAST_STEPS {
            // A correct agent's step if there is one, otherwise a command ends, otherwise time passes.
            let Some(step) = model.steps().first().cloned() else {
                break;
            };
            if !self.holds(model, &step, promise) {
                return Err(());
            }
        }
        let ended = quietly(|| assert!(model.exit.is_some(), "the executor does not exit"));
        ended.then_some(()).ok_or(())
    }

    /// Removes steps, many at first and then single ones, as long as the walk still fails.
    fn shrink(&self, mut steps: Vec<Step>, promise: Promise) -> Vec<Step> {
        let mut size = steps.len().max(1);
        loop {
            let mut at = 0;
            let before = steps.len();
            while at < steps.len() {
                let end = (at + size).min(steps.len());
                let shorter = [&steps[..at], &steps[end..]].concat();
                match self.replay(&shorter, promise) {
                    true => at = end,
                    false => steps = shorter,
                }
            }
            match size {
                1 if steps.len() == before => return steps,
                1 => {}
                _ => size = size.div_ceil(2),
            }
        }
    }

    /// Reports a walk that fails: its shortest form, and the broken promise.
    fn report(&self, seed: u64, steps: Vec<Step>, promise: Promise) -> ! {
        let whole = steps.len();
        let steps = self.shrink(steps, promise);
        eprintln!(
            "seed {seed}: {whole} steps, of which {} are enough:",
            steps.len()
        );
        eprintln!(
            "{steps:#?}\ncheckpoint: {}, grace: {:?}, maximum run time: {:?}, plan:",
            self.checkpoint, self.job.kill_grace, self.job.maximum_run_time
        );
        for (_, command) in self.job.plan.iter() {
            eprintln!("    {command:?}");
        }
        LOUD.set(true);
        self.replay(&steps, promise);
        panic!("a promise was broken; set {SEED}={seed} to repeat this walk");
    }
}

thread_local! {
    /// Whether to print a broken promise.
    static LOUD: Cell<bool> = const { Cell::new(true) };
}

/// Whether a function returns without a panic. Panics are not printed while a walk is reduced, because
/// there are hundreds.
fn quietly(attempt: impl FnOnce()) -> bool {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if LOUD.get() {
                usual(panic);
            }
        }));
    });
    catch_unwind(AssertUnwindSafe(attempt)).is_ok()
}

fn no_other_promise(_: &Model) {}

/// Walks by a seed. Returns the number of steps.
fn walk(seed: u64, promise: Promise) -> usize {
    let mut random = Random::new(seed);
    let start = Start::new(&mut random);
    LOUD.set(false);
    let walked = start.walk(&mut random, promise);
    let steps = match walked {
        Ok(steps) => steps,
        Err(steps) => start.report(seed, steps, promise),
    };
    LOUD.set(true);
    steps
}

#[test]
fn long_walks_of_large_plans_keep_all_promises() {
    let only = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(0..WALKS, |seed: u64| seed..seed + 1);
    let count = seeds.end - seeds.start;
    let steps: usize = seeds.map(|seed| walk(seed, no_other_promise)).sum();
    println!("{count} walks, {steps} steps");
    assert!(only.is_some() || steps > 50_000, "only {steps} steps");
}

#[test]
fn a_walk_that_fails_is_reduced_to_the_necessary_steps() {
    // Not a promise: an executor without an agent is allowed to give up.
    let promise: Promise = |model| assert_ne!(model.exit, Some(ExitStatus::Unreported));
    LOUD.set(false);
    let found = (0..).find_map(|seed| {
        let mut random = Random::new(seed);
        let start = Start {
            checkpoint: false,
            ..Start::new(&mut random)
        };
        let steps = start.walk(&mut random, promise).err()?;
        (steps.len() > 20).then_some((start, steps))
    });
    let (start, steps) = found.expect("there are endless seeds");
    let shrunk = start.shrink(steps, promise);
    let still_fails = !start.replay(&shrunk, promise);
    let needs_each = (0..shrunk.len()).all(|at| {
        let mut without = shrunk.clone();
        without.remove(at);
        start.replay(&without, promise)
    });
    LOUD.set(true);
    assert!(still_fails && needs_each, "{shrunk:?}");
}
