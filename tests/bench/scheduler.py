#!/usr/bin/env python3
"""Measures cook-scheduler, and Slurm, pueue and task-spooler for comparison: one job, many jobs, and idle.

  scheduler.py --scheduler FILE [--executor FILE] [--peers Slurm,pueue] [--quick]

The queues are measured one after the other. A peer that is not installed is reported as SKIPPED; if one
fails, it is reported as FAILED and the exit status is 1."""

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
Each queue has {slots} slots. cook-scheduler is used over one HTTP connection and replies once a job is on disk; for each request
to a peer, its own client is started. {jobs:,} `true` jobs are one request to cook-scheduler, one array of one script in Slurm,
and one client per job for the others. The same is true for the {waiting:,} waiting jobs; a number in brackets is how many of
them a queue could hold. task-spooler stores nothing on disk, and Slurm stores jobs seconds later. The size of the daemons'
files is without shared libraries; cook-scheduler is static. Figures are medians of {runs} submissions and of {lists} lists.
ext4 without a journal is slow to create files where many were deleted in the last minutes, as below /tmp during development; a
new folder below / is in another place of the disk (--folder)."""


def main():
    names = ",".join(peer.name for peer in PEERS)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheduler", required=True)
    parser.add_argument("--executor")
    parser.add_argument("--peers", default=names, help=f"a selection of {names}; '' for none")
    parser.add_argument("--jobs", type=int, default=1000, help="`true` jobs at once (1000)")
    parser.add_argument("--waiting", type=int, default=10_000, help="waiting jobs (10000; pueue needs minutes for these)")
    parser.add_argument("--idle", type=float, default=60, help="seconds for counting wake-ups (60)")
    parser.add_argument("--runs", type=int, default=20, help="submissions of one job (20)")
    parser.add_argument("--folder", default="/tmp", help="where the queues store their data (/tmp)")
    parser.add_argument("--quick", action="store_true", help="100 jobs, 200 waiting jobs, 5 idle seconds, 5 submissions")
    options = parser.parse_args()
    if options.quick:
        options.jobs, options.waiting, options.idle, options.runs = 100, 200, 5, 5
    wanted = set(filter(None, options.peers.split(",")))
    if unknown := wanted - set(names.split(",")):
        parser.error(f"no such peer: {', '.join(unknown)}")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # runs `finally`, so that nothing is left behind
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
            failed = True   # the figures of the others are still useful
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
