"""What the kernel says about processes. No figure of the bench comes from the measured program itself."""
import os
import platform
import re
import sys
import time

# A thread that has just read a call or seen an end should not wait 5 ms, Python's default, for one that only computes.
sys.setswitchinterval(0.0001)


def read(*names):
    """A file below /proc as text."""
    with open(os.path.join("/proc", *map(str, names)), errors="replace") as file:
        return file.read()


def monotonic(wall):
    """A moment of the wall clock (CLOCK_REALTIME, ns) on the monotonic clock."""
    while True:
        before, now, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if after - before < 20_000:  # else we were interrupted between the two readings
            return wall - now + (before + after) // 2


# -- memory ----------------------------------------------------------------------------------------------------

def memory(pid):
    """Rss, Pss, Anonymous and so on, in kB, of all mappings together."""
    return {name: int(value) for name, value in re.findall(r"^(\w+): +(\d+) kB$", read(pid, "smaps_rollup"), re.M)}


def peak(pid):
    """The most resident memory that it has had so far, in kB."""
    return int(re.search(r"VmHWM:\s+(\d+)", read(pid, "status"))[1])


def available():
    """How much memory new processes could get without swapping, in kB."""
    return int(re.search(r"MemAvailable: +(\d+)", read("meminfo"))[1])


# -- threads and descriptors -----------------------------------------------------------------------------------

def threads(pid):
    return os.listdir(f"/proc/{pid}/task")


def descriptors(pid):
    """What the open descriptors stand for, such as "socket:[4711]" or "anon_inode:[eventpoll]"."""
    folder = f"/proc/{pid}/fd"
    return [os.readlink(os.path.join(folder, number)) for number in os.listdir(folder)]


def epolls(pid):
    return descriptors(pid).count("anon_inode:[eventpoll]")


# -- work ------------------------------------------------------------------------------------------------------

def switches(pid, kind="", of=None):
    """Context switches so far of all threads, or of these, or only the "voluntary" ones: to wait for something."""
    line = re.compile(rf"^{kind or '.*'}_ctxt_switches:\s+(\d+)", re.M)
    return sum(int(count) for thread in of or threads(pid) for count in line.findall(read(pid, "task", thread, "status")))


def quiet(pids, seconds=0.5, timeout=30):
    """Wait until no thread of these processes has been switched for so long."""
    deadline, since, last = time.monotonic() + timeout, time.monotonic(), None
    while time.monotonic() - since < seconds:
        now = list(map(switches, pids))
        if now != last:
            since, last = time.monotonic(), now
        if since > deadline:
            raise RuntimeError(f"the processes {pids} did not become quiet within {timeout} s")
        time.sleep(0.02)


def stat(pid):
    """The fields of /proc/PID/stat that follow the name, beginning with the state (field 3 of proc(5))."""
    return read(pid, "stat").rpartition(")")[2].split()


def cpu(pid):
    """CPU time so far in seconds, user and system, of all threads, also of those that have ended: the clock that
    clock_getcpuclockid(3) gives for a process."""
    return time.clock_gettime(~pid << 3 | 2)


def bytes_read(pid):
    """By all its calls of read and its like so far, from whatever."""
    return int(re.search(r"rchar: (\d+)", read(pid, "io"))[1])


# -- relations -------------------------------------------------------------------------------------------------

def parent(pid):
    return int(stat(pid)[1])


def session(pid):
    return int(stat(pid)[3])


def processes(condition):
    """The pids of all living processes for which the condition holds."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if stat(pid)[0] not in "ZX" and condition(int(pid)):
                found.append(int(pid))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return found


def environment(pid):
    """The variables of a process, as they were at its exec."""
    return dict(line.split("=", 1) for line in read(pid, "environ").split("\0") if "=" in line)


# -- the machine -----------------------------------------------------------------------------------------------

def machine():
    """The class of this machine, in a line."""
    models = re.findall(r"^model name\s*: (.*)$", read("cpuinfo"), re.M) or [platform.machine()]
    gibibytes = int(re.search(r"MemTotal: +(\d+)", read("meminfo"))[1]) / (1 << 20)
    system = f"{platform.system()} {platform.release()}"
    return f"{models[0]}, {os.cpu_count()} cores, {gibibytes:.0f} GiB, {system}"


def load():
    """How much else went on: what is timed on a busy machine says little."""
    return f"load average {os.getloadavg()[0]:.1f} at the end"
