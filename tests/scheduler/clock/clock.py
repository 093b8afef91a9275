#!/usr/bin/env python3
"""Sets the scheduler's wall clock a day forward, and then two days back, while jobs wait and run. Order, run times, limits and
retention must not change. Only the scheduler sees another clock (wall_clock.c); the clock of the host stays as it is.

  clock.py --scheduler FILE [--executor FILE]
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

DAY = 86_400
DEADLINE = 60       # seconds until a condition has to be true
SLACK = 1.5         # seconds: a limit is kept within one, and the rest is for a busy machine

# One cpu, so that one job runs at a time. A sandbox is kept for half a day, and a job for some seconds.
RETENTION = 12
CONFIG = "{:embedded {:cpus 1 :memory-gb 1} :retention {:job-days %.9f :sandbox-days 0.5}}" % (RETENTION / DAY)


class Scheduler:
    def __init__(self, options, folder):
        self.folder = folder
        self.offset = folder / "offset"
        self.set_clock(0)
        program = folder / "wall_clock"
        source = Path(__file__).with_name("wall_clock.c")
        subprocess.run(["cc", "-O2", "-Wall", "-o", program, source], check=True)
        (folder / "config.edn").write_text(CONFIG)
        self.command = [options.scheduler, "--config", str(folder / "config.edn"), "--data", str(folder / "data")]
        if options.executor:
            self.command += ["--executor", options.executor]
        self.program = program
        self.log = open(folder / "log", "w", encoding="utf-8")
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.program, self.offset, *self.command, "--listen", "127.0.0.1:0"], text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline()
        if "serving" not in line:
            sys.exit(f"the scheduler does not start: {(self.folder / 'log').read_text()[-2000:]}")
        self.url = line.split()[-1]

    def kill(self):
        self.process.kill()     # the scheduler ends with its tracer
        self.process.wait()
        self.process.stdout.close()

    def set_clock(self, seconds):
        new = self.folder / "offset.new"
        new.write_text(str(seconds))
        new.rename(self.offset)

    def stop(self):
        self.kill()
        subprocess.run([*self.command, "--drain"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, check=False,
                       timeout=DEADLINE)
        self.log.close()

    def ask(self, target, body=None):
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(urllib.request.Request(self.url + target, data=data), timeout=DEADLINE) as answer:
            return answer.read()

    def submit(self, command, **more):
        words = self.ask("/rawscheduler", {"command": command, "cpus": 1, "mem": 16, **more}).split()
        return words[-1].decode()

    def job(self, job):
        try:
            return json.loads(self.ask(f"/rawscheduler?job={job}"))[0]
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def wait(self, what, condition):
        end = time.monotonic() + DEADLINE
        while not condition():
            if time.monotonic() > end:
                sys.exit(f"not within {DEADLINE} s: {what}\n{(self.folder / 'log').read_text()[-3000:]}")
            time.sleep(0.02)
        return time.monotonic()

    def wait_for(self, job, state):
        return self.wait(f"{job} is {state}", lambda: self.job(job)["state"] == state)

    def now(self):
        """The scheduler's wall clock."""
        return self.job(self.submit("true", cpus=0.01))["submit_time"] / 1000


def near(what, seconds, wanted):
    print(f"{what}: {seconds:.2f} s, wanted {wanted} s")
    if not wanted - 0.2 <= seconds <= wanted + SLACK:
        sys.exit(f"{what} took {seconds:.2f} s instead of {wanted} s")


def equal(what, found, wanted):
    print(f"{what}: {found}")
    if found != wanted:
        sys.exit(f"{what}: {found}, wanted {wanted}")


def check(scheduler):
    before = scheduler.now()
    if abs(before - time.time()) > 5:
        sys.exit(f"the scheduler's clock is wrong from the start: {before}")
    order = scheduler.folder / "order"
    say = f"echo $0 >> {order}; "

    # Runs while the clock is set forward, and has a limit that then still has three seconds.
    limited = scheduler.submit("sleep 600", max_runtime=4000, name="limited")
    began = scheduler.wait_for(limited, "running")
    # Wait meanwhile. The one with the higher priority starts first.
    first = scheduler.submit(say.replace("$0", "first") + "sleep 1", name="first")
    time.sleep(1)
    scheduler.set_clock(DAY)
    second = scheduler.submit(say.replace("$0", "second"), name="second")
    equal("the clock is a day ahead", round((scheduler.now() - before) / DAY), 1)
    ended = scheduler.wait_for(limited, "failed")
    near("a job with max_runtime of 4 s, clock set forward", ended - began, 4)
    reason = scheduler.job(limited)["instances"][0]["reason_string"]
    equal("it ended because of", reason, "Task max runtime exceeded")
    scheduler.wait_for(first, "running")
    scheduler.set_clock(-DAY)
    third = scheduler.submit(say.replace("$0", "third"), name="third")
    equal("the clock is a day behind", round((scheduler.now() - before) / DAY), -1)
    completed = scheduler.wait_for(third, "success")
    equal("jobs started in the order", order.read_text().split(), ["first", "second", "third"])
    equal("instances of each", [len(scheduler.job(job)["instances"]) for job in (first, second, third)], [1, 1, 1])

    # The ages of sandboxes are checked after the first end of an instance. One is too old, and is removed last.
    sandboxes = [Path(scheduler.job(job)["instances"][0]["sandbox_directory"]) for job in (limited, first, third)]
    old = sandboxes[0].with_name("00000000-0000-4000-8000-000000000000")
    old.mkdir()
    os.utime(old, (time.time() - 3 * DAY,) * 2)
    scheduler.kill()
    scheduler.set_clock(0)
    scheduler.start()
    scheduler.set_clock(DAY)
    scheduler.submit("true", cpus=0.01)
    scheduler.wait("the old sandbox is removed", lambda: not old.exists())
    equal("the other sandboxes exist", [sandbox.is_dir() for sandbox in sandboxes], [True, True, True])

    # Retention is checked when something happens, as by this job.
    dropped = scheduler.wait("the jobs are dropped", lambda: scheduler.submit("true") and scheduler.job(third) is None)
    near("a completed job was kept for", dropped - completed, RETENTION)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheduler", required=True)
    parser.add_argument("--executor")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # through `finally`, so that nothing stays behind
    if os.uname().machine != "x86_64":
        print("SKIPPED: a wall clock of the scheduler's own needs x86_64", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="cook-clock-") as name:
        scheduler = Scheduler(options, Path(name))
        try:
            check(scheduler)
        finally:
            scheduler.stop()
    print("order, run times, limits and retention did not change")


if __name__ == "__main__":
    main()
