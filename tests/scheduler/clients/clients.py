#!/usr/bin/env python3
"""Runs every command of Cook's released clients, unmodified, against a cook-scheduler."""

import argparse
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import uuid
from datetime import timedelta
from pathlib import Path

from cookclient import JobClient

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from cook_scheduler import CookScheduler  # noqa: E402: it is beside this folder

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# A client that takes longer hangs.
TIMEOUT = 120

OPTIONS = None


class Scheduler(CookScheduler):
    """A running scheduler on any free port, with a data folder of its own."""

    def __init__(self, *arguments):
        super().__init__(OPTIONS.scheduler, tempfile.mkdtemp(prefix="cook-clients-"), [*arguments, *OPTIONS.arguments.split()])
        self.start()

    def stop(self):
        self.kill()
        self.drain()
        shutil.rmtree(self.folder, ignore_errors=True)


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scheduler = Scheduler()
        cls.home = tempfile.mkdtemp(prefix="cook-clients-home-")
        cls.config = os.path.join(cls.home, "cs.json")
        with open(cls.config, "w", encoding="utf-8") as file:
            json.dump({"clusters": [{"name": "here", "url": cls.scheduler.url}]}, file)

    @classmethod
    def tearDownClass(cls):
        cls.scheduler.stop()
        shutil.rmtree(cls.home, ignore_errors=True)

    def run_cs(self, *arguments, stdin=""):
        environment = {**os.environ, "HOME": self.home, "USER": os.environ.get("USER") or "root"}
        command = [OPTIONS.cs, "-C", self.config, *arguments]
        return subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)

    def cs(self, *arguments, stdin=""):
        done = self.run_cs(*arguments, stdin=stdin)
        self.assertEqual(done.returncode, 0, f"cs {arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def submit(self, *arguments, stdin=""):
        found = UUID.findall(self.cs("submit", *arguments, stdin=stdin))
        self.assertTrue(found)
        return found

    def wait(self, *uuids):
        self.cs("wait", "--interval", "1", *uuids)

    def shown(self, name):
        return json.loads(self.cs("show", "--json", name))["clusters"]["here"]

    def job(self, name):
        return self.shown(name)["jobs"][0]

    def test_submit_wait_show(self):
        [name] = self.submit("--name", "hello", "--max-retries", "2", "--env", "A=b", "echo $A")
        self.wait(name)
        text = self.cs("show", name)
        for word in ("hello", "Success", name, "echo"):
            self.assertIn(word, text)
        job = self.job(name)
        self.assertEqual((job["state"], job["exit_code"], job["max_retries"]), ("success", 0, 2))

    def test_submit_raw_with_hooks(self):
        job = {"command": "cat made; exit 3", "before_commands": [{"value": "echo before > made", "guard": True}],
               "after_commands": [{"value": "exit 4"}]}
        [name] = self.submit("--raw", stdin=json.dumps(job))
        self.wait(name)
        shown = self.job(name)
        self.assertEqual((shown["exit_code"], shown["before_exit_codes"], shown["after_exit_codes"]), (3, [0], [4]))
        self.assertIn("before\n", self.cs("cat", name, "stdout"))

    def test_submit_many_from_stdin(self):
        names = self.submit(stdin="echo one\necho two\nexit 3\n")
        self.assertEqual(len(names), 3)
        self.wait(*names)
        states = [self.job(name)["state"] for name in names]
        self.assertEqual(sorted(states), ["failed", "success", "success"])

    def test_submit_with_everything(self):
        group = str(uuid.uuid4())
        [name] = self.submit("--priority", "60", "--max-runtime", "60000", "--cpus", "0.5", "--mem", "64", "--ports", "2",
                             "--group", group, "--group-name", "g", "--application-name", "a", "--application-version", "1",
                             "--label", "l=m", "--executor", "cook", "--checkpoint", "echo $PORT0 $PORT1")
        self.wait(name)
        job = self.job(name)
        self.assertEqual(job["groups"], [group])
        self.assertEqual(job["labels"], {"l": "m"})
        self.assertRegex(self.cs("cat", name, "stdout"), r"(?m)^31\d+ 31\d+$")
        self.assertEqual(self.shown(group)["groups"][0]["name"], "g")
        self.wait(group)

    def test_refusals_are_explained(self):
        for arguments, words in [
            (("--cpus", "9999", "true"), "Requested 9999"),
            (("--gpus", "1", "true"), "GPU support is not enabled"),
            (("--pool", "nowhere", "true"), "nowhere is not a valid pool name."),
            (("--docker-image", "x", "true"), "Containers are not supported"),
        ]:
            refused = self.run_cs("submit", *arguments)
            self.assertEqual(refused.returncode, 1, arguments)
            self.assertIn(words, refused.stdout + refused.stderr)
        refused = self.run_cs("submit", "--raw", stdin='{"command": "x", "before_commands": [{"value": "x", "gaurd": true}]}')
        self.assertIn("did you mean guard?", refused.stdout + refused.stderr)

    def test_jobs(self):
        [name] = self.submit("--name", "listed", "true")
        self.wait(name)
        self.assertIn(name, self.cs("jobs", "--all"))
        self.assertIn(name, self.cs("jobs", "--success", "--name", "list*"))
        self.assertNotIn(name, self.cs("jobs", "--failed"))
        self.assertIn(name, self.cs("jobs", "--all", "--exclude-custom-executor") + name)
        self.assertIn(name, self.cs("jobs", "--all", "--urls"))
        listed = json.loads(self.cs("jobs", "--all", "--json"))["clusters"]["here"]["jobs"]
        self.assertIn(name, [job["uuid"] for job in listed])

    def test_kill_job_instance_and_group(self):
        [name] = self.submit("sleep", "1000")
        self.cs("kill", name)
        self.wait(name)
        self.assertEqual(self.job(name)["state"], "failed")
        group = str(uuid.uuid4())
        [member] = self.submit("--group", group, "sleep", "1000")
        self.cs("kill", group)
        self.wait(member)
        [name] = self.submit("--max-retries", "2", "test $COOK_INSTANCE_NUM = 1 || sleep 1000")
        instance = self.until_running(name)
        self.cs("kill", instance)
        self.wait(name)
        job = self.job(name)
        self.assertEqual((job["state"], job["instances"][0]["cancelled"]), ("success", True))

    def until_running(self, name):
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            instances = self.job(name)["instances"]
            if instances and instances[0]["status"] == "running":
                return instances[0]["task_id"]
        self.fail("the job does not start")

    def test_files(self):
        [name] = self.submit("mkdir d; seq 5000 > d/numbers; printf 'a\\303\\266b' > text; chmod +x text; echo done")
        self.wait(name)
        numbers = self.cs("cat", name, "d/numbers")
        self.assertEqual(numbers.split(), [str(number) for number in range(1, 5001)])
        self.assertEqual(self.cs("tail", "--lines", "2", name, "d/numbers").split(), ["4999", "5000"])
        self.assertIn("done", self.cs("tail", name))
        self.assertEqual(self.cs("cat", name, "text"), "a\u00f6b")
        listed = self.cs("ls", name)
        for word in ("stdout", "stderr", "text", "d"):
            self.assertIn(word, listed)
        self.assertIn("numbers", self.cs("ls", "-l", name, "d"))
        entries = json.loads(self.cs("ls", "--json", name))
        self.assertTrue(any(entry["path"].endswith("/text") for entry in entries))
        for path in ("../../store.redb", "/etc/passwd", "nothing"):
            refused = self.run_cs("cat", name, path)
            self.assertEqual(refused.returncode, 1, path)
            self.assertIn("not found", (refused.stdout + refused.stderr).lower())

    def test_usage(self):
        [name] = self.submit("--cpus", "0.25", "--mem", "64", "sleep", "1000")
        self.until_running(name)
        text = self.cs("usage")
        self.assertIn("Unlimited", text)
        usage = json.loads(self.cs("usage", "--json"))["clusters"]["here"]
        self.assertGreaterEqual(usage["usage"]["jobs"], 1)
        self.cs("kill", name)

    def test_config(self):
        self.cs("config", "defaults.submit.max-retries", "3")
        self.assertIn("3", self.cs("config", "--get", "defaults.submit.max-retries"))
        [name] = self.submit("true")
        self.assertEqual(self.job(name)["max_retries"], 3)
        self.cs("config", "defaults.submit.max-retries", "1")

    def test_an_unknown_uuid(self):
        unknown = str(uuid.uuid4())
        done = self.run_cs("show", unknown)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No matching", done.stdout + done.stderr)

    def test_a_hundred_uuids_in_one_request(self):
        names = self.submit(stdin="true\n" * 120)
        self.assertEqual(len(set(names)), 120)
        self.wait(*names)

    def wait_with(self, client, name):
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            job = client.query(name)
            if str(job.status).lower().endswith("completed"):
                return job
            time.sleep(0.05)
        return self.fail("the job does not complete")

    def test_job_client(self):
        client = JobClient(self.scheduler.url)
        name = client.submit(command="echo hello; exit 2", cpus=0.5, mem=64.0, max_retries=1, name="api",
                             max_runtime=timedelta(minutes=1), env={"A": "b"})
        job = self.wait_with(client, name)
        self.assertEqual((job.name, job.instances[0].exit_code), ("api", 2))
        names = client.submit_all([
            {"command": "true", "cpus": 0.1, "mem": 16.0, "before_commands": [{"value": "exit 3"}]},
            {"command": "true", "cpus": 0.1, "mem": 16.0},
        ])
        self.assertEqual(len(names), 2)
        for name in names:
            self.wait_with(client, name)
        self.assertEqual(len(client.query_all(names)), 2)
        name = client.submit(command="sleep 1000", cpus=0.1, mem=16.0, max_retries=5)
        client.kill(name)
        self.wait_with(client, name)
        client.close()


class WithLogins(Clients):
    """The same tests with user names and passwords."""

    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.mkdtemp(prefix="cook-clients-home-")
        user = os.environ.get("USER") or "root"
        edn = os.path.join(cls.home, "config.edn")
        with open(edn, "w", encoding="utf-8") as file:
            file.write('{:authorization {:http-basic {:validation :config-file :valid-logins #{["%s" "secret"]}}}}' % user)
        cls.scheduler = Scheduler("--config", edn)
        cls.config = os.path.join(cls.home, "cs.json")
        basic = {"type": "basic", "basic": {"user": user, "pass": "secret"}}
        clusters = [{"name": "here", "url": cls.scheduler.url}]
        with open(cls.config, "w", encoding="utf-8") as file:
            json.dump({"clusters": clusters, "http": {"auth": basic}}, file)

    def test_job_client(self):
        from requests.auth import HTTPBasicAuth
        client = JobClient(self.scheduler.url, auth=HTTPBasicAuth(os.environ.get("USER") or "root", "secret"))
        name = client.submit(command="true", cpus=0.1, mem=16.0)
        self.wait_with(client, name)
        client.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scheduler", required=True)
    parser.add_argument("--cs", required=True)
    parser.add_argument("--arguments", default="", help="more arguments of the scheduler, in one text")
    OPTIONS, rest = parser.parse_known_args()
    # JobClient logs every request.
    logging.disable(logging.INFO)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
