"""Frameworks from the package index, with this executor as their custom executor and as the agent's own one."""
import contextlib
import json
import os
import subprocess

from lab import HERE, Lab, eventually, marked

PYTHON = os.path.join(HERE, "build", "frameworks", "bin", "python")


def _run(script, *arguments):
    """Runs a framework until it ends; returns the JSON objects that it prints."""
    command = [PYTHON, os.path.join(HERE, "frameworks", script), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=90)
    assert done.returncode == 0, f"{script} ended with {done.returncode}: {done.stdout}\n{done.stderr[-3000:]}"
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextlib.contextmanager
def _lab(cook, **options):
    """A lab without the tests' framework, which would take the offers. Checks that no process is left."""
    with Lab(os.path.join(cook.folder, "lab"), cookie=cook.cookie, **options) as lab:
        yield lab
        eventually(lambda: not marked(cook.cookie + "/job"), lambda: f"the end of {marked(cook.cookie + '/job')}")


def _of(lines, task):
    return [line for line in lines if line.get("task") == task]


def executor_tasks_of_pymesos_run_with_hooks_and_can_be_killed(cook):
    job = {"command": "exit 3", "before_commands": [{"value": "true"}], "after_commands": [{"value": "exit 4"}]}
    with _lab(cook) as lab:
        lines = _run("with_pymesos.py", lab.master_address, cook.executor, cook.cookie + "/job", json.dumps([
            {"id": "hooks", "job": job}, {"id": "killed", "job": {"command": "sleep 1000"}, "kill": True}]))
    hooks = _of(lines, "hooks")
    assert [line["state"] for line in hooks] == ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"], hooks
    data = json.loads(hooks[-1]["data"])
    assert (data["before_codes"], data["exit_code"], data["after_codes"]) == ([0], 3, [4]), data
    assert _of(lines, "killed")[-1]["state"] == "TASK_KILLED", lines
    messages = [json.loads(line["message"]) for line in lines if line.get("executor") == "of-hooks"]
    assert {"exit-code": 3, "task-id": "hooks"} in messages, messages


def command_tasks_of_pymesos_run_through_the_agents_own_executor(cook):
    with _lab(cook, command_executor=cook.executor) as lab:
        lines = _run("with_pymesos.py", lab.master_address, cook.executor, cook.cookie + "/job", json.dumps([
            {"id": "good", "command": "true"}, {"id": "bad", "command": "exit 5"},
            {"id": "killed", "command": "sleep 1000", "kill": True}]))
    states = {task: [line["state"] for line in _of(lines, task)] for task in ("good", "bad", "killed")}
    assert states["good"] == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"], states
    assert states["bad"][-1] == "TASK_FAILED" and states["killed"][-1] == "TASK_KILLED", states
    assert _of(lines, "bad")[-1]["message"] == "Command exited with status 5", lines


def tasks_of_task_processing_run_through_the_agents_own_executor(cook):
    with _lab(cook, command_executor=cook.executor) as lab:
        commands = ["true", "exit 5", "kill -KILL $$"]
        lines = _run("with_task_processing.py", lab.master_address, cook.cookie + "/job", json.dumps(commands))
    ends = {line["task"]: line for line in lines if line["terminal"]}
    assert {task: line["success"] for task, line in ends.items()} == {
        "task0": True, "task1": False, "task2": False}, lines
    assert ends["task1"]["message"] == "Command exited with status 5", ends
    assert ends["task2"]["message"] == "Command terminated with signal Killed", ends
