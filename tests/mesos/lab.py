#!/usr/bin/env python3
"""A Mesos master and agents on loopback, each with its own free port, all their files in one folder.

    with Lab("some/folder") as lab: ...       a master and an agent that have found each other
    ./lab.py FOLDER [--agent-flag=value ...]  the same by hand, until Ctrl-C; then see framework.py

Several labs can run side by side. setup.sh must have been run before. The daemons end with the process that started
them, whatever becomes of it: the agent then ends its executors and unregisters."""
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
# The variable by which every process that a test run has started can be found in /proc (see `marked`).
COOKIE = "COOK_TEST_COOKIE"


def eventually(condition, what, timeout=20.0):
    """Ask `condition` until it gives something true, and return that; AssertionError after `timeout` seconds.

    `what` ends the sentence "waited in vain for ..."; a function is called for it only then."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s in vain for {what() if callable(what) else what}")
        time.sleep(0.02)


def marked(cookie):
    """The processes whose environment, as it was at their exec, has a COOK_TEST_COOKIE that starts with `cookie`:
    a dict pid -> command line. Those that have ended (zombies) have neither environment nor command line."""
    found, needle = {}, f"\0{COOKIE}={cookie}".encode()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ:
                if needle not in b"\0" + environ.read():
                    continue
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                command = cmdline.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has just ended, or is another user's
        if command:
            found[int(pid)] = command
    return found


def free_port():
    """A port nobody listens on, from below the range the kernel gives to outgoing connections: there, a client that
    calls while the agent is down could be given the agent's own port."""
    for port in random.sample(range(20000, 31000), 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def answer(url):
    """The body of a GET, or None while there is no good answer."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.read()
    except OSError:
        return None


class Daemon:
    """One of the launcher's programs: to start, kill, and start again."""

    def __init__(self, lab, program, name, signal_at_our_death):
        self.lab, self.program, self.name, self.signal_at_our_death = lab, program, name, signal_at_our_death
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process = None
        self.flags = {"ip": "127.0.0.1", "hostname": "127.0.0.1", "port": self.port}

    def launch(self):
        """Start the process and nothing else. It gets a signal when this thread ends. Nothing of our environment
        reaches it but PATH and the cookie."""
        with open(self.lab.path(self.name + ".log"), "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", self.signal_at_our_death, os.path.join(LAUNCHER_DIR, self.program)]
                + [f"--{flag}={value}" for flag, value in self.flags.items()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": os.environ["PATH"], COOKIE: self.lab.cookie})

    def answers(self, path):
        """Wait until it answers."""
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
        """kill -9. What an agent has started lives on, and a new agent takes it over."""
        self.end(signal.SIGKILL)


class Master(Daemon):
    def __init__(self, lab, flags):
        super().__init__(lab, "mesos-master", "mesos-master", "TERM")
        self.flags.update({
            "work_dir": lab.path("master"), "registry": "replicated_log", "log_auto_initialize": "true",
            "allocation_interval": "50ms", **flags})

    def start(self):
        """Start it, also once more after `kill`: it knows its agents from its registry."""
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
        """Start it, also once more after `kill`; returns when the master has (re-)registered it."""
        self.launch()
        self.registered()

    def registered(self):
        """Wait until it answers and the master has (re-)registered it."""
        self.answers("/slave(1)/health")

        def is_there():
            slaves = json.loads(answer(f"http://{self.lab.master_address}/master/slaves") or b'{"slaves":[]}')["slaves"]
            return [s for s in slaves if s["active"] and s["pid"].endswith(f":{self.port}")
                    and max(s["registered_time"], s.get("reregistered_time", 0)) > self.since]
        eventually(is_there, f"{self.name} to register; its log is in {self.lab.folder}", 30)

    def stop(self):
        """It ends its executors first, and unregisters."""
        self.end(signal.SIGUSR1)

    def state(self):
        return json.loads(answer(f"http://{self.address}/slave(1)/state") or "{}")

    def id(self):
        return self.state()["id"]


class Lab:
    """A master and an agent, and more agents by `add_agent`. `agent_flags` and `master_flags` are dicts of flags
    without their dashes."""

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
        """The folder of Mesos' own helpers; with `command_executor`, one where that file is `mesos-executor`."""
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
        """One more agent, which is started."""
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
        """The ids of the executors that have ended and whose updates have all been acknowledged by their frameworks:
        nothing more will come from them."""
        state = self.agent.state()
        frameworks = state.get("frameworks", []) + state.get("completed_frameworks", [])
        return [executor["id"] for framework in frameworks for executor in framework["completed_executors"]]

    # -- stopping ----------------------------------------------------------------------------------------------

    def stop(self):
        """End all daemons, the agents first."""
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
