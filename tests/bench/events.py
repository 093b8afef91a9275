"""The kernel's process events (connector, <linux/cn_proc.h>): forks, execs and exits of all processes.

Each event has the time, on the monotonic clock, at which it happened, so a late reader does not change it. Process events
need CONFIG_PROC_EVENTS, do not work in a container, and need root before Linux 6.6."""
import collections
import os
import socket
import struct
import subprocess
import threading
import time

NETLINK_CONNECTOR = 11
CN_IDX_PROC = CN_VAL_PROC = 1
PROC_CN_MCAST_LISTEN = 1
NLMSG_DONE = 3
FORK, EXEC, EXIT = 0x00000001, 0x00000002, 0x80000000
# struct nlmsghdr and struct cn_msg; then the fields what, cpu and timestamp of struct proc_event, and its ids.
HEADER = struct.Struct("=IHHIIIIIIHH")
EVENT = struct.Struct("=IIQIIII")
SO_RCVBUFFORCE = 33   # from <asm-generic/socket.h>: lets root exceed net.core.rmem_max
BUFFER = 32 << 20


class Process:
    """The events of one process; times are in ns of the monotonic clock."""

    def __init__(self, parent):
        self.parent, self.children = parent, []
        self.execs = []     # the times of its execs
        self.threads = 1    # the number of threads that have not ended
        self.end = None     # the time at which the last thread ended


class Events:
    """Records the events of all processes that are forked from now on."""

    def __init__(self):
        self.processes = collections.defaultdict(lambda: Process(None))
        self.changed, self.error = threading.Condition(), None
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        except PermissionError:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        try:
            self.socket.bind((0, CN_IDX_PROC))
            body = struct.pack("=I", PROC_CN_MCAST_LISTEN)
            self.socket.send(HEADER.pack(HEADER.size + len(body), NLMSG_DONE, 0, 0, 0, CN_IDX_PROC, CN_VAL_PROC, 0, 0,
                                         len(body), 0) + body)
            threading.Thread(target=self._read, daemon=True).start()
            self.end(subprocess.Popen(["true"]).pid, 2)
        except (OSError, RuntimeError) as error:
            raise RuntimeError("there are no process events here (they need CONFIG_PROC_EVENTS, do not work in a container, "
                               f"and need root before Linux 6.6): {error}") from None

    def _read(self):
        try:
            while True:
                data = self.socket.recv(4096)
                what, _, when, *ids = EVENT.unpack_from(data, HEADER.size)
                with self.changed:
                    self._note(what, when, *ids)
        except OSError as error:  # ENOBUFS: more events than could be read in time
            with self.changed:
                self.error = f"process events were lost: {error}"
                self.changed.notify_all()

    def _note(self, what, when, first, group, child, child_group):
        if what == FORK and child == child_group:
            self.processes[child] = Process(group)
            self.processes[group].children.append(child)
        elif what == FORK:
            self.processes[child_group].threads += 1  # a new thread
        elif what == EXEC:
            self.processes[group].execs.append(when)
        elif what == EXIT:
            process = self.processes[group]
            process.threads -= 1
            if process.threads == 0:
                process.end = when
        else:
            return
        self.changed.notify_all()

    # -- queries -----------------------------------------------------------------------------------------------

    def wait(self, condition, what, timeout=60):
        """Waits until the condition returns something other than None, and returns it."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while (found := condition()) is None:
                if self.error or not self.changed.wait(deadline - time.monotonic()):
                    raise RuntimeError(self.error or f"no event of {what} within {timeout} s")
            return found

    def exec(self, pid):
        """The time of the last exec of a process."""
        return self.wait(lambda: self.processes[pid].execs[-1] if self.processes[pid].execs else None,
                         f"the exec of {pid}")

    def command(self, pid):
        """The first child of a process that has executed a program, and the time of this exec."""
        def found():
            for child in self.processes[pid].children:
                if self.processes[child].execs:
                    return child, self.processes[child].execs[0]
            return None
        return self.wait(found, f"a command of {pid}")

    def end(self, pid, timeout=60):
        """The time at which the last thread of a process ended."""
        return self.wait(lambda: self.processes[pid].end, f"the end of {pid}", timeout)
