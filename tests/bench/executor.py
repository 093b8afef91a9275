"""An executor under the small agent of the bench."""
import contextlib
import os
import select
import signal
import sys
import tempfile
import time

import kernel


class Executor(contextlib.AbstractContextManager):
    """One executor in a sandbox and a session of its own, started as an agent does, with its output in files `stdout`
    and `stderr`. Whatever is left of it at the end of the `with` is killed.

    `program` is a list of arguments, the first of them a file; so is `wrapper`, which starts it."""

    def __init__(self, agent, program, folder, wrapper=(), **environment):
        self.session = agent.session()
        self.sandbox = tempfile.mkdtemp(dir=folder)
        self.status = None
        arguments = [*wrapper, *program]
        files = [(os.devnull, os.O_RDONLY), *((os.path.join(self.sandbox, name), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
                                              for name in ("stdout", "stderr"))]
        actions = [(os.POSIX_SPAWN_OPEN, number, path, flags, 0o644) for number, (path, flags) in enumerate(files)]
        os.chdir(self.sandbox)  # posix_spawn has no way to say it for the child alone
        self.started = time.monotonic_ns()
        self.pid = os.posix_spawn(arguments[0], arguments, {**self.session.environment(self.sandbox), **environment},
                                  file_actions=actions, setsid=True,
                                  setsigdef=[signal.SIGPIPE, signal.SIGXFSZ])  # which Python ignores
        os.chdir("/")
        self.pidfd = os.pidfd_open(self.pid)

    def command(self):
        """The pid of the one command that runs."""
        return kernel.processes(lambda pid: kernel.parent(pid) == self.pid)[0]

    def ends(self, timeout=20):
        """Wait for the executor's end. It has to be a good one, and nothing may be left."""
        if not select.select([self.pidfd], [], [], timeout)[0]:
            raise RuntimeError(f"{self.session.id} has not ended within {timeout} s")
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        left = self._left()
        if self.status or left:
            raise RuntimeError(f"{self.session.id} ended with {self.status} and left the processes {left} behind")

    def read(self, name):
        """What is in a file of the sandbox."""
        with open(os.path.join(self.sandbox, name), errors="replace") as file:
            return file.read()

    def _left(self):
        return kernel.processes(lambda pid: kernel.session(pid) == self.pid)

    def __exit__(self, error, *_):
        for name in ("stdout", "stderr", "executor.log") if error else ():
            with contextlib.suppress(FileNotFoundError):
                print(f"{name}:", *self.read(name).splitlines()[-30:], sep="\n  ", file=sys.stderr)
        for pid in self._left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.status is None:
            os.waitpid(self.pid, 0)
        os.close(self.pidfd)


def keep_descriptors_to_ourselves():
    """Executors would inherit what our caller has left open."""
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # of the listing itself, closed by now
            os.set_inheritable(descriptor, descriptor <= 2)
