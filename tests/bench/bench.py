#!/usr/bin/env python3
"""Compare an executor with the Python cook-executor 0.1.19, under a real Mesos master and agent.

    bench.py --executor FILE [--other NAME=FILE ...] [--rounds N] [--idle SECONDS]

In each round every executor, one after the other, runs a `true` task and then a `sleep` of random length, and is
watched while that just runs. Sets up first what it needs (tests/mesos/setup.sh and setup.sh). Nothing is judged.

Times are seen from outside: by the framework when it has read a whole status update, by pidfd when an executor has
ended, by the command's own last act, by the agent's log when it has forked its launch helper and when SUBSCRIBE has
come. That helper, which turns into a shell and that into the executor, takes the same time for all. It is the agent
that acknowledges an update, while the framework still waits for it: a quick executor has ended before the framework
reads its terminal update, and the time between is negative. The Python executor shares the pages of its interpreter
with this program, which makes its PSS look smaller than it is."""
import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MESOS = os.path.join(os.path.dirname(HERE), "mesos")
sys.path.insert(1, MESOS)

import kernel
from framework import TERMINAL, Framework, encoded, shown
from lab import COOKIE, Lab, eventually, marked
from report import spread, table

ROUNDS = 7
# How long a task has been running before its executor counts as idle: the Python one takes a while to settle.
SETTLE = 1.0

# figure, its unit, digits after the point
FIGURES = (
    ("agent's fork to SUBSCRIBE", "ms", 1),
    ("`true`: ACCEPT to terminal update", "ms", 1),
    ("command's end to terminal update", "ms", 1),
    ("terminal update to executor's end", "ms", 1),
    ("command's end to executor's end", "ms", 1),
    ("RSS, idle", "kB", 0),
    ("PSS, idle", "kB", 0),
    ("anonymous memory, idle", "kB", 0),
    ("threads, idle", "", 0),
    ("descriptors, idle", "", 0),
    ("context switches, idle", "/s", 1),
    ("CPU, idle", "ms/s", 1),
)


class TimedFramework(Framework):
    """Keeps when its last ACCEPT was sent and, as `received` in each status, when that had been read."""

    def call(self, kind, body=None):
        if kind == "ACCEPT":
            self.accepted = time.monotonic_ns()
        super().call(kind, body)

    def _on_update(self, event):
        event["status"]["received"] = time.monotonic_ns()
        super()._on_update(event)


class Bench:
    def __init__(self, lab, framework, idle):
        self.lab, self.framework, self.idle, self.count = lab, framework, idle, 0

    def round(self, executor):
        """All figures of one executor, once: a dict."""
        return {**self.true_task(executor), **self.sleep_task(executor)}

    def true_task(self, executor):
        task = self.launch(executor, "true")
        accepted = self.framework.accepted
        terminal = self.terminal(task)
        self.completed(task)
        return {"`true`: ACCEPT to terminal update": (terminal - accepted) / 1e6,
                "agent's fork to SUBSCRIBE": self.fork_to_subscribe(task)}

    def sleep_task(self, executor):
        # A random length, so that what polls is not always met at the same moment of its period.
        length = SETTLE + self.idle + 1 + random.random()
        task = self.launch(executor, f"sleep {length:.3f}; {kernel.SAYS_WHEN_IT_ENDS}")
        task.wait_running()
        time.sleep(SETTLE)
        commands = [pid for pid, command in marked(self.cookie(task)).items() if f"sleep {length:.3f}" in command]
        command = next(pid for pid in commands if kernel.parent(pid) not in commands)
        pid = kernel.parent(command)
        executor_end = kernel.End(pid)

        switches, cpu = kernel.switches(pid), kernel.cpu(pid)
        time.sleep(self.idle)
        switches, cpu = kernel.switches(pid) - switches, kernel.cpu(pid) - cpu
        memory, threads, descriptors = kernel.memory(pid), len(kernel.threads(pid)), len(kernel.descriptors(pid))

        terminal = self.terminal(task)
        self.completed(task)
        command_end, executor_end = kernel.said(task.read("ended")), executor_end.wait()
        return {"command's end to terminal update": (terminal - command_end) / 1e6,
                "terminal update to executor's end": (executor_end - terminal) / 1e6,
                "command's end to executor's end": (executor_end - command_end) / 1e6,
                "RSS, idle": memory["Rss"], "PSS, idle": memory["Pss"], "anonymous memory, idle": memory["Anonymous"],
                "threads, idle": threads, "descriptors, idle": descriptors,
                "context switches, idle": switches / self.idle, "CPU, idle": cpu / self.idle * 1e3}

    # -- one task ----------------------------------------------------------------------------------------------

    def cookie(self, task):
        return f"{self.lab.cookie}/{task if isinstance(task, str) else task.id}/"

    def launch(self, executor, command):
        self.count += 1
        name = f"task-{self.count}"
        uri = {"value": executor, "output_file": "cook-executor", "executable": True, "extract": False, "cache": True}
        variable = {"name": COOKIE, "type": "VALUE", "value": self.cookie(name)}
        return self.framework.launch(
            {"task_id": {"value": name}, "name": name, "data": encoded(json.dumps({"command": command}))},
            {"executor_id": {"value": name}, "name": "bench",
             "command": {"value": "./cook-executor", "uris": [uri], "environment": {"variables": [variable]}}})

    @staticmethod
    def terminal(task):
        """When the terminal update had been read."""
        task.wait(lambda: set(task.states()) & TERMINAL, "its terminal status", 60)
        status = task.updates[-1]
        assert status["state"] == "TASK_FINISHED", f"TASK_FINISHED expected, not {shown(status)}"
        return status["received"]

    def completed(self, task):
        """Wait until the agent is through with the executor, so that the next task has the machine for itself."""
        eventually(lambda: task.executor_id in self.lab.completed_executors(), f"the end of the executor of {task.id}")

    def fork_to_subscribe(self, task):
        """Both moments by the agent's log, in ms."""
        with open(self.lab.path("mesos-agent.log")) as file:
            log = file.read()

        def at(text):
            hours, minutes, seconds = re.search(rf"^I\d+ (\S+) .*\] {text}", log, re.M)[1].split(":")
            return (int(hours) * 60 + int(minutes)) * 60 + float(seconds)
        container = re.search(rf"Launching container (\S+) for executor '{task.executor_id}'", log)[1]
        forked = at(rf"Forked child with pid '\d+' for container '{container}'")
        return (at(f"Received Subscribe request for HTTP executor '{task.executor_id}'") - forked) % 86400 * 1e3


def rows(samples):
    """The table's rows, from a dict of each executor's name to its samples, the one under test first."""
    ours, *others = samples
    made = []
    for figure, unit, digits in FIGURES:
        values = {name: [sample[figure] for sample in rounds] for name, rounds in samples.items()}
        middles = {name: statistics.median(numbers) for name, numbers in values.items()}
        made.append([f"{figure}, {unit}".rstrip(", ")] + [spread(numbers, digits) for numbers in values.values()]
                    + [f"{middles[name] / middles[ours]:.1f}" if min(values[ours]) > 0 else "-" for name in others])
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", required=True, help="the cook-executor to measure")
    parser.add_argument("--other", action="append", default=[], metavar="NAME=FILE", help="one more to compare with")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--idle", type=float, default=3, metavar="SECONDS", help="how long to watch in each round")
    arguments = parser.parse_args()
    if not os.access(arguments.executor, os.X_OK):
        sys.exit(f"{arguments.executor} is not an executable file")
    for folder in (MESOS, HERE):
        subprocess.run([os.path.join(folder, "setup.sh")], check=True)

    folder = tempfile.mkdtemp(prefix="cook-bench-")
    executors = {"cook-executor": shutil.copy(arguments.executor, os.path.join(folder, "cook-executor")),
                 "Python 0.1.19": os.path.join(HERE, "build", "venv", "bin", "cook-executor"),
                 **dict(other.split("=", 1) for other in arguments.other)}
    samples = {name: [] for name in executors}
    cookie = os.path.basename(folder)
    print(f"files of this run: {folder} (removed at the end, if all goes well)", flush=True)
    with Lab(os.path.join(folder, "lab"), cookie=cookie) as lab, TimedFramework(lab) as framework:
        bench = Bench(lab, framework, arguments.idle)
        for number in range(1, arguments.rounds + 1):
            for name, executor in executors.items():
                samples[name].append(bench.round(executor))
            print(f"round {number} of {arguments.rounds} is done", flush=True)
        left = marked(cookie + "/")
    shutil.rmtree(folder)

    print()
    table(["median [min, max]", *executors, *(f"{name}: ratio" for name in list(executors)[1:])], rows(samples))
    print(f"{arguments.rounds} rounds of {arguments.idle:g} idle seconds, {time.strftime('%Y-%m-%d')}, "
          f"{kernel.machine()}, {kernel.load()}")
    if left:
        sys.exit(f"processes were left behind: {left}")


if __name__ == "__main__":
    main()
