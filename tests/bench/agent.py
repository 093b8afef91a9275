"""The agent's side of the Mesos v1 executor API, for one executor: just enough to subscribe it, to launch a task, to
acknowledge its updates at once, and to keep when each call was complete.

Field numbers are those of mesos/v1/mesos.proto and mesos/v1/executor/executor.proto of Mesos 1.11.0."""
import collections
import json
import socket
import threading
import time

SUBSCRIBE, UPDATE = 1, 2   # Call.Type
SUBSCRIBED, LAUNCH, KILL, ACKNOWLEDGED, SHUTDOWN = 1, 2, 3, 4, 7   # Event.Type
RUNNING, FINISHED, KILLED = 1, 2, 4   # TaskState
TERMINAL = {FINISHED, 3, KILLED, 7}
TASK = "task-1"

# A call of the executor: when its last byte had been read (monotonic, ns), Call.Type, and of an UPDATE the TaskState.
Call = collections.namedtuple("Call", "at kind state")


# -- protobuf --------------------------------------------------------------------------------------------------

def varint(number):
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def message(fields):
    """A message from pairs (field number, value); a value is an int, text, or bytes (also of a message)."""
    encoded = b""
    for number, value in fields:
        if isinstance(value, int):
            encoded += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            encoded += varint(number << 3 | 2) + varint(len(value)) + value
    return encoded


def identifier(value):
    return message([(1, value)])


def fields(data):
    """The fields of a message: a dict from the number to the last value, an int or bytes."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value
    while at < len(data):
        tag = number()
        if tag & 7 == 0:
            found[tag >> 3] = number()
            continue
        size = number() if tag & 7 == 2 else {1: 8, 5: 4}[tag & 7]
        found[tag >> 3] = data[at:at + size]
        at += size
    return found


# -- the agent -------------------------------------------------------------------------------------------------

class Agent:
    """Listens on a free port of loopback."""

    def __init__(self):
        self.calls, self.error = [], None
        self.changed = threading.Condition()
        self.subscription = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def environment(self, sandbox):
        """The variables that an agent gives to an executor."""
        return {
            "MESOS_FRAMEWORK_ID": "framework-1", "MESOS_EXECUTOR_ID": TASK, "MESOS_SLAVE_ID": "agent-1",
            "MESOS_SLAVE_PID": f"slave(1)@{self.address}", "MESOS_AGENT_ENDPOINT": self.address,
            "MESOS_DIRECTORY": sandbox, "MESOS_SANDBOX": sandbox, "MESOS_CHECKPOINT": "1",
            "MESOS_RECOVERY_TIMEOUT": "15mins", "MESOS_SUBSCRIPTION_BACKOFF_MAX": "2secs",
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "5secs", "MESOS_HTTP_COMMAND_EXECUTOR": "0",
            "LIBPROCESS_IP": "127.0.0.1", "LIBPROCESS_PORT": "0", "PATH": "/usr/local/bin:/usr/bin:/bin"}

    def wait(self, condition, what, timeout=20):
        """The first call for which the condition holds."""
        def found():
            return next((call for call in self.calls if condition(call)), None)
        with self.changed:
            self.changed.wait_for(lambda: self.error or found(), timeout)
            if self.error or not found():
                raise RuntimeError(f"no {what} from the executor: {self.error or f'only {self.calls}'}")
            return found()

    def wait_subscribe(self):
        return self.wait(lambda call: call.kind == SUBSCRIBE, "SUBSCRIBE")

    def wait_running(self):
        return self.wait(lambda call: call.state == RUNNING, "TASK_RUNNING")

    def wait_terminal(self):
        return self.wait(lambda call: call.state in TERMINAL, "terminal update")

    # -- events ------------------------------------------------------------------------------------------------

    def launch(self, command, **job):
        """Launch a job, maybe with hooks; returns when, just before the first byte was written."""
        task = message([(1, "a job"), (2, identifier(TASK)), (3, identifier("agent-1")),
                        (6, json.dumps({"command": command, **job}))])
        at = time.monotonic_ns()
        self._send([(1, LAUNCH), (4, message([(1, task)]))])
        return at

    def kill(self):
        self._send([(1, KILL), (5, message([(1, identifier(TASK))]))])

    def _subscribed(self):
        executor = message([(1, identifier(TASK))])
        framework = message([(1, "root"), (2, "bench"), (3, identifier("framework-1"))])
        agent = message([(1, "localhost"), (6, identifier("agent-1"))])
        self._send([(1, SUBSCRIBED), (2, message([(1, executor), (2, framework), (3, agent)]))])

    def _send(self, event):
        """One event: protobuf, in a record, in a chunk."""
        data = message(event)
        record = b"%d\n" % len(data) + data
        self.subscription.sendall(b"%x\r\n" % len(record) + record + b"\r\n")

    # -- calls -------------------------------------------------------------------------------------------------

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return  # closed
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        """Answer the requests of one connection, one after the other. What the executor sends is well-formed, or the
        measurement ends with the error."""
        try:
            with connection, connection.makefile("rb") as stream:
                while stream.readline():
                    headers = dict(line.lower().split(b": ") for line in iter(lambda: stream.readline().strip(), b""))
                    body = stream.read(int(headers[b"content-length"]))
                    self._handle(connection, fields(body), time.monotonic_ns())
        except ConnectionError:
            pass  # the executor has ended
        except Exception as error:
            with self.changed:
                self.error = repr(error)
                self.changed.notify_all()

    def _handle(self, connection, call, at):
        if call[3] == SUBSCRIBE:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
                               b"Transfer-Encoding: chunked\r\n\r\n")
            self.subscription = connection
            self._subscribed()
        else:
            connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        status = fields(fields(call[5])[1]) if call[3] == UPDATE else {}
        if 11 in status:
            self._send([(1, ACKNOWLEDGED), (3, message([(1, status[1]), (2, status[11])]))])
        with self.changed:
            self.calls.append(Call(at, call[3], status.get(2)))
            self.changed.notify_all()

    def close(self):
        # shutdown wakes the thread in accept, which close alone would not.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
