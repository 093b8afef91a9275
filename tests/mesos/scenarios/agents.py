"""Agents that crash and come back, require a token, have a domain socket, or launch tasks in other ways."""
import os
import tempfile


def a_task_continues_while_the_agent_is_down_and_its_progress_is_not_lost(cook):
    # The command reports progress until the reply is 503 (no agent). The executor keeps the value
    # nevertheless.
    command = """until [ -e agent-is-away ]; do sleep 0.05; done
        report() { curl -s -w '%{http_code}' -X PATCH -d '{"progress": 42, "message": "half way"}' $EXECUTOR_ENDPOINT; }
        until report | grep -q '503$'; do sleep 0.05; done
        touch reported
        until [ -e agent-is-back ]; do sleep 0.05; done"""
    with cook.on_own_lab() as other:
        task = other.launch({"command": command})
        task.wait_running()
        other.lab.kill_agent()
        task.touch("agent-is-away")
        task.wait_file("reported")
        other.lab.start_agent()
        task.touch("agent-is-back")
        status = task.ends("TASK_FINISHED")
        assert task.states() == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"], task.states()
        assert status["data"]["progress"] == 42 and status["data"]["message"] == "half way", status["data"]
        reported = [(m["progress-percent"], m["progress-message"]) for m in task.messages if "progress-percent" in m]
        assert reported[-1:] == [(42, "half way")], task.messages


def a_task_that_ends_while_the_agent_is_down_is_reported_after_its_restart(cook):
    with cook.on_own_lab() as other:
        task = other.launch({"command": "until [ -e agent-is-away ]; do sleep 0.05; done; exit 3",
                             "after_commands": [{"value": "touch after-ran"}]})
        task.wait_running()
        other.lab.kill_agent()
        task.touch("agent-is-away")
        task.wait_file("after-ran")
        task.wait(lambda: not task.processes(), "all processes except the executor to end")
        other.lab.start_agent()
        status = task.ends("TASK_FAILED", exit_is_reported=False)
        assert task.states() == ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"], task.states()
        assert status["source"] == "SOURCE_EXECUTOR", status
        assert status["data"]["exit_code"] == 3 and status["data"]["after_codes"] == [0], status["data"]


def _flags_for_authentication(cook):
    key = os.path.join(cook.folder, "jwt-key")
    with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write("a secret for tests")
    return {"authenticate_http_executors": "true", "http_authenticators": "jwt", "jwt_secret_key": key}


def _job_that_shows_every_commands_environment():
    return {"command": "env >command.env", "before_commands": [{"value": "env >before.env"}],
            "after_commands": [{"value": "env >after.env"}]}


def _no_token_is_seen(task):
    for name in ("before.env", "command.env", "after.env", "executor.log", "stdout"):
        text = task.read(name)
        assert "MESOS_EXECUTOR_ID=" in text or not name.endswith(".env"), f"{name} is not an environment: {text}"
        assert "AUTHENTICATION_TOKEN=" not in text and "eyJ" not in text, f"{name} has the token"


def an_agent_that_requires_a_token_gets_it_but_no_command_does(cook):
    with cook.on_own_lab(agent_flags=_flags_for_authentication(cook)) as other:
        task = other.launch(_job_that_shows_every_commands_environment())
        task.ends("TASK_FINISHED")
        _no_token_is_seen(task)


def an_agent_with_a_domain_socket_needs_no_tcp_even_after_a_restart(cook):
    with tempfile.TemporaryDirectory() as folder:  # the path of a socket must be short
        flags = {**_flags_for_authentication(cook), "http_executor_domain_sockets": "true",
                 "domain_socket_location": os.path.join(folder, "agent.sock")}
        with cook.on_own_lab(agent_flags=flags) as other:
            job = _job_that_shows_every_commands_environment()
            job["command"] += "; until [ -e agent-is-back ]; do sleep 0.05; done"
            # ExecutorInfo overrides the agent's variables; here with an address where no agent listens.
            task = other.launch(job, environment={"MESOS_AGENT_ENDPOINT": "127.0.0.1:1",
                                                  "MESOS_SLAVE_PID": "slave(1)@127.0.0.1:1"})
            task.wait_running()
            other.lab.kill_agent()
            other.lab.start_agent()
            task.touch("agent-is-back")
            task.ends("TASK_FINISHED")
            _no_token_is_seen(task)


def a_launch_group_with_one_task_runs_its_command(cook):
    task = cook.launch("echo hello >output; exit 3", through="LAUNCH_GROUP")
    status = task.ends("TASK_FAILED")
    assert status["message"] == "Command exited with status 3", status["message"]
    assert task.read("output") == "hello\n"


def installed_as_the_agents_mesos_executor_it_runs_command_tasks(cook):
    with cook.on_own_lab(command_executor=cook.executor) as other:
        task = other.launch("echo hello >output; exit 3", through="COMMAND")
        status = task.ends("TASK_FAILED", exit_is_reported=False)
        assert status["message"] == "Command exited with status 3", status["message"]
        assert task.read("output") == "hello\n"
