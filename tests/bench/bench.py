#!/usr/bin/env python3
"""Compare this executor with the Python cook-executor 0.1.19, and with others where there are any.

    bench.py --executor FILE [--mesos] [--others "NAME=COMMAND ..."] [--rounds N] [--idle SECONDS] [--at-once N,N]
             [--requests N] [--commands N] [--megabytes N]

All run in turns, so that what else the machine does meets them alike: under a small agent of the bench's own, or with
--mesos under a real master and agent, which tests/mesos/setup.sh sets up first. Then this executor's task API runs in
turns with Python's http.server, its starting of commands with posix_spawn in C, and its reading of output with
`tail -F` into `grep`. Nothing is judged. What the tables show and where it comes from is said below them."""
import argparse
import os
import shutil
import sys
import tempfile

import api
import programs
import spawn
import tailing
import tasks
from events import Events
from executor import SmallAgent
from report import footer, ratio, spread, table

MEANING = """
A cell is the median [least, most] of its rounds. A ratio is the other's figure divided by this executor's, the median of
the ratios within a round. `-`: the executor does not do that at all, or it takes nothing of it.

* fetch size: the bytes of the executor's file. Of the Python executor, its packages as they lie on the disk; it needs a
  Python interpreter besides.
* exec, exit and end of executors and commands are the kernel's process events, which carry the moment at which they
  happened. An executor's exec is the last one of its process, a command's the shell's. The end is that of the last thread.
* {wire}
* a `true` task starts with {begin}.
* memory, threads, descriptors, context switches, CPU: /proc/PID/smaps_rollup, task, fd, task/*/status of the
  executor itself, and its CPU-time clock, while one command runs and nothing happens. They all idle in the same minute.
* at once: all are started before the first is waited for. Their memory is the sum of their PSS, so that shared pages
  count once; what the Python ones share with this program, which is Python too, counts for less.
* output: a task writes {megabytes} MB to its standard output at the speed of cat, and waits until its executor has read
  that: by rchar in /proc/PID/io. CPU and memory are of the executor up to then. Once a second, or when it ends, it tells
  progress; the last one, 100, has to arrive.
* API: a client of this program asks; context switches are the server's.
* one more `true`: LAUNCH to the terminal update of a task with {commands} before commands, less one without any.
"""
SMALL_WIRE = """what is written to the agent, SUBSCRIBE and updates, has the time at which the kernel put the last segment into
  the agent's socket. LAUNCH is the moment before the agent writes it, right after SUBSCRIBED."""
MESOS_WIRE = """SUBSCRIBE and LAUNCH are in the agent's log. Updates are those of the framework, when it has read them. The agent
  acknowledges an update while the framework still waits for it: a quick executor can have ended before the framework reads
  its terminal update, and the time between is negative then."""


def said(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def rows(samples):
    """The rows of a section: for each program, this executor first, a dict of figures for each round."""
    figures = dict.fromkeys(figure for rounds in samples for values in rounds for figure in values)
    for figure in figures:
        ours, *others = ([values[figure] for values in rounds if figure in values] for rounds in samples)
        yield [figure, *(spread(values) if values else "-" for values in (ours, *others)),
               *(ratio(ours, values) if ours and values else "-" for values in others)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", required=True, help="the cook-executor to measure")
    parser.add_argument("--mesos", action="store_true", help="under a real Mesos")
    parser.add_argument("--others", default="", help="more executors: NAME=COMMAND, separated by blanks")
    parser.add_argument("--rounds", type=int, default=10, help="of short tasks; the rest has fewer")
    parser.add_argument("--idle", type=float, default=60, metavar="SECONDS")
    parser.add_argument("--at-once", default="50,500", metavar="N,N", help="how many executors at once")
    parser.add_argument("--requests", type=int, default=2000, help="of the API, in a round")
    parser.add_argument("--commands", type=int, default=300, help="one more command is a share of so many")
    parser.add_argument("--megabytes", type=int, default=200, help="of output")
    arguments = parser.parse_args()
    if not os.access(arguments.executor, os.X_OK):
        sys.exit(f"{arguments.executor} is not an executable file")
    folder = tempfile.mkdtemp(prefix="cook-bench-")
    said(f"files of this run: {folder} (removed at the end, if all goes well)")
    try:
        compared = [programs.this(arguments.executor, folder), programs.python(), *programs.others(arguments.others)]
        if arguments.mesos:
            from mesos import MesosAgent as Place  # needs what its setup has made
        else:
            Place = SmallAgent
        with Place(folder, Events()) as place:
            measure(place, compared, arguments)
    except (RuntimeError, AssertionError) as error:
        sys.exit(str(error))
    shutil.rmtree(folder)


def measure(place, compared, arguments):
    few = max(1, arguments.rounds // 3)
    sections = [[[{"fetch size, bytes": program.size}] for program in compared],
                tasks.shorts(place, compared, arguments.rounds, said)]
    idle = tasks.idle(place, compared, arguments.idle, said)
    sections.append(idle)
    largest = max(found[0]["idle: anonymous memory, kB"] for found in idle) * tasks.ALLOWANCE
    for wanted in map(int, arguments.at_once.split(",")):
        count = tasks.fits(place, wanted, largest)
        if count < wanted:
            said(f"only {count} executors at once: {wanted} of the largest do not fit into this machine")
        sections.append(tasks.crowd(place, compared, count, few if count <= 100 else 1, said))
    *output, yardstick = tailing.compare(place, compared, arguments.megabytes, few, said)
    sections.append(output)

    beside = [[*row[:2], "tail -F into grep", *row[2:]] for row in rows([output[0], yardstick])]
    said("the task API")
    for others, name in ((api.compare(place, compared[0].arguments, arguments.requests, few), "Python's http.server"),
                         (spawn.compare(place, compared[0].arguments, arguments.commands, few), "posix_spawn in C")):
        beside += [[figure, spread(ours, digits), name, spread(theirs, digits), ratio(ours, theirs)]
                   for figure, ours, theirs, digits in others]

    names = [program.name for program in compared]
    print()
    table([f"under {place.name}", *names, *(f"ratio of {name}" for name in names[1:])],
          [row for section in sections for row in rows(section)])
    print()
    table(["beside other programs", names[0], "other", "it", "ratio"], beside)
    wire = MESOS_WIRE if arguments.mesos else SMALL_WIRE
    print(MEANING.format(wire=wire, begin=place.begin, megabytes=arguments.megabytes, commands=arguments.commands))
    footer(f"{arguments.rounds} rounds of short tasks, {arguments.idle:g} idle seconds, {few} rounds of the rest, 1 of "
           "more than 100 at once")


if __name__ == "__main__":
    main()
