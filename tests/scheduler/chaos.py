#!/usr/bin/env python3
"""Kills a scheduler and its executors at random moments while jobs are submitted and run, and counts the mistakes:
see ledger.py. tests/mesos/soak_scheduler.py does the same on a real Mesos.

  chaos.py --scheduler FILE [--executor FILE] [--jobs 300] [--kills 60] [--seed N]
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cook_scheduler import CookScheduler
from ledger import Ledger

DEADLINE = 300


def executors(folder):
    """The executors and their commands: all processes in a sandbox whose program is an executor."""
    found = []
    sandboxes = str(folder / "data" / "sandboxes")
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if os.readlink(f"/proc/{entry.name}/cwd").startswith(sandboxes) \
                        and Path(f"/proc/{entry.name}/comm").read_text().startswith("cook-executor"):
                    found.append(int(entry.name))
            except OSError:
                pass
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheduler", required=True)
    parser.add_argument("--executor")
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"chaos: seed {options.seed}")
    chance = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="cook-chaos-"))
    arguments = ["--executor", options.executor] if options.executor else []
    scheduler = CookScheduler(options.scheduler, folder, arguments)
    try:
        return run(scheduler, options, chance, folder)
    finally:
        # After a failure, executors would wait for their scheduler for days.
        if scheduler.is_alive():
            scheduler.kill()
        for executor in executors(folder):
            os.kill(executor, signal.SIGKILL)


def run(scheduler, options, chance, folder):
    scheduler.start()
    ledger = Ledger(folder, chance)
    pending = []
    kills = {"scheduler": 0, "executor": 0}

    for round_ in range(options.kills):
        first, last = (options.jobs * n // options.kills for n in (round_, round_ + 1))
        pending.append([ledger.job() for _ in range(first, last)])
        pending = [batch for batch in pending if batch and not scheduler.submit(batch)]
        time.sleep(chance.random() * 0.25)
        running = executors(folder)
        if running and chance.random() < 0.4:
            try:
                os.kill(chance.choice(running), signal.SIGKILL)
                kills["executor"] += 1
                continue
            except ProcessLookupError:
                pass
        if chance.random() < 0.5 and pending == []:
            # During a submission.
            batch = [ledger.job()]
            sender = subprocess.Popen(["curl", "-s", "-o", "/dev/null", "-d", json.dumps({"jobs": batch}), scheduler.url + "/rawscheduler"])
            time.sleep(chance.random() * 0.01)
            scheduler.kill()
            sender.wait()
            pending.append(batch)
        else:
            scheduler.kill()
        kills["scheduler"] += 1
        scheduler.start()
    pending = [batch for batch in pending if batch and not scheduler.submit(batch)]
    if pending:
        sys.exit("chaos: some jobs could not be submitted")

    end = time.monotonic() + DEADLINE
    jobs = scheduler.jobs(list(ledger.codes))
    while time.monotonic() < end and any(job["status"] != "completed" for job in jobs):
        time.sleep(0.2)
        jobs = scheduler.jobs(list(ledger.codes))

    verdict = ledger.judge(jobs)
    scheduler.kill()
    scheduler.drain()
    left = len(executors(folder))
    print(f"jobs {len(ledger.codes)}, kills {sum(kills.values())} ({kills['scheduler']} of the scheduler, "
          f"{kills['executor']} of executors), {verdict.counts()}, processes left {left}")
    for text in verdict.texts():
        print(text)
    if left or not verdict.is_good():
        print(f"chaos: the data is kept in {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
