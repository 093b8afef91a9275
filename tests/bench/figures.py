"""Measures a job queue from outside: by the kernel's data, by the jobs, and by the client."""
import os
import random
import statistics
import subprocess
import tempfile
import time

import kernel
from report import number

LISTS, ADDS = 10, 10   # number of repetitions

# Reads the clock first. The file is renamed into place when it is complete.
STAMP = r"""
#include <stdio.h>
#include <time.h>
int main(int count, char **arguments) {
    struct timespec t;
    char name[4096];
    clock_gettime(CLOCK_REALTIME, &t);
    if (count != 2) return 2;
    snprintf(name, sizeof name, "%s.new", arguments[1]);
    FILE *file = fopen(name, "w");
    if (!file) return 1;
    fprintf(file, "%lld\n", t.tv_sec * 1000000000LL + t.tv_nsec);
    return fclose(file) || rename(name, arguments[1]);
}
"""


def stamp(folder):
    """Compiles a small static program that writes the time of its start to a file."""
    source, program = os.path.join(folder, "stamp.c"), os.path.join(folder, "stamp")
    with open(source, "w") as file:
        file.write(STAMP)
    subprocess.run(["cc", "-O2", "-static", "-o", program, source], check=True)
    return program


def timed(call, *arguments):
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


def ms(seconds):
    return f"{number(seconds * 1000)} ms"


def memory(queue):
    """The sum of RSS, and that of PSS, in which shared pages are divided among their processes."""
    each = [kernel.memory(pid) for pid in queue.pids()]
    return " / ".join(number(sum(one[kind] for one in each) / 1000, 1) for kind in ("Rss", "Pss")) + " MB"


def at_rest(queue, options):
    time.sleep(2)   # lets the work of the start finish
    pids = queue.pids()
    before, start = sum(kernel.switches(pid, "voluntary") for pid in pids), time.monotonic()
    time.sleep(options.idle)
    woken = sum(kernel.switches(pid, "voluntary") for pid in pids) - before
    yield "wake-ups in an idle minute", number(woken * 60 / (time.monotonic() - start), 0)
    yield "threads", str(sum(len(kernel.threads(pid)) for pid in pids))
    yield "memory, idle: RSS / PSS", memory(queue)


def to_exec(queue, options):
    submits, starts = [], []
    with tempfile.TemporaryDirectory(prefix="cook-bench-") as folder:
        program = stamp(folder)
        for turn in range(options.runs):
            # Random, because some queues look for jobs at fixed intervals.
            time.sleep(random.uniform(0.5, 1.5))
            file = os.path.join(folder, str(turn))
            sent = time.time_ns()
            submits.append(timed(queue.submit, program, file))
            queue.wait_until("started", lambda: os.path.exists(file), pause=0.0003)
            with open(file) as text:
                starts.append((int(text.read()) - sent) / 1e9)
            queue.finish()
    yield "submit one job", ms(statistics.median(submits))
    yield "submit until its command runs", ms(statistics.median(starts))


def many(queue, options):
    start = time.perf_counter()
    queue.submit_many(options.jobs)
    queue.finish()
    yield "`true` jobs until all are completed", f"{number(options.jobs / (time.perf_counter() - start))} a second"
    times = []
    for _ in range(LISTS):
        start = time.perf_counter()
        text = queue.list(options.jobs)
        times.append(time.perf_counter() - start)
        listed = queue.listed(text)
        if listed < options.jobs:
            raise RuntimeError(f"{queue.name} lists {listed} of {options.jobs} completed jobs")
    yield "list them", ms(statistics.median(times))


def waiting(queue, options):
    queue.wait_one()
    few = statistics.median(timed(queue.wait_one) for _ in range(ADDS))
    count = min(options.waiting, queue.most_waiting or options.waiting)
    only = "" if count == options.waiting else f" ({count:,})"
    yield "add jobs that wait", ms(timed(queue.wait_many, count)) + only
    yield "one more: to a few / to these", f"{ms(few)} / {ms(statistics.median(timed(queue.wait_one) for _ in range(ADDS)))}{only}"
    yield "memory with these: RSS / PSS", memory(queue) + only


def measure(kind, options):
    """All figures of one kind of queue, by name."""
    queue = kind(options)
    try:
        size = sum(os.stat(program).st_size for program in queue.programs)
        figures = {"daemons' files": f"{number(size / 1e6, 2)} MB", "start until it serves": ms(queue.started)}
        for part in (at_rest, to_exec, many, waiting):
            figures |= part(queue, options)
        return figures
    finally:
        queue.stop()
