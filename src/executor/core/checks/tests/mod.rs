//! The rows of the tables in the documentation of [`super`]. The test sets the clock.

use std::num::NonZeroU16;
use std::time::Duration;

use super::{
    Address, Check, CheckOutput, CheckPlan, CheckStatus, Checks, Family, Finding, HealthCheck,
    HttpAddress, Interval, Kind, Probe, ProbeId, Times,
};
use crate::core::environment::{Environment, Name, Value};
use crate::core::plan::Program;
use crate::words::outcome::Outcome;
use crate::words::units::{Moment, Span};

/// Maximum length of a message.
const LIMIT: usize = 512;

/// The checks of a task, and a clock in milliseconds.
struct Fixture {
    checks: Checks,
    now: u64,
}

impl Fixture {
    fn begin(plan: CheckPlan) -> (Self, Vec<CheckOutput>) {
        let mut fixture = Self {
            checks: Checks::new(plan, LIMIT),
            now: 0,
        };
        fixture.now = 1000;
        let now = fixture.moment();
        let outputs = fixture.checks.begin(&Environment::default(), now);
        (fixture, outputs)
    }

    fn moment(&self) -> Moment {
        Moment(Duration::from_millis(self.now))
    }

    fn act(&mut self, now: u64) -> Vec<CheckOutput> {
        self.now = now;
        let now = self.moment();
        self.checks.tick(&Environment::default(), now)
    }

    /// Advances the clock to the next probe.
    fn start(&mut self) -> ProbeId {
        let due = self.checks.next_deadline().expect("something is due");
        self.now = u64::try_from(due.0.as_millis()).expect("soon");
        match self.act(self.now).pop() {
            Some(CheckOutput::Start(id, _)) => id,
            other => panic!("expected a probe, found {other:?}"),
        }
    }

    /// Starts the next probe, which has its result immediately.
    fn find(&mut self, finding: &Finding) -> Vec<CheckOutput> {
        let id = self.start();
        self.checks.found(id, finding, self.moment())
    }

    fn due(&self) -> Option<u64> {
        let due = self.checks.next_deadline()?;
        u64::try_from(due.0.as_millis()).ok()
    }
}

fn span(milliseconds: u64) -> Span {
    Span::saturating(Duration::from_millis(milliseconds))
}

fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("not 0")
}

fn at(number: u16) -> Address {
    Address {
        family: Family::V4,
        port: port(number),
    }
}

fn tcp() -> Probe {
    Probe::Tcp(at(80))
}

fn http() -> Probe {
    Probe::Http(HttpAddress {
        at: at(8080),
        path: "/health".to_owned(),
    })
}

fn command() -> Probe {
    Probe::Command {
        program: Program::Shell(b"true".to_vec()),
        environment: Environment::default(),
    }
}

fn times(delay: u64, interval: u64, timeout: Option<u64>) -> Times {
    Times {
        delay: span(delay),
        interval: Interval::at_least_min(span(interval)),
        timeout: timeout.map(span),
    }
}

fn check(probe: Probe) -> CheckPlan {
    CheckPlan {
        check: Some(Check {
            probe,
            times: times(0, 1000, Some(500)),
        }),
        health: None,
    }
}

fn health(probe: Probe, grace: u64, failures: u32) -> CheckPlan {
    CheckPlan {
        check: None,
        health: Some(HealthCheck {
            check: Check {
                probe,
                times: times(0, 1000, Some(500)),
            },
            statuses: Vec::new(),
            grace: span(grace),
            failures,
        }),
    }
}

fn refused() -> Finding {
    Finding::Failed("connection refused".to_owned())
}

fn exited(status: u8) -> Finding {
    Finding::Ended(Outcome::Exited(status))
}

fn signalled() -> Finding {
    Finding::Ended(Outcome::Signalled {
        signal: 9,
        core_dumped: false,
    })
}

fn report(kind: Kind, message: &str) -> CheckOutput {
    CheckOutput::Report(kind, message.to_owned())
}

#[test]
fn without_checks_there_is_never_anything_to_do() {
    let (fixture, outputs) = Fixture::begin(CheckPlan::default());
    assert_eq!((outputs, fixture.due()), (Vec::new(), None));
    assert_eq!(fixture.checks.checked().status, None);
    assert_eq!(fixture.checks.checked().healthy, None);
}

#[test]
fn the_delay_counts_from_the_start_and_the_interval_from_the_end_of_the_last_probe() {
    let plan = CheckPlan {
        check: Some(Check {
            probe: tcp(),
            times: times(3000, 2000, None),
        }),
        health: None,
    };
    let mut checks = Checks::new(plan.clone(), LIMIT);
    let late = Moment(Duration::from_secs(900));
    assert_eq!(checks.tick(&Environment::default(), late), []);
    assert_eq!(checks.next_deadline(), None);
    let (mut fixture, outputs) = Fixture::begin(plan);
    assert_eq!((outputs, fixture.due()), (Vec::new(), Some(4000)));
    assert_eq!(fixture.act(3999), []);
    let id = fixture.start();
    assert_eq!(fixture.now, 4000);
    // One probe at a time. Without a timeout it may take any time.
    assert_eq!((fixture.act(9000), fixture.due()), (Vec::new(), None));
    fixture
        .checks
        .found(id, &Finding::Connected, fixture.moment());
    assert_eq!(fixture.due(), Some(11_000));
}

#[test]
fn a_probe_that_times_out_is_abandoned_and_the_next_one_starts_after_the_interval() {
    let (mut fixture, outputs) = Fixture::begin(health(http(), 0, 9));
    let Some(CheckOutput::Start(id, _)) = outputs.first().cloned() else {
        panic!("no probe: {outputs:?}");
    };
    assert_eq!(fixture.due(), Some(1500));
    let message = "HTTP health check failed: timed out after 500ms (127.0.0.1:8080/health)";
    let wanted = [CheckOutput::Abandon(id), report(Kind::Health, message)];
    assert_eq!(fixture.act(1500), wanted);
    assert_eq!(fixture.due(), Some(2500));
    // A probe that was given up at its timeout may still report a result. It is ignored: it changes no health
    // and schedules no further probe.
    assert_eq!(
        fixture
            .checks
            .found(id, &Finding::Answered(200), fixture.moment()),
        []
    );
    assert_eq!(fixture.checks.checked().healthy, Some(false));
    assert_eq!(fixture.due(), Some(2500));
}

#[test]
fn the_shortest_interval_is_a_tenth_of_a_second() {
    assert_eq!(Interval::at_least_min(Span::ZERO).get(), span(100));
    assert_eq!(Interval::at_least_min(span(101)).get(), span(101));
}

#[test]
fn which_results_are_healthy() {
    let unusual = [200, 503];
    for (finding, usually, with_statuses) in [
        (exited(0), true, true),
        (exited(1), false, false),
        (signalled(), false, false),
        (Finding::Answered(199), false, false),
        (Finding::Answered(200), true, true),
        (Finding::Answered(399), true, false),
        (Finding::Answered(400), false, false),
        (Finding::Answered(503), false, true),
        (Finding::Connected, true, true),
        (refused(), false, false),
        (Finding::TimedOut(Duration::ZERO), false, false),
    ] {
        assert_eq!(finding.is_healthy(&[]), usually, "{finding:?}");
        assert_eq!(finding.is_healthy(&unusual), with_statuses, "{finding:?}");
    }
}

#[test]
fn failures_within_the_grace_period_do_not_count_until_the_first_success() {
    let (mut fixture, outputs) = Fixture::begin(health(tcp(), 2000, 2));
    let Some(CheckOutput::Start(id, _)) = outputs.first() else {
        panic!("no probe: {outputs:?}");
    };
    let note = "TCP health check failed in its grace period: connection refused (127.0.0.1:80)";
    let noted = [CheckOutput::Note(note.to_owned())];
    let first = fixture.checks.found(*id, &refused(), fixture.moment());
    assert_eq!(first, noted);
    assert_eq!(fixture.checks.checked().healthy, None);
    // The grace period includes its last moment.
    assert_eq!(fixture.find(&refused()), noted);
    assert_eq!(fixture.find(&refused()), noted);
    assert_eq!(fixture.now, 3000);
    let failed = "TCP health check failed: connection refused (127.0.0.1:80)";
    assert_eq!(fixture.find(&refused()), [report(Kind::Health, failed)]);
    assert_eq!(fixture.checks.checked().healthy, Some(false));
}

#[test]
fn the_first_success_ends_the_grace_period() {
    let (mut fixture, outputs) = Fixture::begin(health(tcp(), 60_000, 3));
    let Some(CheckOutput::Start(id, _)) = outputs.first() else {
        panic!("no probe: {outputs:?}");
    };
    let succeeded = "TCP health check succeeded: connected (127.0.0.1:80)";
    let first = fixture
        .checks
        .found(*id, &Finding::Connected, fixture.moment());
    assert_eq!(first, [report(Kind::Health, succeeded)]);
    let failed = "TCP health check failed: connection refused (127.0.0.1:80)";
    assert_eq!(fixture.find(&refused()), [report(Kind::Health, failed)]);
}

#[test]
fn every_failure_is_reported_but_only_the_first_success() {
    let (mut fixture, _) = Fixture::begin(health(http(), 0, 9));
    fixture.act(1500);
    let again = "HTTP health check failed 2 times in a row: status 500 (127.0.0.1:8080/health)";
    let fifth = Finding::Answered(500);
    assert_eq!(fixture.find(&fifth), [report(Kind::Health, again)]);
    let good = "HTTP health check succeeded: status 200 (127.0.0.1:8080/health)";
    let found = fixture.find(&Finding::Answered(200));
    assert_eq!(found, [report(Kind::Health, good)]);
    assert_eq!(fixture.find(&Finding::Answered(204)), []);
    // Counting starts again.
    let failed = "HTTP health check failed: status 500 (127.0.0.1:8080/health)";
    assert_eq!(fixture.find(&fifth), [report(Kind::Health, failed)]);
}

#[test]
fn the_last_of_too_many_failures_is_reported_before_the_kill() {
    for (failures, probes) in [(3, 3), (1, 1), (0, 1)] {
        let (mut fixture, _) = Fixture::begin(health(command(), 0, failures));
        let mut outputs = fixture.act(1500);
        for _ in 1..probes {
            assert!(!outputs.contains(&CheckOutput::Kill), "{failures}");
            outputs = fixture.find(&signalled());
        }
        assert!(matches!(
            outputs.as_slice(),
            [.., CheckOutput::Report(Kind::Health, _), CheckOutput::Kill]
        ));
        let cause = fixture.checks.kill_cause().expect("killed");
        let wanted = match probes {
            1 => "Killed: COMMAND health check failed: timed out after 500ms (true)",
            _ => {
                "Killed: COMMAND health check failed 3 times in a row: \
                 terminated with signal Killed (true)"
            }
        };
        assert_eq!(cause, wanted);
    }
}

#[test]
fn the_status_of_a_check_is_empty_before_the_first_result() {
    for (probe, finding, empty, found) in [
        (
            command(),
            exited(3),
            CheckStatus::Command(None),
            CheckStatus::Command(Some(3)),
        ),
        (
            http(),
            Finding::Answered(404),
            CheckStatus::Http(None),
            CheckStatus::Http(Some(404)),
        ),
        (
            tcp(),
            Finding::Connected,
            CheckStatus::Tcp(None),
            CheckStatus::Tcp(Some(true)),
        ),
    ] {
        assert_eq!(
            Checks::new(check(probe.clone()), LIMIT).checked().status,
            Some(empty)
        );
        let (mut fixture, _) = Fixture::begin(check(probe));
        // A timeout before any result changes nothing.
        assert!(matches!(fixture.act(1500)[..], [CheckOutput::Abandon(_)]));
        let outputs = fixture.find(&finding);
        assert!(matches!(outputs[..], [CheckOutput::Report(Kind::Check, _)]));
        assert_eq!(fixture.checks.checked().status, Some(found));
        assert_eq!(fixture.find(&finding), []);
        // A timeout after a result does.
        fixture.start();
        let outputs = fixture.act(fixture.now + 500);
        assert!(matches!(
            outputs[..],
            [CheckOutput::Abandon(_), CheckOutput::Report(Kind::Check, _)]
        ));
        assert_eq!(fixture.checks.checked().status, Some(empty));
        assert_eq!(fixture.checks.checked().healthy, None);
    }
}

#[test]
fn a_failed_probe_has_an_empty_status_but_a_refused_connection_is_a_result() {
    for (probe, finding, status) in [
        (command(), signalled(), CheckStatus::Command(None)),
        (
            command(),
            Finding::Ended(Outcome::NotStarted("no".to_owned())),
            CheckStatus::Command(None),
        ),
        (http(), refused(), CheckStatus::Http(None)),
        (tcp(), refused(), CheckStatus::Tcp(Some(false))),
    ] {
        let (mut fixture, _) = Fixture::begin(check(probe));
        fixture.act(1500);
        fixture.find(&finding);
        assert_eq!(fixture.checks.checked().status, Some(status), "{finding:?}");
    }
}

#[test]
fn the_end_of_the_command_abandons_probes_for_good() {
    let plan = CheckPlan {
        health: health(tcp(), 0, 1).health,
        ..check(http())
    };
    let (mut fixture, outputs) = Fixture::begin(plan);
    let ids: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            CheckOutput::Start(id, _) => Some(*id),
            _ => None,
        })
        .collect();
    assert_eq!(ids.len(), 2);
    let outputs = fixture.checks.end();
    assert_eq!(
        outputs,
        [CheckOutput::Abandon(ids[0]), CheckOutput::Abandon(ids[1])]
    );
    assert_eq!(
        fixture.checks.found(ids[1], &refused(), fixture.moment()),
        []
    );
    assert_eq!(fixture.checks.checked().healthy, None);
    assert_eq!((fixture.act(99_000), fixture.due()), (Vec::new(), None));
}

#[test]
fn a_checks_own_variables_override_the_tasks_environment() {
    let variables = |pairs: &[(&str, &str)]| {
        let mut environment = Environment::default();
        for (name, value) in pairs {
            let (name, value) = (Name::new(*name), Value::new(*value));
            environment.set(name.expect("a name"), value.expect("a value"));
        }
        environment
    };
    let probe = Probe::Command {
        program: Program::Shell(b"true".to_vec()),
        environment: variables(&[("B", "check"), ("C", "check")]),
    };
    let task = variables(&[("A", "task"), ("B", "task"), ("EXECUTOR_PHASE", "command")]);
    let Probe::Command { environment, .. } = probe.prepared(Kind::Health, &task) else {
        panic!("another probe");
    };
    let wanted = [
        ("A", "task"),
        ("B", "check"),
        ("C", "check"),
        ("EXECUTOR_PHASE", "health_check"),
    ];
    assert_eq!(environment, variables(&wanted));
}
