"""Lets a command wait until it may continue."""
import os
import tempfile
import time


class Gate:
    """A named pipe. A shell that runs the command `wait` waits until `open` is called."""

    def __init__(self, folder):
        self.path = os.path.join(tempfile.mkdtemp(dir=folder), "gate")
        self.wait = f"read line <{self.path}"
        os.mkfifo(self.path)

    def open(self, timeout=20):
        """Lets the command continue, and returns the time just before. The command has to reach the gate in time."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                descriptor = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
                break
            except OSError:  # ENXIO: the command does not read yet
                if time.monotonic() > deadline:
                    raise RuntimeError(f"no command waits at {self.path} within {timeout} s") from None
                time.sleep(0.001)
        at = time.monotonic_ns()
        os.write(descriptor, b"\n")
        os.close(descriptor)
        return at
