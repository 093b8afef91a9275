"""Checks and health checks as frameworks send them, through a real master and agent: with this executor as the agent's own
mesos-executor (as for Marathon), and as a custom executor."""
import contextlib
import sys

from framework import duration
from lab import free_port

# A service in the background that can be told to exit while its task continues.
SERVICE = """{python} -m http.server --bind 127.0.0.1 {port} >served 2>&1 &
until [ -e die ]; do sleep 0.05; done
kill $!; wait $!
sleep 1000"""


def _service(port):
    return SERVICE.format(python=sys.executable, port=port)


def _marathons(port, path="/"):
    """The TaskInfo keys that Marathon sends for an app with a MESOS_HTTP check, with seconds instead of minutes."""
    return {"kill_policy": {"grace_period": duration(3)},
            "health_check": {"type": "HTTP", "http": {"port": port, "path": path, "scheme": "http"},
                             "delay_seconds": 0, "interval_seconds": 1, "timeout_seconds": 2,
                             "consecutive_failures": 3, "grace_period_seconds": 300}}


def _often(**check):
    return {"delay_seconds": 0, "interval_seconds": 0.1, "timeout_seconds": 5, **check}


def _wait_for(task, what, condition):
    task.wait(lambda: any(condition(update) for update in list(task.updates)), what)
    return next(update for update in task.updates if condition(update))


def _healthy(healthy):
    return lambda update: update.get("healthy") is healthy


@contextlib.contextmanager
def _as_mesos_executor(cook):
    with cook.on_own_lab(command_executor=cook.executor) as other:
        yield other


def a_marathon_app_becomes_healthy_and_is_killed_when_its_service_exits(cook):
    with _as_mesos_executor(cook) as other:
        port = free_port()
        app = other.launch(_service(port), through="COMMAND", checks=_marathons(port))
        first = _wait_for(app, "a healthy app", _healthy(True))
        assert first["state"] == "TASK_RUNNING", first
        assert first["reason"] == "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED", first
        app.touch("die")
        status = app.ends("TASK_KILLED", exit_is_reported=False)
        assert status["healthy"] is False, status
        cause = f"Killed: HTTP health check failed 3 times in a row: connection refused (127.0.0.1:{port}/)"
        assert status["message"].startswith(cause), status["message"]
        sick = [update for update in app.updates if update.get("healthy") is False]
        assert len(sick) == 4, f"expected three failures and the end, not {sick}"
        # The executor prints nothing of its own to the task's stdout.
        assert app.read("stdout") == "", app.read("stdout")


def a_reconciliation_reports_the_health_and_the_result_of_a_check(cook):
    with _as_mesos_executor(cook) as other:
        task = other.launch("touch ready; exec sleep 1000", through="COMMAND", checks={
            "check": _often(type="COMMAND", command={"command": {"value": "exit 7"}}),
            "health_check": _often(type="COMMAND", command={"value": "test -e ready"}, grace_period_seconds=0)})
        both = {"type": "COMMAND", "command": {"exit_code": 7}}
        _wait_for(task, "both results", lambda update: update.get("healthy") and update.get("check_status") == both)
        before = len(task.updates)
        other.framework.call("RECONCILE", {"tasks": [{"task_id": {"value": task.id}}]})
        task.wait(lambda: len(task.updates) > before, "the reconciliation")
        status = task.updates[-1]
        assert status["reason"] == "REASON_RECONCILIATION", status
        assert status["healthy"] is True and status["check_status"] == both, status
        task.kill()
        status = task.ends("TASK_KILLED", exit_is_reported=False)
        assert status["healthy"] is True and status["check_status"] == both, status


def checks_of_a_custom_executor_run_in_its_sandbox_and_detect_changes(cook):
    port = free_port()
    task = cook.launch({"command": _service(port)}, checks={
        "check": _often(type="TCP", tcp={"port": port}),
        "health_check": _often(type="COMMAND", command={"value": "test ! -e sick"}, grace_period_seconds=0,
                               consecutive_failures=1000)})
    _wait_for(task, "a connection", lambda update: update.get("check_status", {}).get("tcp") == {"succeeded": True})
    _wait_for(task, "health", _healthy(True))
    task.touch("sick")
    sick = _wait_for(task, "sickness", _healthy(False))
    assert sick["message"].startswith("COMMAND health check failed: exited with status 1"), sick
    task.touch("die")
    lost = _wait_for(task, "the loss", lambda update: update.get("check_status", {}).get("tcp") == {"succeeded": False})
    assert lost["message"] == f"TCP check: connection refused (127.0.0.1:{port})", lost
    assert lost["reason"] == "REASON_TASK_CHECK_STATUS_UPDATED", lost
    task.kill()
    task.ends("TASK_KILLED")


def checks_continue_while_the_agent_is_down_and_only_the_newest_result_is_reported(cook):
    with cook.on_own_lab() as other:
        task = other.launch({"command": "touch ready; exec sleep 1000"}, checks={
            "check": _often(type="COMMAND", command={"command": {
                "value": "date +%s%N >>looks; exit $(cat code 2>/dev/null || echo 1)"}})})

        def code(number):
            return lambda update: update.get("check_status", {}).get("command") == {"exit_code": number}

        def looked(more):
            seen = len(task.read("looks").split())
            task.wait(lambda: len(task.read("looks").split()) >= seen + more, f"{more} looks")

        _wait_for(task, "the first result", code(1))
        # By then, its acknowledgement has arrived.
        looked(3)
        for number in (2, 3, 4):
            if number == 2:
                other.lab.kill_agent()
            with open(task.path("code"), "w") as file:
                file.write(str(number))
            looked(3)
        other.lab.start_agent()
        _wait_for(task, "the newest result", code(4))
        assert not any(code(number)(update) for update in task.updates for number in (2, 3)), task.updates
        looked(5)
        times = [int(time) for time in task.read("looks").split()]
        shortest = min(later - earlier for earlier, later in zip(times, times[1:]))
        assert shortest >= 0.08e9, f"two checks within {shortest} ns"
        task.kill()
        task.ends("TASK_KILLED", exit_is_reported=False)


def a_check_that_the_master_accepts_but_cannot_be_run_is_a_task_error(cook):
    task = cook.launch({"command": "touch ran"}, checks={"check": _often(type="TCP", tcp={"port": 70000})})
    status = task.ends("TASK_ERROR")
    assert status["reason"] == "REASON_TASK_INVALID", status
    assert status["message"] == "check.tcp.port must be 1 to 65535, found 70000", status
    assert not task.has("ran")
