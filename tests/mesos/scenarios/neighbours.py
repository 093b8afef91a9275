"""Jobs together with other programs: variables that they pass on, processes that they leave, and other processes nearby."""
import gzip
import json
import subprocess


def a_job_may_inherit_the_variables_of_another_executor(cook):
    # A job that submits jobs passes on its whole environment.
    for name, value in (("EXECUTOR_PHASE", "command"), ("EXECUTOR_ENDPOINT", "http://127.0.0.1:1/task/other")):
        task = cook.launch({"command": 'echo "$EXECUTOR_PHASE $EXECUTOR_ENDPOINT" >seen'}, environment={name: value})
        task.ends("TASK_FINISHED")
        phase, endpoint = task.read("seen").split()
        assert phase == "command" and not endpoint.endswith("/other"), (phase, endpoint)


def readers_of_a_commands_output_can_read_all_of_it(cook):
    # bash does not wait for the process of a process substitution.
    tee = cook.launch({"command": "exec bash -c 'exec > >(sleep 0.3; tee -a all.log) 2>&1; echo boom; exit 1'"})
    tee.ends("TASK_FAILED")
    assert tee.read("all.log") == "boom\n", tee.read("all.log")
    pack = cook.launch({"command": "exec bash -c 'exec > >(sleep 0.3; gzip >log.gz); seq 1 10000'"})
    pack.ends("TASK_FINISHED")
    with gzip.open(pack.path("log.gz"), "rt") as file:
        assert file.read().split() == [str(number) for number in range(1, 10001)]


def processes_that_the_operator_starts_before_the_executor_are_left_running(cook):
    cook.command = "sh -c 'echo $$ >tunnel; exec sleep 1000' & exec ./cook-executor"
    task = cook.launch({"command": "until [ -s tunnel ]; do sleep 0.02; done; cat tunnel >seen; kill -0 $(cat tunnel)",
                        "after_commands": [{"value": "kill -0 $(cat tunnel)"}]})
    task.wait(lambda: task.states()[-1:] == ["TASK_FINISHED"], "the end of the task")
    data = task.updates[-1]["data"]
    assert (data["exit_code"], data["after_codes"]) == (0, [0]), data
    # It was still running when the last status arrived; then the agent ends the container.
    assert any("sleep 1000" in command for command in task.left_behind.values()), task.left_behind
    task.left_behind = {}
    task.ends("TASK_FINISHED")


def a_process_that_cannot_be_ended_does_not_delay_the_terminal_status(cook):
    # A copy of sleep that runs as root, so that the task's user must not signal it.
    helper = cook.file("suid", "helper", "")
    subprocess.run(["install", "-m", "4755", "/bin/sleep", helper], check=True)
    launch = cook.framework.launch

    def launch_as(task, executor=None, **how):
        executor["command"]["user"] = "nobody"
        return launch(task, executor, **how)
    cook.framework.launch = launch_as
    task = cook.launch({"command": f"{helper} 20 & sleep 0.3; exit 4"})
    task.wait(lambda: task.states()[-1:] == ["TASK_FAILED"], "the end of the task", 15)
    assert task.updates[-1]["data"]["exit_code"] == 4, task.updates[-1]
    task.left_behind = {}
    log = task.read("executor.log")
    assert log.count("SIGKILL") < 20, log
    task.ends("TASK_FAILED")


def a_kill_without_a_grace_period_still_runs_the_after_commands(cook):
    task = cook.launch({"command": "touch ready; sleep 1000", "after_commands": [{"value": "sleep 0.3; touch unlocked"}]})
    task.wait_file("ready")
    task.wait_running()
    task.kill(grace=0)
    data = task.ends("TASK_KILLED")["data"]
    assert task.has("unlocked") and data["after_codes"] == [0], data


def task_data_of_the_framework_is_ignored(cook):
    launch = cook.framework.launch
    for data in ("", "plain text", "\0\1\2", "[1]", json.dumps({"command": "touch wrong"})):
        def launch_with(task, executor=None, **how):
            from framework import encoded
            return launch({**task, "data": encoded(data)}, executor, **how)
        cook.framework.launch = launch_with
        task = cook.launch("touch ran", through="LAUNCH_GROUP")
        task.ends("TASK_FINISHED")
        assert task.has("ran") and not task.has("wrong"), data


def as_a_custom_executor_of_marathon_it_runs_its_arguments(cook):
    # Marathon starts `exec './cook-executor' CMD` in the agent's shell, without a command or data.
    cook.command = "exec './cook-executor' sh -c 'echo \"$1\" >ran; exit 6' - 'of marathon'"
    launch = cook.framework.launch

    def launch_without(task, executor=None, **how):
        del task["data"]
        return launch(task, executor, **how)
    cook.framework.launch = launch_without
    task = cook.launch({})
    status = task.ends("TASK_FAILED")
    assert task.read("ran") == "of marathon\n" and status["data"]["exit_code"] == 6, status
