"""The agent's side of the Mesos v1 executor API on loopback, for any number of executors. It subscribes them, launches one
task in each of them at once, acknowledges their updates, and records the time of each call.

This time is taken by the kernel when the segment with the last byte of the call arrives (SO_TIMESTAMPNS). On loopback that
is while the executor writes, so that neither a busy machine nor a slow reader changes it."""
import base64
import collections
import json
import selectors
import socket
import struct
import threading
import time

import kernel
from messages import JSON, PROTOBUF, TERMINAL, decoded, encoded

# From <asm-generic/socket.h>; Python does not define it. The value is a struct timespec.
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("@qq")

# A call of an executor: the time of its arrival (monotonic, ns), its type, the state of the task (UPDATE), and the data
# (UPDATE or MESSAGE) if it is JSON.
Call = collections.namedtuple("Call", "at kind state data")


class Agent:
    def __init__(self):
        self.sessions, self.error = {}, None
        self.changed = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def session(self, job, checks=None):
        """A session for an executor that will be started. `job` is the data of its task: `command`, and optionally hooks;
        `checks` has the TaskInfo's `check` and `health_check`."""
        session = Session(self, f"task-{len(self.sessions) + 1}", job, checks or {})
        self.sessions[session.id] = session
        return session

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _run(self):
        try:
            while True:
                for key, _ in self.selector.select():
                    if key.fileobj is self.listener:
                        self._accept()
                    elif not key.data.read():
                        self.selector.unregister(key.fileobj)
                        key.fileobj.close()
        except Exception as error:  # includes the closing of the listener; executors send valid requests
            with self.changed:
                self.error = repr(error)
                self.changed.notify_all()
        finally:
            for key in list(self.selector.get_map().values()):
                key.fileobj.close()
            self.selector.close()

    def _accept(self):
        connection, _ = self.listener.accept()
        connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(connection, selectors.EVENT_READ, Connection(self, connection))


class Connection:
    """One connection; its requests are answered in order."""

    def __init__(self, agent, connection):
        self.agent, self.socket, self.buffer = agent, connection, b""

    def read(self):
        """Reads and handles what has arrived. Returns False at the end of the connection."""
        try:
            data, extra, _, _ = self.socket.recvmsg(1 << 16, 64)
        except ConnectionError:
            data = b""  # the executor has ended
        if not data:
            return False
        stamps = [TIMESPEC.unpack(value) for _, kind, value in extra if kind == SO_TIMESTAMPNS]
        at = kernel.monotonic(stamps[0][0] * 10**9 + stamps[0][1]) if stamps else time.monotonic_ns()
        self.buffer += data
        while (request := self._request()) is not None:
            self._handle(*request, at)
        return True

    def _request(self):
        """The headers and body of the next complete request, or None."""
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return None
        headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
        length = int(headers["content-length"])
        if len(rest) < length:
            return None
        self.buffer = rest[length:]
        return headers, rest[:length]

    def _handle(self, headers, body, at):
        call = decoded("Call", body, headers["content-type"])
        session = self.agent.sessions[call["executor_id"]["value"]]
        if call["type"] == "SUBSCRIBE":
            session.subscribe(self.socket, headers["accept"])
        else:
            self.socket.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        status = call["update"]["status"] if call["type"] == "UPDATE" else {}
        data = (status or call.get("message", {})).get("data")
        try:
            data = json.loads(base64.b64decode(data)) if data else None
        except ValueError:
            data = None
        session.keep(Call(at, call["type"], status.get("state"), data))
        if "uuid" in status:
            session.send("ACKNOWLEDGED", {"task_id": status["task_id"], "uuid": status["uuid"]})


class Session:
    """One executor, from the agent's point of view. Its only task has the same id."""

    def __init__(self, agent, identity, job, checks):
        self.agent, self.id, self.job, self.checks, self.calls = agent, identity, job, checks, []
        self.subscription = self.form = None
        self.launched = None    # the time just before LAUNCH was sent
        self.sending = threading.Lock()

    def environment(self, sandbox):
        """The variables that an agent gives to an executor."""
        return {
            "MESOS_FRAMEWORK_ID": "framework-1", "MESOS_EXECUTOR_ID": self.id, "MESOS_SLAVE_ID": "agent-1",
            "MESOS_SLAVE_PID": f"slave(1)@{self.agent.address}", "MESOS_AGENT_ENDPOINT": self.agent.address,
            "MESOS_DIRECTORY": sandbox, "MESOS_SANDBOX": sandbox, "MESOS_CHECKPOINT": "1",
            "MESOS_RECOVERY_TIMEOUT": "15mins", "MESOS_SUBSCRIPTION_BACKOFF_MAX": "2secs",
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "5secs", "MESOS_HTTP_COMMAND_EXECUTOR": "0",
            "LIBPROCESS_IP": "127.0.0.1", "LIBPROCESS_PORT": "0", "PATH": "/usr/local/bin:/usr/bin:/bin"}

    # -- calls -------------------------------------------------------------------------------------------------

    def keep(self, call):
        with self.agent.changed:
            self.calls.append(call)
            self.agent.changed.notify_all()

    def wait(self, condition, what, timeout=20):
        """Waits for the first call that meets the condition, and returns it."""
        def found():
            return next((call for call in self.calls if condition(call)), None)
        with self.agent.changed:
            self.agent.changed.wait_for(lambda: self.agent.error or found(), timeout)
            if self.agent.error or not found():
                raise RuntimeError(f"no {what} from {self.id}: {self.agent.error or f'only {self.calls}'}")
            return found()

    def wait_terminal(self, state, timeout=20):
        call = self.wait(lambda call: call.state in TERMINAL, "terminal update", timeout)
        if call.state != state:
            raise RuntimeError(f"the task of {self.id} ended {call.state}, not {state}")
        return call

    # -- events ------------------------------------------------------------------------------------------------

    def subscribe(self, connection, accept):
        form = PROTOBUF if PROTOBUF in accept else JSON
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {form}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        self.subscription, self.form = connection, form
        self.send("SUBSCRIBED", {
            "executor_info": {"executor_id": {"value": self.id}},
            "framework_info": {"user": "root", "name": "bench", "id": {"value": "framework-1"}},
            "agent_info": {"hostname": "localhost", "id": {"value": "agent-1"}}})
        data = base64.b64encode(json.dumps(self.job).encode()).decode()
        self.launched = self.send("LAUNCH", {"task": {
            "name": "a job", "task_id": {"value": self.id}, "agent_id": {"value": "agent-1"}, "data": data,
            **self.checks}})

    def kill(self):
        self.send("KILL", {"task_id": {"value": self.id}})

    def send(self, kind, body):
        """Sends one event as one record in one chunk. Returns the time just before."""
        data = encoded("Event", {"type": kind, kind.lower(): body}, self.form)
        record = b"%d\n" % len(data) + data
        chunk = b"%x\r\n" % len(record) + record + b"\r\n"
        with self.sending:
            at = time.monotonic_ns()
            self.subscription.sendall(chunk)
        return at
