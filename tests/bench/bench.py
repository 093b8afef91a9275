#!/usr/bin/env python3
"""Compares this executor with the Python cook-executor 0.1.19, with small supervisors, and with other given executors.

    bench.py --executor FILE [--mesos] [--others "NAME=COMMAND ..."] [--rounds N] [--idle SECONDS] [--at-once N,N]
             [--requests N] [--commands N] [--megabytes N]

All executors are measured in turns, so that other load on the machine affects them equally: under a small agent that is part
of the bench, or with --mesos under a real master and agent, which tests/mesos/setup.sh installs first. Parts of this executor
are compared with other programs: its task API with Python's http.server, its starting of commands with posix_spawn in C, its
reading of output with `tail -F | grep`, and its file size and idle memory with catatonit, tini and s6-supervise. There are no
budgets. The figures and their sources are explained below the tables."""
import argparse
import os
import shutil
import sys
import tempfile

import api
import programs
import spawn
import supervisors
import tailing
import tasks
from events import Events
from executor import SmallAgent
from report import footer, number, ratio, spread, table

MEANING = """
A cell is the median [minimum, maximum] of the rounds. A ratio is the other's figure divided by this executor's: the median
of the ratios of each round. `-` means that the executor does not do this, or that this executor's figure is 0.

* fetch size: the bytes of the executor's file. For the Python executor: its installed packages, without the Python
  interpreter, which it needs too.
* exec, exit and end of executors and commands are times of the kernel's process events. For an executor, exec is the last
  exec of its process; for a command, that of the shell. The end is that of the last thread.
* {wire}
* the start of a `true` task is {begin}.
* memory, threads, descriptors, context switches and CPU time are from /proc/PID (smaps_rollup, task, fd, task/*/status) and
  the CPU-time clock of the executor while one command runs and does nothing. All executors are measured in the same minute.
* at once: all executors are started before the first one is waited for. Their memory is the sum of their PSS, so that shared
  pages count once. The Python executors also share pages with this program, which makes their sum smaller.
* output: a task writes {megabytes} MB to its standard output at the speed of cat, then waits until the executor has read it
  (rchar in /proc/PID/io). CPU time and memory are those of the executor until then. The executor reports progress every
  second and at its end; the last value, 100, has to arrive.
* API: the client is part of this program; context switches are those of the server.
* one more `true`: the time from LAUNCH to the terminal update of a task with {commands} before commands, minus that of a task
  with none, divided by their number.
* catatonit, tini and s6-supervise: memory of the supervisor while its command sleeps. The file size is without shared
  libraries; catatonit is static, the other two use the C library of the system.
"""
SMALL_WIRE = """SUBSCRIBE and updates have the time at which the kernel put their last segment into the agent's socket. LAUNCH has
  the time just before the agent writes it, immediately after SUBSCRIBED."""
MESOS_WIRE = """SUBSCRIBE and LAUNCH are in the agent's log. Updates have the time at which the framework has read them. The agent
  acknowledges an update before the framework has it, so a fast executor can end before the framework reads its terminal
  update; the time between is negative then."""


def progress(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def rows(samples):
    """The rows of a section. `samples` has, for each program (this executor first), a dict of figures per round."""
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
    parser.add_argument("--rounds", type=int, default=10, help="rounds of short tasks; other measurements have fewer")
    parser.add_argument("--idle", type=float, default=60, metavar="SECONDS")
    parser.add_argument("--at-once", default="50,500", metavar="N,N", help="how many executors at once")
    parser.add_argument("--requests", type=int, default=2000, help="API requests per round")
    parser.add_argument("--commands", type=int, default=300, help="commands per task to measure one more command")
    parser.add_argument("--megabytes", type=int, default=200, help="size of the output")
    arguments = parser.parse_args()
    if not os.access(arguments.executor, os.X_OK):
        sys.exit(f"{arguments.executor} is not an executable file")
    folder = tempfile.mkdtemp(prefix="cook-bench-")
    progress(f"files of this run: {folder} (removed after a successful run)")
    try:
        compared = [programs.this(arguments.executor, folder), programs.python(), *programs.others(arguments.others)]
        if arguments.mesos:
            from mesos import MesosAgent as Place  # possible only after its setup
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
                tasks.shorts(place, compared, arguments.rounds, progress)]
    idle = tasks.idle(place, compared, arguments.idle, progress)
    sections.append(idle)
    largest = max(found[0]["idle: anonymous memory, kB"] for found in idle) * tasks.ALLOWANCE
    for wanted in map(int, arguments.at_once.split(",")):
        count = tasks.fits(place, wanted, largest)
        if count < wanted:
            progress(f"only {count} executors at once: this machine does not have enough memory for {wanted}")
        sections.append(tasks.crowd(place, compared, count, few if count <= 100 else 1, progress))
    *output, yardstick = tailing.compare(place, compared, arguments.megabytes, few, progress)
    sections.append(output)

    beside = [[*row[:2], "tail -F and grep", *row[2:]] for row in rows([output[0], yardstick])]
    progress("the task API")
    for others, name in ((api.compare(place, compared[0].arguments, arguments.requests, few), "Python's http.server"),
                         (spawn.compare(place, compared[0].arguments, arguments.commands, few), "posix_spawn in C")):
        beside += [[figure, spread(ours, digits), name, spread(theirs, digits), ratio(ours, theirs)]
                   for figure, ours, theirs, digits in others]
    ours = compared[0].size, *(idle[0][0][f"idle: {kind} memory, kB"] for kind in ("resident", "anonymous"))
    beside += [[figure, number(our), name, number(their), number(their / our, 2)]
               for figure, our, name, their in supervisors.compare(place.folder, ours, progress)]

    names = [program.name for program in compared]
    print()
    table([f"under {place.name}", *names, *(f"ratio of {name}" for name in names[1:])],
          [row for section in sections for row in rows(section)])
    print()
    table(["compared with other programs", names[0], "other program", "its figure", "ratio"], beside)
    wire = MESOS_WIRE if arguments.mesos else SMALL_WIRE
    print(MEANING.format(wire=wire, begin=place.begin, megabytes=arguments.megabytes, commands=arguments.commands))
    footer(f"{arguments.rounds} rounds of short tasks, {arguments.idle:g} idle seconds, {few} rounds of the rest, 1 of "
           "more than 100 at once")


if __name__ == "__main__":
    main()
