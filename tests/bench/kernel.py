"""What the kernel reports about processes. No figure of the bench comes from the measured program itself."""
import os
import platform
import re
import sys
import time

# With Python's default of 5 ms, a thread that has just received an event could wait long for a thread that only computes.
sys.setswitchinterval(0.0001)


def read(*names):
    """The content of a file below /proc."""
    with open(os.path.join("/proc", *map(str, names)), errors="replace") as file:
        return file.read()


def monotonic(wall):
    """Converts a time of the wall clock (CLOCK_REALTIME, ns) to the monotonic clock."""
    while True:
        before, now, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if after - before < 20_000:  # otherwise this thread was interrupted between the readings
            return wall - now + (before + after) // 2


# -- memory ----------------------------------------------------------------------------------------------------

def memory(pid):
    """Rss, Pss, Anonymous and so on, in kB, the sum of all mappings."""
    return {name: int(value) for name, value in re.findall(r"^(\w+): +(\d+) kB$", read(pid, "smaps_rollup"), re.M)}


def peak(pid):
    """The maximum resident memory so far, in kB."""
    return int(re.search(r"VmHWM:\s+(\d+)", read(pid, "status"))[1])


def available():
    """The memory available to new processes without swapping, in kB."""
    return int(re.search(r"MemAvailable: +(\d+)", read("meminfo"))[1])


# -- threads and descriptors -----------------------------------------------------------------------------------

def threads(pid):
    return os.listdir(f"/proc/{pid}/task")


def descriptors(pid):
    """The targets of the open descriptors, such as "socket:[4711]" or "anon_inode:[eventpoll]"."""
    folder = f"/proc/{pid}/fd"
    return [os.readlink(os.path.join(folder, number)) for number in os.listdir(folder)]


def epolls(pid):
    return descriptors(pid).count("anon_inode:[eventpoll]")


# -- work ------------------------------------------------------------------------------------------------------

def switches(pid, kind="", of=None):
    """The context switches so far, of all threads or those in `of`. With kind "voluntary": only those that wait."""
    line = re.compile(rf"^{kind or '.*'}_ctxt_switches:\s+(\d+)", re.M)
    return sum(int(count) for thread in of or threads(pid) for count in line.findall(read(pid, "task", thread, "status")))


def quiet(pids, seconds=0.5, timeout=30):
    """Waits until no thread of these processes has had a context switch for this many seconds."""
    deadline, since, last = time.monotonic() + timeout, time.monotonic(), None
    while time.monotonic() - since < seconds:
        now = list(map(switches, pids))
        if now != last:
            since, last = time.monotonic(), now
        if since > deadline:
            raise RuntimeError(f"the processes {pids} did not become quiet within {timeout} s")
        time.sleep(0.02)


def stat(pid):
    """The fields of /proc/PID/stat after the name, beginning with the state (field 3 in proc(5))."""
    return read(pid, "stat").rpartition(")")[2].split()


def cpu(pid):
    """User and system CPU time so far in seconds, of all threads including ended ones: the clock of the process, as
    clock_getcpuclockid(3) computes it."""
    return time.clock_gettime(~pid << 3 | 2)


def bytes_read(pid):
    """The bytes that a process has read so far by system calls, from any descriptor."""
    return int(re.search(r"rchar: (\d+)", read(pid, "io"))[1])


# -- relations -------------------------------------------------------------------------------------------------

def name(pid):
    """The name of the program."""
    return read(pid, "comm").rstrip("\n")


def parent(pid):
    return int(stat(pid)[1])


def session(pid):
    return int(stat(pid)[3])


def processes(condition):
    """The pids of all living processes that meet the condition."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if stat(pid)[0] not in "ZX" and condition(int(pid)):
                found.append(int(pid))
        except (FileNotFoundError, ProcessLookupError):
            continue  # the process has just ended
    return found


def environment(pid):
    """The environment of a process at its exec."""
    return dict(line.split("=", 1) for line in read(pid, "environ").split("\0") if "=" in line)


# -- the machine -----------------------------------------------------------------------------------------------

def machine():
    """A description of this machine in one line."""
    models = re.findall(r"^model name\s*: (.*)$", read("cpuinfo"), re.M) or [platform.machine()]
    gibibytes = int(re.search(r"MemTotal: +(\d+)", read("meminfo"))[1]) / (1 << 20)
    system = f"{platform.system()} {platform.release()}"
    return f"{models[0]}, {os.cpu_count()} cores, {gibibytes:.0f} GiB, {system}"


def load():
    """The load of the machine: times measured on a busy machine are not reliable."""
    return f"load average {os.getloadavg()[0]:.1f} at the end"
