//! Tasks that are stopped: by KILL, by SHUTDOWN, by a signal, or by their maximum run time.

use std::time::{Duration, Instant};

use crate::support::{Run, Setup, TASK, hook, say, wait_for_word};
use cook_mesos::messages::{
    DurationInfo, KillPolicy, TASK_KILLING_STATE, TaskInfo,
    TaskState::{Failed, Finished, Killed, Killing, Running, Starting},
};
use cook_test_agent::events;
use cook_test_agent::journal::What;
use rustix::process::Signal;
use serde_json::{Value, json};

/// `REASON_MAX_COMPLETION_TIME_REACHED`.
const MAX_COMPLETION_TIME_REACHED: i32 = 33;

/// A grace period that no test can wait for.
const LONG: Option<Duration> = Some(Duration::from_secs(3600));

/// A grace period that a test can wait for.
const SHORT: Option<Duration> = Some(Duration::from_millis(200));

/// Runs until it gets SIGTERM.
fn forever(word: &str) -> String {
    format!("{}; sleep 600", say(word))
}

/// Runs until it gets SIGKILL. Its children inherit that they ignore SIGTERM.
fn deaf(word: &str) -> String {
    format!("trap '' TERM; {}; sleep 600", say(word))
}

/// A command between two hooks.
fn job(command: &str) -> Value {
    json!({
        "before_commands": [hook(say("before"))],
        "command": command,
        "after_commands": [hook(say("after"))],
    })
}

/// The time between two entries in the journal.
fn time_between(run: &Run, from: impl Fn(&What) -> bool, to: impl Fn(&What) -> bool) -> Duration {
    run.agent.inspect(|journal| {
        let entries = journal.entries();
        let at =
            |found: &dyn Fn(&What) -> bool| entries.iter().find(|e| found(&e.what)).map(|e| e.at);
        match (at(&from), at(&to)) {
            (Some(from), Some(to)) => to.saturating_sub(from),
            _ => panic!("not in the journal:\n{journal}"),
        }
    })
}

fn is_kill(what: &What) -> bool {
    matches!(what, What::Sent(event) if event.starts_with("KILL") || event.starts_with("SHUTDOWN"))
}

fn is_killed(what: &What) -> bool {
    matches!(what, What::Update(status) if status.state() == Killed)
}

#[test]
fn a_kill_stops_the_command_and_after_commands_still_run() {
    let run = Run::start(job(&forever("main")));
    run.wait_for_word("main");
    run.agent.kill(TASK, LONG);
    let ended = run.finish();
    assert_eq!(run.order(), ["before", "main", "after"]);
    assert_eq!(ended.states, [Starting, Running, Killed]);
    assert_eq!(ended.exit_code(), Some(-15));
    assert_eq!(ended.codes("after_codes"), [Some(0)]);
}

#[test]
fn a_kill_during_a_before_command_skips_the_command_but_not_the_after_commands() {
    let run = Run::start(json!({
        "before_commands": [hook(forever("before")), hook(say("never"))],
        "command": say("never"),
        "after_commands": [hook(say("after"))],
    }));
    run.wait_for_word("before");
    run.agent.kill(TASK, LONG);
    let ended = run.finish();
    assert_eq!(run.order(), ["before", "after"]);
    assert_eq!(ended.states, [Starting, Killed]);
    assert_eq!(ended.exit_code(), None);
    assert_eq!(ended.codes("before_codes"), [Some(-15)]);
}

#[test]
fn a_kill_during_an_after_command_gives_it_the_grace_to_end() {
    let run = Run::start(json!({
        "command": say("main"),
        "after_commands": [hook(deaf("after"))],
    }));
    run.wait_for_word("after");
    run.agent.kill(TASK, SHORT);
    let ended = run.finish();
    assert_eq!(ended.state, Killed);
    assert_eq!(ended.exit_code(), Some(0));
    assert_eq!(ended.codes("after_codes"), [Some(-9)]);
}

#[test]
fn a_command_that_ignores_sigterm_is_killed_after_its_grace_and_not_before() {
    let run = Run::start(job(&deaf("main")));
    run.wait_for_word("main");
    run.agent.kill(TASK, SHORT);
    let ended = run.finish();
    assert_eq!(ended.exit_code(), Some(-9));
    assert_eq!(run.order(), ["before", "main", "after"]);
    let time = time_between(&run, is_kill, is_killed);
    assert!(Some(time) >= SHORT, "{time:?}");
}

#[test]
fn a_killed_task_is_killed_even_if_its_command_exits_with_0() {
    let command = format!("trap 'exit 0' TERM; {}; sleep 600 & wait", say("main"));
    let run = Run::start(job(&command));
    run.wait_for_word("main");
    run.agent.kill(TASK, LONG);
    let ended = run.finish();
    assert_eq!(ended.state, Killed);
    assert_eq!(ended.exit_code(), Some(0));
}

#[test]
fn a_kill_before_the_launch_is_remembered() {
    let run = Setup::new().start();
    run.wait_for_subscriptions(1);
    run.agent.kill(TASK, None);
    run.launch(TASK, &job(&say("main")));
    let ended = run.finish();
    assert_eq!(ended.state, Killed);
    assert!(!run.order().contains(&"main".to_owned()));
    assert!(!ended.states.contains(&Running));
}

#[test]
fn a_kill_of_another_task_changes_nothing() {
    let run = Run::start(json!({"command": format!("{}; exit 5", wait_for_word("go"))}));
    run.wait_for(Running);
    run.agent.kill("another-task", SHORT);
    run.agent.heartbeat();
    run.say("go");
    let ended = run.finish();
    assert_eq!(ended.state, Failed);
    assert_eq!(ended.exit_code(), Some(5));
}

#[test]
fn a_second_kill_shortens_the_grace_period() {
    let run = Run::start(job(&deaf("main")));
    run.wait_for_word("main");
    run.agent.kill(TASK, LONG);
    run.agent.kill(TASK, SHORT);
    let ended = run.finish();
    assert_eq!(ended.state, Killed);
    assert_eq!(ended.exit_code(), Some(-9));
}

#[test]
fn a_second_kill_does_not_lengthen_the_grace_period() {
    let run = Run::start(job(&deaf("main")));
    run.wait_for_word("main");
    run.agent.kill(TASK, SHORT);
    run.agent.kill(TASK, LONG);
    let ended = run.finish();
    assert_eq!(ended.state, Killed);
    assert_eq!(ended.exit_code(), Some(-9));
}

#[test]
fn a_kill_after_the_terminal_update_changes_nothing() {
    let setup = Setup::new();
    let run = setup.start_with(|agent| agent.hold_acknowledgements());
    run.launch(TASK, &json!({"command": "true"}));
    run.wait_for(Finished);
    run.agent.kill(TASK, SHORT);
    run.agent.release_acknowledgements();
    assert_eq!(run.finish().states, [Starting, Running, Finished]);
}

#[test]
fn the_tasks_own_kill_policy_is_used_when_the_kill_has_none() {
    let run = Setup::new().grace("1hrs").start();
    run.agent.launch(TaskInfo {
        kill_policy: SHORT.map(events::kill_policy),
        ..run.task(TASK, &job(&deaf("main")))
    });
    run.wait_for_word("main");
    run.agent.kill(TASK, None);
    assert_eq!(run.finish().exit_code(), Some(-9));
}

#[test]
fn the_agents_grace_period_is_used_when_there_is_no_other() {
    let run = Setup::new().grace("200ms").launch(job(&deaf("main")));
    run.wait_for_word("main");
    run.agent.kill(TASK, None);
    assert_eq!(run.finish().exit_code(), Some(-9));
}

#[test]
fn task_killing_is_sent_only_to_frameworks_with_the_capability() {
    for (capabilities, states) in [
        (
            vec![TASK_KILLING_STATE],
            vec![Starting, Running, Killing, Killed],
        ),
        (vec![], vec![Starting, Running, Killed]),
    ] {
        let run = Setup::new()
            .agent(|config| config.capabilities = capabilities)
            .launch(job(&forever("main")));
        run.wait_for(Running);
        run.agent.kill(TASK, LONG);
        run.agent.kill(TASK, LONG);
        assert_eq!(run.finish().states, states);
    }
}

#[test]
fn a_shutdown_ends_the_task_and_then_the_executor() {
    let run = Run::start(job(&forever("main")));
    run.wait_for_word("main");
    run.agent.shutdown();
    let ended = run.finish();
    assert_eq!(ended.states, [Starting, Running, Killed]);
    assert_eq!(run.order(), ["before", "main", "after"]);
}

#[test]
fn a_shutdown_stays_within_the_agents_grace_and_runs_after_commands() {
    let run = Setup::new().grace("2secs").launch(json!({
        "command": deaf("main"),
        "after_commands": [hook(say("after")), hook(deaf("after-deaf"))],
    }));
    run.wait_for_word("main");
    run.agent.shutdown();
    let ended = run.finish();
    assert_eq!(ended.state, Killed);
    assert_eq!(ended.exit_code(), Some(-9));
    assert_eq!(run.order(), ["main", "after", "after-deaf"]);
    let time = time_between(&run, is_kill, |what| matches!(what, What::Exited(_)));
    assert!(time < Duration::from_secs(2), "{time:?}");
}

#[test]
fn a_shutdown_without_a_task_ends_the_executor() {
    let run = Setup::new().start();
    run.wait_for_subscriptions(1);
    run.agent.shutdown();
    assert_eq!(run.exit_code(), Some(0));
}

#[test]
fn sigterm_and_sigint_to_the_executor_are_a_shutdown() {
    for signal in [Signal::TERM, Signal::INT] {
        let run = Run::start(job(&forever("main")));
        run.wait_for_word("main");
        run.executor.signal(signal);
        let ended = run.finish();
        assert_eq!(ended.states, [Starting, Running, Killed]);
        assert_eq!(run.order(), ["before", "main", "after"]);
    }
}

#[test]
fn sigterm_without_a_task_ends_the_executor() {
    let run = Setup::new().start();
    run.wait_for_subscriptions(1);
    run.executor.signal(Signal::TERM);
    assert_eq!(run.exit_code(), Some(0));
}

#[test]
fn async_commands_are_stopped_together_within_one_grace() {
    let words = ["one", "two", "three"];
    let run = Setup::new().grace("600ms").launch(json!({
        "before_commands": [
            {"value": deaf("one"), "async": true},
            {"value": deaf("two"), "async": true},
            {"value": deaf("three"), "async": true},
        ],
        "command": words.map(wait_for_word).join("; "),
    }));
    for word in words {
        run.wait_for_word(word);
    }
    let started = Instant::now();
    let ended = run.finish();
    let time = started.elapsed();
    assert_eq!(ended.state, Finished);
    assert_eq!(ended.codes("before_codes"), [Some(-9); 3]);
    assert!(time < Duration::from_millis(3 * 600), "{time:?}");
}

#[test]
fn a_process_stopped_by_sigstop_is_ended_too() {
    let command = format!("{}; kill -STOP $$; {}", say("main"), say("never"));
    let run = Run::start(job(&command));
    run.wait_for_word("main");
    run.agent.kill(TASK, LONG);
    let ended = run.finish();
    assert_eq!(ended.exit_code(), Some(-15));
    assert_eq!(run.order(), ["before", "main", "after"]);
}

#[test]
fn a_kill_after_a_failed_guard_makes_the_task_killed() {
    // The async command delays the end, so the kill arrives when the task has already failed.
    let run = Run::start(json!({
        "before_commands": [
            {"value": deaf("async"), "async": true},
            {"value": format!("{}; exit 1", wait_for_word("async")), "guard": true},
        ],
        "command": say("never"),
        "after_commands": [hook(say("never"))],
    }));
    run.wait_for_word("async");
    run.agent.kill(TASK, SHORT);
    let ended = run.finish();
    // The order of precedence: killed, then the failed guard, then the command's own exit.
    assert_eq!(ended.state, Killed);
    assert!(!ended.states.contains(&Running));
}

#[test]
fn the_maximum_run_time_ends_the_command_with_a_message() {
    let run = Setup::new().start();
    run.agent.launch(TaskInfo {
        max_completion_time: Some(DurationInfo {
            nanoseconds: 300_000_000,
        }),
        ..run.task(TASK, &job(&forever("main")))
    });
    let ended = run.finish();
    assert_eq!(ended.state, Failed);
    assert_eq!(ended.reason, Some(MAX_COMPLETION_TIME_REACHED));
    assert_eq!(run.order(), ["before", "main", "after"]);
}

#[test]
fn after_commands_have_their_own_time_and_run_once_after_a_command_that_ignores_sigterm() {
    // Together they take longer than one grace period.
    let grace = Duration::from_millis(1500);
    let slow = |word: &str| hook(format!("sleep 0.3; {}", say(word)));
    let run = Setup::new().launch_observed(json!({
        "before_commands": [{"value": deaf("async"), "async": true}],
        "command": format!("{}; {}", wait_for_word("async"), deaf("main")),
        "after_commands": [slow("one"), slow("two")],
    }));
    run.wait_for_word("main");
    run.agent.kill(TASK, Some(grace));
    let ended = run.finish_alone();
    assert_eq!(run.order(), ["async", "main", "one", "two"]);
    assert_eq!(ended.exit_code(), Some(-9));
    assert_eq!(ended.codes("before_codes"), [Some(-9)]);
    assert_eq!(ended.codes("after_codes"), [Some(0), Some(0)]);
    let time = time_between(&run, is_kill, is_killed);
    assert!(time >= grace && time < 2 * grace, "{time:?}");
}

#[test]
fn a_kill_at_the_commands_own_end_is_either_too_late_or_a_kill() {
    for pause in 0..10 {
        let command = format!("{}; exit 3", wait_for_word("go"));
        let run = Setup::new().launch_observed(json!({
            "command": command,
            "after_commands": [hook(say("after"))],
        }));
        run.wait_for(Running);
        run.say("go");
        // The command polls every 10 ms: the kill arrives before, during or after its end.
        let _ = run.executor.wait(Duration::from_millis(2 * pause));
        run.agent.kill(TASK, LONG);
        let ended = run.finish_alone();
        match (ended.state, ended.exit_code()) {
            (Failed, Some(3)) | (Killed, Some(3 | -15)) => {}
            end => panic!("{end:?}\n{}", run.transcript()),
        }
        assert_eq!(run.order(), ["go", "after"]);
    }
}

#[test]
fn a_shutdown_during_a_kill_shortens_it() {
    let run = Setup::new().grace("1secs").launch_observed(json!({
        "command": deaf("main"),
        "after_commands": [hook(say("after"))],
    }));
    run.wait_for_word("main");
    run.agent.kill(TASK, LONG);
    run.agent.shutdown();
    let ended = run.finish_alone();
    assert_eq!(ended.states, [Starting, Running, Killed]);
    assert_eq!(ended.exit_code(), Some(-9));
    assert_eq!(run.order(), ["main", "after"]);
}

#[test]
fn a_kill_during_a_shutdown_does_not_lengthen_it() {
    let run = Setup::new().grace("1secs").launch_observed(json!({
        "command": deaf("main"),
        "after_commands": [hook(say("after"))],
    }));
    run.wait_for_word("main");
    run.agent.shutdown();
    run.agent.kill(TASK, LONG);
    let ended = run.finish_alone();
    assert_eq!(ended.exit_code(), Some(-9));
    assert_eq!(run.order(), ["main", "after"]);
}

#[test]
fn a_second_kill_during_an_after_command_shortens_its_time_and_does_not_start_it_again() {
    let run = Setup::new().launch_observed(json!({
        "command": forever("main"),
        "after_commands": [hook(deaf("after"))],
    }));
    run.wait_for_word("main");
    run.agent.kill(TASK, LONG);
    run.wait_for_word("after");
    run.agent.kill(TASK, SHORT);
    let ended = run.finish_alone();
    assert_eq!(ended.state, Killed);
    assert_eq!(ended.codes("after_codes"), [Some(-9)]);
    assert_eq!(run.order(), ["main", "after"]);
}

#[test]
fn a_kill_while_remaining_processes_are_stopped_shortens_their_grace() {
    let stray = format!("setsid sh -c \"{}\" &", deaf("stray"));
    let run = Setup::new()
        .grace("1hrs")
        .launch_observed(json!({"command": format!("{stray} {}", wait_for_word("stray"))}));
    // The exit code is sent when the command has ended, and remaining processes get SIGTERM.
    run.wait_until("the exit code", |journal| {
        let messages = journal.messages();
        messages
            .iter()
            .any(|message| message.get("exit-code").is_some())
    });
    run.agent.kill(TASK, SHORT);
    let ended = run.finish_alone();
    assert_eq!(ended.state, Killed);
    assert_eq!(ended.exit_code(), Some(0));
}

#[test]
fn the_maximum_run_time_is_not_a_kill() {
    let run = Setup::new()
        .agent(|config| config.capabilities = vec![TASK_KILLING_STATE])
        .start_with(|agent| agent.hold_acknowledgements());
    run.agent.launch(TaskInfo {
        max_completion_time: Some(DurationInfo {
            nanoseconds: 200_000_000,
        }),
        kill_policy: SHORT.map(events::kill_policy),
        ..run.task(TASK, &job(&deaf("main")))
    });
    let ended = run.finish_alone();
    assert_eq!(ended.states, [Starting, Running, Failed]);
    assert_eq!(ended.reason, Some(MAX_COMPLETION_TIME_REACHED));
    assert_eq!(ended.exit_code(), Some(-9));
    assert_eq!(run.order(), ["before", "main", "after"]);
}

/// An after command that takes some time, like one that releases a lock over the network.
fn slow(word: &str) -> String {
    format!("sleep 0.4; {}", say(word))
}

#[test]
fn after_a_kill_without_grace_after_commands_have_a_second() {
    let run = Run::start(json!({
        "command": deaf("main"),
        "after_commands": [hook(slow("after"))],
    }));
    run.wait_for_word("main");
    run.agent.kill(TASK, Some(Duration::ZERO));
    let ended = run.finish();
    assert_eq!(run.order(), ["main", "after"]);
    assert_eq!(
        (ended.state, ended.exit_code()),
        (Killed, Some(-9)),
        "{}",
        ended.data
    );
    assert_eq!(ended.codes("after_codes"), [Some(0)]);
}

#[test]
fn a_repeated_kill_does_not_shorten_the_second_of_after_commands() {
    let beside = json!({"value": slow("beside"), "async": true});
    for after in [json!([hook(slow("after"))]), json!([beside, hook("true")])] {
        let first = format!(
            "{}; {}",
            say("started"),
            after[0]["value"].as_str().unwrap_or("")
        );
        let mut after = after;
        // An async command that is stopped together with the last one may take the second too.
        after[0]["value"] = json!(format!("trap '' TERM; {first}"));
        let run = Setup::new().launch_observed(json!({
            "command": forever("main"),
            "after_commands": after,
        }));
        run.wait_for_word("main");
        run.agent.kill(TASK, Some(Duration::ZERO));
        run.wait_for_word("started");
        run.agent.kill(TASK, Some(Duration::ZERO));
        run.agent.kill(TASK, Some(Duration::ZERO));
        let ended = run.finish_alone();
        assert_eq!(ended.state, Killed);
        assert_eq!(ended.codes("after_codes")[0], Some(0), "{}", ended.data);
    }
}

#[test]
fn after_commands_are_killed_after_their_second() {
    let run = Run::start(json!({
        "command": forever("main"),
        "after_commands": [hook(deaf("after")), hook(say("never"))],
    }));
    run.wait_for_word("main");
    run.agent.kill(TASK, Some(Duration::ZERO));
    let ended = run.finish();
    assert_eq!(run.order(), ["main", "after"]);
    assert_eq!(ended.codes("after_codes"), [Some(-9)]);
    let took = time_between(&run, is_kill, is_killed);
    let limits = Duration::from_millis(900)..Duration::from_secs(3);
    assert!(limits.contains(&took), "{took:?}");
    let log = run.sandbox.read("executor.log");
    assert!(
        log.contains("no time left for after command 2 (\"echo never >> order\")"),
        "{log}"
    );
}

#[test]
fn a_shutdown_without_time_for_after_commands_names_them_in_the_log() {
    for grace in ["0ns", "500ms"] {
        let run = Setup::new().grace(grace).launch_observed(json!({
            "command": forever("main"),
            "after_commands": [hook(say("one")), hook(say("two"))],
        }));
        run.wait_for_word("main");
        run.agent.shutdown();
        let ended = run.finish_alone();
        assert_eq!(ended.state, Killed);
        assert_eq!(run.order(), ["main"], "{grace}");
        let log = run.sandbox.read("executor.log");
        let wanted = "no time left for after command 1 (\"echo one >> order\"), after command 2";
        assert!(log.contains(wanted), "{log}");
    }
}

#[test]
fn extreme_durations_from_job_framework_and_agent_are_harmless() {
    let longest = || DurationInfo {
        nanoseconds: i64::MAX,
    };
    for grace in ["15250weeks", "30000weeks"] {
        let run = Setup::new()
            .grace(grace)
            .variable("MESOS_RECOVERY_TIMEOUT", "15250weeks")
            .start();
        let hooks = json!({
            "before_commands": [{"value": say("before"), "timeout": 1_000_000_000}],
            "command": forever("main"),
            "after_commands": [{"value": say("after"), "timeout": 999_999_999.5}],
        });
        run.agent.launch(TaskInfo {
            max_completion_time: Some(longest()),
            kill_policy: Some(KillPolicy {
                grace_period: Some(longest()),
            }),
            ..run.task(TASK, &hooks)
        });
        run.wait_for_word("main");
        run.agent
            .kill(TASK, Some(Duration::from_nanos(i64::MAX as u64)));
        let ended = run.finish();
        assert_eq!(ended.state, Killed);
        assert_eq!(run.order(), ["before", "main", "after"]);
    }
}
