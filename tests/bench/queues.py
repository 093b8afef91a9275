"""The interface between figures.py and a job queue, and its implementation for cook-scheduler."""
import contextlib
import ctypes
import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

import kernel

DEADLINE = 600      # seconds for one step
SLOTS = 20          # the number of jobs that run at once, with 0.1 cpu each
PR_SET_CHILD_SUBREAPER = 36


def adopt():
    """Makes this process the parent of orphaned descendants, so that it can find and end all of them."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError("prctl PR_SET_CHILD_SUBREAPER failed")


def descendants():
    """The pids of all living processes that this program has started, directly or indirectly."""
    found, new = set(), {os.getpid()}
    while new:
        new = set(kernel.processes(lambda pid: kernel.parent(pid) in new)) - found
        found |= new
    return found


class Queue:
    """A job queue: daemons with a folder of their own. They are ended with everything that they have started. There can be
    only one queue at a time, because all descendants of this program are assumed to belong to it."""
    most_waiting = None     # the maximum number of waiting jobs, if it is low

    def __init__(self, options):
        self.folder = tempfile.mkdtemp(prefix="cook-bench-", dir=options.folder)
        self.daemons = []
        self.environment = dict(os.environ)
        try:
            start = time.perf_counter()
            self.start(options)
            self.started = time.perf_counter() - start
        except BaseException:
            self.stop()
            raise

    def path(self, name):
        return os.path.join(self.folder, name)

    def spawn(self, *command, **streams):
        """Starts a daemon in the foreground, with a log of its errors."""
        streams = {"stdout": subprocess.DEVNULL, **streams}
        with open(self.path(os.path.basename(command[0]) + ".err"), "w") as log:
            daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, env=self.environment, **streams)
        self.daemons.append(daemon)
        return daemon

    def run(self, *command, check=True):
        """Runs a client of the queue, and returns its output. The output goes to a file, because a client may leave
        processes behind that would keep a pipe open."""
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, check=False,
                                  env=self.environment, timeout=DEADLINE)
            output.seek(0)
            errors.seek(0)
            if check and done.returncode:
                raise RuntimeError(f"{command} exits with {done.returncode}: {errors.read().decode(errors='replace')}")
            return output.read().decode() if done.returncode == 0 else None

    def wait_until(self, what, condition, pause=0.05):
        end = time.monotonic() + DEADLINE
        while not condition():
            self.reap()
            if time.monotonic() > end:
                raise RuntimeError(f"{type(self).__name__}: not {what} within {DEADLINE} s")
            time.sleep(pause)

    def reap(self):
        """Reaps orphaned processes that have ended. If a daemon has ended, that is an error."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                for daemon in self.daemons:
                    if daemon.pid == ended.si_pid:
                        with open(self.path(os.path.basename(daemon.args[0]) + ".err"), errors="replace") as log:
                            raise RuntimeError(f"{daemon.args[0]} has ended: {log.read()[-500:]}")
                os.waitpid(ended.si_pid, 0)

    def pids(self):
        """The processes of the queue while no job runs."""
        return [daemon.pid for daemon in self.daemons]

    def stop(self):
        for daemon in reversed(self.daemons):
            daemon.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
        end = time.monotonic() + DEADLINE
        while left := descendants():
            if time.monotonic() > end:
                raise RuntimeError(f"the processes {left} cannot be ended")
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        self.daemons = []
        self.reap()
        shutil.rmtree(self.folder, ignore_errors=True)


class Cook(Queue):
    """cook-scheduler with the embedded backend, used over one connection."""
    name = "cook-scheduler"
    small = {"command": "true", "cpus": 0.1, "mem": 16}
    never = {**small, "cpus": 4}   # more than the machine offers, so that it waits

    def start(self, options):
        with open(self.path("config.edn"), "w") as file:
            file.write("{:embedded {:cpus %d :memory-gb 64} :scheduler {:task-constraints {:cpus 4 :memory-gb 64}}}" % (SLOTS // 10))
        self.programs = [options.scheduler]
        self.command = [options.scheduler, "--data", self.path("data")]
        if options.executor:
            self.command += ["--executor", options.executor]
        daemon = self.spawn(*self.command, "--config", self.path("config.edn"), "--listen", "127.0.0.1:0",
                            stdout=subprocess.PIPE, text=True)
        host, port = daemon.stdout.readline().strip().rsplit("/", 1)[-1].split(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=DEADLINE)
        self.user = None

    def ask(self, method, target, body=None):
        self.connection.request(method, target, body=body)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {target}: {answer.status} {text[:200]}")
        return text

    def post(self, jobs):
        return self.ask("POST", "/rawscheduler", json.dumps(jobs)).decode().split()[2:]

    def submit(self, *command):
        self.post({**self.small, "command": " ".join(command)})

    def submit_many(self, count):
        names = self.post({"jobs": [self.small] * count})
        self.user = json.loads(self.ask("GET", f"/rawscheduler?job={names[0]}"))[0]["user"]

    def finish(self):
        def left():
            lines = self.ask("GET", "/metrics").decode().splitlines()
            counts = dict(line.rsplit(" ", 1) for line in lines if line.startswith("cook_jobs{"))
            return sum(int(count) for state, count in counts.items() if 'state="completed"' not in state)
        self.wait_until("idle", lambda: left() == 0, pause=0.01)

    def list(self, count):
        span = f"state=success&start=0&end=9999999999999&limit={count}"
        return self.ask("GET", f"/jobs?user={self.user}&{span}")

    def listed(self, text):
        return len(json.loads(text))

    def wait_one(self):
        self.post(self.never)

    def wait_many(self, count):
        self.post({"jobs": [self.never] * count})

    def stop(self):
        if self.daemons:   # its executors survive it, so they are ended with --drain
            self.daemons[0].kill()
            self.daemons[0].wait()
            self.daemons[0].stdout.close()
            subprocess.run([*self.command, "--drain"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
                           timeout=DEADLINE)
        super().stop()
