#!/usr/bin/env python3
"""Kills a scheduler and its executors at random moments while jobs are submitted and run, and counts the mistakes.

Every job writes a line when an instance of it starts, some while it runs, and one when it ends. A job is *lost* if it was
accepted but did not end as it should; *doubled* if it ran again without a reason; *overlapped* if an instance still wrote a
line after the next one had started. A job whose executor was killed may run again, because nobody knows how far it got.

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
import urllib.error
import urllib.request
import uuid
from pathlib import Path

DEADLINE = 300
EXECUTOR_TERMINATED = 99002

COMMAND = """\
say() { echo "$1 $COOK_INSTANCE_NUM $(date +%s%N)" >> LOG; }
say start; n=0; while [ $n -lt BEATS ]; do sleep 0.05; say beat; n=$((n + 1)); done; say end; exit CODE"""


class Scheduler:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.log = open(folder / "log", "a", encoding="utf-8")
        self.process = None
        self.url = None

    def start(self):
        # Any port, because the killed process may still use the old one.
        command = [self.options.scheduler, "--listen", "127.0.0.1:0", "--data", str(self.folder / "data")]
        if self.options.executor:
            command += ["--executor", self.options.executor]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        if "serving" not in line:
            sys.exit(f"chaos: the scheduler does not start: {(self.folder / 'log').read_text()[-2000:]}")
        self.url = line.split()[-1]

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def ask(self, target, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + target, data=data)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def executors(self):
        """The executors and their commands: all processes in a sandbox whose program is an executor."""
        found = []
        sandboxes = str(self.folder / "data" / "sandboxes")
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                try:
                    if os.readlink(f"/proc/{entry.name}/cwd").startswith(sandboxes) \
                            and Path(f"/proc/{entry.name}/comm").read_text().startswith("cook-executor"):
                        found.append(int(entry.name))
                except OSError:
                    pass
        return found


def submit(scheduler, jobs):
    """Submits jobs. Returns whether they are known to be accepted; a submission may succeed without an answer."""
    try:
        scheduler.ask("/rawscheduler", {"jobs": jobs})
        return True
    except urllib.error.HTTPError as error:
        return error.code == 409
    except OSError:
        return False


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
    scheduler = Scheduler(options, folder)
    try:
        return run(scheduler, options, chance, folder)
    finally:
        # After a failure, executors would wait for their scheduler for days.
        if scheduler.process and scheduler.process.poll() is None:
            scheduler.kill()
        for executor in scheduler.executors():
            os.kill(executor, signal.SIGKILL)


def run(scheduler, options, chance, folder):
    scheduler.start()
    codes = {}
    pending = []
    kills = {"scheduler": 0, "executor": 0}

    def job(number):
        name = str(uuid.uuid4())
        codes[name] = number % 3
        command = COMMAND.replace("LOG", str(folder / name)).replace("BEATS", str(chance.randrange(12)))
        return {"uuid": name, "command": command.replace("CODE", str(codes[name])), "cpus": 0.1, "mem": 16}

    for round_ in range(options.kills):
        first, last = (options.jobs * n // options.kills for n in (round_, round_ + 1))
        batch = [job(number) for number in range(first, last)]
        pending.append(batch)
        pending = [batch for batch in pending if batch and not submit(scheduler, batch)]
        time.sleep(chance.random() * 0.25)
        executors = scheduler.executors()
        if executors and chance.random() < 0.4:
            try:
                os.kill(chance.choice(executors), signal.SIGKILL)
                kills["executor"] += 1
                continue
            except ProcessLookupError:
                pass
        if chance.random() < 0.5 and pending == []:
            # During a submission.
            batch = [job(options.jobs)]
            sender = subprocess.Popen(["curl", "-s", "-o", "/dev/null", "-d", json.dumps({"jobs": batch}), scheduler.url + "/rawscheduler"])
            time.sleep(chance.random() * 0.01)
            scheduler.kill()
            sender.wait()
            pending.append(batch)
        else:
            scheduler.kill()
        kills["scheduler"] += 1
        scheduler.start()
    pending = [batch for batch in pending if batch and not submit(scheduler, batch)]
    if pending:
        sys.exit("chaos: some jobs could not be submitted")

    end = time.monotonic() + DEADLINE
    names = list(codes)
    while time.monotonic() < end:
        jobs = []
        for at in range(0, len(names), 100):
            query = "&".join(f"job={name}" for name in names[at:at + 100])
            jobs += json.loads(scheduler.ask(f"/rawscheduler?partial=true&{query}"))
        if all(job["status"] == "completed" for job in jobs):
            break
        time.sleep(0.2)

    lost, doubled, overlapped = judge(folder, codes, {job["uuid"]: job for job in jobs})
    scheduler.kill()
    drain = [options.scheduler, "--drain", "--data", str(folder / "data")]
    subprocess.run(drain, stderr=subprocess.DEVNULL, check=False, timeout=120)
    left = len(scheduler.executors())
    print(f"jobs {len(codes)}, kills {sum(kills.values())} ({kills['scheduler']} of the scheduler, {kills['executor']} of executors), "
          f"lost {len(lost)}, doubled {len(doubled)}, overlapped {len(overlapped)}, processes left {left}")
    for what, found in (("lost", lost), ("doubled", doubled), ("overlapped", overlapped)):
        for text in found[:5]:
            print(f"{what}: {text}")
    if lost or doubled or overlapped or left:
        print(f"chaos: the data is kept in {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def judge(folder, codes, jobs):
    lost, doubled, overlapped = [], [], []
    for name, code in codes.items():
        job = jobs.get(name)
        lines = (folder / name).read_text().splitlines() if (folder / name).exists() else []
        events = [(what, int(number), int(at)) for what, number, at in (line.split() for line in lines)]
        ends = sum(what == "end" for what, _, _ in events)
        if job is None or job["status"] != "completed":
            lost.append(f"{name} is {job and job['status']}")
            continue
        if job.get("exit_code") != code or ends == 0:
            reasons = [it.get("reason_string") for it in job["instances"]]
            # If three executors of a job were killed, the job may have failed for that reason.
            if reasons.count("Mesos executor terminated") != len(reasons):
                lost.append(f"{name} ended {ends} times with {code}, but is reported with {job.get('exit_code')}: {reasons}")
        earlier = job["instances"][:-1]
        if any(not it.get("reason_mea_culpa") for it in earlier):
            doubled.append(f"{name} was run again after {[it.get('reason_string') for it in earlier]}")
        starts = [number for what, number, _ in events if what == "start"]
        if len(set(starts)) != len(starts):
            doubled.append(f"{name} has one instance that started twice: {starts}")
        killed = sum(it.get("reason_code") == EXECUTOR_TERMINATED for it in job["instances"])
        if ends > 1 + killed:
            doubled.append(f"{name} ended {ends} times")
        for (_, number, at), (_, later, start) in ((a, b) for a in events for b in events if b[0] == "start"):
            if number < later and at > start:
                overlapped.append(f"{name}: instance {number} still ran after {later} had started")
                break
    return lost, doubled, overlapped


if __name__ == "__main__":
    sys.exit(main())
