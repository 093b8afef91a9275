"""The task API for a task of root and for one of an unprivileged `task-user`: the task itself and root may use it, another user
may not, whatever it sends."""
import contextlib
import json
import subprocess

# Not nobody: the kernel reports nobody for every user that it cannot name, so nobody gets no task API.
TASK_USER = ("daemon", 1)
STRANGER = 65533   # a uid without a user

# Everything that the API answers to a command; each line has the expected status and the arguments of
# curl.
SUITE = """\
204 -X PATCH -d '{progress: 10}' "$EXECUTOR_ENDPOINT"
204 -X PATCH -d '{"env": {"A": "1"}, "message": "half way"}' "$EXECUTOR_ENDPOINT"
204 -X PATCH -H 'Expect: 100-continue' -d '{"progress": 20}' "$EXECUTOR_ENDPOINT"
204 -X PATCH -H 'Transfer-Encoding: chunked' -d '{"progress": 30}' "$EXECUTOR_ENDPOINT"
400 -X PATCH -d '{"progres": 1}' "$EXECUTOR_ENDPOINT"
400 -X PATCH -d '{"progress": NaN}' "$EXECUTOR_ENDPOINT"
400 -X PATCH -d '' "$EXECUTOR_ENDPOINT"
413 -X PATCH --data-binary @large "$EXECUTOR_ENDPOINT"
431 -H @large "$EXECUTOR_ENDPOINT"
404 "$EXECUTOR_ENDPOINT/deeper"
404 "${EXECUTOR_ENDPOINT%/task/*}/"
405 -X DELETE "$EXECUTOR_ENDPOINT"
200 -I "$EXECUTOR_ENDPOINT"
200 --http1.0 "$EXECUTOR_ENDPOINT"
200 "$EXECUTOR_ENDPOINT"
"""


def _job():
    curls = [line.partition(" ")[2] for line in SUITE.splitlines()]
    return {
        "before_commands": [
            {"value": "id -u >user; (printf 'A: '; head -c 300000 /dev/zero | tr '\\0' a) >large"},
            {"value": "\n".join(f"curl -s -o /dev/null -w '%{{http_code}}\\n' {curl} >>codes" for curl in curls)},
            {"value": """"$EXECUTOR_BIN" patch '{"progress": 40}' && "$EXECUTOR_BIN" get >view.json"""},
        ],
        "command": 'echo "$EXECUTOR_ENDPOINT" >endpoint.new; mv endpoint.new endpoint; '
                   "until [ -e may-end ]; do sleep 0.05; done",
        "after_commands": [{"value": 'echo "$A ${STOLEN-unset} ${FROM_ROOT-unset}" >seen'}],
    }


@contextlib.contextmanager
def _tasks_of(cook, user):
    """Tasks launched meanwhile run as this user, set in ExecutorInfo.command.user as Cook does."""
    launch = cook.framework.launch

    def launch_as(task, executor=None, **how):
        executor["command"]["user"] = user
        return launch(task, executor, **how)
    cook.framework.launch = launch_as
    try:
        yield
    finally:
        cook.framework.launch = launch


def _curl(user, *arguments):
    """Sends a request as another user than the task's; returns the status and the body."""
    command = ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups",
               "curl", "-s", "-w", "\n%{http_code}", *arguments]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=20).stdout
    body, _, status = output.rpartition("\n")
    return int(status), body


def _check(cook, user, uid):
    with _tasks_of(cook, user):
        task = cook.launch(_job())
    task.wait_file("endpoint")
    assert task.read("user").strip() == str(uid), f"the task runs as {task.read('user')}"
    wanted = [line.partition(" ")[0] for line in SUITE.splitlines()]
    assert task.read("codes").split() == wanted, f"{task.read('codes').split()} for {wanted}"
    view = json.loads(task.read("view.json"))
    assert view["progress"] == 40 and view["message"] == "half way", view

    endpoint = task.read("endpoint").strip()
    theft = '{"env": {"STOLEN": "1"}, "progress": 66, "message": "stolen"}'
    for arguments in ([endpoint], ["-X", "PATCH", "-d", theft, endpoint], ["-I", endpoint], [endpoint + "/nothing"]):
        status, body = _curl(STRANGER, *arguments)
        assert status == 403, f"{arguments}: {status} {body}"
        if "-I" not in arguments:
            assert "only the task's own user and root" in json.loads(body)["error"], body
    assert _curl(0, "-X", "PATCH", "-d", '{"env": {"FROM_ROOT": "2"}}', endpoint)[0] == 204

    task.touch("may-end")
    status = task.ends("TASK_FINISHED")
    assert status["data"]["progress"] == 40 and status["data"]["message"] == "half way", status["data"]
    assert task.read("seen").strip() == "1 unset 2", task.read("seen")
    assert f"the connection belongs to uid {STRANGER}, not to " in task.read("executor.log")


def the_api_of_a_task_of_root_refuses_other_users(cook):
    _check(cook, "root", 0)


def the_api_of_a_task_of_an_unprivileged_user_refuses_other_users(cook):
    _check(cook, *TASK_USER)
