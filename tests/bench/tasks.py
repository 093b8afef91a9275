"""Measures executors with short tasks, idle tasks, and many tasks at once. All executors are measured in turns, under the same
agent: a SmallAgent (executor.py) or a MesosAgent (mesos.py)."""
import contextlib
import random
import resource
import time

import kernel

# Seconds before an executor counts as idle: the Python executor needs a while, and in this executor an obsolete timer may
# expire once, at most five seconds after the last call.
SETTLE = 7
# The share of the available memory that many executors may use, and the memory of one of them as a multiple of its idle
# anonymous memory (it also needs page tables, kernel stacks and sockets).
SHARE = 0.8
ALLOWANCE = 1.5
# Descriptors that this program needs per executor under the small agent.
DESCRIPTORS = 6


def short(place, program):
    """The figures of three short tasks, in ms."""
    with place.start(program.arguments, "true") as run:
        run.terminal()
        run.ends()
        true = run.moments()
    # The duration is random, so that a polling executor is not always at the same point of its period.
    with place.start(program.arguments, f"sleep {0.5 + random.random() / 2:.3f}") as run:
        run.terminal()
        run.ends()
        sleep = run.moments()

    # The daemon ends by itself, for executors that do not end it.
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
    """A list for each program, with a dict of figures per round."""
    samples = [[] for _ in programs]
    for number in range(rounds):
        for found, program in zip(samples, programs):
            found.append(short(place, program))
        report(f"short tasks, round {number + 1} of {rounds}")
    return samples


def idle(place, programs, seconds, report):
    """The same, with one round: all programs run an idle task during the same time."""
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
    """How many of the wanted executors can run at once; `needed` is the memory of the largest one, in kB."""
    descriptors = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100) // DESCRIPTORS
    return min(wanted, int(kernel.available() * SHARE / needed), descriptors, place.most)


def crowd(place, programs, count, rounds, report):
    """The same, for `count` executors of one kind at once."""
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
