#!/usr/bin/env python3
"""A Mesos master and one agent on loopback, each with its own free port, all their files in one folder.

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


class Lab:
    """A master and an agent. `agent_flags` is a dict of flags without their dashes."""

    def __init__(self, folder, agent_flags=None, cookie="lab", command_executor=None):
        self.folder = os.path.abspath(folder)
        self.cookie = cookie
        self.master_port, self.agent_port = free_port(), free_port()
        self.master_address = f"127.0.0.1:{self.master_port}"
        self.agent_address = f"127.0.0.1:{self.agent_port}"
        self.master = self.agent = self.agent_since = None
        os.makedirs(self.folder)
        self.agent_flags = {
            "master": self.master_address, "ip": "127.0.0.1", "hostname": "127.0.0.1", "port": self.agent_port,
            "work_dir": self.path("agent"), "runtime_dir": self.path("agent-runtime"),
            "fetcher_cache_dir": self.path("fetcher-cache"), "launcher_dir": self._launcher_dir(command_executor),
            "launcher": "posix", "isolation": "posix/cpu,posix/mem", "containerizers": "mesos",
            "image_provisioner_backend": "copy", "docker_store_dir": self.path("store"),
            "appc_store_dir": self.path("store"), "systemd_enable_support": "false", "cgroups_root": "cooktest",
            "resources": "cpus:8;mem:8192;disk:10240;ports:[31000-32000]", "recover": "reconnect", "strict": "true",
            **(agent_flags or {}),
        }

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def _launcher_dir(self, command_executor):
        """The folder of Mesos' own helpers; with `command_executor`, one where that file is `mesos-executor`."""
        if command_executor is None:
            return LAUNCHER_DIR
        folder = self.path("libexec")
        os.makedirs(folder)
        for name in os.listdir(LAUNCHER_DIR):
            os.symlink(os.path.join(LAUNCHER_DIR, name), os.path.join(folder, name))
        shutil.copy(command_executor, os.path.join(folder, "mesos-executor"))
        return folder

    # -- starting ----------------------------------------------------------------------------------------------

    def __enter__(self):
        try:
            self.start_master()
            self.start_agent()
        except BaseException:
            self.stop()
            raise
        return self

    def start_master(self):
        self.master = self._daemon("mesos-master", "TERM", {
            "ip": "127.0.0.1", "hostname": "127.0.0.1", "port": self.master_port, "work_dir": self.path("master"),
            "registry": "replicated_log", "log_auto_initialize": "true", "allocation_interval": "50ms"})
        self._answers(self.master, f"http://{self.master_address}/master/health")

    def start_agent(self):
        """Start the agent, also once more after `kill_agent`; returns when the master has (re-)registered it."""
        self.launch_agent()
        self.await_agent()

    def launch_agent(self):
        """Start the agent's process and nothing else. It gets a signal when this thread ends."""
        self.agent_since = time.time()
        self.agent = self._daemon("mesos-agent", "USR1", self.agent_flags)

    def await_agent(self):
        """Wait until the agent answers and the master has (re-)registered it."""
        since = self.agent_since
        self._answers(self.agent, f"http://{self.agent_address}/slave(1)/health")

        def registered():
            slaves = json.loads(answer(f"http://{self.master_address}/master/slaves") or b'{"slaves":[]}')["slaves"]
            return [s for s in slaves
                    if s["active"] and max(s["registered_time"], s.get("reregistered_time", 0)) > since]
        eventually(registered, f"the agent to register; its log is {self.path('mesos-agent.log')}", 30)

    def _daemon(self, name, signal_at_our_death, flags):
        """Start one of the launcher's programs. Nothing of our environment reaches it but PATH and the cookie."""
        with open(self.path(name + ".log"), "ab") as log:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", signal_at_our_death, os.path.join(LAUNCHER_DIR, name)]
                + [f"--{flag}={value}" for flag, value in flags.items()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": os.environ["PATH"], COOKIE: self.cookie})

    def _answers(self, daemon, url):
        def check():
            if daemon.poll() is not None:
                raise RuntimeError(f"{daemon.args[3]} ended with {daemon.returncode}; its log is in {self.folder}")
            return answer(url) is not None
        eventually(check, f"an answer from {url}; the logs are in {self.folder}", 30)

    # -- asking ------------------------------------------------------------------------------------------------

    def completed_executors(self):
        """The ids of the executors that have ended and whose updates have all been acknowledged by their frameworks:
        nothing more will come from them."""
        state = json.loads(answer(f"http://{self.agent_address}/slave(1)/state") or "{}")
        frameworks = state.get("frameworks", []) + state.get("completed_frameworks", [])
        return [executor["id"] for framework in frameworks for executor in framework["completed_executors"]]

    # -- stopping ----------------------------------------------------------------------------------------------

    def kill_agent(self):
        """kill -9: the executors live on, and a new agent takes them over."""
        self._end(self.agent, signal.SIGKILL)
        self.agent = None

    def stop(self):
        """End both daemons. The agent ends its executors first and unregisters (SIGUSR1)."""
        self._end(self.agent, signal.SIGUSR1)
        self._end(self.master, signal.SIGTERM)
        self.agent = self.master = None

    def __exit__(self, *_):
        self.stop()

    @staticmethod
    def _end(daemon, signal_number):
        if daemon is None:
            return
        daemon.send_signal(signal_number)
        try:
            daemon.wait(15)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


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
