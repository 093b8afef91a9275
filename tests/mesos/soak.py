#!/usr/bin/env python3
"""Run many random tasks under a real Mesos while its agent is killed with -9 and restarted at random moments.

    soak.py --executor FILE [--tasks N] [--restarts N] [--parallel K] [--seed S]

Three labs run side by side and share the numbers: one as it comes, one with executor authentication (JWT), one with
JWT and the domain socket. What must become of each task is known before (soak_jobs.py), and compared: the states in
their order, exactly one terminal, each update with its own UUID, codes, message, progress; Cook's messages; the
executor's own exit status; that nothing of the task is left. An update that the agent has made up counts as lost.

What no executor can do anything about is counted apart:
* never delivered: the agent died with the task before the executor had it; executor.log has no launchTask. Such a task
  is launched once more.
* went down: a message of Cook's that never came, of an executor that had called an agent just before it was killed.
  Mesos keeps messages nowhere.
* a KILL that crossed the terminal update: the master answers it with a reconciliation, as the task is unknown by then.

The last lines are `soak: T tasks, R restarts, U updates, L lost, W wrong, D doubled (seed S)` and
`N passed, N failed`; exit status 1 if something was lost, wrong or doubled, or a process was left. All files are in a
folder below tests/mesos/run (or $MESOS_TEST_RUN), which is kept if something has failed (or with --keep)."""
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
# Between the moment at which nothing more is to be waited for and the terminal update, everything included: restarts
# on end, and an acknowledgement that went down with an agent (it tells us again after 10 seconds).
PATIENCE = 120
# An agent has sent on what it accepted this long ago.
IN_FLIGHT = 0.5


class Stopped(Exception):
    """The soak was interrupted."""


def census(cookie):
    """The processes of each task, the executors included: dict cookie -> {pid: command line}."""
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
    """Takes one census after the other, for everybody."""

    def __init__(self, cookie):
        super().__init__(daemon=True)
        self.cookie, self.found, self.begun, self.stopping = cookie, {}, 0.0, threading.Event()

    def run(self):
        while not self.stopping.wait(0.25):
            begun = time.monotonic()
            self.found, self.begun = census(self.cookie), begun

    def of(self, task, since):
        """What runs of a task, by a census that has begun after `since`; None if there is none yet."""
        begun = self.begun  # before `found`, which may be replaced by a later one meanwhile
        return self.found.get(task.cookie, {}) if begun > since else None


class SoakFramework(Framework):
    """Tells when an update comes, and remembers what came again under the same UUID but is not the same."""

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
    # The agent does not know how an executor has ended if it was restarted meanwhile; this does.
    command = f"./cook-executor; code=$?; echo $code >{EXIT_FILE}; exit $code"
    subscribe = staticmethod(SoakFramework)


class Outcome:
    """What became of one job in the end."""

    def __init__(self, job, task, lab_name):
        self.job, self.task, self.lab_name = job, task, lab_name
        self.problems = []      # (kind, text)
        self.kills = []         # when the framework has killed it: wall clock
        self.subscriptions, self.ended_alone = 0, False

    def told(self, problems):
        """All that helps to see what has happened."""
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
        """How often the executor has subscribed, and whether it had no subscription when the task ended."""
        log = "\n".join(self._lines("executor.log"))
        self.subscriptions = log.count("registered executor=")
        until_end = log.partition("Executor completed execution")[0]
        self.ended_alone = until_end.rfind("disconnected: ") > until_end.rfind("registered executor=")


class SoakLab(threading.Thread):
    """One lab with its jobs: this thread starts, kills and restarts the agent, others see the jobs through."""

    def __init__(self, soak, name, jobs, restarts, parallel, flags):
        super().__init__(name=name)
        self.soak, self.jobs, self.parallel, self.flags = soak, queue.SimpleQueue(), parallel, flags
        for job in jobs:
            self.jobs.put(job)
        self.rng = random.Random(f"{soak.seed}/{name}")
        # The restarts are spread over the launches: number n comes after so many.
        self.due = sorted(self.rng.uniform(0, len(jobs)) for _ in range(restarts))
        self.folder = os.path.join(soak.folder, name)
        self.may_launch, self.over = threading.Event(), threading.Event()
        self.launch_lock, self.launching = threading.Lock(), threading.Condition()
        self.launched, self.never_delivered = 0, collections.Counter()
        self.kills = []         # wall clock times
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
        eventually(self._is_drained, "the agent to have no executor any more", 60)
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
            # Now and then it dies again while it recovers.
            wait_for_it = rng.random() > 0.25 or number + 1 == len(self.due)
            if wait_for_it:
                self._await_agent()
                self.may_launch.set()
            else:
                time.sleep(rng.uniform(0.1, 3.5))

    def _await_agent(self):
        """An agent that cannot start is started again, as init would do it: a child that the last one was forking when
        it died may have its port for a moment longer."""
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
        """Any moment after so many launches, or one at which something is under way."""
        while self.launched < due:
            self._check()
            with self.launching:
                self.launching.wait(0.2)
        how = self.rng.choice(["any"] * 3 + ["update"] * 5 + ["launch"])
        if how == "any":
            time.sleep(self.rng.uniform(0, 3))
        if how != "launch" and self.rng.random() < 0.9:
            # A launch that is hit says nothing about the executor: let all arrive, and do no other.
            self.may_launch.clear()
            deadline = time.monotonic() + 10
            while any(not task.updates for task in self.cook.launched[-20:]) and time.monotonic() < deadline:
                time.sleep(0.05)
        if how != "any":
            condition = self.launching if how == "launch" else self.cook.framework.arrivals
            with condition:
                condition.wait(1)
            # What is on the way takes from one to some hundred milliseconds.
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
        """Launch a job until an executor gets it, and wait for its end."""
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
            # What ExecutorInfo says comes last: an address where no agent is. Only the socket is left.
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
                    continue    # the offers were taken back
            with self.launching:
                self.launched += 1
                self.launching.notify_all()
            return task

    def _wait_until(self, condition, timeout):
        """True once the condition is, False after the timeout."""
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
        """Kill the task when it is time, and wait for its terminal update and its executor's end."""
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
        # The executor may wait for an agent to take its last messages.
        since = time.monotonic()
        if not self._wait_until(lambda: self.soak.census.of(task, since) == {}, 60):
            left = self.soak.census.of(task, 0)
            outcome.problems.append(("wrong", f"a minute after its terminal update there still ran {left}"))
        self._wait_until(lambda: not list(job.unheard(task.updates, task.messages)), 2)

    @staticmethod
    def _was_never_delivered(task):
        """The agent says how it ended, and it has never been told to the executor."""
        terminal = [update for update in task.updates if update["state"] in TERMINAL]
        if not terminal or terminal[0].get("source") == "SOURCE_EXECUTOR":
            return False
        log = task.read("executor.log") if task.has("executor.log") else ""
        return "launchTask" not in log and not task.has("journal")

    # -- the verdict -------------------------------------------------------------------------------------------

    def _judge(self, outcome):
        job, task = outcome.job, outcome.task
        if not self._has_ended(task):
            return
        if task.left_behind:
            yield "wrong", f"at its terminal update there still ran {task.left_behind}"
        status = task.read(EXIT_FILE).strip() if task.has(EXIT_FILE) else "unknown"
        if status != "0":
            yield "wrong", f"the executor's exit status is {status}"
        yield from self._wrong_updates(job, task)
        yield from job.wrong_messages(task.messages)

    @staticmethod
    def _wrong_updates(job, task):
        made_up = [update for update in task.updates if update.get("source") != "SOURCE_EXECUTOR"]
        for update in made_up:
            yield "lost", f"in place of an update came what the {update.get('source')} made up: {shown(update)}"
        updates = [update for update in task.updates if update not in made_up]
        terminal = [update for update in updates if update["state"] in TERMINAL]
        if len(terminal) > 1:
            yield "doubled", f"several terminal updates: {[shown(update) for update in terminal]}"
        elif terminal and updates[-1] is not terminal[0]:
            yield "wrong", f"after the terminal update came {shown(updates[-1])}"
        elif terminal:
            yield from job.wrong(updates, lambda name: task.read(name) if task.has(name) else "")

    def _judge_all(self):
        """Once nothing more can come: what came late, and what did not come at all."""
        uuids = collections.Counter(u.get("uuid") for o in self.outcomes for u in o.task.updates)
        for outcome in self.outcomes:
            task, problems = outcome.task, []
            for kind, text in self._judge(outcome):
                if (kind, text) not in outcome.problems:
                    problems.append((kind, text))
            for update in task.updates:
                if "uuid" in update and uuids[update["uuid"]] > 1:
                    problems.append(("doubled", f"the UUID of {shown(update)} is another update's, too"))
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
        """What the agent says of the task's messages: those that come before it has registered, it drops."""
        said = f"Dropping framework message from executor '{task.executor_id}'"
        with open(self.lab.path("mesos-agent.log"), errors="replace") as log:
            found = [line.strip() for line in log if said in line]
        return "".join(f"; the agent says: {line}" for line in found)


def went_down(task, kills):
    """Whether an agent was killed just after the executor had called it, and the executor believed to have told all:
    it did not leave because its time was over (a tick)."""
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
    """All labs, and what is common to them."""

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
                 *(f"      {line[:400]}" for line in outcome.told(problems)),
                 f"      the agent's log: {os.path.join(self.folder, outcome.lab_name, 'lab', 'mesos-agent.log')}")

    def nothing_is_left(self):
        """End what is left after all; the text that says what it was."""
        try:
            eventually(lambda: not marked(self.cookie), "the end of all processes", 10)
        except AssertionError:
            left = marked(self.cookie)
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return f"there still ran {left}"
        return None


def variants(folder, sockets):
    """The three kinds of agents."""
    key = os.path.join(folder, "jwt-key")
    with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write("a secret for tests")
    token = {"authenticate_http_executors": "true", "http_authenticators": "jwt", "jwt_secret_key": key}
    # A socket's path must be short.
    socket = {"http_executor_domain_sockets": "true", "domain_socket_location": os.path.join(sockets, "agent.sock")}
    return [("plain", {}), ("token", token), ("socket", {**token, **socket})]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", required=True, help="the cook-executor to test")
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--restarts", type=int, default=6)
    parser.add_argument("--parallel", type=int, default=18, help="tasks at once, in all three labs together")
    parser.add_argument("--seed", default=None, help="whatever was printed as seed")
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
    # The build may replace the file while this runs.
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
    """Print the last lines; the exit status."""
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
          f"{sum(framework.again for framework in frameworks)} updates came again; "
          f"{sum(framework.crossed for framework in frameworks)} KILLs crossed the end; "
          f"{never_delivered.total()} launches never delivered; {len(messages)} messages went down with an agent")
    false_starts = sum(lab.false_starts for lab in soak.labs)
    if false_starts:
        print(f"      {false_starts} times an agent could not start and was started again")
    only_messages = sum(all(text.startswith("message: ") for _, text in outcome.problems) for outcome in broken)
    if only_messages:
        dropped = sum("the agent says: " in text for outcome in broken for _, text in outcome.problems)
        print(f"      {only_messages} tasks failed by nothing but a message of Cook's that did not come; "
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
