//! An executor that has subscribed a thousand times needs no more resources than after a hundred times.

use std::fs;

use cook_test_agent::agent::Agent;

use crate::support::{Run, Setup};
use crate::trial::{Phase, Trial};

/// The resources of the executor.
#[derive(Debug)]
struct Holdings {
    descriptors: usize,
    /// Anonymous memory in kB.
    anonymous: u64,
}

impl Holdings {
    fn of(run: &Run) -> Self {
        let folder = format!("/proc/{}", run.executor.pid().as_raw_nonzero());
        let descriptors = fs::read_dir(format!("{folder}/fd")).expect("the executor runs");
        let rollup =
            fs::read_to_string(format!("{folder}/smaps_rollup")).expect("the executor runs");
        let anonymous = rollup.lines().find_map(|line| {
            let value = line.strip_prefix("Anonymous:")?;
            value.trim().strip_suffix(" kB")?.parse().ok()
        });
        Self {
            descriptors: descriptors.count(),
            anonymous: anonymous.expect("smaps_rollup has the line"),
        }
    }
}

/// How streams end, in turn.
const ENDS: [fn(&Agent); 3] = [Agent::close_stream, Agent::reset_stream, Agent::cut_stream];

/// By how much memory two measurements may differ: a few pages for buffers.
const SLACK: u64 = 32;

#[test]
fn a_thousand_new_subscriptions_need_no_more_than_a_hundred() {
    // A quarter of it is the longest wait between two attempts, which therefore does not matter here.
    let setup = Setup::new().variable("MESOS_SUBSCRIPTION_BACKOFF_MAX", "4ms");
    let trial = Trial::with(setup, Phase::InTheCommand);
    let run = &trial.run;
    let mut early = None;
    for count in 1..=1000 {
        ENDS[count % ENDS.len()](&run.agent);
        run.wait_for_subscriptions(count + 1);
        if count % 20 == 0 {
            let report = serde_json::json!({"message": format!("subscription {count}")});
            assert_eq!(trial.patch(&report), 204);
        }
        if count == 100 {
            early = Some(Holdings::of(run));
        }
    }
    let (early, late) = (early.expect("passed above"), Holdings::of(run));
    println!("{early:?} {late:?}");
    // The connection for calls may be open or closed at each measurement.
    assert!(
        late.descriptors <= early.descriptors + 1,
        "{early:?} {late:?}"
    );
    assert!(
        late.anonymous <= early.anonymous + SLACK,
        "{early:?} {late:?}"
    );
    trial.pass("main");
    trial.finish_from(Phase::InTheCommand);
}
