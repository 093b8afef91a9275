"""The executor as a replacement under the Cook scheduler, with Cook's jobs and configuration unchanged. `scheduler.py` takes the
place of Cook and refuses everything that Cook could not handle."""
import json

from scheduler import Scheduler


def a_successful_job_of_cook_is_shown_completely(cook):
    instance = Scheduler(cook).submit({"command": "pwd >here; echo 'progress: 99 We are so close!'; exit 0"})
    shown = instance.ends()
    assert shown == {"status": "success", "exit_code": 0, "progress": 99, "progress_message": "We are so close!",
                     "sandbox_directory": instance.task.read("here").strip()}, shown
    stdout = instance.task.read("stdout")
    for words in ("99 We are so close!", "Command exited with status 0", "Executor completed execution"):
        assert words in stdout, f"{words!r} is not in {stdout!r}"
    log = instance.task.read("executor.log")
    assert "WARN" not in log and "ERROR" not in log, log


def a_failing_job_of_cook_is_shown_as_failed_and_uses_an_attempt(cook):
    shown = Scheduler(cook).submit({"command": "exit 1"}).ends()
    assert (shown["status"], shown["exit_code"]) == ("failed", 1), shown
    assert shown["reason_string"] == "Command exited non-zero" and not shown["reason_mea_culpa"], shown


def an_executor_exit_requested_by_a_test_uses_no_attempt_of_cooks_job(cook):
    job = {"command": "touch ran", "env": {"EXECUTOR_TEST_EXIT": "1"}}
    instance = Scheduler(cook).submit(job)
    shown = instance.ends(exit_status=1 << 8)
    assert shown["reason_string"] == "Mesos executor terminated" and shown["reason_mea_culpa"], shown
    assert not instance.task.has("ran")


def a_job_of_cook_that_is_killed_ends_with_its_exit_code(cook):
    instance = Scheduler(cook).submit({"command": "touch ready; exec sleep 1000"})
    instance.task.wait_file("ready")
    instance.task.wait_running()
    instance.task.kill()
    shown = instance.ends()
    assert (shown["status"], shown["exit_code"]) == ("failed", -15), shown


def progress_of_a_job_of_cook_is_shown_while_it_runs(cook):
    scheduler = Scheduler(cook, **{"progress-sample-interval-ms": 100})
    # The job sets `progress_output_file` and the pattern; Cook sets the variable.
    instance = scheduler.submit({
        "command": """say() { echo "message: $1 $2" >>${EXECUTOR_PROGRESS_OUTPUT_FILE_NAME}
                              until [ -e seen-$1 ]; do sleep 0.02; done; }
                      say 25 'a quarter'; echo 'message: 300 nonsense' >>progress.txt; say 75 'three quarters'""",
        "progress_output_file": "progress.txt", "progress_regex_string": r"message: (\d*) (.*)"})
    for percent, text in ((25, "a quarter"), (75, "three quarters")):
        instance.task.wait(lambda: instance.shown().get("progress") == percent, f"{percent}%")
        assert instance.shown()["progress_message"] == text, instance.shown()
        assert instance.shown()["status"] == "running", instance.shown()
        instance.task.touch(f"seen-{percent}")
    shown = instance.ends()
    assert (shown["progress"], shown["progress_message"]) == (75, "three quarters"), shown


def with_cooks_default_interval_of_five_minutes_the_last_progress_is_reported_at_the_end(cook):
    command = "for i in $(seq 1 100); do echo \"progress: $i step $i\"; echo noise >&2; done"
    instance = Scheduler(cook).submit({"command": command})
    shown = instance.ends()
    assert (shown["progress"], shown["progress_message"]) == (100, "step 100"), shown
    assert sum("progress-sequence" in message for message in instance.task.messages) <= 2, instance.task.messages


def a_job_of_cook_has_its_files_and_its_environment(cook):
    script = cook.file("a-job", "hello.sh", "#!/bin/sh\necho \"hello $1\"\n")
    instance = Scheduler(cook, environment={"OF_THE_OPERATOR": "", "BOTH": "operator"}).submit({
        "command": "env | sort >env; ./hello.sh ${COOK_INSTANCE_UUID} >said",
        "uris": [{"value": script, "executable": True, "extract": False}],
        "env": {"FOO": "BAR", "BOTH": "job", "EXECUTOR_RESET_VARS": "MESOS_EXECUTOR_ID"}})
    assert instance.ends()["status"] == "success"
    assert instance.task.read("said") == f"hello {instance.task.id}\n", instance.task.read("said")
    environment = instance.task.read("env").splitlines()
    for line in ("FOO=BAR", "BOTH=operator", "OF_THE_OPERATOR=", "COOK_JOB_UUID=a-job"):
        assert line in environment, f"{line} is not in {environment}"
    assert not any(line.startswith("MESOS_EXECUTOR_ID=") for line in environment), environment


def hooks_of_operator_and_job_work_with_an_unmodified_cook(cook):
    def hook(word):
        return json.dumps([{"value": f"echo {word} >>order; echo 'progress: 50 {word}'", "guard": True}])

    operator = {"EXECUTOR_DEFAULT_BEFORE_COMMANDS": hook("unlock"), "EXECUTOR_DEFAULT_AFTER_COMMANDS": hook("lock")}
    instance = Scheduler(cook, environment=operator).submit({
        "command": "echo main >>order; exit 3",
        "env": {"EXECUTOR_BEFORE_COMMANDS": hook("before"), "EXECUTOR_AFTER_COMMANDS": hook("after")}})
    shown = instance.ends()
    assert instance.task.read("order").split() == ["unlock", "before", "main", "after", "lock"]
    # The exit code and the state are those of the command.
    assert (shown["status"], shown["exit_code"], shown["progress_message"]) == ("failed", 3, "lock"), shown


def a_failing_guard_fails_the_instance_of_cook_and_starts_nothing(cook):
    guard = json.dumps([{"value": "exit 9", "guard": True}])
    instance = Scheduler(cook).submit({"command": "touch ran", "env": {"EXECUTOR_BEFORE_COMMANDS": guard}})
    shown = instance.ends()
    assert shown["status"] == "failed" and "exit_code" not in shown, shown
    assert shown["reason_string"] == "Command exited non-zero", shown
    assert not instance.task.has("ran")


def a_job_of_cook_continues_while_its_agent_is_down(cook):
    with cook.on_own_lab() as other:
        instance = Scheduler(other, **{"progress-sample-interval-ms": 100}).submit({
            "command": """until [ -e agent-is-away ]; do sleep 0.05; done; echo 'progress: 60 alone'; touch said
                          until [ -e agent-is-back ]; do sleep 0.05; done; exit 4"""})
        instance.task.wait_running()
        other.lab.kill_agent()
        instance.task.touch("agent-is-away")
        instance.task.wait_file("said")
        other.lab.start_agent()
        instance.task.wait(lambda: instance.shown()["progress"] == 60, "60%")
        instance.task.touch("agent-is-back")
        shown = instance.ends()
        assert (shown["status"], shown["exit_code"], shown["progress"]) == ("failed", 4, 60), shown
