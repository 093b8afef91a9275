"""Tasks whose processes resist being ended, and an executor that is killed itself; with both launchers."""
import os
import signal

from framework import EXECUTOR, TERMINAL, shown
from lab import eventually, marked

# One line for each way to resist; each process is marked by a word in $STRAY. `ready` exists when all
# are running.
STRAYS = r"""
STRAY=background sleep 1000 &
STRAY=session setsid sleep 1000 &
(STRAY=daemon setsid sh -c 'sleep 1000 & sleep 1000' &)
(trap '' TERM; STRAY=deaf exec sleep 1000) &
(STRAY=deaf-daemon setsid sh -c 'trap "" TERM; sleep 1000 & sleep 1000' &)
STRAY=stopped setsid sh -c 'kill -STOP $$; sleep 1000' &
STRAY=deaf-stopped setsid sh -c 'trap "" TERM; kill -STOP $$; sleep 1000' &
STRAY=forks setsid sh -c 'trap "setsid sleep 1000 & sleep 1000 & exit" TERM; touch forks; while :; do sleep 0.05; done' &
STRAY=breeder setsid sh -c 'trap "" TERM; n=0; until [ $n = 100 ]; do setsid sleep 1000 & n=$((n + 1)); done; wait' &
tree() { [ $1 = 0 ] && exec sleep 1000; for i in 1 2 3 4 5; do (tree $(($1 - 1))) & done; wait; }
export STRAY=tree
(trap '' TERM; tree 3) &
export STRAY=chain HOP='trap "" TERM; [ $n -gt 0 ] || exit; n=$((n - 1)); export n; setsid sh -c "$HOP" &'
n=300 setsid sh -c "$HOP" &
export STRAY=command
until [ -e forks ]; do sleep 0.05; done
touch ready
"""

# A command that has to be killed with SIGKILL. `deaf` exists when it is running.
DEAF = "trap '' TERM; touch deaf; while :; do sleep 0.05; done"

LAST = {"after_commands": [{"value": "echo after >>order"}]}


def _stray(pid):
    """The word in $STRAY of a process."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            variables = environ.read().decode(errors="replace").split("\0")
    except OSError:
        return "ended"
    return next((v.removeprefix("STRAY=") for v in variables if v.startswith("STRAY=")), "none")


def _ends_by_itself(cook):
    task = cook.launch({"command": STRAYS, **LAST})
    task.ends("TASK_FINISHED")
    assert task.read("order").splitlines() == ["after"], task.read("order")


def _is_killed(cook):
    task = cook.launch({"command": STRAYS + DEAF, **LAST})
    task.wait_file("deaf")
    task.kill(grace=1)
    status = task.ends("TASK_KILLED")
    assert status["data"]["exit_code"] == -9, status["data"]
    assert task.read("order").splitlines() == ["after"], task.read("order")


def _is_shut_down(cook):
    task = cook.launch({"command": STRAYS + DEAF, **LAST}, shutdown_grace=8)
    task.wait_file("deaf")
    task.shutdown()
    status = task.ends("TASK_KILLED")
    assert status["source"] == "SOURCE_EXECUTOR", shown(status)
    assert task.read("order").splitlines() == ["after"], task.read("order")


def _executor_is_killed(cook):
    """Kills the executor with -9 while everything runs. Returns the words of the processes that are left after the agent has
    reported its end."""
    task = cook.launch({"command": STRAYS + "exec sleep 1000"})
    task.wait_file("ready")
    task.wait_running()
    executors = [pid for pid, command in marked(task.cookie).items() if EXECUTOR.fullmatch(command)]
    # The agent's launcher may have started it by `sh -c`, which has the lower pid and only waits.
    os.kill(max(executors), signal.SIGKILL)
    task.wait(lambda: set(task.states()) & TERMINAL, "its terminal status")
    status = task.updates[-1]
    assert status["source"] in ("SOURCE_SLAVE", "SOURCE_AGENT"), shown(status)
    task.wait(lambda: task.executor_id in task.framework.lab.completed_executors(), "the end of its executor")
    # The chain ends by itself.
    left = eventually(lambda: [p for p in [marked(task.cookie)] if "chain" not in map(_stray, p)], "the chain's end")[0]
    words = sorted({_stray(pid) for pid in left})
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not marked(task.cookie), "what was left to end")
    return words


def hostile_tasks_leave_nothing_behind_under_the_posix_launcher(cook):
    _ends_by_itself(cook)
    _is_killed(cook)
    _is_shut_down(cook)


def when_the_executor_is_killed_the_posix_launcher_ends_all_processes_except_daemons(cook):
    # The agent ends the executor's session, which includes the commands, and all descendants of the
    # executor. It cannot recognise a process that has its own session and no longer a parent.
    words = _executor_is_killed(cook)
    assert words == ["daemon", "deaf-daemon"], f"left: {words}"


def _linux_launcher(cook):
    """A Cook on an agent with the linux launcher, which ends processes by their cgroup. None without cgroup v1 or root."""
    hierarchy = "/sys/fs/cgroup"
    if os.getuid() != 0 or not os.path.ismount(os.path.join(hierarchy, "freezer")):
        print("SKIPPED: the linux launcher needs root, and cgroup v1 with its freezer at /sys/fs/cgroup")
        return None
    flags = {"launcher": "linux", "cgroups_hierarchy": hierarchy, "cgroups_root": f"cooktest-{os.getpid()}"}
    return cook.on_own_lab(agent_flags=flags)


def hostile_tasks_leave_nothing_behind_under_the_linux_launcher(cook):
    lab = _linux_launcher(cook)
    if lab:
        with lab as other:
            _ends_by_itself(other)
            _is_killed(other)
            _is_shut_down(other)


def when_the_executor_is_killed_the_linux_launcher_ends_all_processes(cook):
    lab = _linux_launcher(cook)
    if lab:
        with lab as other:
            words = _executor_is_killed(other)
            assert not words, f"left: {words}"
