"""Small supervisors of a single command, as packaged by Debian: the size of their file, and their memory while the command
does nothing. They only start, signal and reap it: none of them talks to an agent, serves an API or reports progress."""
import contextlib
import os
import shutil
import subprocess
import tempfile
import time

import kernel

COMMAND = "exec sleep 1000"
SETTLE = 1      # seconds from the start of the command to the measurement
DEADLINE = 10   # seconds for each start and end


def service(folder):
    """A service folder of s6 whose process is the command."""
    folder = tempfile.mkdtemp(dir=folder)
    run = os.path.join(folder, "run")
    with open(run, "w") as file:
        file.write(f"#!/bin/sh\n{COMMAND}\n")
    os.chmod(run, 0o755)
    return folder


SUPERVISORS = {
    "catatonit": lambda folder: ["--", "sh", "-c", COMMAND],
    "tini": lambda folder: ["-s", "--", "sh", "-c", COMMAND],
    "s6-supervise": lambda folder: [service(folder)],
}


def wait(condition, what):
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} within {DEADLINE} s")
        time.sleep(0.01)


@contextlib.contextmanager
def running(program, arguments):
    """The pid of a supervisor whose command runs."""
    process = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, start_new_session=True)

    def command():
        return kernel.processes(lambda pid: kernel.parent(pid) == process.pid and kernel.name(pid) == "sleep")
    try:
        wait(command, f"{program} did not start its command")
        yield process.pid
    finally:
        process.terminate()
        process.wait(DEADLINE)
        wait(lambda: not command(), f"{program} did not end its command")


def compare(folder, ours, report):
    """Rows (figure, our value, the other's name, its value). `ours` are this executor's file size, resident memory and
    anonymous memory. A supervisor that is not installed is SKIPPED."""
    rows = []
    for name, arguments in SUPERVISORS.items():
        program = shutil.which(name)
        if not program:
            report(f"SKIPPED: {name} is not installed")
            continue
        report(f"idle memory of {name}")
        with running(program, arguments(folder)) as pid:
            time.sleep(SETTLE)
            memory = kernel.memory(pid)
        theirs = os.path.getsize(program), memory["Rss"], memory["Anonymous"]
        figures = "file size, bytes", "idle: resident memory, kB", "idle: anonymous memory, kB"
        rows += [(figure, our, name, their) for figure, our, their in zip(figures, ours, theirs)]
    return rows
