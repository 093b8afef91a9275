#!/usr/bin/env python3
"""Runs the tests under scenarios/ with an executor and a scheduler, on a real Mesos master and agent.

    run.py --executor FILE [--scheduler FILE] [WORD...]    all tests, or those whose names contain one of the words

Each test prints one line; the details of a failed test follow its line. The last line is `N passed, N failed`, and the
exit status is 0 if none has failed. All files of the run are in a folder below tests/mesos/run (or below
$MESOS_TEST_RUN), which is kept only if a test has failed (or with --keep). The last test checks that no process of the
run is left."""
import argparse
import contextlib
import dataclasses
import importlib
import os
import shutil
import signal
import sys
import time
import traceback

from cook import Cook
from framework import shown
from lab import HERE, Lab, eventually, marked

MODULES = ("results", "drop_in", "hooks", "kills", "hostile", "agents", "task_user", "neighbours",
           "frameworks", "checks")
# These need --scheduler. Their tests get an object made by the module's SETTING instead of a Cook.
SCHEDULER_MODULES = ("scheduler",)


@dataclasses.dataclass
class Programs:
    """The files under test."""
    executor: str
    scheduler: str | None


def tests(modules):
    """(sentence, function) of each test, in the order of the modules."""
    for name in modules:
        module = importlib.import_module("scenarios." + name)
        for function in vars(module).values():
            if getattr(function, "__module__", None) == module.__name__ and not function.__name__.startswith("_"):
                yield function.__name__.replace("_", " "), function


def describe(task):
    """Details about a task of a failed test."""
    yield f"task {task.id} in {task.path('')}"
    for update in task.updates:
        yield f"  {shown(update)}"
    yield from (f"  message {message}" for message in task.messages)
    for name in ("executor.log", "stderr"):
        lines = task.read(name).splitlines()[-30:] if task.has(name) else ["(none)"]
        yield f"  {name}:"
        yield from ("    " + line for line in lines)


class Runner:
    def __init__(self, programs, folder):
        self.programs, self.folder = programs, folder
        self.cookie = os.path.basename(folder)
        self.passed = self.failed = 0

    def check(self, sentence, test, details=lambda: ()):
        """Runs one test and prints its line."""
        started = time.monotonic()
        try:
            test()
        except Exception as error:
            self.failed += 1
            print(f"FAIL  {sentence} ({time.monotonic() - started:.1f} s)")
            where = [f for f in traceback.extract_tb(error.__traceback__) if "scenarios" in f.filename]
            print(*(f"      {os.path.basename(f.filename)}:{f.lineno}: {f.line}" for f in where), sep="\n")
            print("      " + f"{type(error).__name__}: {error}".replace("\n", "\n      "))
            print(*("      " + line for line in details()), sep="\n", flush=True)
        else:
            self.passed += 1
            print(f"ok    {sentence} ({time.monotonic() - started:.1f} s)", flush=True)

    def run_one(self, number, sentence, function, lab):
        folder, cookie = os.path.join(self.folder, f"{number:02}"), f"{self.cookie}/{number:02}"
        os.makedirs(folder)
        launched, settings = [], []

        def test():
            try:
                with self.setting(function, lab, folder, cookie, launched) as setting:
                    settings.append(setting)
                    function(setting)
            except BaseException:
                self.clear(cookie + "/")
                raise

        def details():
            yield from (line for task in launched for line in describe(task))
            for setting in settings:
                yield from getattr(setting, "describe", lambda: ())()
        self.check(sentence, test, details)

    def setting(self, function, lab, folder, cookie, launched):
        """The argument of a test: made by its module's SETTING, or a Cook."""
        make = getattr(sys.modules[function.__module__], "SETTING", None)
        if make is None:
            return Cook(lab, self.programs.executor, folder, cookie, launched)
        return make(lab, self.programs, folder, cookie)

    def clear(self, cookie):
        """Ends the processes that a failed test has left."""
        try:
            eventually(lambda: not marked(cookie), "its processes to end", 10)
        except AssertionError:
            for pid in marked(cookie):
                os.kill(pid, signal.SIGKILL)

    def nothing_is_left(self):
        try:
            eventually(lambda: not marked(self.cookie), lambda: f"the end of {marked(self.cookie)}")
        except AssertionError:
            self.clear(self.cookie)
            raise


@contextlib.contextmanager
def session(programs, keep):
    """A Runner and a Lab, in a folder that is kept if something has failed. Then exits with the status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    base = os.environ.get("MESOS_TEST_RUN") or os.path.join(HERE, "run")
    folder = os.path.join(os.path.abspath(base), f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
    os.makedirs(folder)
    runner = Runner(programs, folder)
    with Lab(os.path.join(folder, "lab"), cookie=runner.cookie) as lab:
        yield runner, lab
    runner.check("no process is left", runner.nothing_is_left)

    if runner.failed or keep:
        print(f"logs and sandboxes: {folder}")
    else:
        shutil.rmtree(folder)
    print(f"{runner.passed} passed, {runner.failed} failed")
    sys.exit(1 if runner.failed else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", required=True, help="the cook-executor to test")
    parser.add_argument("--scheduler", help="the cook-scheduler to test")
    parser.add_argument("--keep", action="store_true", help="keep the folder of this run")
    parser.add_argument("words", nargs="*", help="run only tests whose names contain one of these")
    arguments = parser.parse_args()
    programs = Programs(executable(arguments.executor), arguments.scheduler and executable(arguments.scheduler))
    if not programs.scheduler:
        print("SKIPPED: the tests of the scheduler, because there is no --scheduler", file=sys.stderr)
    modules = MODULES + (SCHEDULER_MODULES if programs.scheduler else ())
    chosen = [(sentence, function) for sentence, function in tests(modules)
              if not arguments.words or any(word in sentence for word in arguments.words)]
    if not chosen:
        sys.exit("no test name contains any of these words")

    with session(programs, arguments.keep) as (runner, lab):
        for number, (sentence, function) in enumerate(chosen, 1):
            runner.run_one(number, sentence, function, lab)


def executable(file):
    file = os.path.abspath(file)
    if not os.access(file, os.X_OK):
        sys.exit(f"{file} is not an executable file")
    return file


if __name__ == "__main__":
    main()
