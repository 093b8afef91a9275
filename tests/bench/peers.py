"""Other job queues for one machine: Slurm, pueue and task-spooler, each with its fastest settings.

setup-peers.sh installs them. Each one listens on loopback or a Unix socket only, and leaves nothing behind."""
import contextlib
import json
import os
import shutil
import socket
import subprocess

from queues import SLOTS, Queue, descendants

HERE = os.path.dirname(os.path.abspath(__file__))

# Slurm starts jobs in passes. Its scheduling settings here gave the lowest delay and the most jobs per second. The other
# settings raise limits that would be too low, or are needed without a delegated cgroup.
SLURM = """\
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MinJobAge=86400
MaxJobCount=100000
MaxArraySize=100001
SchedulerType=sched/builtin
PriorityType=priority/basic
MessageTimeout=60
SlurmctldDebug=error
SlurmdDebug=error
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,default_queue_depth=1000
NodeName={host} NodeAddr=127.0.0.1 CPUs={slots} State=UNKNOWN
PartitionName=q Nodes=ALL Default=YES State=UP
"""


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


class Slurm(Queue):
    """slurmctld, slurmd and munged. Many jobs of one script can be submitted as an array, in one request."""
    name = "Slurm"

    @staticmethod
    def missing():
        if os.geteuid() != 0:
            return "slurmd needs root"
        programs = ["munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo"]
        return ", ".join(program for program in programs if not shutil.which(program))

    def start(self, options):
        host = socket.gethostname().partition(".")[0]
        self.programs = [shutil.which(name) for name in ("slurmctld", "slurmd", "munged")]
        os.mkdir(self.path("state"))
        os.mkdir(self.path("spool"))
        with open(self.path("slurm.conf"), "w") as file:
            file.write(SLURM.format(host=host, ports=free_ports(2), folder=self.folder, slots=SLOTS))
        with open(self.path("true.sh"), "w") as file:
            file.write("#!/bin/sh\ntrue\n")
        self.environment["SLURM_CONF"] = self.path("slurm.conf")
        subprocess.run(["mungekey", "--create", "--keyfile", self.path("munge.key")], check=True)
        # --force, because munged does not accept a folder below /tmp otherwise.
        self.spawn("munged", "--foreground", "--force", *(
            f"--{option}={self.path('munge.' + end)}" for option, end in
            [("socket", "socket"), ("key-file", "key"), ("log-file", "log"), ("pid-file", "pid"), ("seed-file", "seed")]))
        self.wait_until("there", lambda: os.path.exists(self.path("munge.socket")))
        self.spawn("slurmctld", "-D")
        self.spawn("slurmd", "-D")
        self.wait_until("idle", lambda: (self.run("sinfo", "-h", "-o", "%T", check=False) or "").strip() == "idle")

    def sbatch(self, *arguments):
        self.run("sbatch", "-Q", "-o", "/dev/null", *arguments)

    def submit(self, *command):
        self.sbatch("--wrap", " ".join(command))

    def submit_many(self, count):
        self.sbatch(f"--array=1-{count}", self.path("true.sh"))

    def finish(self):
        self.wait_until("idle", lambda: not self.run("squeue", "-h", "-t", "PD,R,CG"), pause=0.1)
        state = self.run("sinfo", "-h", "-o", "%T %E").strip()
        if not state.startswith("idle"):   # after some errors, Slurm drains the node and starts no more jobs
            raise RuntimeError(f"the node of Slurm is {state}")

    def list(self, count):
        return self.run("squeue", "-h", "-r", "-t", "all", "-o", "%i %T")

    def listed(self, text):
        return text.count("COMPLETED")

    def wait_one(self):
        self.sbatch("--hold", self.path("true.sh"))

    def wait_many(self, count):
        self.sbatch("--hold", f"--array=1-{count}", self.path("true.sh"))


class Pueue(Queue):
    """pueued. Each job is submitted by a separate client process, over a Unix socket."""
    name = "pueue"
    folder_of_programs = os.path.join(HERE, "build/pueue/bin")

    @classmethod
    def missing(cls):
        return "" if os.access(os.path.join(cls.folder_of_programs, "pueued"), os.X_OK) else "pueued"

    def start(self, options):
        self.programs = [os.path.join(self.folder_of_programs, "pueued")]
        # A small environment, because the daemon keeps a copy of the client's environment for each job.
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": self.folder}
        os.mkdir(self.path("pueue"))
        with open(self.path("pueue.yml"), "w") as file:
            file.write("shared: {pueue_directory: %s, runtime_directory: %s, use_unix_socket: true}\n" % ((self.path("pueue"),) * 2))
        self.spawn(self.programs[0], "-c", self.path("pueue.yml"))
        self.wait_until("there", lambda: self.pueue("status", check=False) is not None)
        self.pueue("parallel", str(SLOTS))

    def pueue(self, *arguments, check=True):
        return self.run(os.path.join(self.folder_of_programs, "pueue"), "-c", self.path("pueue.yml"), *arguments, check=check)

    def states(self, text):
        """The state of each job, such as "Done", "Running" or "Stashed"."""
        return [next(iter(task["status"])) for task in json.loads(text)["tasks"].values()]

    def submit(self, *command):
        self.pueue("add", "--", *command)

    def submit_many(self, count):
        for _ in range(count):
            self.submit("true")

    def finish(self):
        self.wait_until("idle", lambda: set(self.states(self.list())) <= {"Done"}, pause=0.1)

    def list(self, count=None):
        return self.pueue("status", "--json")

    def listed(self, text):
        return self.states(text).count("Done")

    def wait_one(self):
        self.pueue("add", "--stashed", "--", "true")

    def wait_many(self, count):
        for _ in range(count):
            self.wait_one()


class TaskSpooler(Queue):
    """tsp: a server, and a process for each waiting job. It stores nothing on disk."""
    name = "task-spooler"
    most_waiting = 900   # at 993, tsp blocks the client

    @staticmethod
    def missing():
        return "" if shutil.which("tsp") else "tsp"

    def start(self, options):
        self.programs = [shutil.which("tsp")]
        self.environment |= {"TS_SOCKET": self.path("socket"), "TS_SLOTS": str(SLOTS), "TS_MAXFINISHED": "100000", "TMPDIR": self.folder}
        self.blocked = False
        self.run("tsp", "-l")   # the first client starts the server

    def pids(self):
        # All processes of tsp, because each waiting job is one.
        return [pid for pid in descendants() if os.readlink(f"/proc/{pid}/exe") == os.path.realpath(self.programs[0])]

    def submit(self, *command):
        self.run("tsp", "-n", *command)

    def submit_many(self, count):
        for _ in range(count):
            self.submit("true")

    def states(self, text):
        """The state of each job: "finished", "running" or "queued"."""
        return [line.split()[1] for line in text.splitlines()[1:]]

    def finish(self):
        self.wait_until("idle", lambda: set(self.states(self.list())) <= {"finished"}, pause=0.1)

    def list(self, count=None):
        return self.run("tsp", "-l")

    def listed(self, text):
        return self.states(text).count("finished")

    def wait_one(self):
        if not self.blocked:   # jobs wait only while all slots are taken
            self.blocked = True
            for _ in range(SLOTS):
                self.submit("sleep", "86400")
        self.submit("true")

    def wait_many(self, count):
        for _ in range(count):
            self.wait_one()


PEERS = [Slurm, Pueue, TaskSpooler]
