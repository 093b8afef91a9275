"""The results of a command: states, messages, exit codes, and the framework messages that the released Cook reads."""

DIRECTORY, EXIT_CODE = "sandbox-directory", "exit-code"


def a_plain_command_finishes(cook):
    task = cook.launch({"command": "echo hello"})
    status = task.ends("TASK_FINISHED")
    assert task.states() == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"], task.states()
    assert status["data"]["exit_code"] == 0, status["data"]
    assert status["message"] == "Command exited with status 0", status["message"]
    assert status["source"] == "SOURCE_EXECUTOR", status["source"]


def the_sandbox_directory_and_the_exit_code_are_reported_to_cook(cook):
    task = cook.launch({"command": 'echo "$MESOS_DIRECTORY" >directory; exit 3'})
    task.ends("TASK_FAILED")
    assert task.messages == [
        {DIRECTORY: task.read("directory").strip(), "task-id": task.id, "type": "directory"},
        {EXIT_CODE: 3, "task-id": task.id},
    ], task.messages


def the_sandbox_has_the_commands_output_and_a_log_of_all_events(cook):
    task = cook.launch({"command": "echo hello; echo trouble >&2"})
    task.ends("TASK_FINISHED")
    stdout = task.read("stdout").splitlines()
    completed = f"Executor completed execution of {task.id} (state=TASK_FINISHED)"
    for line in (f"Starting task {task.id}", "hello", completed):
        assert line in stdout, f"{line!r} is not in {stdout}"
    assert any(line.startswith("Command exited with status 0 (pid: ") for line in stdout), stdout
    assert "trouble" in task.read("stderr").splitlines()
    log = task.read("executor.log")
    for word in ("registered", "launchTask", "TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"):
        assert word in log, f"{word!r} is not in executor.log"


def a_failing_command_fails_the_task_with_its_status_and_no_reason(cook):
    status = cook.launch({"command": "exit 3"}).ends("TASK_FAILED")
    assert status["message"] == "Command exited with status 3", status["message"]
    assert status["data"]["exit_code"] == 3, status["data"]
    assert "reason" not in status, status["reason"]


def a_command_that_dies_by_a_signal_fails_the_task(cook):
    status = cook.launch({"command": "kill -KILL $$"}).ends("TASK_FAILED")
    assert status["message"] == "Command terminated with signal Killed", status["message"]
    assert status["data"]["exit_code"] == -9, status["data"]
    assert "reason" not in status, status["reason"]


def an_invalid_job_is_refused_with_an_explanation(cook):
    jobs = [  # a job, and a word that the text must have
        ('{"command": "touch ran"', "json"),
        ({"command": "  "}, "command"),
        ({"command": 5}, "command"),
        ({}, "command"),
        ({"comand": "touch ran", "after_commands": [{"value": "touch ran"}]}, "command"),
        ({"command": "touch ran", "before_commands": [{"value": "touch ran", "guard": "yes"}]}, "guard"),
        ({"command": "touch ran", "after_commands": [{"value": " "}]}, "after_commands"),
    ]
    for task, word in [(cook.launch(job), word) for job, word in jobs]:
        status = task.ends("TASK_ERROR")
        assert status["reason"] == "REASON_TASK_INVALID", status
        assert word in status["message"].lower(), f"{word!r} is not in {status['message']!r}"
        assert "TASK_RUNNING" not in task.states(), task.states()
        assert not task.has("ran"), "something was started"


def a_task_id_with_spaces_and_percent_signs_has_a_working_endpoint(cook):
    command = "curl -s -w '%{http_code}' -X PATCH -d '{progress: 10}' $EXECUTOR_ENDPOINT >code"
    task = cook.launch({"command": command}, name="100% of a job, é")
    task.ends("TASK_FINISHED")
    assert task.read("code") == "204", task.read("code")
