"""What executors take for their tasks: short ones, idle ones, many at once. All executors are measured in turns, in the
same place: a SmallAgent (executor.py) or a MesosAgent (mesos.py)."""
import contextlib
import random
import resource
import time

import kernel

# How long a task has been running before its executor counts as idle: the Python one takes a while to settle, and a timer of
# ours that nobody waits for any more goes off once, at most five seconds after the last call.
SETTLE = 7
# How much of what the machine has left many executors may take, and how much one of them takes, by its anonymous memory
# while idle: page tables, stacks of the kernel and sockets come on top.
SHARE = 0.8
ALLOWANCE = 1.5
# Descriptors of ours for each executor under the small agent.
DESCRIPTORS = 6


def short(place, program):
    """One value for each figure of three short tasks, in ms."""
    with place.start(program.arguments, "true") as run:
        run.terminal()
        run.ends()
        true = run.moments()
    # The length is random, so that what polls is not always met at the same moment of its period.
    with place.start(program.arguments, f"sleep {0.5 + random.random() / 2:.3f}") as run:
        run.terminal()
        run.ends()
        sleep = run.moments()

    # What it leaves ends by itself, for executors that would leave it too.
    with place.start(program.arguments, "setsid sleep 3 & sleep 0.1") as run:
        run.terminal()
        run.ends()
        daemon = run.moments()

    def between(moments, start, stop):
        return (moments[stop] - moments[start]) / 1e6
    return {"exec to SUBSCRIBE, ms": between(true, "exec", "subscribe"),
            "LAUNCH to the command's exec, ms": between(true, "launch", "command exec"),
            "command's exit to the terminal update, ms": between(sleep, "command exit", "terminal"),
            "the same of a task that leaves a daemon, ms": between(daemon, "command exit", "terminal"),
            "terminal update to the executor's end, ms": between(sleep, "terminal", "end"),
            "a `true` task, start to terminal update, ms": between(true, "begin", "terminal")}


def shorts(place, programs, rounds, report):
    """A list for each program: a dict of figures for each round."""
    samples = [[] for _ in programs]
    for number in range(rounds):
        for found, program in zip(samples, programs):
            found.append(short(place, program))
        report(f"short tasks, round {number + 1} of {rounds}")
    return samples


def idle(place, programs, seconds, report):
    """The same, of one round: all programs run a task that does nothing, in the same minute."""
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(place.start(program.arguments, f"sleep {seconds + 1000}")) for program in programs]
        for run in runs:
            run.running()
        time.sleep(SETTLE)
        report(f"idle for {seconds:g} seconds")
        before = [(kernel.switches(run.pid), kernel.cpu(run.pid)) for run in runs]
        time.sleep(seconds)
        found = []
        for run, (switches, cpu) in zip(runs, before):
            memory = kernel.memory(run.pid)
            found.append([{
                "idle: resident memory, kB": memory["Rss"], "idle: anonymous memory, kB": memory["Anonymous"],
                "idle: threads": len(kernel.threads(run.pid)),
                "idle: descriptors": len(kernel.descriptors(run.pid)),
                "idle: context switches in a minute": (kernel.switches(run.pid) - switches) * 60 / seconds,
                "idle: CPU in a minute, ms": (kernel.cpu(run.pid) - cpu) * 60_000 / seconds}])
        for run in runs:
            run.kill()
        for run in runs:
            run.terminal("TASK_KILLED")
            run.ends()
    return found


def fits(place, wanted, needed):
    """As many executors as there is room for; `needed` is the memory of the largest, in kB."""
    descriptors = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100) // DESCRIPTORS
    return min(wanted, int(kernel.available() * SHARE / needed), descriptors, place.most)


def crowd(place, programs, count, rounds, report):
    """The same, for so many executors of one kind at once."""
    samples = [[] for _ in programs]
    for number in range(rounds):
        for found, program in zip(samples, programs):
            found.append(many(place, program, count))
            report(f"{count} at once, round {number + 1} of {rounds}: {program.name}")
    return samples


def many(place, program, count):
    patience = 60 + count
    runs, stack = place.start_many(program.arguments, "sleep 1000", count)
    with stack:
        running = max(run.running(patience) for run in runs)
        memory = [kernel.memory(run.pid) for run in runs]
        asked = time.monotonic_ns()
        for run in runs:
            run.kill()
        for run in runs:
            run.terminal("TASK_KILLED", patience)
        for run in runs:
            run.ends(patience)
        ended = max(place.events.end(run.pid) for run in runs)
    begun = min(run.begun for run in runs)
    return {f"{count} at once: start of the first to the last TASK_RUNNING, s": (running - begun) / 1e9,
            f"{count} at once: KILL to the end of the last, s": (ended - asked) / 1e9,
            f"{count} at once: memory (PSS) of all, MB": sum(each["Pss"] for each in memory) / 1000}
