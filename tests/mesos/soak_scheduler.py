#!/usr/bin/env python3
"""Kills a scheduler, its master and its agents with SIGKILL at random moments while jobs are submitted and run, starts them
again, and counts the mistakes: see ../scheduler/ledger.py.

    soak_scheduler.py --scheduler FILE --executor FILE [--jobs 1000] [--kills 100] [--agents 3] [--seed S]

The seed determines the jobs, what is killed, and for how long it stays down; at which moment of a job that happens also
depends on the machine. Agents that are down for more than three seconds count as unreachable. The last line is

    soak: J jobs, K kills (...), lost L, doubled D, overlapped O, wrong exit code W, given up G, processes left P (seed S)

Exit status 1 if one of L, D, O, W and P is not 0. A job is given up if more of its instances were lost than cost no
attempt. All files are in a folder below tests/mesos/run (or $MESOS_TEST_RUN), which is
kept if something has failed (or with --keep)."""
import argparse
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

from lab import HERE, Lab, eventually, marked
from run import Programs, executable
from served import Served

sys.path.insert(0, os.path.join(HERE, "..", "scheduler"))
from ledger import Ledger  # noqa: E402: it is in the other folder

# From the last kill to the end of the last job. An unacknowledged update is repeated after up to a minute; a subscription
# follows after up to 15 seconds.
DEADLINE = 240
MASTER_FLAGS = {"agent_ping_timeout": "1secs", "max_agent_ping_timeouts": "3"}
AGENT_FLAGS = {"registration_backoff_factor": "100ms"}
# Eight jobs at once on each agent. With more of them, executors start so slowly on a small machine that an agent gives up
# most of them when it restarts.
DEMAND = {"cpus": 1, "mem": 64}
# With these frequencies.
VICTIMS = ["scheduler"] * 4 + ["agent"] * 4 + ["master"] * 2


class Soak:
    def __init__(self, options, folder, served):
        self.options, self.served, self.lab = options, served, served.lab
        self.chance = random.Random(options.seed)
        ledger = Path(folder, "ledger")
        ledger.mkdir()
        self.ledger = Ledger(ledger, self.chance, pause=0.1, most_beats=20)
        self.kills = {"scheduler": 0, "agent": 0, "master": 0}
        self.pending = []
        self.due = []       # (when, daemon): daemons to start again

    def run(self):
        for number in range(self.options.kills):
            first, last = (self.options.jobs * n // self.options.kills for n in (number, number + 1))
            self.pending.append([self.ledger.job(**DEMAND) for _ in range(first, last)])
            self.submit()
            self.wait(self.chance.uniform(0, 1.6))
            self.kill(self.chance.choice(VICTIMS))
        while self.due or self.pending:
            self.wait(0.1)
            self.submit()
        self.await_ends()

    def submit(self):
        self.pending = [batch for batch in self.pending if batch and not self.served.submit(batch)]

    def kill(self, victim):
        """Kills one of them, and decides when it starts again: soon, or so late that others may be down as well. If all of
        them are down, the scheduler is killed instead."""
        daemons = {"scheduler": [], "agent": self.lab.agents, "master": [self.lab.master]}[victim]
        alive = [daemon for daemon in daemons if daemon not in [due for _, due in self.due]]
        away = self.chance.choice([self.chance.uniform(0, 1), self.chance.uniform(0, 5)])
        if alive:
            daemon = self.chance.choice(alive)
            daemon.kill()
            self.kills[victim] += 1
            self.due.append((time.monotonic() + away, daemon))
        else:
            self.served.kill()
            self.kills["scheduler"] += 1
            time.sleep(self.chance.choice([0, self.chance.uniform(0, 1)]))
            self.served.start()

    def wait(self, seconds):
        """Waits, and starts the daemons that are due. A daemon that could not start is started again: a child that the killed
        one was forking may hold its port for a moment."""
        end = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            for when, daemon in list(self.due):
                if when <= now:
                    self.due.remove((when, daemon))
                    daemon.launch()
            for daemon in [self.lab.master, *self.lab.agents]:
                if daemon.process is not None and daemon.process.poll() is not None:
                    self.due.append((now + 0.3, daemon))
                    daemon.process = None
            if now >= end:
                return
            time.sleep(min(0.05, end - now))

    def await_ends(self):
        names, end = list(self.ledger.codes), time.monotonic() + DEADLINE
        while time.monotonic() < end:
            self.wait(0.5)
            if all(job["status"] == "completed" for job in self.served.jobs(names)):
                return

    def verdict(self):
        return self.ledger.judge(self.served.jobs(list(self.ledger.codes)))

    def counts(self):
        return ", ".join(f"{count} of the {victim}" + "s" * (victim == "agent") for victim, count in self.kills.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheduler", required=True)
    parser.add_argument("--executor", required=True)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--agents", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--keep", action="store_true", help="keep the folder of this run")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    programs = Programs(executable(options.executor), executable(options.scheduler))
    base = os.environ.get("MESOS_TEST_RUN") or os.path.join(HERE, "run")
    cookie = f"soak-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    folder = os.path.join(os.path.abspath(base), cookie)
    os.makedirs(folder)
    print(f"soak: seed {options.seed}, files in {folder}", flush=True)

    with Lab(os.path.join(folder, "lab"), AGENT_FLAGS, cookie, master_flags=MASTER_FLAGS) as lab:
        for _ in range(options.agents - 1):
            lab.add_agent(AGENT_FLAGS)
        with Served(lab, programs, folder, cookie) as served:
            soak = Soak(options, folder, served)
            started = time.monotonic()
            soak.run()
            verdict = soak.verdict()
            print(f"soak: {time.monotonic() - started:.0f} s", flush=True)
    try:
        eventually(lambda: not marked(cookie), "the end of all processes", 20)
    except AssertionError:
        pass
    left = marked(cookie)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    for text in verdict.texts():
        print(text)
    is_good = verdict.is_good() and not left
    if is_good and not options.keep:
        shutil.rmtree(folder)
    print(f"soak: {len(soak.ledger.codes)} jobs, {sum(soak.kills.values())} kills ({soak.counts()}), {verdict.counts()}, "
          f"processes left {len(left)} (seed {options.seed})")
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
