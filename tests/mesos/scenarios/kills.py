"""KILL and SHUTDOWN by the scheduler: the grace period, after commands, and that no process survives."""
import time

# Ignores SIGTERM, and so do its children: in the background, in their own sessions, and without a
# parent.
STUBBORN = """trap '' TERM
sleep 1000 &
setsid sleep 1000 &
(setsid sh -c 'sleep 1000 & sleep 1000' &)
touch ready
while :; do sleep 0.05; done"""


def _ended_by_kill(task):
    status = task.ends("TASK_KILLED")
    assert status["source"] == "SOURCE_EXECUTOR", status
    assert "TASK_KILLING" not in task.states(), "the framework did not ask for this state"
    return status


def a_killed_command_gets_its_grace_period_and_after_commands_run(cook):
    task = cook.launch({
        "command": """trap 'echo got TERM >>order; until [ -e may-end ]; do sleep 0.05; done
                            echo cleaned up >>order; exit 0' TERM
                      touch ready; while :; do sleep 0.05; done""",
        "after_commands": [{"value": "echo after >>order"}],
    })
    task.wait_file("ready")
    task.wait_running()
    task.kill(grace=60)
    task.wait_file("order")
    task.touch("may-end")
    data = _ended_by_kill(task)["data"]
    assert task.read("order").splitlines() == ["got TERM", "cleaned up", "after"], task.read("order")
    assert data["exit_code"] == 0 and data["after_codes"] == [0], data
    assert "killTask" in task.read("executor.log")


def a_command_that_ignores_sigterm_is_killed_after_the_grace_period_with_its_children(cook):
    task = cook.launch({"command": STUBBORN, "after_commands": [{"value": "touch after-ran"}]})
    task.wait_file("ready")
    asked = time.monotonic()
    task.kill(grace=1)
    status = _ended_by_kill(task)
    assert 1 <= status["at"] - asked < 10, f"ended {status['at'] - asked:.1f} s after the KILL"
    assert status["data"]["exit_code"] == -9, status["data"]
    assert task.has("after-ran"), "the after command did not run"


def processes_left_by_a_finished_command_are_stopped(cook):
    command = """sleep 1000 &
        setsid sleep 1000 &
        (setsid sh -c 'trap "" TERM; touch ready; sleep 1000' &)
        until [ -e ready ]; do sleep 0.05; done"""
    cook.launch({"command": command}).ends("TASK_FINISHED")


def a_kill_during_a_before_command_starts_no_command(cook):
    task = cook.launch({
        "command": "touch command-ran",
        "before_commands": [{"value": "touch ready; sleep 1000"}, {"value": "touch before-ran"}],
        "after_commands": [{"value": "touch after-ran"}],
    })
    task.wait_file("ready")
    task.kill(grace=5)
    data = _ended_by_kill(task)["data"]
    assert data["before_codes"] == [-15] and "exit_code" not in data, data
    assert not task.has("before-ran") and not task.has("command-ran"), "something was started after the KILL"
    assert task.has("after-ran"), "the after command did not run"


def a_shutdown_kills_the_task_within_the_agents_grace_period_and_after_commands_run(cook):
    task = cook.launch({"command": STUBBORN, "after_commands": [{"value": "touch after-ran"}]}, shutdown_grace=4)
    task.wait_file("ready")
    task.wait_running()
    asked = time.monotonic()
    task.shutdown()
    status = _ended_by_kill(task)
    assert status["at"] - asked < 4, f"ended {status['at'] - asked:.1f} s after the SHUTDOWN"
    assert status["data"]["exit_code"] == -9 and status["data"]["after_codes"] == [0], status["data"]
    assert task.has("after-ran"), "the after command did not run"
    assert "shutdown" in task.read("executor.log")
