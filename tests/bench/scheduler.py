#!/usr/bin/env python3
"""What the scheduler takes for a job, for many, and for nothing, beside Slurm, pueue and task-spooler.

  scheduler.py --scheduler FILE [--executor FILE] [--peers Slurm,pueue] [--quick]

Each figure is measured now, on this machine, one queue after the other. A peer that is not there is
SKIPPED; one that fails is FAILED, and the exit status 1."""

import argparse
import signal
import subprocess
import sys

import figures
import queues
from peers import PEERS
from report import footer, table

GOALS = {
    "daemons' files": "2.5 MB",
    "wake-ups in an idle minute": "0",
    "threads": "few",
    "memory, idle: RSS / PSS": "4 MB",
    "submit until its command runs": "8 ms and two fsyncs",
    "`true` jobs until all are completed": "300 a second",
    "list them": "20 ms",
    "add jobs that wait": "500 ms",
    "one more: to a few / to these": "the same",
    "memory with these: RSS / PSS": "60 MB",
}
HOW = """
Each has {slots} slots. cook-scheduler answers over one kept HTTP connection once a job is on disk; the peers are asked by a new
process of their own client each time. {jobs:,} `true` jobs are one request to cook-scheduler, one array of one script for
Slurm, and one client each for the others; so are the {waiting:,} that wait, and the number in brackets says how many fit if fewer did.
task-spooler stores nothing, and Slurm stores seconds later. Files do not include shared libraries; cook-scheduler is static.
Medians of {runs} submissions and of {lists} lists."""


def main():
    names = ",".join(peer.name for peer in PEERS)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheduler", required=True)
    parser.add_argument("--executor")
    parser.add_argument("--peers", default=names, help=f"which of {names}; '' for none")
    parser.add_argument("--jobs", type=int, default=1000, help="`true` jobs at once (1000)")
    parser.add_argument("--waiting", type=int, default=10_000, help="jobs that wait (10000; pueue takes minutes for these)")
    parser.add_argument("--idle", type=float, default=60, help="seconds in which wake-ups are counted (60)")
    parser.add_argument("--runs", type=int, default=20, help="submissions of one job (20)")
    parser.add_argument("--quick", action="store_true", help="100 jobs, 200 that wait, 5 idle seconds, 5 submissions")
    options = parser.parse_args()
    if options.quick:
        options.jobs, options.waiting, options.idle, options.runs = 100, 200, 5, 5
    wanted = set(filter(None, options.peers.split(",")))
    if unknown := wanted - set(names.split(",")):
        parser.error(f"no such peer: {', '.join(unknown)}")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # through `finally`, so that nothing stays behind
    queues.adopt()
    measured, notes, failed = {}, [], False
    for kind in [queues.Cook, *(peer for peer in PEERS if peer.name in wanted)]:
        if kind is not queues.Cook and (missing := kind.missing()):
            notes.append(f"SKIPPED: {kind.name}: missing: {missing}; tests/bench/setup-peers.sh says why")
            print(notes[-1], file=sys.stderr, flush=True)
            continue
        print(f"measuring {kind.name}", file=sys.stderr, flush=True)
        try:
            measured[kind.name] = figures.measure(kind, options)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            if kind is queues.Cook:
                raise
            failed = True   # the others' figures are of use without it
            notes.append(f"FAILED: {kind.name}: {error}")
            print(notes[-1], file=sys.stderr, flush=True)
    print()
    counts = {"`true` jobs until all are completed": options.jobs, "list them": options.jobs, "add jobs that wait": options.waiting}
    rows = [[f"{name} ({counts[name]:,})" if name in counts else name, *(one[name] for one in measured.values()), GOALS.get(name, "")]
            for name in measured[queues.Cook.name]]
    table(["figure", *measured, "goal"], rows)
    print(HOW.format(slots=queues.SLOTS, lists=figures.LISTS, **vars(options)))
    footer("one queue after the other")
    print("\n".join(notes))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
