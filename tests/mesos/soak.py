#!/usr/bin/env python3
"""Runs many random tasks under a real Mesos while its agent is killed with -9 and restarted at random moments.

  soak.py --executor FILE [--tasks N] [--restarts N] [--parallel K] [--seed S]

Three labs run at the same time and share the tasks: a plain one, one with executor authentication (JWT), and one with JWT and
the domain socket. The result of each task is known in advance (soak_jobs.py) and compared: the order of states, exactly one
terminal state, a separate UUID for each update, codes, message, progress; Cook's messages; the executor's own exit status; and
that no process of the task is left. An update that the agent has generated itself counts as lost.

Events that no executor can prevent are counted separately:
* never delivered: the agent died with the task before the executor had it; executor.log has no launchTask. Such a task is
  launched again.
* went down: a message for Cook did not arrive, and the executor had sent a call to an agent just before that agent was killed.
  Mesos does not store messages.
* a KILL that crossed the terminal update: the master answers it with a reconciliation, because the task is unknown by then.

The last lines are `soak: T tasks, R restarts, U updates, L lost, W wrong, D doubled (seed S)` and `N passed, N failed`. The exit
status is 1 if something was lost, wrong or doubled, or if a process was left. All files are in a folder below tests/mesos/run
(or $MESOS_TEST_RUN), which is kept if something has failed (or with --keep)."""
import argparse
import collections
import contextlib
import datetime
import json
import os
import queue
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback

import soak_jobs
from cook import Cook
from framework import TERMINAL, Framework, shown
from lab import COOKIE, HERE, Lab, answer, eventually, marked

EXIT_FILE = "executor-exit"
# Maximum seconds from the last expected event to the terminal update. It includes repeated restarts,
# and an acknowledgement lost with an agent (the executor sends the update again after 10 seconds).
PATIENCE = 120
# An agent has forwarded everything that it accepted earlier than this many seconds ago.
IN_FLIGHT = 0.5


class Stopped(Exception):
    """The soak was interrupted."""


def census(cookie):
    """The processes of each task, including executors: dict cookie -> {pid: command line}."""
    found, needle = collections.defaultdict(dict), f"{COOKIE}={cookie}".encode()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                mine = [entry for entry in file.read().split(b"\0") if entry.startswith(needle)]
            if mine:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
                if command:
                    found[mine[-1].partition(b"=")[2].decode()][int(pid)] = command
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


class Census(threading.Thread):
    """Takes one census after the other, for all threads."""

    def __init__(self, cookie):
        super().__init__(daemon=True)
        self.cookie, self.found, self.begun, self.stopping = cookie, {}, 0.0, threading.Event()

    def run(self):
        while not self.stopping.wait(0.25):
            begun = time.monotonic()
            self.found, self.begun = census(self.cookie), begun

    def of(self, task, since):
        """The processes of a task, from a census that began after `since`; None if there is none yet."""
        begun = self.begun  # read before `found`, which a later census may replace
        return self.found.get(task.cookie, {}) if begun > since else None


class SoakFramework(Framework):
    """Signals arriving updates, and records updates that were repeated under the same UUID but with other content."""

    def __init__(self, lab):
        self.arrivals, self.again, self.changed, self.crossed = threading.Condition(), 0, [], 0
        super().__init__(lab)

    def _on_update(self, event):
        status = event["status"]
        task = self.tasks[status["task_id"]["value"]]
        has_ended = any(update["state"] in TERMINAL for update in task.updates)
        if task.is_killed and has_ended and status.get("reason") == "REASON_RECONCILIATION" and "uuid" not in status:
            self.crossed += 1
            return
        before = [(u["state"], u.get("message")) for u in task.updates if u.get("uuid") == status.get("uuid", "")]
        if before:
            self.again += 1
            if before[0] != (status["state"], status.get("message")):
                self.changed.append((task, f"{before[0]} came again with the same UUID as {shown(status)}"))
        with self.arrivals:
            self.arrivals.notify_all()
        super()._on_update(event)


class SoakCook(Cook):
    # The agent does not know how an executor ended if it was restarted meanwhile, so this records it.
    command = f"./cook-executor; code=$?; echo $code >{EXIT_FILE}; exit $code"
    subscribe = staticmethod(SoakFramework)


class Outcome:
    """The final result of one job."""

    def __init__(self, job, task, lab_name):
        self.job, self.task, self.lab_name = job, task, lab_name
        self.problems = []      # (kind, text)
        self.kills = []         # the times of its KILLs (wall clock)
        self.subscriptions, self.ended_alone = 0, False

    def details(self, problems):
        """Everything that helps to find out what happened."""
        yield from (f"{kind}: {text}" for kind, text in problems)
        yield f"its files: {self.task.path('')}"
        yield from (f"  {shown(update)}" for update in self.task.updates)
        yield from (f"  message {message}" for message in self.task.messages)
        yield f"  journal {' '.join(self._lines('journal'))}"
        yield f"  KILLs {self.kills}"
        log = [line for line in self._lines("executor.log") if "DEBUG" not in line or " effect: exit" in line]
        yield from (f"  {line}" for line in log[-40:])
        yield from (f"  stderr {line}" for line in self._lines("stderr")[-10:])

    def _lines(self, name):
        return self.task.read(name).splitlines() if self.task.has(name) else []

    def read_log(self):
        """Counts the executor's subscriptions, and finds out whether it was subscribed when the task ended."""
        log = "\n".join(self._lines("executor.log"))
        self.subscriptions = log.count("registered executor=")
        until_end = log.partition("Executor completed execution")[0]
        self.ended_alone = until_end.rfind("disconnected: ") > until_end.rfind("registered executor=")


class SoakLab(threading.Thread):
    """One lab with its jobs: this thread starts, kills and restarts the agent; other threads handle the jobs."""

    def __init__(self, soak, name, jobs, restarts, parallel, flags):
        super().__init__(name=name)
        self.soak, self.jobs, self.parallel, self.flags = soak, queue.SimpleQueue(), parallel, flags
        for job in jobs:
            self.jobs.put(job)
        self.rng = random.Random(f"{soak.seed}/{name}")
        # The restarts are distributed over the launches: restart n happens after this number of
        # launches.
        self.due = sorted(self.rng.uniform(0, len(jobs)) for _ in range(restarts))
        self.folder = os.path.join(soak.folder, name)
        self.may_launch, self.over = threading.Event(), threading.Event()
        self.launch_lock, self.launching = threading.Lock(), threading.Condition()
        self.launched, self.never_delivered = 0, collections.Counter()
        self.kills = []         # the times at which the agent was killed (wall clock)
        self.outcomes, self.went_down, self.error, self.updates = [], [], None, 0
        self.lab, self.cook, self.false_starts = None, None, 0

    def run(self):
        try:
            with Lab(os.path.join(self.folder, "lab"), self.flags, f"{self.soak.cookie}/{self.name}") as self.lab:
                with SoakCook(self.lab, self.soak.executor, self.folder, self.lab.cookie) as self.cook:
                    self._soak()
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
            if not isinstance(error, Stopped):
                self.error += "\n" + traceback.format_exc()
        finally:
            self.over.set()

    def _soak(self):
        workers = [threading.Thread(target=self._work, daemon=True) for _ in range(self.parallel)]
        self.may_launch.set()
        for worker in workers:
            worker.start()
        self._restart_agents()
        for worker in workers:
            while worker.is_alive():
                self._check()
                worker.join(0.2)
        self._check()
        eventually(self._is_drained, "the agent to have no executors", 60)
        self._judge_all()

    def _check(self):
        if self.soak.stopping.is_set():
            raise Stopped("interrupted")
        if self.cook.framework.error:
            raise RuntimeError(self.cook.framework.error)
        if self.error:
            raise RuntimeError(self.error)

    def _is_drained(self):
        state = answer(f"http://{self.lab.agent_address}/slave(1)/state")
        return state and not any(framework["executors"] for framework in json.loads(state)["frameworks"])

    # -- the agent ---------------------------------------------------------------------------------------------

    def _restart_agents(self):
        rng, wait_for_it = self.rng, True
        for number, due in enumerate(self.due):
            if wait_for_it:
                self._await_moment(due)
            self.may_launch.clear()
            self.kills.append(time.time())
            self.lab.kill_agent()
            time.sleep(rng.choice([0.1, rng.uniform(0.1, 1), rng.uniform(1, 4)]))
            self.lab.launch_agent()
            # Sometimes it dies again while it recovers.
            wait_for_it = rng.random() > 0.25 or number + 1 == len(self.due)
            if wait_for_it:
                self._await_agent()
                self.may_launch.set()
            else:
                time.sleep(rng.uniform(0.1, 3.5))

    def _await_agent(self):
        """Waits for the agent. An agent that cannot start is started again, as an init system would do: a child that the previous
        agent was forking when it died may hold its port for a moment."""
        for attempt in range(10):
            try:
                return self.lab.await_agent()
            except RuntimeError:
                if attempt == 9:
                    raise
            self.false_starts += 1
            time.sleep(0.2)
            self.lab.launch_agent()

    def _await_moment(self, due):
        """Waits for a moment after this number of launches: a random one, or one just after an event."""
        while self.launched < due:
            self._check()
            with self.launching:
                self.launching.wait(0.2)
        how = self.rng.choice(["any"] * 3 + ["update"] * 5 + ["launch"])
        if how == "any":
            time.sleep(self.rng.uniform(0, 3))
        if how != "launch" and self.rng.random() < 0.9:
            # A launch that is lost says nothing about the executor, so wait until all have arrived, and
            # pause launching.
            self.may_launch.clear()
            deadline = time.monotonic() + 10
            while any(not task.updates for task in self.cook.launched[-20:]) and time.monotonic() < deadline:
                time.sleep(0.05)
        if how != "any":
            condition = self.launching if how == "launch" else self.cook.framework.arrivals
            with condition:
                condition.wait(1)
            # Messages in transit take between one and some hundred milliseconds.
            time.sleep(self.rng.uniform(0, 1) ** 3 * 0.5)

    # -- the jobs ----------------------------------------------------------------------------------------------

    def _work(self):
        try:
            while not self.over.is_set():
                try:
                    job = self.jobs.get_nowait()
                except queue.Empty:
                    return
                self._see_through(job)
        except Stopped:
            pass
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"

    def _see_through(self, job):
        """Launches a job until an executor gets it, and waits for its end."""
        for attempt in range(10):
            task = self._launch(job, f"job-{job.number}" + (f"-{attempt + 1}" if attempt else ""))
            outcome = Outcome(job, task, self.name)
            self._follow(outcome, attempt)
            if not self._was_never_delivered(task):
                self.outcomes.append(outcome)
                outcome.problems += self._judge(outcome)
                outcome.read_log()
                self.soak.ended(outcome)
                if not outcome.problems:
                    with contextlib.suppress(OSError):
                        os.unlink(task.path("cook-executor"))
                return
            terminal = task.updates[-1]
            self.never_delivered[f"{terminal.get('reason')} {terminal.get('message')}"] += 1
        raise RuntimeError(f"job {job.number} was never delivered, in {attempt + 1} attempts")

    def _launch(self, job, name):
        environment = {**job.environment, "EXECUTOR_LOG_LEVEL": "DEBUG"}
        if "domain_socket_location" in self.flags and job.number % 2:
            # ExecutorInfo overrides the agent's variables; here with an address where no agent listens,
            # so that only the socket is left.
            environment.update(MESOS_AGENT_ENDPOINT="127.0.0.1:1", MESOS_SLAVE_PID="slave(1)@127.0.0.1:1")
        while True:
            self._wait_until(lambda: self.may_launch.is_set() and self.cook.framework.offers, 120)
            with self.launch_lock:
                if not (self.may_launch.is_set() and self.cook.framework.offers):
                    continue
                try:
                    task = self.cook.launch(job.data, environment=environment, shutdown_grace=job.shutdown_grace,
                                            name=name)
                except AssertionError:
                    continue    # the offers were rescinded
            with self.launching:
                self.launched += 1
                self.launching.notify_all()
            return task

    def _wait_until(self, condition, timeout):
        """Waits until the condition is true, and returns True; after the timeout returns False."""
        deadline = time.monotonic() + timeout
        while not condition():
            if self.soak.stopping.is_set() or self.over.is_set() or self.cook.framework.error:
                raise Stopped
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    @staticmethod
    def _has_ended(task):
        return any(state in TERMINAL for state in task.states())

    def _follow(self, outcome, attempt):
        """Kills the task at its time, and waits for its terminal update and the end of its executor."""
        job, task = outcome.job, outcome.task
        if job.kill:
            if job.kill.gate:
                self._wait_until(lambda: self._has_ended(task) or task.has("ready"), PATIENCE)
            elif attempt or not job.kill.early:
                self._wait_until(lambda: task.updates, PATIENCE)
            self._wait_until(lambda: self._has_ended(task), job.kill.delay)
            deadline = time.monotonic() + PATIENCE
            while not self._has_ended(task) and time.monotonic() < deadline:
                outcome.kills.append(f"{datetime.datetime.now(datetime.timezone.utc):%H:%M:%S.%f}"[:-3])
                task.kill(job.kill.grace)
                self._wait_until(lambda: self._has_ended(task), job.kill.repeat or PATIENCE)
        if not self._wait_until(lambda: self._has_ended(task), PATIENCE):
            outcome.problems.append(("lost", f"no terminal update in {PATIENCE} s"))
            return
        # The executor may wait for an agent that accepts its last messages.
        since = time.monotonic()
        if not self._wait_until(lambda: self.soak.census.of(task, since) == {}, 60):
            left = self.soak.census.of(task, 0)
            outcome.problems.append(("wrong", f"still running a minute after its terminal update: {left}"))
        self._wait_until(lambda: not list(job.unheard(task.updates, task.messages)), 2)

    @staticmethod
    def _was_never_delivered(task):
        """Whether the agent reported its end, and the executor never got it."""
        terminal = [update for update in task.updates if update["state"] in TERMINAL]
        if not terminal or terminal[0].get("source") == "SOURCE_EXECUTOR":
            return False
        log = task.read("executor.log") if task.has("executor.log") else ""
        return "launchTask" not in log and not task.has("journal")

    # -- judging -----------------------------------------------------------------------------------------------

    def _judge(self, outcome):
        job, task = outcome.job, outcome.task
        if not self._has_ended(task):
            return
        if task.left_behind:
            yield "wrong", f"still running at its terminal update: {task.left_behind}"
        status = task.read(EXIT_FILE).strip() if task.has(EXIT_FILE) else "unknown"
        if status != "0":
            yield "wrong", f"the executor's exit status is {status}"
        yield from self._wrong_updates(job, task)
        yield from job.wrong_messages(task.messages)

    @staticmethod
    def _wrong_updates(job, task):
        made_up = [update for update in task.updates if update.get("source") != "SOURCE_EXECUTOR"]
        for update in made_up:
            yield "lost", f"instead of an update of the executor there is one generated by {update.get('source')}: {shown(update)}"
        updates = [update for update in task.updates if update not in made_up]
        terminal = [update for update in updates if update["state"] in TERMINAL]
        if len(terminal) > 1:
            yield "doubled", f"several terminal updates: {[shown(update) for update in terminal]}"
        elif terminal and updates[-1] is not terminal[0]:
            yield "wrong", f"after the terminal update came {shown(updates[-1])}"
        elif terminal:
            yield from job.wrong(updates, lambda name: task.read(name) if task.has(name) else "")

    def _judge_all(self):
        """Checks, when nothing more can arrive, what arrived late or not at all."""
        uuids = collections.Counter(u.get("uuid") for o in self.outcomes for u in o.task.updates)
        for outcome in self.outcomes:
            task, problems = outcome.task, []
            for kind, text in self._judge(outcome):
                if (kind, text) not in outcome.problems:
                    problems.append((kind, text))
            for update in task.updates:
                if "uuid" in update and uuids[update["uuid"]] > 1:
                    problems.append(("doubled", f"the UUID of {shown(update)} was also used for another update"))
            problems += [("wrong", text) for other, text in self.cook.framework.changed if other is task]
            if self._has_ended(task):
                for text in outcome.job.unheard(task.updates, task.messages):
                    dropped = self._dropped(task)
                    if not dropped and went_down(task, self.kills):
                        self.went_down.append(f"{task.id}: {text}")
                    else:
                        problems.append(("wrong", f"message: {text}{dropped}"))
            if problems:
                outcome.problems += problems
                self.soak.report(outcome, problems)
        self.updates = sum(len(task.updates) for task in self.cook.launched)

    def _dropped(self, task):
        """The agent's log lines about dropped messages of the task: it drops those that arrive before it has registered."""
        text = f"Dropping framework message from executor '{task.executor_id}'"
        with open(self.lab.path("mesos-agent.log"), errors="replace") as log:
            found = [line.strip() for line in log if said in line]
        return "".join(f"; the agent's log: {line}" for line in found)


def went_down(task, kills):
    """Whether an agent was killed just after the executor had sent it a call, and the executor exited because everything was
    acknowledged, not because of a timeout (a tick)."""
    lines = task.read("executor.log").splitlines() if task.has("executor.log") else []
    calls, before = [], ""
    for line in lines:
        if line.endswith(" DEBUG effect: call"):
            at = datetime.datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S.%f")
            calls.append(at.replace(tzinfo=datetime.timezone.utc).timestamp())
        if line.endswith(" DEBUG effect: exit") and before.endswith(" DEBUG event: tick"):
            return False
        before = line
    return any(0 <= kill - call <= IN_FLIGHT for kill in kills for call in calls)


class Soak:
    """All labs, and the state that they share."""

    def __init__(self, executor, folder, seed):
        self.executor, self.folder, self.seed = executor, folder, seed
        self.cookie = os.path.basename(folder)
        self.stopping, self.printing = threading.Event(), threading.Lock()
        self.census = Census(self.cookie)
        self.labs, self.count = [], 0
        self.began = time.monotonic()

    def run(self, tasks, restarts, parallel, variants):
        jobs = [soak_jobs.make(random.Random(f"{self.seed}/{n}"), n) for n in range(1, tasks + 1)]
        self.total = tasks
        for index, (name, flags) in enumerate(variants):
            share = [total // len(variants) + (index < total % len(variants)) for total in (restarts, parallel)]
            self.labs.append(SoakLab(self, name, jobs[index::len(variants)], share[0], max(1, share[1]), flags))
        self.census.start()
        try:
            for lab in self.labs:
                lab.start()
            while any(lab.is_alive() for lab in self.labs):
                time.sleep(0.2)
        finally:
            self.stopping.set()
            for lab in self.labs:
                if lab.is_alive():
                    lab.join(60)
            self.census.stopping.set()

    def say(self, *lines):
        with self.printing:
            print(*lines, sep="\n", flush=True)

    def ended(self, outcome):
        with self.printing:
            self.count += 1
            count = self.count
        if outcome.problems:
            self.report(outcome, outcome.problems)
        if count % 100 == 0:
            kills = sum(len(lab.kills) for lab in self.labs)
            self.say(f"      {count} of {self.total} tasks, {kills} restarts, "
                     f"{time.monotonic() - self.began:.0f} s")

    def report(self, outcome, problems):
        job, task = outcome.job, outcome.task
        self.say(f"FAIL  {outcome.lab_name} {task.id} ({job.kind}; seed {self.seed})",
                 *(f"      {line[:400]}" for line in outcome.details(problems)),
                 f"      the agent's log: {os.path.join(self.folder, outcome.lab_name, 'lab', 'mesos-agent.log')}")

    def nothing_is_left(self):
        """Ends the processes that are left; returns a text about them."""
        try:
            eventually(lambda: not marked(self.cookie), "the end of all processes", 10)
        except AssertionError:
            left = marked(self.cookie)
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return f"still running: {left}"
        return None


def variants(folder, sockets):
    """The flags of the three kinds of agents."""
    key = os.path.join(folder, "jwt-key")
    with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write("a secret for tests")
    token = {"authenticate_http_executors": "true", "http_authenticators": "jwt", "jwt_secret_key": key}
    # The path of a socket must be short.
    socket = {"http_executor_domain_sockets": "true", "domain_socket_location": os.path.join(sockets, "agent.sock")}
    return [("plain", {}), ("token", token), ("socket", {**token, **socket})]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", required=True, help="the cook-executor to test")
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--restarts", type=int, default=6)
    parser.add_argument("--parallel", type=int, default=18, help="number of tasks at once, in all three labs together")
    parser.add_argument("--seed", default=None, help="the seed that was printed by an earlier run")
    parser.add_argument("--keep", action="store_true", help="keep the folder of this run")
    arguments = parser.parse_args()
    seed = arguments.seed or str(random.SystemRandom().randrange(10 ** 9))
    print(f"soak: seed {seed}, {arguments.tasks} tasks, {arguments.restarts} restarts, {arguments.parallel} at once",
          flush=True)
    if not os.access(arguments.executor, os.X_OK):
        sys.exit(f"{arguments.executor} is not an executable file")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    base = os.environ.get("MESOS_TEST_RUN") or os.path.join(HERE, "run")
    folder = os.path.join(os.path.abspath(base), f"soak-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
    os.makedirs(folder)
    # A copy, because a build at the same time may replace the file.
    executor = shutil.copy(arguments.executor, os.path.join(folder, "cook-executor"))
    soak = Soak(executor, folder, seed)
    with tempfile.TemporaryDirectory() as sockets:
        try:
            soak.run(arguments.tasks, arguments.restarts, arguments.parallel, variants(folder, sockets))
        except BaseException:
            soak.nothing_is_left()
            raise
    sys.exit(conclude(soak, arguments.keep))


def conclude(soak, keep):
    """Prints the last lines; returns the exit status."""
    outcomes = [outcome for lab in soak.labs for outcome in lab.outcomes]
    kinds = collections.Counter(kind for outcome in outcomes for kind in {kind for kind, _ in outcome.problems})
    broken = [outcome for outcome in outcomes if outcome.problems]
    failures = [f"{lab.name}: {lab.error}" for lab in soak.labs if lab.error]
    missing = soak.total - len(outcomes)
    if missing:
        failures.append(f"{missing} tasks have no result")
    left = soak.nothing_is_left()
    if left:
        failures.append(left)
    for failure in failures:
        print(f"FAIL  {failure} (seed {soak.seed})")
    messages = [text for lab in soak.labs for text in lab.went_down]
    for text in messages:
        print(f"      went down with an agent: {text}")
    never_delivered = sum((lab.never_delivered for lab in soak.labs), collections.Counter())
    for text, count in never_delivered.most_common():
        print(f"      never delivered: {count} x {text}")
    frameworks = [lab.cook.framework for lab in soak.labs if lab.cook]
    print(f"      {time.monotonic() - soak.began:.0f} s; {sum(outcome.subscriptions for outcome in outcomes)} "
          f"subscriptions; {sum(outcome.ended_alone for outcome in outcomes)} tasks ended without an agent; "
          f"{sum(framework.again for framework in frameworks)} updates were repeated; "
          f"{sum(framework.crossed for framework in frameworks)} KILLs crossed the terminal update; "
          f"{never_delivered.total()} launches never delivered; {len(messages)} messages went down with an agent")
    false_starts = sum(lab.false_starts for lab in soak.labs)
    if false_starts:
        print(f"      an agent could not start and was started again: {false_starts} times")
    only_messages = sum(all(text.startswith("message: ") for _, text in outcome.problems) for outcome in broken)
    if only_messages:
        dropped = sum("the agent's log: " in text for outcome in broken for _, text in outcome.problems)
        print(f"      {only_messages} tasks failed only because a message for Cook did not arrive; "
              f"{dropped} messages were dropped by an agent that had not registered again")
    print("      " + ", ".join(f"{count} {kind}" for kind, count in
                               collections.Counter(outcome.job.kind for outcome in outcomes).most_common()))
    if broken or failures or keep:
        print(f"logs and sandboxes: {soak.folder}")
    else:
        shutil.rmtree(soak.folder)
    print(f"soak: {len(outcomes)} tasks, {sum(len(lab.kills) for lab in soak.labs)} restarts, "
          f"{sum(lab.updates for lab in soak.labs)} updates, {kinds['lost']} lost, {kinds['wrong']} wrong, "
          f"{kinds['doubled']} doubled (seed {soak.seed})")
    print(f"{len(outcomes) - len(broken)} passed, {len(broken) + len(failures)} failed")
    return 1 if broken or failures else 0


if __name__ == "__main__":
    main()
