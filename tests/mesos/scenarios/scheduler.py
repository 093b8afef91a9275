"""cook-scheduler as a framework: examples of jobs, Cook's released clients, and the failure of every part."""
import base64
import json
import os
import signal
import subprocess
import urllib.error
import urllib.request

from lab import HERE, answer, eventually, marked
from served import Served, operate

# The fixture of these tests; see run.py.
SETTING = Served

# A command that runs until there is a file `end`.
UNTIL_TOLD = "until [ -e end ]; do sleep 0.05; done; exit 3"

# The master notices within 3 seconds, instead of 75, that an agent does not respond.
QUICK = {"agent_ping_timeout": "1secs", "max_agent_ping_timeouts": "3"}
QUICK_AGENT = {"registration_backoff_factor": "100ms"}


def a_job_succeeds_and_its_files_are_read_from_its_agent(served):
    job = served.completed(served.submit_one({"command": "echo hello; exit 3", "cpus": 0.5, "mem": 64}))
    assert (job["state"], job["exit_code"]) == ("failed", 3), job
    assert "hello\n" in served.file(job, "stdout")
    instance = job["instances"][0]
    assert instance["hostname"] == "127.0.0.1" and instance["agent_id"] == served.lab.agent.id(), instance
    [framework] = served.frameworks()
    assert instance["compute-cluster"]["mesos"]["framework-id"] == framework["id"], instance
    # The name in `output_url` while the message with the sandbox's folder has not come.
    name = f"/frameworks/{framework['id']}/executors/{instance['task_id']}/runs/latest/stdout"
    assert b"hello" in answer(f"http://{served.lab.agent.address}/files/read?path={name}&offset=0"), instance


def a_lock_with_a_guard_prevents_the_command(served):
    lock = os.path.join(served.folder, "lock")
    uris = [served.script("acquire-zk-lock.sh", f"#!/bin/sh\nmkdir {lock} || exit 7\n"),
            served.script("release-zk-lock.sh", f"#!/bin/sh\nrmdir {lock}\n")]
    job = {"command": "ls -d " + lock, "uris": uris,
           "before_commands": [{"value": "./acquire-zk-lock.sh my-service", "guard": True}],
           "after_commands": [{"value": "./release-zk-lock.sh my-service"}]}
    done = served.completed(served.submit_one(job))
    assert (done["state"], done["exit_code"]) == ("success", 0), done
    assert (done["before_exit_codes"], done["after_exit_codes"]) == ([0], [0]), done
    os.mkdir(lock)
    done = served.completed(served.submit_one(job))
    assert (done["state"], done["before_exit_codes"]) == ("failed", [7]), done
    assert "exit_code" not in done and done["after_exit_codes"] == [], done
    os.rmdir(lock)


def an_async_monitor_runs_beside_the_command(served):
    job = {"command": "until [ -s seen ]; do sleep 0.02; done; echo ran",
           "before_commands": [{"value": "while :; do echo x >>seen; sleep 0.1; done", "async": True}]}
    done = served.completed(served.submit_one(job))
    assert done["exit_code"] == 0 and done["before_exit_codes"] == [-15], done


def a_before_command_sets_the_environment_of_later_commands(served):
    script = """#!/bin/bash
curl -XPATCH \\
\t-d '{"env": {"MY_ENV_VAR": "/hello/world", "MY_OLD_VAR": null}}' \\
\t$EXECUTOR_ENDPOINT
"""
    job = {"command": 'echo "$MY_ENV_VAR:${MY_OLD_VAR-unset}"', "env": {"MY_OLD_VAR": "old"},
           "uris": [served.script("set-env-vars.sh", script)], "before_commands": [{"value": "./set-env-vars.sh"}]}
    done = served.completed(served.submit_one(job))
    assert "/hello/world:unset\n" in served.file(done, "stdout")


def progress_and_message_are_shown(served):
    patch = """curl -XPATCH -d '{"progress": %d, "message": "a custom failure message"}' $EXECUTOR_ENDPOINT"""
    name = served.submit_one({"command": f"{patch % 40}; {UNTIL_TOLD}", "after_commands": [{"value": patch % 100}]})
    running = served.until(name, lambda job: job.get("progress") == 40, "progress")
    assert running["message"] == "a custom failure message" and running["status"] == "running", running
    served.touch(name, "end")
    done = served.completed(name)
    assert (done["progress"], done["message"], done["exit_code"]) == (100, "a custom failure message", 3), done


def a_job_with_hooks_only_sends_its_mail(served):
    mail = served.script("mail", "#!/bin/sh\necho \"$@\" >sent\n")
    job = {"uris": [mail], "after_commands": [{"value": "./mail -s 'your job failed, sorry' bob@hello.com"}]}
    done = served.completed(served.submit_one(job))
    assert (done["state"], done["after_exit_codes"]) == ("success", [0]) and "exit_code" not in done, done
    assert served.file(done, "sent") == "-s your job failed, sorry bob@hello.com\n"


def a_job_gets_its_ports_variables_labels_and_name(served):
    job = {"command": 'echo "$PORT0 $PORT1 $MY_VAR $COOK_INSTANCE_NUM $COOK_JOB_UUID $(id -un)"', "ports": 2,
           "env": {"MY_VAR": "mine"}, "labels": {"a/b": "c"}, "name": "meal", "max_runtime": 60000}
    name = served.submit_one(job)
    done = served.completed(name)
    first, second = done["instances"][0]["ports"]
    assert f"{first} {second} mine 0 {name} root\n" in served.file(done, "stdout"), served.file(done, "stdout")
    tasks = json.loads(answer(f"http://{served.lab.master_address}/master/tasks?limit=1000"))["tasks"]
    [task] = [task for task in tasks if task["id"] == done["instances"][0]["task_id"]]
    assert task["name"].startswith("meal_root_") and task["labels"] == [{"key": "a/b", "value": "c"}], task


def the_operators_hooks_run_around_the_jobs(served):
    hooks = {"before": '[{:value "echo first >order"}]', "after": '[{:value "echo last >>order; exit 4"}]'}
    with Served(served.lab, served.programs, _folder(served, "hooks"), served.cookie, executor=(
            f":before-commands {hooks['before']} :after-commands {hooks['after']}")) as other:
        done = other.completed(other.submit_one({"command": "echo job >>order", "after_commands": [{"value": "echo own >>order"}]}))
        assert other.file(done, "order") == "first\njob\nown\nlast\n"
        assert (done["default_before_exit_codes"], done["default_after_exit_codes"]) == ([0], [4]), done
        assert (done["before_exit_codes"], done["after_exit_codes"]) == ([], [0]), done


def a_job_over_its_runtime_is_ended_with_the_reason(served):
    done = served.completed(served.submit_one({"command": "exec sleep 1000", "max_runtime": 500}))
    assert done["instances"][0]["reason_code"] == 2003, done


def a_killed_job_runs_its_after_commands(served):
    name = served.submit_one({"command": "exec sleep 1000", "after_commands": [{"value": "echo over >over; exit 5"}],
                              "max_retries": 3})
    served.running(name)
    served.kill_job(name)
    done = served.completed(name)
    assert (done["state"], done["exit_code"], done["after_exit_codes"]) == ("failed", -15, [5]), done
    assert done["instances"][0]["reason_code"] == 1001 and len(done["instances"]) == 1, done
    assert served.file(done, "over") == "over\n"


def a_job_that_fails_is_tried_again(served):
    done = served.completed(served.submit_one({"command": "test $COOK_INSTANCE_NUM = 2", "max_retries": 5}))
    assert done["state"] == "success" and len(done["instances"]) == 3 and done["retries_remaining"] == 2, done


def a_file_that_cannot_be_fetched_is_not_the_jobs_fault(served):
    name = served.submit_one({"command": "true", "uris": [{"value": "/no/such/file"}]})
    failed = served.until(name, lambda job: any(it["status"] == "failed" for it in job["instances"]), "a failure")
    assert failed["instances"][0]["reason_code"] == 4003, failed
    assert failed["instances"][0]["reason_mea_culpa"] and failed["retries_remaining"] == 1, failed
    served.kill_job(name)
    served.completed(name)


def root_is_refused_unless_it_is_configured(served):
    folder = _folder(served, "users")
    logins = """:authorization {:http-basic {:validation :config-file :valid-logins #{["root" "a"] ["daemon" "b"]}}}"""
    other = Served(served.lab, served.programs, folder, served.cookie, more=logins)
    text = open(other.configuration, encoding="utf-8").read().replace(':run-as-user "root"', "")
    with open(other.configuration, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(folder, 0o755)
    with other:
        def ask(user, password, target, job=None):
            basic = base64.b64encode(f"{user}:{password}".encode()).decode()
            data = json.dumps(job).encode() if job else None
            request = urllib.request.Request(other.url + target, data=data, headers={"Authorization": f"Basic {basic}"})
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.read().decode()
        try:
            raise AssertionError(ask("root", "a", "/rawscheduler", {"command": "true"}))
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            assert error.code in (400, 403) and "root" in text, (error.code, text)
        name = ask("daemon", "b", "/rawscheduler", {"command": "id -un >/dev/stdout"}).split()[-1]
        job = eventually(lambda: next((job for job in json.loads(ask("daemon", "b", f"/rawscheduler?job={name}"))
                                       if job["status"] == "completed"), None), f"the end of {name}")
        assert job["state"] == "success" and job["user"] == "daemon", job
        assert "daemon\n" in other.file(job, "stdout"), other.file(job, "stdout")


def the_released_clients_work(served):
    tests = ["test_submit_wait_show", "test_submit_raw_with_hooks", "test_submit_with_everything", "test_jobs",
             "test_kill_job_instance_and_group", "test_files", "test_usage", "test_job_client"]
    arguments = " ".join(served.arguments)
    done = subprocess.run([os.path.join(HERE, "..", "scheduler", "clients", "run.sh"), served.programs.scheduler,
                           "--arguments", arguments, *(f"Clients.{test}" for test in tests)],
                          capture_output=True, text=True, timeout=300, env=served.environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def jobs_outlive_the_scheduler(served):
    names = [served.submit_one({"command": UNTIL_TOLD, "cpus": 0.1}) for _ in range(3)]
    for name in names:
        served.running(name)
    ends = [os.path.join(served.sandbox(name), "end") for name in names]
    [framework] = served.frameworks()
    served.kill()
    # One job ends while the scheduler is down.
    _touch(ends[0])
    served.start()
    done = served.completed(names[0])
    assert (done["exit_code"], len(done["instances"])) == (3, 1), done
    assert served.leave() == 0
    served.start()
    for name, end in list(zip(names, ends))[1:]:
        assert served.job(name)["status"] == "running"
        _touch(end)
        done = served.completed(name)
        assert (done["exit_code"], len(done["instances"])) == (3, 1), done
    assert [it["id"] for it in served.frameworks()] == [framework["id"]]


def jobs_outlive_the_master(served):
    with served.on_own_lab(QUICK_AGENT, QUICK) as other:
        name = other.submit_one({"command": UNTIL_TOLD})
        other.running(name)
        other.sandbox(name)
        other.lab.master.kill()
        # The API works; a new job waits.
        late = other.submit_one({"command": "exit 4"})
        other.waiting(late)
        other.touch(name, "end")
        other.lab.master.start()
        for job, code in ((name, 3), (late, 4)):
            done = other.completed(job)
            assert (done["exit_code"], len(done["instances"])) == (code, 1), done


def jobs_outlive_an_agent_that_is_started_again(served):
    with served.on_own_lab(QUICK_AGENT) as other:
        name = other.submit_one({"command": UNTIL_TOLD})
        other.running(name)
        end = os.path.join(other.sandbox(name), "end")
        other.lab.agent.kill()
        _touch(end)
        other.lab.agent.start()
        done = other.completed(name)
        assert (done["exit_code"], len(done["instances"])) == (3, 1), done


def an_executor_that_does_not_connect_again_in_time_costs_no_attempt(served):
    with served.on_own_lab(QUICK_AGENT) as other:
        name = other.submit_one({"command": "test $COOK_INSTANCE_NUM = 1 || sleep 1000"})
        other.running(name)
        for pid, command in marked(other.cookie).items():
            if command.endswith("./cook-executor"):
                os.kill(pid, signal.SIGSTOP)
        other.lab.agent.kill()
        other.lab.agent.start()
        done = other.completed(name)
        assert done["state"] == "success" and len(done["instances"]) == 2, done
        assert done["instances"][0]["reason_mea_culpa"], done


def a_job_on_a_drained_agent_restarts_elsewhere_without_costing_an_attempt(served):
    with served.on_own_lab(QUICK_AGENT, agents=2) as other:
        name = other.submit_one({"command": "test $COOK_INSTANCE_NUM = 1 || sleep 1000"})
        drained = other.running(name)["agent_id"]
        call = {"type": "DRAIN_AGENT", "drain_agent": {"agent_id": {"value": drained}}}
        operate(other.lab, "/master/api/v1", json.dumps(call), "application/json")
        job = other.completed(name)
        assert job["state"] == "success" and job["max_retries"] == 1, job
        first, second = job["instances"]
        assert first["reason_code"] == 4000 and second["agent_id"] != drained, job


def a_job_whose_agent_is_gone_restarts_elsewhere_without_costing_an_attempt(served):
    with served.on_own_lab(QUICK_AGENT, QUICK, agents=2) as other:
        first, second = other.lab.agents
        name = other.submit_one({"command": "test $COOK_INSTANCE_NUM = 1 || sleep 1000",
                                 "constraints": [["number", "EQUALS", "2"]]})
        assert other.running(name)["agent_id"] == second.id()
        gone = second.id()
        second.kill()
        for pid in _processes(other):
            os.kill(pid, signal.SIGKILL)   # as when its machine is gone
        other.until(name, lambda job: len(job["instances"]) == 1 and "TASK_UNREACHABLE" in other.tasks(), "its loss")
        assert other.job(name)["instances"][0]["status"] == "running", "it is not given up yet"
        call = {"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": gone}}}
        operate(other.lab, "/master/api/v1", json.dumps(call), "application/json")
        job = other.until(name, lambda job: job["instances"][0]["status"] == "failed", "its end")
        assert job["instances"][0]["reason_mea_culpa"] and job["retries_remaining"] == 1, job
        other.waiting(name)
        other.lab.add_agent({**QUICK_AGENT, "attributes": "number:2"})
        done = other.completed(name)
        assert done["state"] == "success" and len(done["instances"]) == 2, done
        assert first.id() not in [it["agent_id"] for it in done["instances"]], done


def the_first_master_of_the_list_may_be_down(served):
    masters = f"127.0.0.1:1,{served.lab.master_address}"
    with Served(served.lab, served.programs, _folder(served, "two"), served.cookie, masters=masters) as other:
        assert other.completed(other.submit_one({"command": "true"}))["state"] == "success"


def a_framework_authenticates(served):
    credentials = os.path.join(_folder(served, "secrets"), "credentials.json")
    with open(credentials, "w", encoding="utf-8") as file:
        json.dump({"credentials": [{"principal": "cook", "secret": "pepper"}]}, file)
    flags = {"authenticate_http_frameworks": "true", "http_framework_authenticators": "basic", "credentials": credentials}
    with served.on_own_lab(master_flags=flags, mesos=':principal "cook" :secret "pepper"') as other:
        assert other.completed(other.submit_one({"command": "true"}))["state"] == "success"
        [framework] = other.frameworks()
        assert framework["principal"] == "cook", framework
        wrong = ':principal "cook" :secret "salt"'
        with Served(other.lab, other.programs, _folder(other, "wrong"), other.cookie, mesos=wrong) as refused:
            name = refused.submit_one({"command": "true"})
            eventually(lambda: "401" in refused.log(), "a line about it in the log")
            refused.waiting(name)
            refused.kill_job(name)
        assert "pepper" not in other.log() and "salt" not in refused.log()


def a_role_uses_its_reservations_and_unreserved_resources(served):
    flags = {"resources": "cpus(cook):1;cpus(*):1;mem(cook):256;mem(*):1024;disk:1024;ports(*):[31000-31010]"}
    with served.on_own_lab(agent_flags=flags, mesos=':role "cook"') as other:
        name = other.submit_one({"command": "echo $PORT0", "cpus": 2, "mem": 1200, "ports": 1})
        assert other.completed(name)["state"] == "success"


def a_removed_framework_subscribes_anew(served):
    with served.on_own_lab() as other:
        name = other.submit_one({"command": "test $COOK_INSTANCE_NUM = 1 || sleep 1000"})
        other.running(name)
        [framework] = other.frameworks()
        operate(other.lab, "/master/teardown", f"frameworkId={framework['id']}")
        done = other.completed(name)
        assert done["state"] == "success" and len(done["instances"]) == 2, done
        assert done["instances"][0]["reason_code"] == 5000, done
        [again] = other.frameworks()
        assert again["id"] != framework["id"]


def _folder(served, name):
    path = os.path.join(served.folder, name)
    os.makedirs(path)
    return path


def _touch(path):
    with open(path, "w", encoding="utf-8"):
        pass


def _processes(served):
    """The processes of a lab's tasks."""
    return [pid for pid, command in marked(served.cookie).items()
            if "cook-executor" in command and "cook-scheduler" not in command or "sleep 1000" in command]
