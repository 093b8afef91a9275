"""Before and after commands: the documented use cases, with their scripts and curl commands as printed."""
import json

# The two scripts of the documented locking example. The lock is a folder outside of the sandboxes.
LOCK_SCRIPTS = {
    "acquire-lock.sh": '#!/bin/sh\nexec mkdir "$LOCKS/$1"\n',
    "release-lock.sh": '#!/bin/sh\nexec rmdir "$LOCKS/$1"\n',
}


def with_a_guarded_lock_only_one_copy_of_a_job_runs(cook):
    def job(command):
        return cook.launch({
            "command": command,
            "before_commands": [{"value": "./acquire-lock.sh my-service", "guard": True}],
            "after_commands": [{"value": "./release-lock.sh my-service"}, {"value": "touch after-ran"}],
        }, LOCK_SCRIPTS, {"LOCKS": cook.folder})

    holder = job("touch has-lock; until [ -e may-end ]; do sleep 0.05; done")
    holder.wait_file("has-lock")

    second = job("touch command-ran")
    status = second.ends("TASK_FAILED")
    assert "./acquire-lock.sh my-service" in status["message"], status["message"]
    assert status["data"]["before_codes"] == [1], status["data"]
    assert "exit_code" not in status["data"], status["data"]
    assert not second.has("command-ran") and not second.has("after-ran"), "a command ran without the lock"
    assert "TASK_RUNNING" not in second.states(), second.states()

    holder.touch("may-end")
    assert holder.ends("TASK_FINISHED")["data"]["after_codes"] == [0, 0]
    third = job("true")   # the lock is free again
    third.ends("TASK_FINISHED")


def a_monitor_runs_during_the_command_and_is_stopped_after_it(cook):
    task = cook.launch({
        "command": "rm -f seen; until [ -e seen ]; do sleep 0.02; done",
        "before_commands": [{"value": "./my-monitoring-command", "async": True}],
        "after_commands": [{"value": "rm -f seen; until [ -e seen ]; do sleep 0.02; done"}],
    }, {"my-monitoring-command": "#!/bin/sh\nwhile :; do touch seen; sleep 0.02; done\n"})
    status = task.ends("TASK_FINISHED")
    assert status["data"]["exit_code"] == 0, status["data"]
    assert status["data"]["before_codes"] == [-15], status["data"]
    assert status["data"]["after_codes"] == [0], status["data"]


def a_before_command_sets_and_unsets_environment_variables(cook):
    script = '''#!/bin/bash
curl -XPATCH \\
	-d '{"env": {"MY_ENV_VAR": "/hello/world", "MY_OLD_VAR": null}}' \\
	$EXECUTOR_ENDPOINT
'''
    show = 'echo "${MY_ENV_VAR-unset} ${MY_OLD_VAR-unset}" >>seen'
    task = cook.launch({
        "command": show,
        "before_commands": [{"value": show}, {"value": "./set-env-vars.sh"}, {"value": show}],
        "after_commands": [{"value": show}],
    }, {"set-env-vars.sh": script}, {"MY_OLD_VAR": "old"})
    task.ends("TASK_FINISHED")
    seen = task.read("seen").splitlines()
    assert seen == ["unset old"] + 3 * ["/hello/world unset"], seen


def the_curl_examples_work_without_quotes_around_keys(cook):
    answer = "curl -s -w '%{http_code}\\n' -o /dev/null"
    task = cook.launch({
        "command": 'echo "$VAR_A ${SOME_B-unset}" >>seen',
        "before_commands": [
            {"value": answer + " -X PATCH -d '{progress: 10}' $EXECUTOR_ENDPOINT >>seen"},
            {"value": answer + """ -X PATCH -d '{env: {VAR_A: "123", SOME_B: null}}' $EXECUTOR_ENDPOINT >>seen"""},
        ],
    }, environment={"SOME_B": "some"})
    status = task.ends("TASK_FINISHED")
    assert task.read("seen").splitlines() == ["204", "204", "123 unset"], task.read("seen")
    assert status["data"]["progress"] == 10, status["data"]


def progress_and_a_failure_message_reach_the_scheduler(cook):
    command = '''curl -XPATCH \\
	-d '{"progress": 100, "message": "a custom failure message"}' \\
	$EXECUTOR_ENDPOINT
exit 1'''
    task = cook.launch({"command": command})
    status = task.ends("TASK_FAILED")
    assert status["message"] == "a custom failure message", status["message"]
    assert status["data"]["message"] == "a custom failure message", status["data"]
    assert status["data"]["progress"] == 100, status["data"]
    progress = [message for message in task.messages if "progress-percent" in message]
    assert progress, f"no progress among {task.messages}"
    sequence = progress[-1].pop("progress-sequence")
    assert isinstance(sequence, int) and sequence >= 1, sequence
    assert progress[-1] == {"progress-message": "a custom failure message", "progress-percent": 100,
                            "task-id": task.id}, progress


def a_long_message_is_cut_to_512_characters(cook):
    long = "xé" * 300
    task = cook.launch({"command": "./report; exit 1"}, {"report": f"""#!/bin/sh
curl -s -w '%{{http_code}}' -X PATCH -d '{{"message": "{long}"}}' $EXECUTOR_ENDPOINT >code
"""})
    message = task.ends("TASK_FAILED")["message"]
    assert task.read("code") == "204", task.read("code")
    assert message == long[:509] + "...", f"{len(message)} characters: {message}"


def mail_is_sent_only_when_the_command_has_failed(cook):
    files = {
        "mail-on-error.sh": '''#!/bin/bash
PATH="$MESOS_SANDBOX:$PATH"
exit_code=$(curl $EXECUTOR_ENDPOINT | jq '.exit_code')

if [[ "$exit_code" != "0" ]]; then
    mail -s 'your job failed, sorry!' bob@hello.com
fi
''',
        "mail": '#!/bin/sh\necho "$@" >>mails\n',
    }
    after = [{"value": "./mail-on-error.sh"}]
    good = cook.launch({"command": "true", "after_commands": after}, files)
    bad = cook.launch({"command": "exit 7", "after_commands": after}, files)
    assert good.ends("TASK_FINISHED")["data"]["after_codes"] == [0]
    assert bad.ends("TASK_FAILED")["data"]["after_codes"] == [0]
    assert not good.has("mails"), good.read("mails")
    assert bad.read("mails") == "-s your job failed, sorry! bob@hello.com\n", bad.read("mails")


def a_command_can_read_all_exit_codes_so_far(cook):
    task = cook.launch({
        "command": "curl -s $EXECUTOR_ENDPOINT >during.json; exit 4",
        "before_commands": [{"value": "true"}, {"value": "exit 2"}],
        "after_commands": [{"value": "exit 5"}, {"value": "curl -s $EXECUTOR_ENDPOINT >after.json"}],
    })
    codes = {"before_codes": [0, 2], "after_codes": [5, 0], "exit_code": 4}
    data = task.ends("TASK_FAILED")["data"]
    assert {key: data[key] for key in codes} == codes, data

    during = json.loads(task.read("during.json"))
    assert during["before_codes"] == [0, 2] and "exit_code" not in during, during
    after = json.loads(task.read("after.json"))
    codes["after_codes"] = [5]
    codes["before_exit_codes"], codes["after_exit_codes"] = [0, 2], [5]
    assert {key: after.get(key) for key in codes} == codes, after


def the_operators_default_hooks_run_around_the_jobs_own(cook):
    job = {
        "command": "echo command >>order",
        "before_commands": [{"value": "echo before >>order"}],
        "after_commands": [{"value": "echo after >>order"}],
    }
    before, after = [{"value": "echo default before >>order"}], [{"value": "echo default after >>order"}]
    by_environment = cook.launch(job, environment={"EXECUTOR_DEFAULT_BEFORE_COMMANDS": json.dumps(before),
                                                   "EXECUTOR_DEFAULT_AFTER_COMMANDS": json.dumps(after)})
    by_executor_data = cook.launch(job, executor_data={"before_commands": before, "after_commands": after})
    for task in (by_environment, by_executor_data):
        data = task.ends("TASK_FINISHED")["data"]
        order = task.read("order").splitlines()
        assert order == ["default before", "before", "command", "after", "default after"], order
        assert data["before_codes"] == [0] and data["after_codes"] == [0], data
        assert data["default_before_codes"] == [0] and data["default_after_codes"] == [0], data


def a_jobs_hooks_may_be_set_in_the_environment(cook):
    task = cook.launch({"command": "echo command >>order"}, environment={
        "EXECUTOR_BEFORE_COMMANDS": json.dumps([{"value": "echo before >>order"}]),
        "EXECUTOR_AFTER_COMMANDS": json.dumps([{"value": "echo after >>order; exit 6"}])})
    data = task.ends("TASK_FINISHED")["data"]
    assert task.read("order").splitlines() == ["before", "command", "after"], task.read("order")
    assert data["before_codes"] == [0] and data["after_codes"] == [6], data
