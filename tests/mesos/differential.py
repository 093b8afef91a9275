#!/usr/bin/env python3
"""Runs the same tasks with the Python cook-executor 0.1.19 and with the one under test, and compares everything visible.

  differential.py --executor FILE [--python FILE] [WORD...]    all tasks, or those with one of the words in their name

Both run as under Cook, on one real Mesos master and agent. Compared are each task's states, reasons, framework messages,
output, environment and files, how its executor ended, and the processes that it left. Every difference must be in DIFFERENCES,
with both values and the reason; an entry there that does not occur any more is a failure too. There is one line per task; the
last line is `N passed, N failed`. tests/bench/setup.sh installs the Python executor."""
import argparse
import dataclasses
import os
import re
import sys

from cook import Cook
from framework import TERMINAL
from lab import HERE
from run import describe, session

PYTHON = os.path.join(os.path.dirname(HERE), "bench", "build", "venv", "bin", "cook-executor")
# How many tasks run at once, each of them twice. More would be slow, because Python interpreters take a
# while to start.
BATCH = 7
COOKS_PATTERN = r"progress:\s+([0-9]*\.?[0-9]+)($|\s+.*)"
FILE = "EXECUTOR_PROGRESS_OUTPUT_FILE"


def unchanged(task):
    """Does nothing: for tasks that run undisturbed."""


def kill_when_ready(task):
    task.wait_running()
    task.wait_file("ready")
    task.kill()


def shut_down_when_ready(task):
    task.wait_running()
    task.wait_file("ready")
    task.shutdown()


def step_by_step(*percents):
    """Lets the task continue (file `step-N`) when progress N has arrived."""
    def drive(task):
        for percent in percents:
            task.wait(lambda: any(m.get("progress-percent") == percent for m in task.messages), f"progress {percent}")
            task.touch(f"step-{percent}")
    return drive


def reports(*lines):
    """A command that prints lines of progress; `lines` are pairs (percent, line). It waits until each one has arrived, because
    the Python executor drops progress that follows within its sampling interval."""
    return "\n".join(f"echo '{line}'; until [ -e step-{percent} ]; do sleep 0.02; done; sleep 0.2"
                     for percent, line in lines)


@dataclasses.dataclass(frozen=True)
class Case:
    """One task. `drive` interacts with it while it runs."""
    job: object
    environment: dict = dataclasses.field(default_factory=dict)
    drive: object = unchanged
    grace: float = None


def case(command, drive=unchanged, grace=None, **environment):
    return Case({"command": command}, environment, drive, grace)


CASES = {
    # The end of a command.
    "a command that succeeds": case("echo hello; echo trouble >&2; pwd; cat"),
    "a command that fails": case("exit 3"),
    "a command that fails with the largest status": case("exit 255"),
    "a command that dies by a signal": case("kill -KILL $$"),
    "a command whose child dies by a signal": case("sh -c 'kill -KILL $$'; exit $?"),
    "a command that does not exist": case("exec /nowhere/program"),
    "a command with blanks around it": case(" \n\t exit 4 \n"),
    "a command that leaves a process behind": case("sleep 30 & true"),
    "a long command": case(f"exit 5; : {'x' * 50000}"),
    # The job.
    "a blank command": case("  \n"),
    "no command": Case({}),
    "a job that is not JSON": Case("exit 6"),
    "a job whose command is a number": Case({"command": 5}),
    "a job with an unknown key": Case({"command": "exit 7", "later": {"a": 1}}),
    # Progress.
    "progress on stdout": case("echo 'progress: 25.5, a quarter'"),
    "progress on stderr": case("echo 'progress: 26, a quarter' >&2"),
    "progress in the default file": case(f"echo 'progress: 27, a quarter' >> ${FILE}"),
    "progress in a relative file": case(f"echo 'progress: 28, a quarter' >> ${FILE}", **{FILE: "progress.txt"}),
    "progress in a file of another variable": case(
        "echo 'progress: 29, a quarter' >> $MINE", EXECUTOR_PROGRESS_OUTPUT_FILE_ENV="MINE", MINE="mine.txt"),
    "progress in a file of another name": case(
        f"echo 'progress: 30, a quarter' >> ${FILE}", EXECUTOR_DEFAULT_PROGRESS_OUTPUT_NAME="other.txt"),
    "progress in a file that is not a regular one": case(f"echo 'progress: 31, a' > ${FILE}; echo 'progress: 32, b'",
                                            **{FILE: "/dev/null"}),
    "progress step by step": case(
        reports((10, "progress: 10, one"), (54, "progress: 54.5,  two "), (100, "progress: 100, three")),
        drive=step_by_step(10, 54, 100)),
    "progress that is not a number or out of range": case(
        reports((7, "progress: 7 good")) + "\necho 'progress: 100.1 bad'; echo 'progress: F50 bad'\n"
        + reports((75, "progress: 075 good")),
        drive=step_by_step(7, 75), PROGRESS_REGEX_STRING=r"progress: (\S+) (.*)"),
    "progress by the scheduler's pattern": case(
        reports((33, "progress:  33"), (99, "progress: 99 We are so close!")), drive=step_by_step(33, 99),
        PROGRESS_REGEX_STRING=COOKS_PATTERN),
    "progress by a pattern of one group": case("echo 'done: 34%'", PROGRESS_REGEX_STRING=r"done: (\d+)%"),
    "progress by a pattern of three groups": case("echo '35 a b'", PROGRESS_REGEX_STRING=r"(\d+) (a) (b)"),
    "no progress by an empty pattern": case("echo 'progress: 35, a'", PROGRESS_REGEX_STRING=""),
    "no progress by an invalid pattern": case("echo 'progress: 35, a'; touch ran", PROGRESS_REGEX_STRING="("),
    "progress with a long message": case(f"echo 'progress: 36, {'long ' * 200}'"),
    "progress with a message that is not ASCII": case("echo 'progress: 37, naïve'"),
    "progress by a bar": case(r"printf '\rprogress: 38, a\rprogress: 39, b\r'"),
    "progress of a failing command": case("echo 'progress: 40, almost'; exit 8"),
    # The environment.
    "the environment": case("env -0 | sort -z > env", FOO="BAR", EMPTY="", COOK_JOB_UUID="uuid"),
    "an environment with resets": case("env -0 | sort -z > env", FOO="BAR", MESOS_AGENT_ENDPOINT_COPY="x",
                                       EXECUTOR_RESET_VARS="FOO,MESOS_SLAVE_ID,NEVER_SET"),
    "an exit for a test": case("touch ran", EXECUTOR_TEST_EXIT="3"),
    "a hook in the environment": case("touch ran", EXECUTOR_BEFORE_COMMANDS='[{"value": "echo before"}]'),
    # Kills of processes without children, because it is random what a shell prints about the end of a
    # child, and when.
    "a kill": case("touch ready; exec sleep 1000", drive=kill_when_ready),
    "a kill of a shell and its child": case("touch ready; sleep 1000; true", drive=kill_when_ready),
    "a kill of a command that then succeeds": case(
        "trap 'exit 0' TERM; touch ready; while :; do :; done", drive=kill_when_ready),
    "a kill of a command that then fails": case(
        "trap 'exit 9' TERM; touch ready; while :; do :; done", drive=kill_when_ready),
    "a kill of a command that ignores it": case(
        "trap '' TERM; touch ready; exec sleep 1000", drive=kill_when_ready, grace=1),
    "a shutdown": case("touch ready; exec sleep 1000", drive=shut_down_when_ready),
}


# Lines that the executors print themselves; all other lines of stdout are from the command.
OWN_LINES = {
    "own start": re.compile(r"(Cook Executor version|Starting task|Forked command at) .*"),
    "own kill": re.compile(r"Received kill for task .*"),
    "own end": re.compile(r"Command (exited|terminated) with .* \(pid: PID\)"),
    "own completion": re.compile(r"Executor completed execution of TASK \(state=STATE\)"),
}


def record(task):
    """Everything visible of a task that has ended: a dict of values that do not depend on chance."""
    terminal = task.updates[-1]
    names = {os.path.realpath(task.path("")): "SANDBOX", task.id: "TASK"}

    def known(text):
        """Replaces ids of tasks and processes, and versions."""
        for found, name in names.items():
            text = text.replace(found, name)
        text = text.replace(f"(state={terminal['state']})", "(state=STATE)")
        text = re.sub(r"(pid: |Forked command at )\d+", r"\1PID", text)
        return re.sub(r"(Cook Executor version) \S+", r"\1 X", text)

    stdout = [known(line) for line in task.read("stdout").split("\n") if line]
    stderr = [known(line) for line in task.read("stderr").split("\n") if line and not line.startswith("fetcher: ")]
    progress = [m for m in task.messages if "progress-sequence" in m]
    sequences = [m["progress-sequence"] for m in progress]
    assert sequences == sorted(set(sequences)), f"sequence numbers that do not grow: {sequences}"
    seen = {
        "states": task.states(),
        "reason": terminal.get("reason"),
        "source": terminal.get("source"),
        "message": terminal.get("message"),
        "data": terminal.get("data"),
        "messages": [{key: known(str(value)) for key, value in m.items()} for m in task.messages if m not in progress],
        "progress": [(m["progress-percent"], m["progress-message"]) for m in progress],
        "output": [line for line in stdout if not any(own.fullmatch(line) for own in OWN_LINES.values())],
        "errors": stderr,
        "files": sorted(known(name) for name in os.listdir(task.path(""))),
        "executor's exit": [failure.get("status") for failure in task.failures],
        "left behind": sorted(task.left_behind.values()),
        # The Python executor prints the end of a killed command from two threads, so the order is
        # random.
        **{kind: sorted(line for line in stdout if own.fullmatch(line)) for kind, own in OWN_LINES.items()},
    }
    if task.has("env"):
        pairs = dict(pair.split("=", 1) for pair in task.read("env").split("\0") if pair)
        seen["environment"] = {name: known(value) for name, value in pairs.items()}
    return seen


@dataclasses.dataclass(frozen=True)
class Difference:
    """A known difference between the two executors."""
    why: str
    is_so: object   # a function of both values, Python's and ours


def shows(python, ours, why):
    """A difference between exactly these two values."""
    return Difference(why, lambda *found: found == (python, ours))


def ends_by_signal(python, ours):
    """Python prints a signal as a negative status, and has a separate line about how it killed."""
    numbers = {"Killed": 9, "Terminated": 15}
    exited = [line for line in python if "exited" in line]
    words = re.fullmatch(r"Command terminated with signal (\w+) (.*)", ours[0])
    return exited == ([f"Command exited with status -{numbers[words[1]]} {words[2]}"] if words else ours)


def has_only_more(python, ours):
    """The variables of commands: those that the executor sets, and one that the Python interpreter sets for itself."""
    expected = {"EXECUTOR_ENDPOINT", "EXECUTOR_BIN", "EXECUTOR_OF", "EXECUTOR_PHASE", "MESOS_ALLOCATION_ROLE"}
    return (ours.keys() - python.keys() == expected and python.keys() - ours.keys() == {"LC_CTYPE"}
            and all(ours[name] == python[name] for name in ours.keys() & python.keys()))


STARTED = ["TASK_STARTING", "TASK_RUNNING"]
DIRECTORY = {"sandbox-directory": "SANDBOX", "task-id": "TASK", "type": "directory"}
EXIT_ZERO = {"exit-code": "0", "task-id": "TASK"}

# Keyed by the name of a task, or None for all tasks, and what is compared. An entry for all tasks need
# not occur in each.
DIFFERENCES = {
    # The message and data of the last status: Cook does not store them, other frameworks have nothing
    # else.
    (None, "message"): Difference("it says how the task ended", lambda python, ours: python is None and ours),
    (None, "data"): Difference("it has all exit codes, because a framework message can get lost",
                               lambda python, ours: python is None and "before_codes" in ours),
    # stdout
    (None, "own end"): Difference("printed once, in the words of Mesos' own executor", ends_by_signal),
    (None, "own kill"): Difference("the grace period may come from a kill policy",
                                   lambda python, ours: [line.replace("secs", "s") for line in python] == ours),
    (None, "own completion"): Difference("an invalid task has ended too", lambda python, ours: not python),
    ("a shutdown", "own kill"): shows([], ["Received kill for task TASK with grace period of 5s"],
                                      "stdout should show why the command ended"),
    ("a command that does not exist", "errors"): shows(
        ["/bin/sh: 1: exec: /nowhere/program: not found"], ["sh: 1: exec: /nowhere/program: not found"],
        "the shell is started as sh, as by Mesos' own executor"),
    # The environment.
    (None, "environment"): Difference("commands find the task API by variables", has_only_more),
    ("a hook in the environment", "output"): shows([], ["before"], "only this executor has hooks"),
    # States: TASK_KILLED is only for requested kills.
    ("a command that dies by a signal", "states"): shows(
        [*STARTED, "TASK_KILLED"], [*STARTED, "TASK_FAILED"], "nobody asked for it; it may have run out of memory"),
    ("a kill of a command that then succeeds", "states"): shows(
        [*STARTED, "TASK_FINISHED"], [*STARTED, "TASK_KILLED"], "it did not finish its work"),
    ("a kill of a command that then fails", "states"): shows(
        [*STARTED, "TASK_FAILED"], [*STARTED, "TASK_KILLED"], "it was killed and did not fail by itself"),
    # The Python executor reports the end of a killed shell before slow children of it have ended.
    (None, "left behind"): Difference("no process of a task is left when its end is reported", lambda python, ours: not ours),
    # Invalid commands, which the Python executor converts to text.
    **{("a job whose command is a number", facet): shows(python, ours, "it is refused with an explanation")
       for facet, python, ours in (
           ("states", [*STARTED, "TASK_FAILED"], ["TASK_STARTING", "TASK_ERROR"]),
           ("reason", None, "REASON_TASK_INVALID"),
           ("messages", [DIRECTORY, {"exit-code": "127", "task-id": "TASK"}], [DIRECTORY]),
           ("own start", ["Cook Executor version X", "Forked command at PID", "Starting task TASK"],
            ["Cook Executor version X", "Starting task TASK"]),
           ("own end", ["Command exited with status 127 (pid: PID)"], []),
           ("errors", ["/bin/sh: 1: 5: not found"], []))},
    # It exits before there is a task, and so before it knows whether stdout belongs to the task.
    ("an exit for a test", "own start"): shows(["Cook Executor version X"], [], "nothing is printed before there is a task"),
    # Progress.
    **{("no progress by an invalid pattern", facet): shows(python, ours, "an invalid pattern does not fail the job")
       for facet, python, ours in (
           ("states", [*STARTED, "TASK_FAILED"], [*STARTED, "TASK_FINISHED"]),
           ("reason", "REASON_EXECUTOR_TERMINATED", None),
           ("messages", [DIRECTORY], [DIRECTORY, EXIT_ZERO]),
           ("own end", [], ["Command exited with status 0 (pid: PID)"]))},
    ("progress by a pattern of three groups", "progress"): shows(
        [], [(35, "a")], "the first two groups have their usual meaning"),
    ("progress with a message that is not ASCII", "progress"): shows(
        [(37, "")], [(37, "naïve")], "messages may be in any language"),
    ("progress by a bar", "progress"): shows(
        [(38, "a\rprogress: 39, b")], [(39, "b")], "a carriage return ends a line"),
}


def run_to_the_end(tasks):
    """Waits until nothing more can arrive about the tasks."""
    for task in tasks:
        task.wait(lambda: any(state in TERMINAL for state in task.states()), "its terminal status", 30)
        task.wait(lambda: task.executor_id in task.framework.lab.completed_executors(), "the end of its executor")
        task.wait(lambda: task.failures, "the report that its executor has ended")


class Differential:
    """Compares tasks in batches, on one lab."""

    def __init__(self, runner, lab, executors):
        self.runner, self.lab, self.executors = runner, lab, executors
        self.used = set()   # the entries of DIFFERENCES that were needed

    def batch(self, number, names):
        folder = os.path.join(self.runner.folder, f"{number:02}")
        os.makedirs(folder)
        cookie = f"{self.runner.cookie}/{number:02}"
        with Cook(self.lab, None, folder, cookie) as cook:
            pairs = {name: [self.launch(cook, name, side) for side in self.executors] for name in names}
            for name, pair in pairs.items():
                self.runner.check(name, lambda: self.compare(name, pair),
                                  lambda: [line for task in pair for line in describe(task)])
        self.runner.clear(cookie)

    def launch(self, cook, name, side):
        chosen = CASES[name]
        cook.executor = self.executors[side]
        return cook.launch(chosen.job, environment={"PROGRESS_SAMPLE_INTERVAL_MS": "100", **chosen.environment},
                           shutdown_grace=chosen.grace, name=f"{side}-{list(CASES).index(name)}")

    def compare(self, name, pair):
        for task in pair:
            CASES[name].drive(task)
        run_to_the_end(pair)
        python, ours = map(record, pair)
        wrong = []
        for facet in sorted(python.keys() | ours.keys()):
            found = python.get(facet), ours.get(facet)
            if found[0] == found[1]:
                continue
            argued = [key for key in ((name, facet), (None, facet)) if key in DIFFERENCES][:1]
            self.used.update(argued)
            if not argued or not DIFFERENCES[argued[0]].is_so(*found):
                wrong.append(f"{facet}: Python {found[0]!r}, ours {found[1]!r}")
        assert not wrong, "\n".join(wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", required=True, help="the cook-executor to test")
    parser.add_argument("--python", default=PYTHON, help="the executor to compare it with")
    parser.add_argument("--keep", action="store_true", help="keep the folder of this run")
    parser.add_argument("words", nargs="*", help="run only tasks whose names contain one of these")
    arguments = parser.parse_args()
    executors = {"python": os.path.abspath(arguments.python), "ours": os.path.abspath(arguments.executor)}
    for file in executors.values():
        if not os.access(file, os.X_OK):
            sys.exit(f"{file} is not an executable file")
    names = [name for name in CASES if not arguments.words or any(word in name for word in arguments.words)]
    if not names:
        sys.exit("no task has such a name")

    with session(None, arguments.keep) as (runner, lab):
        differential = Differential(runner, lab, executors)
        for number in range(0, len(names), BATCH):
            differential.batch(number, names[number:number + BATCH])
        if len(names) == len(CASES):
            unused = DIFFERENCES.keys() - differential.used

            def every_difference_was_needed():
                assert not unused, f"these differences do not occur any more: {sorted(unused, key=str)}"
            runner.check("every listed difference occurs", every_difference_was_needed)


if __name__ == "__main__":
    main()
