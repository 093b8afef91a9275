#!/usr/bin/env python3
"""Measures the resources that an executor uses, and compares them with budgets.

    footprint.py --executor FILE [--executors N] [--idle SECONDS] [--traced N]

Several executors run a `sleep` each under the bench's own agent, as on a host. The figures are what the kernel reports about
each of them, and how often they wake up while nothing happens; meanwhile, strace counts the system calls of some short tasks.
The API of one executor is used first: by a chunked PATCH with `Expect: 100-continue`, and by 10,000 PATCHes. Everything is
counted and nothing is timed, so a busy machine gives the same figures. The exit status is 1 if a figure is over its budget."""
import argparse
import contextlib
import http.server
import os
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse

import api
import kernel
from executor import SmallAgent
from gate import Gate
from messages import TERMINAL
from report import footer, spread, table

# CI enforces these; `make size` has the budget of the file's size. Lower a number when the executor needs less. Raising one
# needs a reason.
BUDGETS = {
    # Mostly pages of the file.
    "RSS, kB": 1000,
    "anonymous memory, kB": 224,
    "PSS, kB": 250,
    "threads": 2,
    "epoll instances": 1,
    "descriptors, with one command": 16 + 2,
    "context switches while idle": 0,
    "CPU time while idle, us": 0,
    "voluntary context switches per API request": 1.5,
    "growth of anonymous memory by 10,000 PATCHes, kB": 64,
    "threads after that": 2,
    "epoll instances after that": 1,
    "descriptors after that, with one command": 16 + 2,
    "anonymous memory of a check and a health check, kB": 8,
    "wake-ups of the main thread per probe": 2.0,
    # 46 of these install signal handlers, and about thirty look up the owners of the API's and the agent's sockets.
    "system calls, exec to SUBSCRIBE": 230,
    "system calls, command's exit to terminal update": 82,
}
# How many executors with checks are measured.
CHECKED = 7
# The interval of the checks in seconds, and how many runs of each are measured.
INTERVAL, PROBES = 1.0, 20
# An executor without context switches for this many seconds has finished all work that the last event caused: progress is
# sampled every second, and an obsolete timer may expire once, at most five seconds after the last call.
QUIET = 6.5
REQUESTS = 2000


class Figures:
    """The rows of the table. Each figure has one value per executor or run."""

    def __init__(self):
        self.rows, self.over = [], []

    def add(self, figure, values, judge=max):
        budget, judged = BUDGETS[figure], judge(values)
        if judged > budget:
            self.over.append(figure)
        digits = 2 if isinstance(values[0], float) else 0
        self.rows.append((figure, spread(values, digits), f"{budget}" + (judged > budget) * " OVER"))


def patch(endpoint, chunks):
    """Sends a PATCH with a chunked body that waits for `100 Continue`."""
    url = urllib.parse.urlsplit(endpoint)
    with socket.create_connection((url.hostname, url.port), 5) as connection, connection.makefile("rb") as answers:
        connection.sendall(f"PATCH {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nTransfer-Encoding: chunked\r\n"
                           "Expect: 100-continue\r\n\r\n".encode())
        interim = answers.readline() + answers.readline()
        for chunk in [*chunks, b""]:
            connection.sendall(b"%x\r\n" % len(chunk) + chunk + b"\r\n")
        final = answers.readline()
    if interim != b"HTTP/1.1 100 Continue\r\n\r\n" or final.split()[1:2] != [b"204"]:
        raise RuntimeError(f"the PATCH was answered with {interim} and {final}")


def resting(figures, pids):
    """Figures of idle executors."""
    memory = [kernel.memory(pid) for pid in pids]
    figures.add("RSS, kB", [each["Rss"] for each in memory])
    figures.add("anonymous memory, kB", [each["Anonymous"] for each in memory])
    figures.add("PSS, kB", [each["Pss"] for each in memory], statistics.median)
    figures.add("threads", [len(kernel.threads(pid)) for pid in pids])
    figures.add("epoll instances", [kernel.epolls(pid) for pid in pids])
    figures.add("descriptors, with one command", [len(kernel.descriptors(pid)) for pid in pids])


def api_used(figures, run):
    """Context switches while the API is used, and the resources in use afterwards."""
    endpoint = kernel.environment(run.command())["EXECUTOR_ENDPOINT"]
    patch(endpoint, [b'{"progress": 10, ', b'"message": "a tenth"}'])
    client = api.Client(endpoint)
    before = kernel.switches(run.pid, "voluntary")
    for _ in range(REQUESTS):
        client.get()
    figures.add("voluntary context switches per API request",
                [(kernel.switches(run.pid, "voluntary") - before) / REQUESTS])
    client.close()
    kernel.quiet([run.pid], QUIET)
    before = kernel.memory(run.pid)["Anonymous"]
    api.storm(endpoint)
    kernel.quiet([run.pid], QUIET)
    figures.add("growth of anonymous memory by 10,000 PATCHes, kB", [kernel.memory(run.pid)["Anonymous"] - before])
    figures.add("threads after that", [len(kernel.threads(run.pid))])
    figures.add("epoll instances after that", [kernel.epolls(run.pid)])
    figures.add("descriptors after that, with one command", [len(kernel.descriptors(run.pid))])


class Service(http.server.BaseHTTPRequestHandler):
    """Answers every probe."""

    def do_GET(self):
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def checked(figures, place, program, plain):
    """The additional memory of a task with a check and a health check, and its wake-ups per probe. `plain` is the anonymous
    memory of a task without checks."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        port, times = {"port": service.server_port}, {"delay_seconds": 0, "interval_seconds": INTERVAL}
        checks = {"check": {**times, "tcp": port}, "health_check": {**times, "http": port}}
        with contextlib.ExitStack() as stack:
            runs = [stack.enter_context(place.start([program], "sleep 1000", checks=checks)) for _ in range(CHECKED)]
            for run in runs:
                run.running()
            # Waits for the first probes and the timers of the calls that report them.
            time.sleep(QUIET)
            # Only the main thread: async-io's own thread enters the reactor whenever the main one is busy.
            pid = runs[0].pid
            before = kernel.switches(pid, "voluntary", [pid])
            time.sleep(INTERVAL * PROBES)
            switches = kernel.switches(pid, "voluntary", [pid]) - before
            # The median, because two executors differ by up to three pages.
            anonymous = statistics.median(kernel.memory(run.pid)["Anonymous"] for run in runs)
            for run in runs:
                run.kill()
                run.terminal("TASK_KILLED")
                run.ends()
        service.shutdown()
    figures.add("anonymous memory of a check and a health check, kB", [anonymous - plain])
    figures.add("wake-ups of the main thread per probe", [switches / (2 * PROBES)])


def work(pids):
    """The context switches and the CPU time in microseconds of each process so far."""
    return [(kernel.switches(pid), round(kernel.cpu(pid) * 1e6)) for pid in pids]


def system_calls(place, program, runs):
    """The numbers of system calls of all threads, for each run: from exec to the write of SUBSCRIBE, and from the command's
    exit to the write of the terminal update. The executor gets only one CPU, because with two it is random which thread
    polls."""
    counts, cpus = [], os.sched_getaffinity(0)
    for number in range(runs):
        trace, gate = os.path.join(place.folder, f"trace-{number}"), Gate(place.folder)
        os.sched_setaffinity(0, [min(cpus)])  # child processes inherit this
        with place.start([shutil.which("strace"), "-f", "-o", trace, program], gate.wait) as run:
            os.sched_setaffinity(0, cpus)
            run.running()
            kernel.quiet([run.pid])
            gate.open()
            run.terminal()
            run.ends()
            with open(trace) as file:
                counts.append(count(file, run.session.calls))
    return counts


def count(trace, calls):
    lines = [line.split(maxsplit=1)[1] for line in trace]
    # Each request is one write; the executor makes its calls one after the other.
    writes = [index for index, text in enumerate(lines) if '"POST ' in text]
    terminal = next(index for index, call in zip(writes, calls) if call.state in TERMINAL)
    command_end = next(index for index, text in enumerate(lines) if text.startswith("+++ exited"))

    def between(start, stop):
        # Other lines are signals, exits, and the second parts of calls that were interrupted by another thread's call.
        return sum(text[0].isalpha() for text in lines[start:stop + 1])
    return between(0, writes[0]), between(command_end, terminal)


def measure(figures, program, folder, arguments):
    with SmallAgent(folder) as place:
        runs, stack = place.start_many([program], "sleep 1000", arguments.executors)
        with stack:
            for run in runs:
                run.running()
            pids = [run.pid for run in runs]
            kernel.quiet(pids, QUIET)
            os.sync()  # otherwise pages of the new file count as dirty
            resting(figures, pids)
            plain = statistics.median(kernel.memory(pid)["Anonymous"] for pid in pids)
            checked(figures, place, program, plain)
            api_used(figures, runs[0])

            before, end = work(pids), time.monotonic() + arguments.idle
            traced = system_calls(place, program, arguments.traced)
            time.sleep(max(0.0, end - time.monotonic()))
            idle = [(after[0] - earlier[0], after[1] - earlier[1]) for earlier, after in zip(before, work(pids))]
            figures.add("context switches while idle", [each[0] for each in idle])
            figures.add("CPU time while idle, us", [each[1] for each in idle])
            figures.add("system calls, exec to SUBSCRIBE", [each[0] for each in traced], min)
            figures.add("system calls, command's exit to terminal update", [each[1] for each in traced], min)

            for run in runs:
                run.kill()
            for run in runs:
                run.terminal("TASK_KILLED")
                run.ends()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", required=True, help="the cook-executor to measure")
    parser.add_argument("--executors", type=int, default=50, help="number of executors at once")
    parser.add_argument("--idle", type=float, default=60, metavar="SECONDS", help="how long to observe them idle")
    parser.add_argument("--traced", type=int, default=9, help="number of runs under strace")
    arguments = parser.parse_args()
    if not os.access(arguments.executor, os.X_OK):
        sys.exit(f"{arguments.executor} is not an executable file")
    if not shutil.which("strace"):
        sys.exit("strace is missing: install it (apt-get install strace)")

    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="cook-footprint-") as folder:
        # A copy, so that a build at the same time does not replace it, and that it shares no pages with other processes.
        program = shutil.copy(arguments.executor, os.path.join(folder, "cook-executor"))
        try:
            measure(figures, program, folder, arguments)
        except RuntimeError as error:
            sys.exit(str(error))
    table(("figure", "measured", "budget"), figures.rows)
    footer(f"{arguments.executors} executors, {arguments.idle:g} idle seconds, {arguments.traced} runs under strace; "
           "median [minimum, maximum]; budgets are for the maximum, of PSS for the median, of system calls for the minimum")
    if figures.over:
        sys.exit(f"over budget: {', '.join(figures.over)}")


if __name__ == "__main__":
    main()
