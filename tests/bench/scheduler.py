#!/usr/bin/env python3
"""What the scheduler takes for a job, for many, and for nothing. Each figure is measured now, on this machine.

  scheduler.py --scheduler FILE [--executor FILE]
"""

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

DEADLINE = 600


class Scheduler:
    def __init__(self, options):
        self.folder = Path(tempfile.mkdtemp(prefix="cook-bench-"))
        # Room for 20 jobs of 0.1 cpu, on any machine.
        (self.folder / "config.edn").write_text("{:embedded {:cpus 2 :memory-gb 64} :scheduler {:task-constraints {:cpus 4 :memory-gb 64}}}")
        self.command = [options.scheduler, "--data", str(self.folder / "data")]
        if options.executor:
            self.command += ["--executor", options.executor]
        start = time.perf_counter()
        serve = [*self.command, "--config", str(self.folder / "config.edn"), "--listen", "127.0.0.1:0"]
        with open(self.folder / "log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(serve, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        address = self.process.stdout.readline().strip().rsplit("/", 1)[-1]
        self.started = time.perf_counter() - start
        host, port = address.split(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=DEADLINE)

    def ask(self, method, target, body=None):
        self.connection.request(method, target, body=body)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status < 300, (answer.status, text[:200])
        return text

    def submit(self, jobs):
        body = json.dumps({"jobs": jobs} if isinstance(jobs, list) else jobs)
        start = time.perf_counter()
        text = self.ask("POST", "/rawscheduler", body)
        return text.decode().split()[2:], time.perf_counter() - start

    def completed(self):
        lines = self.ask("GET", "/metrics").decode().splitlines()
        return int(next(line for line in lines if line.startswith('cook_jobs{state="completed"}')).split()[-1])

    def wait_for(self, count):
        end = time.monotonic() + DEADLINE
        while self.completed() < count:
            assert time.monotonic() < end, "it takes too long"
            time.sleep(0.01)

    def status(self, field):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in text.splitlines() if line.startswith(field + ":")).split()[1])

    def switches(self):
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            text = (task / "status").read_text()
            total += int(next(line for line in text.splitlines() if line.startswith("voluntary_ctxt")).split()[1])
        return total

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        subprocess.run([*self.command, "--drain"], stderr=subprocess.DEVNULL, check=False, timeout=DEADLINE)
        shutil.rmtree(self.folder, ignore_errors=True)


def show(name, figure, goal):
    print(f"{name:<58} {figure:>16}   {goal}", flush=True)


def ms(seconds):
    return f"{seconds * 1000:.1f} ms"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheduler", required=True)
    parser.add_argument("--executor")
    options = parser.parse_args()
    small = {"command": "true", "cpus": 0.1, "mem": 16}

    show("what", "now", "goal")
    show("binary", f"{os.stat(options.scheduler).st_size / 1e6:.2f} MB", "2.5 MB")
    scheduler = Scheduler(options)
    try:
        show("start of an empty one until it serves", ms(scheduler.started), "")
        time.sleep(1)
        before = scheduler.switches()
        time.sleep(10)
        show("wake-ups in 10 idle seconds", str(scheduler.switches() - before), "0")
        show("threads", str(scheduler.status("Threads")), "few")
        show("memory, idle", f"{scheduler.status('VmRSS') / 1000:.1f} MB", "4 MB")

        stamp = scheduler.folder / "stamp"
        waits = []
        for number in range(20):
            sent = time.time_ns()
            scheduler.submit({**small, "command": f"date +%s%N > {stamp}.new; mv {stamp}.new {stamp}"})
            scheduler.wait_for(number + 1)
            waits.append((int(stamp.read_text()) - sent) / 1e9)
        show("POST of a job until its command runs (median of 20)", ms(statistics.median(waits)), "8 ms and two fsyncs")

        count = scheduler.completed()
        start = time.perf_counter()
        scheduler.submit([small] * 1000)
        scheduler.wait_for(count + 1000)
        show("1,000 `true` jobs until all are completed", f"{1000 / (time.perf_counter() - start):.0f} a second", "300 a second")

        user = json.loads(scheduler.ask("GET", "/info")) and scheduler_user(scheduler)
        times = []
        for _ in range(10):
            start = time.perf_counter()
            listed = scheduler.ask("GET", f"/jobs?user={user}&state=success&start=0&end=9999999999999&limit=1000")
            times.append(time.perf_counter() - start)
        assert len(json.loads(listed)) == 1000
        show(f"GET of 1,000 completed jobs, {len(listed) / 1e6:.1f} MB (median of 10)", ms(statistics.median(times)), "20 ms")

        # What never fits waits.
        waiting = {**small, "cpus": 4}
        _, took = scheduler.submit([waiting] * 10_000)
        show("POST of 10,000 jobs in one request", ms(took), "500 ms")
        took = statistics.median(scheduler.submit(waiting)[1] for _ in range(10))
        show("POST of one more (median of 10)", ms(took), "as to none")
        show("memory, 10,000 waiting and 1,000 completed jobs", f"{scheduler.status('VmRSS') / 1000:.1f} MB", "60 MB")
    finally:
        scheduler.stop()


def scheduler_user(scheduler):
    [name], _ = scheduler.submit({"command": "true", "cpus": 0.1, "mem": 16})
    return json.loads(scheduler.ask("GET", f"/rawscheduler?job={name}"))[0]["user"]


if __name__ == "__main__":
    main()
