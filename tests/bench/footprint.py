#!/usr/bin/env python3
"""Measure what one executor takes, and hold its budgets.

    footprint.py --executor FILE [--idle SECONDS] [--runs N]

A small agent of this program's own runs a `sleep` through the executor and reads from the kernel what that takes, while
the task just runs and again after a PATCH of the kind that is hardest on the server; then it times some short tasks.
Exit status 1 if a figure is over its budget. Times depend on the machine and are not judged."""
import argparse
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import urllib.parse

import kernel
from agent import KILLED, TERMINAL, Agent
from report import spread, table

BYTES = 950_000
RSS_KB = 1150
ANONYMOUS_KB = 250
THREADS = 2
EPOLLS = 1
DESCRIPTORS = 16
DESCRIPTORS_PER_COMMAND = 2
IDLE_SWITCHES = 0
# After the last state, until everything that it has set off is over (progress is sampled each second).
SETTLE = 1.5
TRACED_RUNS = 5


class Executor(contextlib.AbstractContextManager):
    """One executor in a sandbox and a session of its own, under an agent of its own, and subscribed. Whatever is left
    of it at the end of the `with` is killed."""

    def __init__(self, program, folder, wrapper=()):
        self.agent = Agent()
        self.sandbox = tempfile.mkdtemp(dir=folder)
        output = os.open(os.path.join(self.sandbox, "output"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        arguments, environment = [*wrapper, program], self.agent.environment(self.sandbox)
        actions = [(os.POSIX_SPAWN_DUP2, source, target) for source, target in ((nothing, 0), (output, 1), (output, 2))]
        os.chdir(self.sandbox)  # posix_spawn has no way to say it for the child alone
        self.started = time.monotonic_ns()
        self.pid = os.posix_spawn(arguments[0], arguments, environment, file_actions=actions, setsid=True,
                                  setsigdef=[signal.SIGPIPE, signal.SIGXFSZ])  # which Python ignores
        self.end = kernel.End(self.pid)
        os.close(output)
        os.close(nothing)
        try:
            self.subscribed = self.agent.wait_subscribe().at
        except BaseException as error:
            self.__exit__(type(error))
            raise

    def command(self):
        """The pid of the one command that runs."""
        return kernel.processes(lambda pid: kernel.parent(pid) == self.pid)[0]

    def ends(self):
        """Wait for the executor's end; when it was."""
        at = self.end.wait()
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        left = kernel.processes(lambda pid: kernel.session(pid) == self.pid)
        if code or left:
            raise RuntimeError(f"the executor ended with {code} and left the processes {left} behind")
        return at

    def __exit__(self, error=None, *_):
        for name in ("output", "executor.log") if error else ():
            with contextlib.suppress(FileNotFoundError), open(os.path.join(self.sandbox, name)) as file:
                print(f"{name}:", *file, sep="\n  ", file=sys.stderr)
        for pid in kernel.processes(lambda pid: kernel.session(pid) == self.pid):
            os.kill(pid, signal.SIGKILL)
        self.agent.close()
        os.chdir("/")


class Figures:
    """The rows of the table."""

    def __init__(self):
        self.rows, self.over = [], 0

    def add(self, figure, measured, budget=None, unit=""):
        """A figure with its budget, or one that is only shown."""
        is_over = budget is not None and measured > budget
        self.over += is_over
        self.rows.append((figure, f"{measured}{unit}", "" if budget is None else f"{budget}{unit}" + is_over * " OVER"))


def idle(figures, program, folder, seconds):
    """A task that just runs: memory, threads, descriptors, wake-ups; the same after a PATCH."""
    with Executor(program, folder) as executor:
        executor.agent.launch("sleep 1000")
        executor.agent.wait_running()
        time.sleep(SETTLE)
        os.sync()  # pages of a freshly written file would count as dirty
        memory = kernel.memory(executor.pid)
        figures.add("RSS", memory["Rss"], RSS_KB, " kB")
        figures.add("PSS, alone on the host", memory["Pss"], unit=" kB")
        figures.add("anonymous memory", memory["Anonymous"], ANONYMOUS_KB, " kB")
        while_idle(figures, executor.pid, seconds, "")

        endpoint = kernel.environment(executor.command())["EXECUTOR_ENDPOINT"]
        patch(endpoint, [b'{"progress": 10, ', b'"message": "a tenth"}'])
        time.sleep(SETTLE)
        while_idle(figures, executor.pid, seconds, " after a PATCH (Expect, chunked)")
        memory = kernel.memory(executor.pid)
        figures.add("RSS after a PATCH (Expect, chunked)", memory["Rss"], unit=" kB")
        figures.add("anonymous memory after a PATCH (Expect, chunked)", memory["Anonymous"], unit=" kB")

        executor.agent.kill()
        if executor.agent.wait_terminal().state != KILLED:
            raise RuntimeError("killed, the task did not end TASK_KILLED")
        executor.ends()


def while_idle(figures, pid, seconds, when):
    figures.add("threads" + when, len(kernel.threads(pid)), THREADS)
    figures.add("epoll instances" + when, kernel.epolls(pid), EPOLLS)
    figures.add("descriptors, one command" + when, len(kernel.descriptors(pid)), DESCRIPTORS + DESCRIPTORS_PER_COMMAND)
    switches, ticks = kernel.switches(pid), kernel.ticks(pid)
    time.sleep(seconds)
    figures.add(f"context switches in {seconds:g} idle seconds{when}", kernel.switches(pid) - switches, IDLE_SWITCHES)
    figures.add(f"CPU ticks in {seconds:g} idle seconds{when}", kernel.ticks(pid) - ticks)


def patch(endpoint, chunks):
    """A PATCH that waits for `100 Continue`, with a chunked body."""
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


def times(figures, program, folder, runs):
    """How long things take, each time with a fresh executor."""
    subscribed, finished, gone, noticed = [], [], [], []
    for _ in range(runs):
        with Executor(program, folder) as executor:
            launched = executor.agent.launch("true")
            terminal = executor.agent.wait_terminal().at
            gone.append(executor.ends() - terminal)
            subscribed.append(executor.subscribed - executor.started)
            finished.append(terminal - launched)
        with Executor(program, folder) as executor:
            executor.agent.launch(f"sleep 0.1; {kernel.SAYS_WHEN_IT_ENDS}")
            terminal = executor.agent.wait_terminal().at
            executor.ends()
            with open(os.path.join(executor.sandbox, "ended")) as file:
                noticed.append(terminal - kernel.said(file.read()))
    for figure, values in (("exec to SUBSCRIBE", subscribed), ("LAUNCH of `true` to its terminal update", finished),
                           ("a command's end to the terminal update", noticed),
                           ("terminal update to the executor's end", gone)):
        figures.add(f"{figure}, {runs} runs", spread([value / 1e6 for value in values]), unit=" ms")


def syscalls(figures, program, folder):
    """How many system calls it takes, all threads together. The number varies with which thread gets to poll."""
    strace = shutil.which("strace")
    if not strace:
        figures.add("system calls", "strace is not installed")
        return
    trace = os.path.join(folder, "trace")
    counts = []
    for _ in range(TRACED_RUNS):
        with Executor(program, folder, wrapper=[strace, "-f", "-o", trace]) as executor:
            executor.agent.launch("true")
            executor.agent.wait_terminal()
            executor.ends()
            counts.append(count_syscalls(trace, executor.agent.calls))
    subscribed, noticed = zip(*counts)
    figures.add(f"system calls, exec to SUBSCRIBE, {TRACED_RUNS} runs", spread(subscribed, 0))
    figures.add(f"system calls, a command's end to the terminal update, {TRACED_RUNS} runs", spread(noticed, 0))


def count_syscalls(trace, calls):
    """System calls up to the writing of SUBSCRIBE, and from the command's end up to that of the terminal update."""
    with open(trace) as file:
        lines = [line.split(maxsplit=1)[1] for line in file]
    # Each request is one write; the executor makes its calls one after the other.
    writes = [index for index, text in enumerate(lines) if '"POST ' in text]
    terminal = next(index for index, call in zip(writes, calls) if call.state in TERMINAL)
    command_end = next(index for index, text in enumerate(lines) if text.startswith("+++ exited"))

    def count(start, stop):
        # The other lines are signals, exits, and second halves of calls that another thread's came between.
        return sum(text[0].isalpha() for text in lines[start:stop + 1])
    return count(0, writes[0]), count(command_end, terminal)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", required=True, help="the cook-executor to measure")
    parser.add_argument("--idle", type=float, default=10, metavar="SECONDS", help="how long to watch (twice)")
    parser.add_argument("--runs", type=int, default=20, help="of what is timed")
    arguments = parser.parse_args()
    if not os.access(arguments.executor, os.X_OK):
        sys.exit(f"{arguments.executor} is not an executable file")

    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # of the listing itself, closed by now
            os.set_inheritable(descriptor, descriptor <= 2)  # the executor would inherit what our caller left open

    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="cook-footprint-") as folder:
        # A copy, so that nobody builds it anew meanwhile, and that it shares no pages with others.
        program = shutil.copy(arguments.executor, os.path.join(folder, "cook-executor"))
        figures.add("bytes of the file", os.path.getsize(program), BYTES)
        try:
            idle(figures, program, folder, arguments.idle)
            times(figures, program, folder, arguments.runs)
            syscalls(figures, program, folder)
        except (RuntimeError, TimeoutError) as error:
            sys.exit(str(error))
    table(("figure", "measured", "budget"), figures.rows)
    print(f"{time.strftime('%Y-%m-%d')}, {kernel.machine()}, {kernel.load()}; times: median [min, max], not judged",
          flush=True)
    if figures.over:
        sys.exit(f"{figures.over} figures are over their budget")


if __name__ == "__main__":
    main()
