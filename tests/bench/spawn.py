"""The time of one more command in a task, compared with the minimum that the system allows.

Measured in turns: a task with many before commands `true`, minus a task with none; and a C program that calls posix_spawn and
waitpid for the same number of `sh -c true`."""
import os
import subprocess

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


def task(place, program, commands):
    """Nanoseconds from the LAUNCH of a task with this many before commands to its terminal update."""
    with place.start(program, "true", before_commands=[{"value": "true"}] * commands) as run:
        run.terminal()
        run.ends()
        moments = run.moments()
    return moments["terminal"] - moments["launch"]


def compare(place, program, commands, rounds):
    """One row (figure, our values, the other's values, decimals); values with the same index are from the same round."""
    source, least = os.path.join(place.folder, "bare.c"), os.path.join(place.folder, "bare")
    with open(source, "w") as file:
        file.write(BARE)
    subprocess.run(["cc", "-O2", "-o", least, source], check=True)
    ours, bare = [], []
    for _ in range(rounds):
        done = subprocess.run([least, str(commands)], check=True, capture_output=True)
        bare.append(int(done.stdout) / 1000)
        ours.append((task(place, program, commands) - task(place, program, 0)) / commands / 1000)
    return [("one more `true`, us", ours, bare, 0)]
