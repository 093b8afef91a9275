#!/usr/bin/env python3
"""A Mesos master and agents on loopback. Each has its own free port; all their files are in one folder.

    with Lab("some/folder") as lab: ...       a master and an agent that is registered with it
    ./lab.py FOLDER [--agent-flag=value ...]  the same from the command line, until Ctrl-C; for use with framework.py

Several labs can run side by side. setup.sh must have been run before. The daemons end with the process that started
them, even if it is killed: the agent then ends its executors and unregisters."""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
LAUNCHER_DIR = os.path.join(HERE, "build", "libexec", "mesos")
# The environment variable by which `marked` finds every process of a test run in /proc.
COOKIE = "COOK_TEST_COOKIE"


def eventually(condition, what, timeout=20.0):
    """Calls `condition` until it returns something true, and returns that; AssertionError after `timeout` seconds.

    `what` completes the error text "waited in vain for ..."; it may be a function, which is then called for the text."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s in vain for {what() if callable(what) else what}")
        time.sleep(0.02)


def marked(cookie):
    """The processes that were started with a COOK_TEST_COOKIE that begins with `cookie`: a dict pid -> command line.
    Zombies are not among them, since they have neither environment nor command line."""
    found, needle = {}, f"\0{COOKIE}={cookie}".encode()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ:
                if needle not in b"\0" + environ.read():
                    continue
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                command = cmdline.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has just ended, or belongs to another user
        if command:
            found[int(pid)] = command
    return found


def free_port():
    """A port where nobody listens, below the kernel's range for outgoing connections. From that range, a client that
    connects while the agent is down could get the agent's port as its own."""
    for port in random.sample(range(20000, 31000), 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def answer(url):
    """The body of a GET, or None if it fails."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.read()
    except OSError:
        return None


class Daemon:
    """A master or an agent, which can be started, killed and started again."""

    def __init__(self, lab, program, name, signal_at_our_death):
        self.lab, self.program, self.name, self.signal_at_our_death = lab, program, name, signal_at_our_death
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process = None
        self.flags = {"ip": "127.0.0.1", "hostname": "127.0.0.1", "port": self.port}

    def launch(self):
        """Starts the process, without waiting for it to be ready. It gets a signal when this thread ends. Of our
        environment it gets only PATH and the cookie."""
        with open(self.lab.path(self.name + ".log"), "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", self.signal_at_our_death, os.path.join(LAUNCHER_DIR, self.program)]
                + [f"--{flag}={value}" for flag, value in self.flags.items()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": os.environ["PATH"], COOKIE: self.lab.cookie})

    def answers(self, path):
        """Waits until it answers."""
        url = f"http://{self.address}{path}"

        def check():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}; its log is in {self.lab.folder}")
            return answer(url) is not None
        eventually(check, f"an answer from {url}; the logs are in {self.lab.folder}", 30)

    def end(self, signal_number):
        if self.process is None:
            return
        self.process.send_signal(signal_number)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self):
        """kill -9. The executors of an agent continue, and a new agent recovers them."""
        self.end(signal.SIGKILL)


class Master(Daemon):
    def __init__(self, lab, flags):
        super().__init__(lab, "mesos-master", "mesos-master", "TERM")
        self.flags.update({
            "work_dir": lab.path("master"), "registry": "replicated_log", "log_auto_initialize": "true",
            "allocation_interval": "50ms", **flags})

    def start(self):
        """Starts it; also again after `kill`: it then knows its agents from its registry."""
        self.launch()
        self.answers("/master/health")

    def stop(self):
        self.end(signal.SIGTERM)


class Agent(Daemon):
    def __init__(self, lab, name, flags, command_executor=None):
        super().__init__(lab, "mesos-agent", "mesos-" + name, "USR1")
        self.since = None
        self.flags.update({
            "master": lab.master_address, "work_dir": lab.path(name), "runtime_dir": lab.path(name + "-runtime"),
            "fetcher_cache_dir": lab.path(name + "-fetcher-cache"), "launcher_dir": lab.launcher_dir(command_executor),
            "launcher": "posix", "isolation": "posix/cpu,posix/mem", "containerizers": "mesos",
            "image_provisioner_backend": "copy", "docker_store_dir": lab.path("store"),
            "appc_store_dir": lab.path("store"), "systemd_enable_support": "false", "cgroups_root": "cooktest",
            "resources": "cpus:8;mem:8192;disk:10240;ports:[31000-32000]", "recover": "reconnect", "strict": "true",
            **flags})

    def launch(self):
        self.since = time.time()
        super().launch()

    def start(self):
        """Starts it; also again after `kill`. Returns when the master has (re-)registered it."""
        self.launch()
        self.registered()

    def registered(self):
        """Waits until it answers and the master has (re-)registered it."""
        self.answers("/slave(1)/health")

        def is_there():
            slaves = json.loads(answer(f"http://{self.lab.master_address}/master/slaves") or b'{"slaves":[]}')["slaves"]
            return [s for s in slaves if s["active"] and s["pid"].endswith(f":{self.port}")
                    and max(s["registered_time"], s.get("reregistered_time", 0)) > self.since]
        eventually(is_there, f"{self.name} to register; its log is in {self.lab.folder}", 30)

    def stop(self):
        """Ends it by a signal at which it ends its executors and unregisters."""
        self.end(signal.SIGUSR1)

    def state(self):
        return json.loads(answer(f"http://{self.address}/slave(1)/state") or "{}")

    def id(self):
        return self.state()["id"]


class Lab:
    """A master and an agent; `add_agent` adds more agents. `agent_flags` and `master_flags` are dicts of flags without
    their dashes. With `command_executor`, the agent runs that file as its own mesos-executor."""

    def __init__(self, folder, agent_flags=None, cookie="lab", command_executor=None, master_flags=None):
        self.folder = os.path.abspath(folder)
        self.cookie = cookie
        os.makedirs(self.folder)
        self.master = Master(self, master_flags or {})
        self.master_port, self.master_address = self.master.port, self.master.address
        self.agents = [Agent(self, "agent", agent_flags or {}, command_executor)]
        self.agent = self.agents[0]
        self.agent_address = self.agent.address

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def launcher_dir(self, command_executor):
        """The folder of Mesos' own helper programs; with `command_executor`, a copy where that file is mesos-executor."""
        if command_executor is None:
            return LAUNCHER_DIR
        folder = self.path("libexec")
        os.makedirs(folder)
        for name in os.listdir(LAUNCHER_DIR):
            os.symlink(os.path.join(LAUNCHER_DIR, name), os.path.join(folder, name))
        shutil.copy(command_executor, os.path.join(folder, "mesos-executor"))
        return folder

    def __enter__(self):
        try:
            self.master.start()
            self.start_agent()
        except BaseException:
            self.stop()
            raise
        return self

    def add_agent(self, flags=None):
        """Starts one more agent."""
        agent = Agent(self, f"agent-{len(self.agents) + 1}", flags or {})
        self.agents.append(agent)
        agent.start()
        return agent

    # -- the first agent ---------------------------------------------------------------------------------------

    def start_agent(self):
        self.agent.start()

    def launch_agent(self):
        self.agent.launch()

    def await_agent(self):
        self.agent.registered()

    def kill_agent(self):
        self.agent.kill()

    def completed_executors(self):
        """The ids of the executors that have ended and whose updates have all been acknowledged by their frameworks.
        Nothing more will arrive from them."""
        state = self.agent.state()
        frameworks = state.get("frameworks", []) + state.get("completed_frameworks", [])
        return [executor["id"] for framework in frameworks for executor in framework["completed_executors"]]

    # -- stopping ----------------------------------------------------------------------------------------------

    def stop(self):
        """Ends all daemons, the agents first."""
        for agent in self.agents:
            agent.stop()
        self.master.stop()

    def __exit__(self, *_):
        self.stop()


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[2:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Lab(sys.argv[1], flags) as lab:
        print(f"master http://{lab.master_address}  agent http://{lab.agent_address}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
