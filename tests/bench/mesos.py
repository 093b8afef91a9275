"""Runs executors under a real Mesos master and agent (tests/mesos), with the same two classes as executor.py. Times that only
the agent knows are read from its log, which has microseconds."""
import contextlib
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MESOS = os.path.join(os.path.dirname(HERE), "mesos")
sys.path.insert(1, MESOS)

import kernel
from executor import reported_progress
from framework import TERMINAL, Framework, Task, a_little_of_each, encoded, shown
from lab import COOKIE, Lab, eventually, marked

# The maximum number of executors: the agent has resources for this many.
MOST = 500


class MesosAgent(contextlib.AbstractContextManager):
    name = "Mesos 1.11.0"
    begin = "the framework's ACCEPT"
    most = MOST

    def __init__(self, folder, events):
        subprocess.run([os.path.join(MESOS, "setup.sh")], check=True)
        self.folder, self.events, self.count, self.ended = folder, events, 0, set()
        self.cookie = os.path.basename(folder)
        with contextlib.ExitStack() as stack:
            self.lab = stack.enter_context(Lab(os.path.join(folder, "lab"), cookie=self.cookie, agent_flags={
                "resources": f"cpus:{MOST};mem:{100 * MOST};disk:{100 * MOST};ports:[31000-32000]"}))
            self.framework = stack.enter_context(TimedFramework(self.lab))
            self.stack = stack.pop_all()

    def start(self, program, command, environment=None, **hooks):
        return self.start_many(program, command, 1, environment, **hooks)[0][0]

    def start_many(self, program, command, count, environment=None, **hooks):
        tasks = []
        for _ in range(count):
            self.count += 1
            name = f"task-{self.count}"
            variables = {COOKIE: f"{self.cookie}/{name}/", **(environment or {})}
            uri = {"value": program[0], "output_file": "cook-executor", "executable": True, "extract": False, "cache": True}
            executor = {
                "executor_id": {"value": name}, "name": "bench",
                "command": {"value": " ".join(["exec ./cook-executor", *program[1:]]), "uris": [uri], "environment": {
                    "variables": [{"name": key, "type": "VALUE", "value": value} for key, value in variables.items()]}}}
            tasks.append(({"task_id": {"value": name}, "name": name,
                           "data": encoded(json.dumps({"command": command, **hooks}))}, executor))
        with contextlib.ExitStack() as stack:
            begun, launched = self.framework.launch_all(tasks)
            runs = [stack.enter_context(Run(self, task, begun)) for task in launched]
            return runs, stack.pop_all()

    # -- the agent's log ---------------------------------------------------------------------------------------

    def log(self):
        with open(self.lab.path("mesos-agent.log")) as file:
            return file.read()

    @staticmethod
    def moment(log, text):
        """The time of the log line that has this text."""
        day, clock, micros = re.search(rf"^I(\d{{4}}) (\S+)\.(\d+) .*\] {text}", log, re.M).groups()
        seconds = time.mktime(time.strptime(f"{time.strftime('%Y')}{day} {clock}", "%Y%m%d %H:%M:%S"))
        return kernel.monotonic(int(seconds) * 10**9 + int(micros) * 1000)

    def has_ended(self, executor):
        if executor not in self.ended:
            self.ended = set(self.lab.completed_executors())
        return executor in self.ended

    def __exit__(self, *error):
        self.stack.__exit__(*error)
        left = marked(self.cookie + "/")
        if left and not error[0]:
            raise RuntimeError(f"executors have left the processes {left} behind")


class TimedFramework(Framework):
    """Launches many tasks at once, and adds to each status the time at which it was read, as `received`."""

    def launch_all(self, tasks):
        """Launches pairs of a task and an executor. Returns the time of the ACCEPT, and the tasks."""
        offers = eventually(lambda: self._offers_for(len(tasks)), "offers of enough resources", 60)
        agent = offers[0]["agent_id"]
        resources = {"resources": a_little_of_each()}
        infos = [{"agent_id": agent, **resources, **task, "executor": {
            "type": "CUSTOM", "framework_id": {"value": self.id}, **resources, **executor}} for task, executor in tasks]
        launched = []
        for info in infos:
            name = info["task_id"]["value"]
            launched.append(self.tasks.setdefault(name, Task(self, name, name, agent["value"], None)))
        at = time.monotonic_ns()
        self.call("ACCEPT", {"offer_ids": [offer["id"] for offer in offers], "filters": {"refuse_seconds": 0},
                             "operations": [{"type": "LAUNCH", "launch": {"task_infos": infos}}]})
        return at, launched

    def _offers_for(self, count):
        """All present offers, if they have enough resources for `count` tasks and executors; otherwise None."""
        offers = list(self.offers.values())
        for needed in a_little_of_each():
            offered = sum(r["scalar"]["value"] for o in offers for r in o["resources"] if r["name"] == needed["name"])
            if offered < 2 * count * needed["scalar"]["value"]:
                return None
        for offer in offers:
            self.offers.pop(offer["id"]["value"], None)
        return offers

    def _on_update(self, event):
        event["status"]["received"] = time.monotonic_ns()
        super()._on_update(event)


class Run(contextlib.AbstractContextManager):
    """One executor and its task."""

    def __init__(self, place, task, begun):
        self.place, self.events, self.task, self.begun = place, place.events, task, begun
        self._pid = None

    @property
    def pid(self):
        """The child of the launch helper that the agent has forked: a shell that has executed the executor."""
        if self._pid is None:
            log = self.place.log()
            container = re.search(rf"Launching container (\S+) for executor '{self.task.id}'", log)[1]
            helper = int(re.search(rf"Forked child with pid '(\d+)' for container '{container}'", log)[1])
            self._pid, _ = self.events.command(helper)
        return self._pid

    # -- waiting -----------------------------------------------------------------------------------------------

    def _received(self, states, timeout):
        def found():
            return next((update for update in list(self.task.updates) if update["state"] in states), None)
        return self.task.wait(found, " or ".join(states), timeout)

    def running(self, timeout=20):
        """Waits for TASK_RUNNING; returns the time at which the framework read it."""
        return self._received({"TASK_RUNNING"}, timeout)["received"]

    def terminal(self, state="TASK_FINISHED", timeout=20):
        """Waits for the terminal update; returns the time at which the framework read it."""
        status = self._received(TERMINAL, timeout)
        if status["state"] != state:
            raise RuntimeError(f"{self.task.id} ended {shown(status)}, not {state}")
        return status["received"]

    def ends(self, timeout=20):
        """Waits until the agent reports the executor as completed."""
        eventually(lambda: self.place.has_ended(self.task.id), f"the end of the executor of {self.task.id}", timeout)

    def kill(self):
        self.task.kill()

    # -- results -----------------------------------------------------------------------------------------------

    def moments(self):
        log = self.place.log()
        command, command_exec = self.events.command(self.pid)
        return {"begin": self.begun, "exec": self.events.exec(self.pid),
                "subscribe": self.place.moment(log, f"Received Subscribe request for HTTP executor '{self.task.id}'"),
                "launch": self.place.moment(log, f"Sending queued task '{self.task.id}' to executor"),
                "command exec": command_exec, "command exit": self.events.end(command), "terminal": self.terminal(),
                "end": self.events.end(self.pid)}

    def progress(self):
        found = None
        for message in [*self.task.messages, *(update.get("data") for update in self.task.updates)]:
            found = reported_progress(message, found)
        return found

    def command(self):
        return kernel.processes(lambda pid: kernel.parent(pid) == self.pid)[0]

    def __exit__(self, *_):
        pass  # when the framework ends, the agent ends what is left
