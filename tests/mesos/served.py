"""A cook-scheduler as a framework on a lab: the fixture of the tests in scenarios/scheduler.py."""
import contextlib
import json
import os
import sys
import urllib.request

from lab import COOKIE, HERE, Lab, answer, eventually

sys.path.insert(0, os.path.join(HERE, "..", "scheduler"))
from cook_scheduler import CookScheduler  # noqa: E402: it is in the other folder

# The user of the jobs, unless a test configures another one.
USER = "root"


def operate(lab, path, body, kind="application/x-www-form-urlencoded"):
    """An operator's call to the master."""
    request = urllib.request.Request(f"http://{lab.master_address}{path}", body.encode(), {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=20) as reply:
        return reply.read()


def edn(text):
    """Text as an EDN string."""
    return json.dumps(text)


class Served(CookScheduler):
    """A scheduler that uses the master of a lab."""

    def __init__(self, lab, programs, folder, cookie, mesos="", executor="", more="", masters=None):
        """`mesos`, `executor`: more keys of these sections of the configuration; `more`: more keys at its top; `masters`: the value of
        --master (default: the lab's master)."""
        self.lab, self.programs, self.cookie = lab, programs, cookie
        # The name of the framework tells it from those of other tests.
        self.name = folder
        self.configuration = os.path.join(folder, "config.edn")
        self.config_keys = (mesos, executor, more)
        self._configure()
        masters = masters or lab.master_address
        super().__init__(programs.scheduler, folder, ["--config", self.configuration, "--master", masters],
                         {**os.environ, COOKIE: cookie})

    def _configure(self):
        mesos, executor, more = self.config_keys
        if ":run-as-user" not in mesos:
            mesos += f" :run-as-user {edn(USER)}"
        mesos += f" :framework-name {edn(self.name)}"
        with open(self.configuration, "w", encoding="utf-8") as file:
            file.write(f"""{{:mesos {{{mesos}}}
 :executor {{:command "./cook-executor"
            :uri {{:value {edn(self.programs.executor)} :executable true :cache true}}
            :environment {{{edn(COOKIE)} {edn(self.cookie)}}}
            {executor}}}
 {more}}}
""")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        """Ends the jobs, then the framework, so that nothing is left for the next test."""
        if self.is_alive():
            self.kill()
        self.drain()
        for framework in self.frameworks():
            operate(self.lab, "/master/teardown", f"frameworkId={framework['id']}")

    @contextlib.contextmanager
    def on_own_lab(self, agent_flags=None, master_flags=None, agents=1, **options):
        """Another scheduler, on a lab of its own, for a test that kills daemons or sets their flags."""
        folder = os.path.join(self.folder, "own")
        with Lab(os.path.join(folder, "lab"), agent_flags, self.cookie, master_flags=master_flags) as lab:
            for number in range(2, agents + 1):
                lab.add_agent({**(agent_flags or {}), "attributes": f"number:{number}"})
            with Served(lab, self.programs, folder, self.cookie, **options) as other:
                yield other

    def restart(self):
        """Kills it with SIGKILL, and starts it again."""
        self.kill()
        self.start()

    # -- jobs --------------------------------------------------------------------------------------------------

    def until(self, name, is_so, what, timeout=30):
        """Waits until `is_so(job)`; returns the job."""
        seen = [None]

        def look():
            seen[0] = self.job(name)
            return seen[0] if is_so(seen[0]) else None
        return eventually(look, lambda: f"{what} of {name}: {json.dumps(seen[0])}", timeout)

    def completed(self, name, timeout=30):
        """Waits until the job is completed and its instances have ended: a killed job is completed first."""
        def has_ended(job):
            return job["status"] == "completed" and all("end_time" in instance for instance in job["instances"])
        return self.until(name, has_ended, "the end", timeout)

    def running(self, name):
        """Waits until the command runs; returns the newest instance."""
        def runs(job):
            return job["instances"] and job["instances"][-1]["status"] == "running"
        return self.until(name, runs, "a running instance")["instances"][-1]

    def waiting(self, name):
        """The job, which must be waiting."""
        job = self.job(name)
        assert job["status"] == "waiting", job
        return job

    def file(self, job, name):
        """The content of a file in the newest instance's sandbox, from the agent in `output_url`."""
        instance = job["instances"][-1]
        url = instance["output_url"]
        part = answer(f"{url}/{name}&offset=0")
        assert part is not None, f"there is no {name} in {url}"
        # Clients take only the host and the port from `output_url`.
        content = answer(f"http://{url.split('/')[2]}/files/download?path={instance['sandbox_directory']}/{name}")
        assert content.decode().startswith(json.loads(part)["data"]), (content, part)
        return content.decode()

    def sandbox(self, name):
        """Waits for the sandbox of the newest instance; returns its path."""
        return self.until(name, lambda job: job["instances"] and "sandbox_directory" in job["instances"][-1],
                          "a sandbox")["instances"][-1]["sandbox_directory"]

    def wait_file(self, name, file):
        """Waits until this file is in the sandbox of the newest instance."""
        path = os.path.join(self.sandbox(name), file)
        eventually(lambda: os.path.exists(path), f"the file {path}")

    def touch(self, name, file):
        with open(os.path.join(self.sandbox(name), file), "w", encoding="utf-8"):
            pass

    def script(self, name, text):
        """Writes an executable file; returns its uri for a job."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return {"value": path, "executable": True}

    # -- the master's view -------------------------------------------------------------------------------------

    def frameworks(self):
        """The frameworks of this scheduler that the master knows, connected or not."""
        known = json.loads(answer(f"http://{self.lab.master_address}/master/frameworks") or "{}").get("frameworks", [])
        return [framework for framework in known if framework["name"] == self.name]

    def describe(self):
        """Lines about a failed test."""
        yield f"the scheduler's files are in {self.folder}"
        yield from ("  " + line for line in self.log().splitlines()[-40:])

    def tasks(self):
        """The states of the unfinished tasks that the master knows."""
        state = json.loads(answer(f"http://{self.lab.master_address}/master/tasks?limit=10000") or '{"tasks": []}')
        ends = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST", "TASK_DROPPED", "TASK_GONE"}
        return [task["state"] for task in state["tasks"] if task["state"] not in ends]
