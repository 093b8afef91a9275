"""Executors under the small agent of the bench. mesos.py has the same two classes for executors under a real one."""
import contextlib
import os
import select
import signal
import sys
import tempfile
import time

import kernel
from agent import Agent


class SmallAgent(contextlib.AbstractContextManager):
    """A place where executors run: each in a sandbox below the folder."""

    name = "a small agent of the bench's own"
    begin = "the fork of the executor"
    most = 10_000   # executors at once

    def __init__(self, folder, events=None):
        self.folder, self.events, self.agent = folder, events, Agent()
        self.sessions = set()   # of the executors that were started
        keep_descriptors_to_ourselves()

    def start(self, program, command, environment=None, checks=None, **hooks):
        """Start an executor, and a task in it as soon as it has subscribed. `program` is a list of arguments, the first
        of them a file."""
        return Run(self, program, {"command": command, **hooks}, environment or {}, checks)

    def start_many(self, program, command, count):
        """Start so many of the same at once; the caller closes them by the stack that is given along."""
        with contextlib.ExitStack() as stack:
            runs = [stack.enter_context(self.start(program, command)) for _ in range(count)]
            return runs, stack.pop_all()

    def __exit__(self, error, *_):
        self.agent.close()
        left = kernel.processes(lambda pid: kernel.session(pid) in self.sessions)
        if left and not error:
            raise RuntimeError(f"executors have left the processes {left} behind")


class Run(contextlib.AbstractContextManager):
    """One executor and its task. The executor has a session of its own and its output in files `stdout` and `stderr` of
    the sandbox, as agents have it. Whatever is left of it at the end of the `with` is killed."""

    def __init__(self, place, program, job, environment, checks=None):
        self.events, self.session = place.events, place.agent.session(job, checks)
        self.sandbox = tempfile.mkdtemp(dir=place.folder)
        self.status = None
        files = [(os.devnull, os.O_RDONLY), *((os.path.join(self.sandbox, name), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
                                              for name in ("stdout", "stderr"))]
        actions = [(os.POSIX_SPAWN_OPEN, number, path, flags, 0o644) for number, (path, flags) in enumerate(files)]
        os.chdir(self.sandbox)  # posix_spawn has no way to say it for the child alone
        self.begun = time.monotonic_ns()
        self.pid = os.posix_spawn(program[0], program, {**self.session.environment(self.sandbox), **environment},
                                  file_actions=actions, setsid=True,
                                  setsigdef=[signal.SIGPIPE, signal.SIGXFSZ])  # which Python ignores
        os.chdir("/")
        self.pidfd = os.pidfd_open(self.pid)
        place.sessions.add(self.pid)

    # -- what can be waited for --------------------------------------------------------------------------------

    def running(self, timeout=20):
        """When TASK_RUNNING had come."""
        return self.session.wait(lambda call: call.state == "TASK_RUNNING", "TASK_RUNNING", timeout).at

    def terminal(self, state="TASK_FINISHED", timeout=20):
        """When the terminal update had come."""
        return self.session.wait_terminal(state, timeout).at

    def ends(self, timeout=20):
        """Wait for the executor's end, which has to be a good one."""
        poll = select.poll()  # select takes no descriptor beyond 1023
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll(timeout * 1000):
            raise RuntimeError(f"{self.session.id} has not ended within {timeout} s")
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        if self.status:
            raise RuntimeError(f"{self.session.id} ended with {self.status}")

    def kill(self):
        """Let the agent ask for the end of the task."""
        self.session.kill()

    # -- what has been -----------------------------------------------------------------------------------------

    def moments(self):
        """When what happened, in ns of the monotonic clock, once all of it is over."""
        command, command_exec = self.events.command(self.pid)
        subscribe = self.session.wait(lambda call: call.kind == "SUBSCRIBE", "SUBSCRIBE").at
        return {"begin": self.begun, "exec": self.events.exec(self.pid), "subscribe": subscribe,
                "launch": self.session.launched, "command exec": command_exec, "command exit": self.events.end(command),
                "terminal": self.terminal(), "end": self.events.end(self.pid)}

    def progress(self):
        """The last progress that the agent was told, in percent: by a message, or in the data of the terminal update."""
        found = None
        for call in list(self.session.calls):
            found = told_progress(call.data, found)
        return found

    def command(self):
        """The pid of the one command that runs."""
        return kernel.processes(lambda pid: kernel.parent(pid) == self.pid)[0]

    def read(self, name):
        """What is in a file of the sandbox."""
        with open(os.path.join(self.sandbox, name), errors="replace") as file:
            return file.read()

    # -- the end -----------------------------------------------------------------------------------------------

    def __exit__(self, error, *_):
        for name in ("stdout", "stderr", "executor.log") if error else ():
            with contextlib.suppress(FileNotFoundError):
                print(f"{name}:", *self.read(name).splitlines()[-30:], sep="\n  ", file=sys.stderr)
        if self.status is None:
            for pid in kernel.processes(lambda pid: kernel.session(pid) == self.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.pidfd)


def told_progress(data, before):
    """The percentage in the data of a message or of a terminal update; `before` if there is none."""
    if not isinstance(data, dict):
        return before
    told = data.get("progress-percent", data.get("progress"))
    return before if told is None else told


def keep_descriptors_to_ourselves():
    """Executors would inherit what our caller has left open."""
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # of the listing itself, closed by now
            os.set_inheritable(descriptor, descriptor <= 2)
