"""How fast executors find progress in a task's standard output, compared with `tail -F | grep`.

The task writes its output at the speed of `cat`, ending with the line `progress: 100, done`, and then waits until the reader
has read all of it, according to the number of bytes that the reader has read (rchar in /proc/PID/io). CPU time and memory are
those of the whole process until then."""
import contextlib
import os
import subprocess
import tempfile
import time

import kernel
from gate import Gate

LAST = "progress: 100, done"
EXPRESSION = r"progress: ([0-9]*\.?[0-9]+), (.*)"   # the executors' own default
KINDS = ("no line matches", "every line matches")
# Seconds in which a polling reader finds the file.
SETTLE = 0.5
# If no byte is read for this many seconds, nobody reads.
PATIENCE = 3
# Maximum seconds for all of it.
LIMIT = 120
MEGABYTE = 1_000_000


def written(folder, kind, megabytes):
    """Writes the output of one kind to a file."""
    path = os.path.join(folder, kind.replace(" ", "-"))
    with open(path, "w") as file:
        number = size = 0
        while size < megabytes * MEGABYTE:
            number += 1
            percent = number % 100
            line = (f"progress: {percent}, step {number:08} of the work that is to be done, and all is well so far\n"
                    if kind == KINDS[1] else
                    f"2026-11-24 12:00:00 INFO line {number:08} of the work that is to be done; all is well\n")
            size += file.write(line)
    return path


def read_all(pids, size, began, before):
    """Waits until each process has read `size` more bytes than `before`. Returns the nanoseconds since `began`; None if
    nobody reads."""
    deadline, last, since = time.monotonic() + LIMIT, None, time.monotonic()
    while True:
        now = [kernel.bytes_read(pid) for pid in pids]
        if all(count - earlier >= size for count, earlier in zip(now, before)):
            return time.monotonic_ns() - began
        if now != last:
            last, since = now, time.monotonic()
        if time.monotonic() - since > PATIENCE or time.monotonic() > deadline:
            return None
        time.sleep(0.002)


def figures(kind, size, took, cpu, peak):
    """The figures of one measurement; empty if nobody has read."""
    return {} if took is None else {
        f"output, {kind}: MB/s": size / MEGABYTE / (took / 1e9), f"output, {kind}: CPU per GB, s": cpu / size * 1e9,
        f"output, {kind}: most resident memory, kB": peak}


def executor(place, program, kind, path):
    """Measures one executor once."""
    size, gates = os.path.getsize(path), [Gate(place.folder) for _ in range(2)]
    with place.start(program.arguments, f"{gates[0].wait}; cat {path}; echo '{LAST}'; {gates[1].wait}") as run:
        run.running()
        time.sleep(SETTLE)
        before, cpu = kernel.bytes_read(run.pid), kernel.cpu(run.pid)
        took = read_all([run.pid], size, gates[0].open(), [before])
        cpu, peak = kernel.cpu(run.pid) - cpu, kernel.peak(run.pid)
        gates[1].open(LIMIT)
        run.terminal(timeout=LIMIT)
        run.ends()
        if took is not None and run.progress() != 100:
            raise RuntimeError(f"{program.name} has read {LAST!r} but reported {run.progress()}")
    return figures(kind, size, took, cpu, peak)


def yardstick(folder, kind, path):
    """Measures `tail -F | grep` once."""
    size, gate, output = os.path.getsize(path), Gate(folder), tempfile.mkstemp(dir=folder)[1]
    with contextlib.ExitStack() as stack:
        writer = subprocess.Popen(["sh", "-c", f"{gate.wait}; cat {path} >>{output}; echo '{LAST}' >>{output}"])
        tail = subprocess.Popen(["tail", "-n", "+1", "-F", output], stdout=subprocess.PIPE)
        # To a file: with /dev/null, grep would stop at the first match.
        matches = stack.enter_context(tempfile.TemporaryFile(dir=folder))
        grep = subprocess.Popen(["grep", "-E", EXPRESSION], stdin=tail.stdout, stdout=matches)
        tail.stdout.close()
        for process in (writer, tail, grep):
            stack.callback(process.wait)
            stack.callback(process.terminate)
        time.sleep(SETTLE)
        pids = [tail.pid, grep.pid]
        before, cpu = [kernel.bytes_read(pid) for pid in pids], sum(map(kernel.cpu, pids))
        took = read_all(pids, size, gate.open(), before)
        cpu, peak = sum(map(kernel.cpu, pids)) - cpu, sum(map(kernel.peak, pids))
    return figures(kind, size, took, cpu, peak)


def compare(place, programs, megabytes, rounds, report):
    """A list for each program, and one for `tail -F | grep` at the end, with a dict of figures per round."""
    samples = [[] for _ in range(len(programs) + 1)]
    paths = {kind: written(place.folder, kind, megabytes) for kind in KINDS}
    for number in range(rounds):
        for found in samples:
            found.append({})
        for kind, path in paths.items():
            for found, program in zip(samples, programs):
                found[-1].update(executor(place, program, kind, path))
            samples[-1][-1].update(yardstick(place.folder, kind, path))
        report(f"output, round {number + 1} of {rounds}")
    return samples
