"""How a job gets to the executor. `Cook` takes the place of a scheduler that uses cook-executor."""
import contextlib
import json
import os

from framework import Framework, duration, encoded
from lab import COOKIE, Lab


class Cook:
    """A framework on a lab that launches jobs with the cook-executor under test. Each test gets its own."""

    # The shell command by which the agent starts the executor.
    command = "./cook-executor"

    def __init__(self, lab, executor, folder, cookie, launched=None):
        self.lab, self.executor, self.folder, self.cookie = lab, executor, folder, cookie
        self.framework = self.subscribe(lab)
        self.launched = [] if launched is None else launched   # all tasks of the test

    @staticmethod
    def subscribe(lab):
        return Framework(lab)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.framework.__exit__()

    @contextlib.contextmanager
    def on_own_lab(self, **options):
        """Another Cook, on its own lab (with the options of Lab): for tests that kill the agent or set its flags."""
        with Lab(os.path.join(self.folder, "lab"), cookie=self.cookie, **options) as lab:
            with Cook(lab, self.executor, self.folder, self.cookie, self.launched) as other:
                yield other

    def launch(self, job, files=None, environment=None, executor_data=None, shutdown_grace=None, name=None,
               through="LAUNCH", checks=None):
        """Launches a job and returns its Task.

        job             the content of TaskInfo.data: a dict (sent as JSON), or text (sent unchanged)
        files           name -> content of executable files, fetched into the sandbox by `uris`
        environment     of the executor (ExecutorInfo.command.environment), and so of the commands
        executor_data   a dict for ExecutorInfo.data
        shutdown_grace  ExecutorInfo.shutdown_grace_period in seconds (the default of the agent is 5)
        name            the task's id (default: a new one)
        through         LAUNCH; or LAUNCH_GROUP, or COMMAND for the agent's own mesos-executor: then `job` is a shell
                        command, sent in TaskInfo.command
        checks          further keys of TaskInfo: `check`, `health_check`, `kill_policy`"""
        name = name or f"job-{len(self.launched) + 1}"
        cookie = f"{self.cookie}/{name}/"
        environment = {"variables": [{"name": key, "type": "VALUE", "value": value}
                                     for key, value in {COOKIE: cookie, **(environment or {})}.items()]}
        task = {"task_id": {"value": name}, "name": "a test job", **(checks or {})}
        if through == "LAUNCH":
            task["data"] = encoded(job if isinstance(job, str) else json.dumps(job))
        else:
            task["command"] = {"value": job, "environment": environment}
        if through == "COMMAND":
            return self._launch(task, None, cookie=cookie)

        uris = [{"value": self.executor, "output_file": "cook-executor", "executable": True, "extract": False,
                 "cache": True}]
        uris += [{"value": self.file(name, file, content), "executable": True, "extract": False}
                 for file, content in (files or {}).items()]
        executor = {"executor_id": {"value": name}, "name": "cook_executor",
                    "command": {"value": self.command, "uris": uris, "environment": environment}}
        if executor_data is not None:
            executor["data"] = encoded(json.dumps(executor_data))
        if shutdown_grace is not None:
            executor["shutdown_grace_period"] = duration(shutdown_grace)
        return self._launch(task, executor, group=through == "LAUNCH_GROUP", cookie=cookie)

    def _launch(self, *task, **how):
        self.launched.append(self.framework.launch(*task, **how))
        return self.launched[-1]

    def file(self, task, name, content):
        """Creates a file that a task can fetch into its sandbox, and returns its path."""
        path = os.path.join(self.folder, "files", task, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(content)
        return path

