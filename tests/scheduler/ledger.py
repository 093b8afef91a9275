"""Jobs that write down when each of their instances started, ran and ended, and the comparison of that with what the
scheduler reports.

Every job writes a line when an instance of it starts, some while it runs, and one when it ends. A job is *lost* if it was
accepted but has not ended; *wrong* if it is reported with another result than it had; *doubled* if it ran again without a
reason; *overlapped* if an instance still wrote a line after the next one had started. A job whose executor or agent was killed
may run again, because nobody knows how far it got. If that uses up its attempts, it has failed for that reason: *given up*."""
import dataclasses
import uuid

COMMAND = """\
say() { echo "$1 $COOK_INSTANCE_NUM $(date +%s%N)" >> LOG; }
say start; n=0; while [ $n -lt BEATS ]; do sleep PAUSE; say beat; n=$((n + 1)); done; say end; exit CODE"""

EXECUTOR_TERMINATED = 99002
# The reasons of instances whose executor, agent or launch was lost: nobody knows how far they got.
NOBODY_KNOWS = {EXECUTOR_TERMINATED, 3002, 4000, 4001, 4003, 4005, 4006, 5000, 5001, 6000, 6001, 6002}


@dataclasses.dataclass
class Verdict:
    lost: list
    wrong: list
    doubled: list
    overlapped: list
    given_up: list

    def is_good(self):
        return not (self.lost or self.wrong or self.doubled or self.overlapped)

    def counts(self):
        return (f"lost {len(self.lost)}, doubled {len(self.doubled)}, overlapped {len(self.overlapped)}, "
                f"wrong exit code {len(self.wrong)}, given up {len(self.given_up)}")

    def texts(self):
        """Lines about the first mistakes of each kind."""
        for field in dataclasses.fields(self):
            for text in getattr(self, field.name)[:5]:
                yield f"{field.name.replace('_', ' ')}: {text}"


class Ledger:
    """The jobs of one run; their files are in `folder`."""

    def __init__(self, folder, chance, pause=0.05, most_beats=12):
        self.folder, self.chance, self.pause, self.most_beats = folder, chance, pause, most_beats
        self.codes = {}

    def job(self, **more):
        """A new job, to be submitted."""
        name = str(uuid.uuid4())
        self.codes[name] = len(self.codes) % 3
        command = COMMAND.replace("LOG", str(self.folder / name)).replace("BEATS", str(self.chance.randrange(self.most_beats)))
        command = command.replace("PAUSE", str(self.pause)).replace("CODE", str(self.codes[name]))
        return {"uuid": name, "command": command, "cpus": 0.1, "mem": 16, **more}

    def judge(self, jobs):
        """Compares what the jobs have written with the jobs as the scheduler shows them."""
        shown = {job["uuid"]: job for job in jobs}
        verdict = Verdict([], [], [], [], [])
        for name, code in self.codes.items():
            self._judge_one(verdict, name, code, shown.get(name))
        return verdict

    def events(self, name):
        path = self.folder / name
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [(what, int(number), int(at)) for what, number, at in (line.split() for line in lines)]

    def _judge_one(self, verdict, name, code, job):
        events = self.events(name)
        ends = sum(what == "end" for what, _, _ in events)
        if job is None or job["status"] != "completed":
            verdict.lost.append(f"{name} is {job and job['status']}")
            return
        reasons = [it.get("reason_code") for it in job["instances"]]
        unknown = sum(reason in NOBODY_KNOWS for reason in reasons)
        if job.get("exit_code") != code or ends == 0:
            text = f"{name} ended {ends} times with {code}, but is reported with {job.get('exit_code')}: {reasons}"
            (verdict.given_up if unknown == len(reasons) else verdict.wrong).append(text)
        elif (job["state"] == "success") != (code == 0):
            verdict.wrong.append(f"{name} ended with {code}, but is reported as {job['state']}")
        if any(not it.get("reason_mea_culpa") for it in job["instances"][:-1]):
            verdict.doubled.append(f"{name} was run again after {reasons}")
        starts = [number for what, number, _ in events if what == "start"]
        if len(set(starts)) != len(starts):
            verdict.doubled.append(f"{name} has one instance that started twice: {starts}")
        if ends > 1 + unknown:
            verdict.doubled.append(f"{name} ended {ends} times, and {unknown} instances were lost: {reasons}")
        for _, number, at in events:
            if any(what == "start" and number < later and at > start for what, later, start in events):
                verdict.overlapped.append(f"{name}: instance {number} still ran after the next one had started")
                break
