"""A program written with Yelp's task_processing: with_task_processing.py MASTER COOKIE TASKS

TASKS is a JSON list of shell commands. Each is a task of the Mesos containerizer without an image, run by the agent's own
mesos-executor. Each event is printed as a line of JSON; the program ends when all tasks have ended."""
import json
import sys

from task_processing.plugins.mesos.mesos_task_executor import MesosTaskExecutor
from task_processing.plugins.mesos.task_config import MesosTaskConfig


def main():
    master, cookie, commands = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    executor = MesosTaskExecutor(role="*", mesos_address=master, framework_name="task_processing test")
    waiting = set()
    for number, command in enumerate(commands):
        config = MesosTaskConfig(name=f"task{number}", cmd=command, containerizer="MESOS", cpus=0.1, mem=32, disk=10,
                                 environment={"COOK_TEST_COOKIE": cookie})
        waiting.add(config.task_id)
        executor.run(config)
    events = executor.get_event_queue()
    while waiting:
        event = events.get(timeout=60)
        if event.kind != "task":
            continue
        raw = event.raw if isinstance(event.raw, dict) else {}
        print(json.dumps({"task": event.task_id.split(".")[0], "state": event.platform_type, "terminal": event.terminal,
                          "success": event.success, "message": raw.get("message")}), flush=True)
        if event.terminal:
            waiting.discard(event.task_id)
    executor.stop()


main()
