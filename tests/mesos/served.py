"""A cook-scheduler as a framework on a lab: `Served` is what the functions of scenarios/scheduler.py get."""
import contextlib
import json
import os
import sys
import urllib.request

from lab import COOKIE, HERE, Lab, answer, eventually

sys.path.insert(0, os.path.join(HERE, "..", "scheduler"))
from cook_scheduler import CookScheduler  # noqa: E402: it is in the other folder

# Jobs of the tests run as this user; a task that says so runs as another one.
USER = "root"


def operate(lab, path, body, kind="application/x-www-form-urlencoded"):
    """A call of the master's operator."""
    request = urllib.request.Request(f"http://{lab.master_address}{path}", body.encode(), {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=20) as reply:
        return reply.read()


def edn(text):
    """Text as EDN has it."""
    return json.dumps(text)


class Served(CookScheduler):
    """A scheduler that is started on a lab's master, and its jobs."""

    def __init__(self, lab, programs, folder, cookie, mesos="", more="", masters=None):
        """`mesos` are more keys under `:mesos` of its configuration, `more` those at its top; `masters` is the list
        for --master (default: the lab's own)."""
        self.lab, self.programs, self.cookie = lab, programs, cookie
        # Of the framework: the frameworks of other tests may be there, too.
        self.name = folder
        self.configuration = os.path.join(folder, "config.edn")
        self.config_keys = (mesos, more)
        self._configure()
        masters = masters or lab.master_address
        super().__init__(programs.scheduler, folder, ["--config", self.configuration, "--master", masters],
                         {**os.environ, COOKIE: cookie})

    def _configure(self):
        mesos, more = self.config_keys
        if ":run-as-user" not in mesos:
            mesos += f" :run-as-user {edn(USER)}"
        mesos += f" :framework-name {edn(self.name)}"
        with open(self.configuration, "w", encoding="utf-8") as file:
            file.write(f"""{{:mesos {{{mesos}}}
 :executor {{:command "./cook-executor"
            :uri {{:value {edn(self.programs.executor)} :executable true :cache true}}
            :environment {{{edn(COOKIE)} {edn(self.cookie)}}}}}
 {more}}}
""")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        """Ends what runs, in order, and then the framework: the next test begins with nothing."""
        if self.is_alive():
            self.kill()
        self.drain()
        for framework in self.frameworks():
            operate(self.lab, "/master/teardown", f"frameworkId={framework['id']}")

    @contextlib.contextmanager
    def on_own_lab(self, agent_flags=None, master_flags=None, agents=1, **options):
        """Another one on a lab of its own: for a test that kills the daemons, or sets their flags."""
        folder = os.path.join(self.folder, "own")
        with Lab(os.path.join(folder, "lab"), agent_flags, self.cookie, master_flags=master_flags) as lab:
            for number in range(2, agents + 1):
                lab.add_agent({**(agent_flags or {}), "attributes": f"number:{number}"})
            with Served(lab, self.programs, folder, self.cookie, **options) as other:
                yield other

    def restart(self):
        """kill -9, and again."""
        self.kill()
        self.start()

    # -- jobs --------------------------------------------------------------------------------------------------

    def until(self, name, is_so, what, timeout=30):
        """Waits until a job is so; returns it."""
        seen = [None]

        def look():
            seen[0] = self.job(name)
            return seen[0] if is_so(seen[0]) else None
        return eventually(look, lambda: f"{what} of {name}: {json.dumps(seen[0])}", timeout)

    def completed(self, name, timeout=30):
        """A job that is killed is completed before its instance has ended; this waits for both."""
        def has_ended(job):
            return job["status"] == "completed" and all("end_time" in instance for instance in job["instances"])
        return self.until(name, has_ended, "the end", timeout)

    def running(self, name):
        """Waits until its command runs; returns the newest instance."""
        def runs(job):
            return job["instances"] and job["instances"][-1]["status"] == "running"
        return self.until(name, runs, "a running instance")["instances"][-1]

    def waiting(self, name):
        """A job as it waits, which it must go on doing: see `reasons`."""
        job = self.job(name)
        assert job["status"] == "waiting", job
        return job

    def reasons(self, name):
        """Why a job waits."""
        [found] = json.loads(self.ask(f"/unscheduled_jobs?job={name}"))
        return json.dumps(found["reasons"])

    def file(self, job, name):
        """A file of the newest instance's sandbox, read through the agent that `output_url` names."""
        instance = job["instances"][-1]
        address = instance["output_url"].split("/")[2]
        content = answer(f"http://{address}/files/download?path={instance['sandbox_directory']}/{name}")
        assert content is not None, f"there is no {name} in {instance['output_url']}"
        return content.decode()

    def sandbox(self, name):
        """The folder of the newest instance, once it is known."""
        return self.until(name, lambda job: job["instances"] and "sandbox_directory" in job["instances"][-1],
                          "a sandbox")["instances"][-1]["sandbox_directory"]

    def wait_file(self, name, file):
        """Waits until the newest instance has made this file."""
        path = os.path.join(self.sandbox(name), file)
        eventually(lambda: os.path.exists(path), f"the file {path}")

    def touch(self, name, file):
        with open(os.path.join(self.sandbox(name), file), "w", encoding="utf-8"):
            pass

    def script(self, name, text):
        """An executable file that a job can fetch: its uri."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return {"value": path, "executable": True}

    # -- the master's view -------------------------------------------------------------------------------------

    def frameworks(self):
        """This scheduler's frameworks that the master knows, connected or not."""
        known = json.loads(answer(f"http://{self.lab.master_address}/master/frameworks") or "{}").get("frameworks", [])
        return [framework for framework in known if framework["name"] == self.name]

    def describe(self):
        """What helps to see why a test has failed."""
        yield f"the scheduler's files are in {self.folder}"
        yield from ("  " + line for line in self.log().splitlines()[-40:])

    def tasks(self):
        """The states of the tasks that have not ended, in the master's eyes."""
        state = json.loads(answer(f"http://{self.lab.master_address}/master/tasks?limit=10000") or '{"tasks": []}')
        ends = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST", "TASK_DROPPED", "TASK_GONE"}
        return [task["state"] for task in state["tasks"] if task["state"] not in ends]
