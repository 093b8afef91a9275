"""The released Cook scheduler as an executor sees it: the tasks that it makes from jobs and its configuration, and how it handles
what comes back. Written after Cook's source; the functions name the files that they follow.

    scheduler = Scheduler(cook)                         of a test
    instance = scheduler.submit({"command": "exit 1"})
    instance.ends()
    assert instance.shown()["reason_string"] == "Command exited non-zero"

An `Instance` handles every event in order. Whatever Cook would reject, log as an error or lose is an error here."""
import json
import os
import pwd

from framework import TERMINAL, encoded
from lab import COOKIE

# config.clj 330-361: the content of `:executor` if the operator sets only `:command` and `:uri`.
DEFAULTS = {
    "default-progress-regex-string": r"progress:\s+([0-9]*\.?[0-9]+)($|\s+.*)",
    "environment": {},
    "log-level": "INFO",
    "max-message-length": 512,
    "progress-sample-interval-ms": 300000,
}
# scheduler.clj 240-248.
STATES = {"TASK_STAGING": "unknown", "TASK_STARTING": "running", "TASK_RUNNING": "running", "TASK_FINISHED": "success",
          "TASK_FAILED": "failed", "TASK_KILLED": "failed", "TASK_LOST": "failed", "TASK_ERROR": "failed"}
# schema.clj 1413-1664: the text, and whether the failure does not count as an attempt. A missing reason
# is protobuf's default.
REASONS = {None: ("Command exited non-zero", False), "REASON_TASK_INVALID": ("Task is invalid", False),
           "REASON_EXECUTOR_TERMINATED": ("Mesos executor terminated", True)}


class Instance:
    """What Cook knows about one instance of a job."""

    def __init__(self, task):
        self.task = task
        self.status, self.reason = "unknown", None
        self.sandbox_directory = self.exit_code = self.progress_message = None
        self.progress, self.sequence = 0, 0
        self.heard = 0      # how many updates of the task were handled
        self.read = 0       # how many messages were handled

    def ends(self, exit_status=0):
        """Waits for the end of the task and of its executor, and handles everything that has arrived."""
        self.task.wait(lambda: any(state in TERMINAL for state in self.task.states()), "its terminal status", 30)
        self.task.wait(lambda: self.task.failures, "the report that its executor has ended")
        assert self.task.failures[0].get("status") == exit_status, self.task.failures
        assert not self.task.left_behind, f"still running at the end: {self.task.left_behind}"
        return self.shown()

    def shown(self):
        """The reply of `GET /instances` (rest/api.clj 1168-1222)."""
        self._take()
        shown = {"status": self.status, "exit_code": self.exit_code, "progress": self.progress,
                 "progress_message": self.progress_message, "sandbox_directory": self.sandbox_directory}
        if self.status == "failed":
            shown["reason_string"], shown["reason_mea_culpa"] = REASONS[self.reason]
        return {key: value for key, value in shown.items() if value is not None}

    def _take(self):
        for message in self.task.messages[self.read:]:
            self._message(message)
        for update in self.task.updates[self.heard:]:
            self._update(update)
        self.read, self.heard = len(self.task.messages), len(self.task.updates)

    def _update(self, update):
        """scheduler.clj 240-300."""
        status = STATES[update["state"]]    # Cook throws for any other
        assert self.status not in ("success", "failed"), f"{update['state']} after the end: Cook kills the task"
        assert "data" not in update or isinstance(update["data"], dict), f"data: {update['data']!r}"
        assert update.get("reason") in REASONS, f"Cook does not know {update['reason']}"
        self.status, self.reason = status, update.get("reason")

    def _message(self, message):
        """mesos_compute_cluster.clj 142-155, then scheduler.clj 349-370."""
        assert isinstance(message, dict), f"not a JSON object: {message!r}"
        assert message.get("task-id") == self.task.id, f"not of this task: {message}"
        kind = message.get("type")
        assert kind in (None, "directory"), f"{message}: after a heartbeat, for example, Cook expects the next one"
        known = {"task-id", "type", "sandbox-directory"} if kind else \
            {"task-id", "exit-code", "progress-message", "progress-percent", "progress-sequence"}
        assert message.keys() <= known, f"keys that Cook does not know: {message}"
        if kind:
            # sandbox.clj 56-61: only the first one counts.
            assert self.sandbox_directory is None and isinstance(message["sandbox-directory"], str), message
            self.sandbox_directory = message["sandbox-directory"]
        if "exit-code" in message:
            # sandbox.clj 91-104: a value that is not an integer fails a batch, which is then retried
            # for ever.
            assert type(message["exit-code"]) is int and self.exit_code is None, message
            self.exit_code = message["exit-code"]
        if message.keys() & {"progress-message", "progress-percent", "progress-sequence"}:
            self._progress(message)

    def _progress(self, message):
        """progress.clj 44-75 and 134-151: a wrong type loses the progress of a hundred instances."""
        sequence, percent = message["progress-sequence"], message["progress-percent"]
        assert type(sequence) is int and sequence > self.sequence, f"dropped after {self.sequence}: {message}"
        assert type(percent) is int and 0 <= percent <= 100, message
        # The state is replaced completely, so a percentage without a message would remove the message.
        text = message["progress-message"]
        assert isinstance(text, str) and len(text) <= 512, message
        self.sequence, self.progress, self.progress_message = sequence, percent, text


class Scheduler:
    """Launches jobs as Cook does; `config` has the operator's settings under `:executor`."""

    def __init__(self, cook, **config):
        self.cook, self.config = cook, {**DEFAULTS, **config}

    def submit(self, job):
        """Launches a job; `job` is what a user posts: `command`, and `env`, `uris`, `progress_output_file`,
        `progress_regex_string`."""
        number = len(self.cook.launched) + 1
        task_id = f"{number:08x}-6a0e-4c3b-9d2d-41d8a7d2a9b0"
        cookie = f"{self.cook.cookie}/{task_id}/"
        environment = {COOKIE: cookie, **self.environment(job, task_id)}
        task = {"task_id": {"value": task_id}, "name": f"cookjob_{self.user()}_{task_id}",
                # mesos/task.clj 143-146: never another key.
                "data": encoded(json.dumps({"command": job["command"]}, ensure_ascii=False))}
        # mesos/task.clj 369-402: no resources, no type, no grace period; null means that a field is
        # absent.
        executor = {"executor_id": {"value": task_id}, "name": "cook_executor", "source": "cook_scheduler_executor",
                    "type": None, "resources": [],
                    "command": {"value": "./cook-executor", "user": self.user(), "uris": self.uris(job),
                                "environment": {"variables": [{"name": name, "value": value}
                                                              for name, value in environment.items()]}}}
        launched = self.cook.framework.launch(task, executor, cookie=cookie)
        self.cook.launched.append(launched)
        return Instance(launched)

    def environment(self, job, task_id):
        """mesos/task.clj 127-135 and cook/task.clj 59-93; later values override earlier ones."""
        config = self.config
        environment = {
            **job.get("env", {}),
            "COOK_INSTANCE_NUM": "0", "COOK_INSTANCE_UUID": task_id, "COOK_JOB_UUID": "a-job",
            "COOK_JOB_CPUS": "0.1", "COOK_JOB_MEM_MB": "32.0",
            **config["environment"],
            "EXECUTOR_LOG_LEVEL": config["log-level"],
            "EXECUTOR_MAX_MESSAGE_LENGTH": str(config["max-message-length"]),
            "PROGRESS_REGEX_STRING": job.get("progress_regex_string", config["default-progress-regex-string"]),
            "PROGRESS_SAMPLE_INTERVAL_MS": str(config["progress-sample-interval-ms"]),
        }
        if "progress_output_file" in job:
            environment["EXECUTOR_PROGRESS_OUTPUT_FILE_ENV"] = "EXECUTOR_PROGRESS_OUTPUT_FILE_NAME"
            environment["EXECUTOR_PROGRESS_OUTPUT_FILE_NAME"] = job["progress_output_file"]
        return environment

    def uris(self, job):
        """mesos/task.clj 138-140: the job's URIs, then the executor's."""
        executor = {"value": self.cook.executor, "cache": True, "executable": True, "extract": False}
        return [*job.get("uris", []), {**executor, "output_file": "cook-executor"}]

    @staticmethod
    def user():
        return pwd.getpwuid(os.getuid()).pw_name
