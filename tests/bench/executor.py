"""Runs executors under the small agent of the bench. mesos.py has the same two classes for a real agent."""
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
    """Runs executors, each in a sandbox below the folder."""

    name = "the bench's own small agent"
    begin = "the fork of the executor"
    most = 10_000   # maximum number of executors at once

    def __init__(self, folder, events=None):
        self.folder, self.events, self.agent = folder, events, Agent()
        self.sessions = set()   # the sessions of all started executors
        keep_descriptors_to_ourselves()

    def start(self, program, command, environment=None, checks=None, **hooks):
        """Starts an executor, and a task in it as soon as it has subscribed. `program` is a list of arguments; the first
        one is a file."""
        return Run(self, program, {"command": command, **hooks}, environment or {}, checks)

    def start_many(self, program, command, count):
        """Starts `count` equal executors. Returns them, and the stack with which the caller closes them."""
        with contextlib.ExitStack() as stack:
            runs = [stack.enter_context(self.start(program, command)) for _ in range(count)]
            return runs, stack.pop_all()

    def __exit__(self, error, *_):
        self.agent.close()
        left = kernel.processes(lambda pid: kernel.session(pid) in self.sessions)
        if left and not error:
            raise RuntimeError(f"executors have left the processes {left} behind")


class Run(contextlib.AbstractContextManager):
    """One executor and its task. As under a real agent, the executor has its own session, and its output is in the files
    `stdout` and `stderr` of the sandbox. Processes that are left at the end of the `with` are killed."""

    def __init__(self, place, program, job, environment, checks=None):
        self.events, self.session = place.events, place.agent.session(job, checks)
        self.sandbox = tempfile.mkdtemp(dir=place.folder)
        self.status = None
        files = [(os.devnull, os.O_RDONLY), *((os.path.join(self.sandbox, name), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
                                              for name in ("stdout", "stderr"))]
        actions = [(os.POSIX_SPAWN_OPEN, number, path, flags, 0o644) for number, (path, flags) in enumerate(files)]
        os.chdir(self.sandbox)  # posix_spawn cannot set the folder of the child only
        self.begun = time.monotonic_ns()
        self.pid = os.posix_spawn(program[0], program, {**self.session.environment(self.sandbox), **environment},
                                  file_actions=actions, setsid=True,
                                  setsigdef=[signal.SIGPIPE, signal.SIGXFSZ])  # which Python ignores
        os.chdir("/")
        self.pidfd = os.pidfd_open(self.pid)
        place.sessions.add(self.pid)

    # -- waiting -----------------------------------------------------------------------------------------------

    def running(self, timeout=20):
        """Waits for TASK_RUNNING; returns its time."""
        return self.session.wait(lambda call: call.state == "TASK_RUNNING", "TASK_RUNNING", timeout).at

    def terminal(self, state="TASK_FINISHED", timeout=20):
        """Waits for the terminal update; returns its time."""
        return self.session.wait_terminal(state, timeout).at

    def ends(self, timeout=20):
        """Waits for the executor's end; its exit status has to be 0."""
        poll = select.poll()  # select cannot wait for descriptors above 1023
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll(timeout * 1000):
            raise RuntimeError(f"{self.session.id} has not ended within {timeout} s")
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        if self.status:
            raise RuntimeError(f"{self.session.id} ended with {self.status}")

    def kill(self):
        """Makes the agent send KILL."""
        self.session.kill()

    # -- results -----------------------------------------------------------------------------------------------

    def moments(self):
        """The times of all events, in ns of the monotonic clock. Called after the executor's end."""
        command, command_exec = self.events.command(self.pid)
        subscribe = self.session.wait(lambda call: call.kind == "SUBSCRIBE", "SUBSCRIBE").at
        return {"begin": self.begun, "exec": self.events.exec(self.pid), "subscribe": subscribe,
                "launch": self.session.launched, "command exec": command_exec, "command exit": self.events.end(command),
                "terminal": self.terminal(), "end": self.events.end(self.pid)}

    def progress(self):
        """The last progress that the executor reported, in percent, by a message or in the data of the terminal update."""
        found = None
        for call in list(self.session.calls):
            found = reported_progress(call.data, found)
        return found

    def command(self):
        """The pid of the only running command."""
        return kernel.processes(lambda pid: kernel.parent(pid) == self.pid)[0]

    def read(self, name):
        """The content of a file in the sandbox."""
        with open(os.path.join(self.sandbox, name), errors="replace") as file:
            return file.read()

    # -- closing -----------------------------------------------------------------------------------------------

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


def reported_progress(data, before):
    """The percentage in the data of a message or of a terminal update; `before` if there is none."""
    if not isinstance(data, dict):
        return before
    progress = data.get("progress-percent", data.get("progress"))
    return before if progress is None else progress


def keep_descriptors_to_ourselves():
    """Prevents executors from inheriting descriptors that this program inherited itself."""
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # the descriptor of the listing itself is closed by now
            os.set_inheritable(descriptor, descriptor <= 2)
