"""A way to let a command go on."""
import os
import tempfile
import time


class Gate:
    """A pipe with a name, in a folder of ours. A shell that runs `wait` stays there until `open`."""

    def __init__(self, folder):
        self.path = os.path.join(tempfile.mkdtemp(dir=folder), "gate")
        self.wait = f"read line <{self.path}"
        os.mkfifo(self.path)

    def open(self, timeout=20):
        """Returns the moment before it opened. The command has to arrive there in time."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                descriptor = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
                break
            except OSError:  # ENXIO: nobody reads yet
                if time.monotonic() > deadline:
                    raise RuntimeError(f"nobody came to {self.path} within {timeout} s") from None
                time.sleep(0.001)
        at = time.monotonic_ns()
        os.write(descriptor, b"\n")
        os.close(descriptor)
        return at
