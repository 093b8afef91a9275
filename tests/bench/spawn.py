#!/usr/bin/env python3
"""Measure what one more command of a task takes, beside the least that the system allows.

    spawn.py --executor FILE [--commands N] [--rounds N]

In turns, in one run: a task with N before commands `true`, less one without any; and a program in C that does
posix_spawn and waitpid for `sh -c true` N times."""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

from agent import Agent
from executor import Executor
from report import footer, spread, table

BARE = r"""
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
extern char **environ;
static long now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000 + t.tv_nsec; }
int main(int count, char **arguments) {
    char *command[] = {"sh", "-c", "true", 0};
    posix_spawnattr_t group;
    posix_spawnattr_init(&group);
    posix_spawnattr_setflags(&group, POSIX_SPAWN_SETPGROUP);
    long runs = atol(arguments[1]), began = now();
    for (long run = 0; run < runs; run++) {
        pid_t pid;
        if (posix_spawn(&pid, "/bin/sh", 0, &group, command, environ) || waitpid(pid, 0, 0) != pid) return 1;
    }
    printf("%ld\n", (now() - began) / runs);
}
"""


def task(program, folder, commands):
    """Nanoseconds from the LAUNCH of a task with so many before commands to its terminal update."""
    with Agent() as agent, Executor(agent, [program], folder) as executor:
        executor.session.wait_subscribe()
        launched = executor.session.launch("true", before_commands=[{"value": "true"}] * commands)
        took = executor.session.wait_terminal().at - launched
        executor.ends()
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", required=True, help="the cook-executor to measure")
    parser.add_argument("--commands", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    if not os.access(arguments.executor, os.X_OK):
        sys.exit(f"{arguments.executor} is not an executable file")
    ours, bare, ratios = [], [], []
    with tempfile.TemporaryDirectory(prefix="cook-spawn-") as folder:
        program = shutil.copy(arguments.executor, os.path.join(folder, "cook-executor"))
        source, least = os.path.join(folder, "bare.c"), os.path.join(folder, "bare")
        with open(source, "w") as file:
            file.write(BARE)
        subprocess.run(["cc", "-O2", "-o", least, source], check=True)
        for _ in range(arguments.rounds):
            count = str(arguments.commands)
            bare.append(int(subprocess.run([least, count], check=True, capture_output=True).stdout) / 1000)
            more = task(program, folder, arguments.commands) - task(program, folder, 0)
            ours.append(more / arguments.commands / 1000)
            ratios.append(ours[-1] / bare[-1])
    table(("figure", "cook-executor", "posix_spawn in C", "ratio"),
          [("one more `true`, us", spread(ours, 0), spread(bare, 0), spread(ratios))])
    footer(f"{arguments.rounds} rounds of {arguments.commands} commands, medians [min, max], ratios of the same round")


if __name__ == "__main__":
    main()
