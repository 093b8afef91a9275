"""A framework written with pymesos: with_pymesos.py MASTER EXECUTOR COOKIE TASKS

TASKS is a JSON list. Tasks {"id", "job"} go to the executor in TaskInfo.data; the agent's own mesos-executor runs tasks
{"id", "command"}. A task with "kill" is killed once it runs. Each update and message is printed as a line of JSON; the program
ends when all tasks have ended."""
import json
import sys

from addict import Dict
from pymesos import MesosSchedulerDriver, Scheduler, decode_data, encode_data

MASTER, EXECUTOR, COOKIE, TASKS = *sys.argv[1:4], json.loads(sys.argv[4])
TERMINAL = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST"}


def resources():
    return [{"name": name, "type": "SCALAR", "scalar": {"value": value}} for name, value in (("cpus", 0.1), ("mem", 32))]


def environment():
    return {"variables": [{"name": "COOK_TEST_COOKIE", "value": COOKIE}]}


class Users(Scheduler):
    def __init__(self):
        self.waiting, self.ended = list(TASKS), set()

    def resourceOffers(self, driver, offers):
        for offer in offers:
            tasks = [self.task(task, offer) for task in self.waiting]
            self.waiting = []
            driver.launchTasks(offer.id, tasks)

    @staticmethod
    def task(wanted, offer):
        task = Dict(name=wanted["id"], task_id={"value": wanted["id"]}, agent_id=offer.agent_id, resources=resources())
        if "command" in wanted:
            task.command = {"value": wanted["command"], "environment": environment()}
            return task
        task.executor = {
            "type": "CUSTOM", "executor_id": {"value": "of-" + wanted["id"]}, "resources": resources(),
            "command": {"value": "./cook-executor", "environment": environment(),
                        "uris": [{"value": EXECUTOR, "output_file": "cook-executor", "executable": True}]}}
        task.data = encode_data(json.dumps(wanted["job"]).encode())
        return task

    def statusUpdate(self, driver, update):
        task_id = update.task_id.value
        line = {key: update[key] for key in ("state", "message", "reason", "source") if key in update}
        if "data" in update:
            line["data"] = decode_data(update.data).decode()
        print(json.dumps({"task": task_id, **line}), flush=True)
        wanted = next(task for task in TASKS if task["id"] == task_id)
        if update.state == "TASK_RUNNING" and wanted.get("kill"):
            driver.killTask(update.task_id)
        if update.state in TERMINAL:
            self.ended.add(task_id)
        if len(self.ended) == len(TASKS):
            driver.stop()

    def frameworkMessage(self, driver, executor_id, agent_id, message):
        print(json.dumps({"executor": executor_id.value, "message": decode_data(message).decode()}), flush=True)


driver = MesosSchedulerDriver(Users(), Dict(user="root", name="pymesos test", checkpoint=True), MASTER, use_addict=True)
driver.run()
