"""A cook-scheduler to start, kill and start again, for the programs that test it from outside."""
import json
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

# How many jobs one GET names: its target stays below what the server reads.
TOGETHER = 100


class CookScheduler:
    """A scheduler with its data in `folder`, on any port, because the killed process may still use the old one.

    `arguments` are those of the program beyond `--listen` and `--data`; `environment` replaces ours."""

    def __init__(self, program, folder, arguments=(), environment=None):
        self.program, self.folder, self.arguments, self.environment = program, Path(folder), list(arguments), environment
        self.process = self.url = None

    def start(self):
        """Starts it; returns when it serves."""
        command = [self.program, "--listen", "127.0.0.1:0", "--data", str(self.folder / "data"), *self.arguments]
        with open(self.folder / "log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                                            env=self.environment)
        line = self.process.stdout.readline()
        if "serving" not in line:
            self.process.wait()
            self.process.stdout.close()
            raise RuntimeError(f"the scheduler does not start: {self.log()[-2000:]}")
        self.url = line.split()[-1]

    def log(self):
        return (self.folder / "log").read_text(encoding="utf-8")

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9."""
        self._end(signal.SIGKILL)

    def leave(self):
        """SIGTERM; its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, signal_number):
        self.process.send_signal(signal_number)
        status = self.process.wait(60)
        self.process.stdout.close()
        return status

    def drain(self):
        """Ends the jobs that a stopped scheduler has left running."""
        command = [self.program, "--drain", "--data", str(self.folder / "data"), *self.arguments]
        subprocess.run(command, stderr=subprocess.DEVNULL, check=False, timeout=120, env=self.environment)

    # -- its API -----------------------------------------------------------------------------------------------

    def ask(self, target, body=None, method=None):
        """The body of the response; an HTTPError for an error response."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + target, data=data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def submit(self, jobs):
        """Submits jobs with uuids. Returns whether they are known to be accepted; a submission may succeed without an answer."""
        try:
            self.ask("/rawscheduler", {"jobs": jobs})
            return True
        except urllib.error.HTTPError as error:
            return error.code == 409
        except OSError:
            return False

    def submit_one(self, job):
        """Submits a job; returns its uuid."""
        return self.ask("/rawscheduler", job).decode().split()[-1]

    def jobs(self, names):
        """The jobs with these uuids that the scheduler knows."""
        found = []
        for at in range(0, len(names), TOGETHER):
            query = "&".join(f"job={name}" for name in names[at:at + TOGETHER])
            found += json.loads(self.ask(f"/rawscheduler?partial=true&{query}"))
        return found

    def job(self, name):
        return self.jobs([name])[0]

    def kill_job(self, name):
        self.ask(f"/rawscheduler?job={name}", method="DELETE")
