"""A small Mesos framework on the v1 scheduler HTTP API (JSON in RecordIO), for tests.

    with Framework(lab) as framework:
        task = framework.launch({"task_id": {"value": "t1"}, "name": "t1", "data": ...}, {"executor_id": ..., ...})
        status = task.ends("TASK_FINISHED")

A thread reads the events, acknowledges every update at once, and stores everything with its task. Leaving the `with` tears
the framework down, which shuts down all executors that are left."""
import base64
import http.client
import json
import os
import pwd
import re
import threading
import time

from lab import eventually, marked

TERMINAL = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST", "TASK_DROPPED", "TASK_GONE"}
# The command line of an executor, as cook.py starts it, and as the agent starts its mesos-executor.
EXECUTOR = re.compile(r"(\S+ (-c )?)?\./cook-executor([ ;].*)?|(\S+ )?(\S*/)?mesos-executor .*")
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


def encoded(text):
    """Encodes text or bytes for a protobuf `bytes` field in JSON."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def decoded(field):
    """Decodes a `bytes` field: as JSON, else as text, else as bytes."""
    raw = base64.b64decode(field)
    try:
        return json.loads(raw)
    except ValueError:
        pass
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def duration(seconds):
    return {"nanoseconds": int(seconds * 1e9)}


def shown(status):
    """A status in one line, without ids and times."""
    keys = ("state", "source", "reason", "message", "healthy", "check_status", "data")
    return {key: status[key] for key in keys if key in status}


def a_little_of_each():
    """A small amount of each resource; the agent of the lab has enough for dozens of tasks."""
    return [{"name": name, "type": "SCALAR", "scalar": {"value": value}, "allocation_info": {"role": "*"}}
            for name, value in (("cpus", 0.1), ("mem", 32), ("disk", 16))]


class Task:
    """Everything that has arrived about one launched task, in order."""

    def __init__(self, framework, task_id, executor_id, agent_id, cookie):
        self.framework, self.id, self.executor_id, self.agent_id = framework, task_id, executor_id, agent_id
        self.cookie = cookie    # the value of COOK_TEST_COOKIE of its processes
        self.updates = []       # each TaskStatus once, with its time of arrival `at` (monotonic clock); `data` is decoded
        self.messages = []      # framework messages of its executor, decoded
        self.failures = []      # FAILURE events: how the executor ended, reported by the agent
        self.is_killed = False  # whether KILL was sent
        self.left_behind = {}   # what was still running, except the executor, when the terminal status arrived

    # -- waiting -----------------------------------------------------------------------------------------------

    def states(self):
        return [update["state"] for update in self.updates]

    def wait(self, condition, what, timeout=20):
        """Waits for a condition about this task; an error of the framework ends the wait at once."""
        def check():
            assert not self.framework.error, self.framework.error
            return condition()

        def awaited():
            return f"{what() if callable(what) else what} (task {self.id}: {self.states()})"
        return eventually(check, awaited, timeout)

    def wait_running(self):
        self.wait(lambda: set(self.states()) & {"TASK_RUNNING", *TERMINAL}, "TASK_RUNNING")
        assert self.states()[-1] == "TASK_RUNNING", f"not running but {self.updates[-1]}"

    def ends(self, state, exit_is_reported=True):
        """Waits for the end of the task and of its executor, and returns the terminal status. It also checks, for every task,
        that no process was left when that status arrived, that there is no second terminal status, that the executor itself
        exits with status 0, and that finally no process is left. The agent reports (FAILURE) how an executor has ended, but not
        for command tasks, and not if it was restarted just before."""
        self.wait(lambda: any(s in TERMINAL for s in self.states()), "its terminal status", 30)
        status = next(update for update in self.updates if update["state"] in TERMINAL)
        assert status["state"] == state, f"expected {state}, not {shown(status)}"
        assert not self.left_behind, f"still running at {state}: {self.left_behind}"
        self.wait(lambda: self.executor_id in self.framework.lab.completed_executors(), "the end of its executor")
        assert [s for s in self.states() if s in TERMINAL] == [state], self.states()
        if exit_is_reported:
            self.wait(lambda: self.failures, "the report that its executor has ended")
            assert self.failures[0].get("status") == 0, f"the executor ended with wait status {self.failures}"
        self.wait(lambda: not marked(self.cookie), lambda: f"the end of {marked(self.cookie)}")
        return status

    def processes(self):
        """The running processes of the task, without the executor itself: a dict pid -> command line."""
        return {pid: command for pid, command in marked(self.cookie).items() if not EXECUTOR.fullmatch(command)}

    # -- the sandbox -------------------------------------------------------------------------------------------

    def path(self, name):
        return os.path.join(self.framework.lab.path("agent"), "slaves", self.agent_id, "frameworks", self.framework.id,
                            "executors", self.executor_id, "runs", "latest", name)

    def has(self, name):
        return os.path.exists(self.path(name))

    def read(self, name):
        with open(self.path(name), errors="replace") as file:
            return file.read()

    def touch(self, name):
        open(self.path(name), "w").close()

    def wait_file(self, name):
        """Waits until the file exists; fails at once if the task has ended without it."""
        self.wait(lambda: self.has(name) or self.states()[-1:] in [[s] for s in TERMINAL], f"its file {name}")
        assert self.has(name), f"the task has ended without {name}: {shown(self.updates[-1])}"

    # -- requests ----------------------------------------------------------------------------------------------

    def kill(self, grace=None):
        call = {"task_id": {"value": self.id}, "agent_id": {"value": self.agent_id}}
        if grace is not None:
            call["kill_policy"] = {"grace_period": duration(grace)}
        self.is_killed = True
        self.framework.call("KILL", call)

    def shutdown(self):
        self.framework.call("SHUTDOWN", {"executor_id": {"value": self.executor_id},
                                         "agent_id": {"value": self.agent_id}})


class Framework:
    def __init__(self, lab):
        self.lab, self.error, self.id = lab, None, None
        self.offers, self.tasks = {}, {}
        # The master sends a heartbeat every 15 seconds.
        self.connection = http.client.HTTPConnection(lab.master_address, timeout=60)
        info = {"user": pwd.getpwuid(os.getuid()).pw_name, "name": "cook-executor tests", "checkpoint": True,
                "roles": ["*"], "failover_timeout": 0, "capabilities": [{"type": "MULTI_ROLE"}]}
        self.connection.request("POST", "/master/api/v1/scheduler", json.dumps(
            {"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}), {**HEADERS, "Connection": "close"})
        self.stream = self.connection.getresponse()
        if self.stream.status != 200:
            raise RuntimeError(f"SUBSCRIBE: {self.stream.status} {self.stream.read()[:500]}")
        self.stream_id = self.stream.headers["Mesos-Stream-Id"]
        self.leaving = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        eventually(lambda: self.id or self.error, "SUBSCRIBED")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leaving.set()
        self.call("TEARDOWN")
        self.reader.join(10)  # the master closes the stream
        self.connection.close()

    # -- calls -------------------------------------------------------------------------------------------------

    def call(self, kind, body=None):
        message = {"type": kind, "framework_id": {"value": self.id}}
        if body is not None:
            message[kind.lower()] = body
        connection = http.client.HTTPConnection(self.lab.master_address, timeout=20)
        try:
            connection.request("POST", "/master/api/v1/scheduler", json.dumps(message),
                               {**HEADERS, "Mesos-Stream-Id": self.stream_id})
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        finally:
            connection.close()
        if response.status not in (200, 202):
            raise RuntimeError(f"{kind}: {response.status} {text[:500]}")

    def launch(self, task, executor=None, group=False, cookie=None):
        """Launches one task on the agent. `task` and `executor` are TaskInfo and ExecutorInfo without agent, framework and
        resources. Without an executor the task is a command task, run by the agent's own mesos-executor; with `group` it is
        the only task of a LAUNCH_GROUP. `cookie` is the value that the caller has put into the environment of its processes.
        Returns the Task."""
        offers = eventually(self._enough_offers, "offers of enough resources")
        task = {"agent_id": offers[0]["agent_id"], "resources": a_little_of_each(), **task}
        if executor:
            executor = {"type": "CUSTOM", "framework_id": {"value": self.id}, "resources": a_little_of_each(),
                        **executor}
        if group:
            operation = {"type": "LAUNCH_GROUP",
                         "launch_group": {"executor": executor, "task_group": {"tasks": [task]}}}
        else:
            operation = {"type": "LAUNCH",
                         "launch": {"task_infos": [{**task, "executor": executor} if executor else task]}}
        task_id = task["task_id"]["value"]
        launched = Task(self, task_id, executor["executor_id"]["value"] if executor else task_id,
                        offers[0]["agent_id"]["value"], cookie)
        self.tasks[task_id] = launched
        self.call("ACCEPT", {"offer_ids": [offer["id"] for offer in offers], "operations": [operation],
                             "filters": {"refuse_seconds": 0}})
        return launched

    def _enough_offers(self):
        """All present offers, which are from the same agent, if they have enough for a task and its executor. The resources of
        an ended task may be offered in several small offers."""
        assert not self.error, self.error
        offers = list(self.offers.values())
        for needed in a_little_of_each():
            offered = sum(r["scalar"]["value"] for o in offers for r in o["resources"] if r["name"] == needed["name"])
            if offered < 2 * needed["scalar"]["value"]:
                return None
        for offer in offers:
            self.offers.pop(offer["id"]["value"], None)
        return offers

    # -- events ------------------------------------------------------------------------------------------------

    def _read(self):
        try:
            while header := self.stream.readline():
                data, wanted = b"", int(header)
                while len(data) < wanted:
                    part = self.stream.read(wanted - len(data))
                    if not part:
                        raise OSError("the stream ended within a record")
                    data += part
                event = json.loads(data)
                handler = getattr(self, "_on_" + event["type"].lower(), None)
                if handler:
                    handler(event[event["type"].lower()])
            raise OSError("the stream ended")
        except Exception as error:
            if not self.leaving.is_set():
                self.error = f"the framework lost its master: {error!r}"

    def _on_subscribed(self, event):
        self.id = event["framework_id"]["value"]

    def _on_offers(self, event):
        for offer in event["offers"]:
            self.offers[offer["id"]["value"]] = offer

    def _on_rescind(self, event):
        self.offers.pop(event["offer_id"]["value"], None)

    def _on_update(self, event):
        status = event["status"]
        task = self.tasks[status["task_id"]["value"]]
        if status["state"] in TERMINAL and task.cookie:
            task.left_behind = task.processes()
        if "uuid" in status:
            self.call("ACKNOWLEDGE", {key: status[key] for key in ("agent_id", "task_id", "uuid")})
            if status["uuid"] in [update.get("uuid") for update in task.updates]:
                return  # a repetition, because the acknowledgement had not arrived yet
        status["at"] = time.monotonic()
        if "data" in status:
            status["data"] = decoded(status["data"])
        task.updates.append(status)

    def _on_message(self, event):
        for task in self._tasks_of(event):
            task.messages.append(decoded(event["data"]))

    def _on_failure(self, event):
        for task in self._tasks_of(event):
            task.failures.append(event)

    def _tasks_of(self, event):
        executor_id = event.get("executor_id", {}).get("value")
        return [task for task in list(self.tasks.values()) if task.executor_id == executor_id]

    def _on_error(self, event):
        self.error = "error from the master: " + event.get("message", "")
