"""The jobs of a soak: random, but with a result that is known before they run.

    job = make(random.Random("seed/1"), 1)
    job.data, job.environment, job.shutdown_grace     what to launch
    job.kill                                          when the framework kills it, if it does
    job.wrong(task.updates, read)                     the differences between the expected and the actual updates

Each command writes `+NAME` to the file `journal` when it starts and `-NAME` when it ends by itself; PATCHes write `>NUMBER`
before and `<NUMBER CODE` after. A job that was killed at a random moment is judged by this journal; all others are judged by
their plan only."""
import json
import re
import signal

# Signals that end a shell by default. The names of 32 and above depend on the C library.
SIGNALS = sorted(set(range(1, 32)) - {17, 18, 19, 20, 21, 22, 23, 28})
# The maximum difference between progress and `progress-percent` in Cook's messages, which is a whole
# number.
ROUNDING = 0.5
MESSAGE_LIMIT = 512
WORDS = ["loading", "half way", "größer", "100% sure", "a \"quoted\" word", "back\\slash", "日本語", "tab\there",
         "$HOME", "`date`", "{}", "end."]


class Command:
    """One command: `lines` is what it does, `code` its result if it ends by itself (None: never), `stopped` its result after
    SIGTERM."""

    def __init__(self, name, lines, code, stopped=-signal.SIGTERM, guard=False, is_async=False, patches=()):
        self.name, self.lines, self.code, self.stopped = name, lines, code, stopped
        self.guard, self.is_async, self.patches = guard, is_async, list(patches)
        self.is_after = name.startswith("a")

    def text(self):
        return "\n".join([f"echo +{self.name} >>journal", *self.lines])

    def json(self):
        flags = {"guard": self.guard, "async": self.is_async}
        return {"value": self.text(), **{name: True for name, is_set in flags.items() if is_set}}


class Kill:
    """KILL with `grace` seconds, `delay` seconds after the file `ready` exists (`gate`), or after the first update, or after the
    launch (`early`). If `repeat` is set, it is repeated every `repeat` seconds until the task has ended."""

    def __init__(self, gate, delay, grace, repeat):
        self.gate, self.delay, self.grace, self.repeat = gate, delay, grace, repeat
        self.early = False


class Job:
    def __init__(self, number, kind):
        self.number, self.kind = number, kind
        self.before, self.main, self.after = [], None, []
        self.environment, self.shutdown_grace, self.kill = {}, None, None
        # The async guard that fails by itself while the command runs; the command then runs for ever.
        self.breaker = None
        self.refused = None     # TaskInfo.data that must be refused

    @property
    def data(self):
        if self.refused is not None:
            return self.refused
        return {"command": self.main.text(), **{
            key: [command.json() for command in commands]
            for key, commands in (("before_commands", self.before), ("after_commands", self.after)) if commands}}

    def commands(self):
        return [*self.before, self.main, *self.after]

    # -- the expected result -----------------------------------------------------------------------------------

    def expected(self):
        """(state, codes by name, the guard that failed, applied patches) if the job runs as planned."""
        codes, running, patches, failed_guard, killed = {}, [], [], None, False
        gate = self.kill and self.kill.gate
        for command in self.commands():
            if killed and not command.is_after:
                continue
            patches += command.patches
            if command.is_async:
                if command.code is None:
                    running.append(command)
                else:
                    codes[command.name] = command.code
            elif command.name == gate:
                # An after command gets no SIGTERM; it may run during the grace period.
                codes[command.name] = -signal.SIGKILL if command.is_after else command.stopped
                codes.update((other.name, other.stopped) for other in running)
                killed, running = True, []
                if command.is_after:
                    break
            elif command is self.main and self.breaker:
                codes[command.name], failed_guard = command.stopped, self.breaker
                break
            else:
                codes[command.name] = command.code
                if command.guard and command.code != 0:
                    failed_guard = command
                    break
        codes.update((other.name, other.stopped) for other in running)
        if killed:
            state = "TASK_KILLED"
        elif failed_guard or codes[self.main.name] != 0:
            state = "TASK_FAILED"
        else:
            state = "TASK_FINISHED"
        return state, codes, failed_guard, patches

    def wrong(self, updates, read):
        """(kind, text) of each difference between the expected result and `updates`: those of the task, sent by its own executor,
        without repetitions. `kind` is lost, wrong or doubled."""
        terminal = updates[-1]
        if self.refused is not None:
            if terminal["state"] != "TASK_ERROR" or terminal.get("reason") != "REASON_TASK_INVALID":
                yield "wrong", f"expected TASK_ERROR, not {terminal['state']} {terminal.get('reason')}"
            yield from self._wrong_order(updates, False)
            return
        journal = read("journal").splitlines()
        yield from self._refused_patches(journal)
        data = terminal.get("data")
        if not isinstance(data, dict):
            yield "wrong", f"the terminal data is {data!r}"
            return
        if self.kill and not self.kill.gate and _was_killed(read("executor.log")):
            yield from self._wrong_at_random(terminal, data, journal)
            yield from self._wrong_order(updates, None if "+c" not in journal else True)
            return
        state, codes, failed_guard, patches = self.expected()
        if terminal["state"] != state:
            yield "wrong", f"expected {state}, not {terminal['state']}"
        reported = self._codes(data)
        if reported != codes:
            yield "wrong", f"expected the codes {codes}, not {reported}"
        progress, message = _newest(patches)
        yield from self._wrong_progress(data, [progress], [message])
        if message is None:
            if failed_guard:
                parts = [_named(failed_guard), _outcome(failed_guard.code), "guard"]
            elif "c" in codes:
                parts = ["Command " + _outcome(codes["c"])]
            else:
                parts = ["Killed before its command started"]
            if not all(part in terminal.get("message", "") for part in parts):
                yield "wrong", f"expected a message with {parts}, not {terminal.get('message')!r}"
        elif terminal.get("message") != _cut(message):
            yield "wrong", f"expected the message {message!r}, not {terminal.get('message')!r}"
        yield from self._wrong_order(updates, "c" in codes)

    def _wrong_at_random(self, terminal, data, journal):
        """Checks a job without guards and traps that was killed at a random moment; the journal shows how far it was."""
        if terminal["state"] != "TASK_KILLED":
            yield "wrong", f"expected TASK_KILLED, not {terminal['state']}"
        reported, interrupted, patches = self._codes(data), False, []
        never_began = "before its command started" in terminal.get("message", "") and not journal
        for command in self.commands():
            allowed = set()
            if f"-{command.name}" in journal:
                allowed = {command.code}
            if f"-{command.name}" not in journal or not command.is_after:
                # It may have been killed between its last line and its end, or before its first line.
                if not command.is_after and not interrupted:
                    allowed.add(-signal.SIGTERM)
                if f"+{command.name}" not in journal and (not command.is_after or never_began):
                    allowed.add(None)
            if reported.get(command.name) not in allowed:
                yield "wrong", (f"{command.name} ended with {reported.get(command.name)}, which is none of {allowed}; the "
                                f"journal is {journal}")
            if reported.get(command.name) != command.code or f"-{command.name}" not in journal:
                interrupted = True
            patches += command.patches
        begun = [p for number, p in enumerate(patches) if f">{number}" in journal]
        # If the last one was interrupted, it is unknown whether it arrived.
        ended = begun[:-1] if begun and not any(
            line.startswith(f"<{patches.index(begun[-1])} ") for line in journal) else begun
        newest = [_newest(begun), _newest(ended)]
        yield from self._wrong_progress(data, *([pair[i] for pair in newest] for i in (0, 1)))

    def _codes(self, data):
        """The reported codes, by the names of the commands."""
        reported = {} if data.get("exit_code") is None else {"c": data["exit_code"]}
        for letter, key in (("b", "before_codes"), ("a", "after_codes")):
            codes = data.get(key) or []
            if codes and codes[-1] is None:
                reported[key] = "ends with null"
            reported.update((f"{letter}{i}", code) for i, code in enumerate(codes) if code is not None)
        return reported

    @staticmethod
    def _wrong_progress(data, progresses, messages):
        if data.get("progress") not in progresses:
            yield "wrong", f"expected a progress of {progresses}, not {data.get('progress')}"
        if data.get("message") not in [_cut(message) for message in messages]:
            yield "wrong", f"expected a message of {messages}, not {data.get('message')!r}"

    @staticmethod
    def _wrong_order(updates, ran):
        """STARTING, RUNNING if the command ran (None: unknown), and the terminal state."""
        states = [update["state"] for update in updates]
        wanted = ["TASK_STARTING", "TASK_RUNNING", states[-1]]
        allowed = [wanted] if ran else [wanted[::2]] if ran is False else [wanted, wanted[::2]]
        if states in allowed:
            return
        for state in allowed[-1]:
            if state not in states:
                yield "lost", f"{state} is missing in {states}"
        for state in set(states):
            if states.count(state) > 1:
                yield "doubled", f"{state} has several UUIDs: {states}"
        if sorted(set(states)) == sorted(allowed[0]) and len(states) == len(allowed[0]):
            yield "wrong", f"the order is {states}"
        elif len(states) == len(set(states)) and not set(allowed[-1]) - set(states):
            yield "wrong", f"expected {allowed}, not {states}"

    @staticmethod
    def _refused_patches(journal):
        for line in journal:
            if line.startswith("<") and line.split(" ")[1:] not in (["204"], ["503"]):
                yield "wrong", f"PATCH {line[1:]}"

    # -- messages ----------------------------------------------------------------------------------------------

    def unheard(self, updates, messages):
        """The messages for Cook that must arrive at least once but have not, or must not arrive but have."""
        data = updates[-1].get("data")
        data = data if isinstance(data, dict) else {}
        code = data.get("exit_code")
        if code is not None and not any(message.get("exit-code") == code for message in messages):
            yield f"the exit-code {code} is missing"
        reported = [m for m in messages if "progress-sequence" in m]
        wanted = (data.get("progress"), data.get("message") or "")
        if (data.get("progress"), data.get("message")) != (None, None):
            percent, message = wanted
            if not any(_is_near(m.get("progress-percent"), percent) and m["progress-message"] == message for m in reported):
                yield f"the last progress {wanted} is missing"
        if not any(message.get("type") == "directory" for message in messages):
            yield "the directory is missing"

    @staticmethod
    def wrong_messages(messages):
        sequences = [m["progress-sequence"] for m in messages if "progress-sequence" in m]
        if sequences != sorted(sequences):
            yield "wrong", f"the progress has the order {sequences}"
        if len({m["exit-code"] for m in messages if "exit-code" in m}) > 1:
            yield "wrong", "there are several exit-codes"


def _was_killed(log):
    """Whether the KILL had reached the executor before the last process of the task ended."""
    lines = log.splitlines()
    ends = [n for n, line in enumerate(lines) if "Executor completed execution" in line]
    kills = [n for n, line in enumerate(lines) if "killTask task=" in line]
    return bool(kills) and kills[0] < (ends[0] if ends else len(lines))


def _is_near(percent, progress):
    return percent == progress if None in (percent, progress) else abs(percent - progress) <= ROUNDING


def _newest(patches):
    progress = message = None
    for patch in patches:
        progress, message = patch.get("progress", progress), patch.get("message", message)
    return progress, message


def _cut(message):
    """A long message ends in three dots, without spaces before them."""
    if message is None or len(message) <= MESSAGE_LIMIT:
        return message
    return message[:MESSAGE_LIMIT - 3].rstrip() + "..."


def _named(command):
    return f"{'after' if command.is_after else 'before'} command {int(command.name[1:]) + 1}"


def _outcome(code):
    return f"exited with status {code}" if code >= 0 else f"terminated with signal {signal.strsignal(-code)}"


# === creating jobs ===

KINDS = {"plain": 26, "hooks": 18, "guard": 10, "monitor": 8, "environment": 6, "leftovers": 8, "killed": 12,
         "killed at random": 9, "refused": 3}


class Maker:
    """Creates one random job; all random decisions use `rng`."""

    def __init__(self, rng, number):
        self.rng = rng
        self.job = Job(number, rng.choices(list(KINDS), KINDS.values())[0])
        self.patches = 0
        self.waits = []     # lines for the next command that is not async

    def make(self):
        getattr(self, "_" + self.job.kind.replace(" ", "_"))()
        interval = self.rng.choice([None, 100, 250])
        if interval:
            self.job.environment["PROGRESS_SAMPLE_INTERVAL_MS"] = str(interval)
        return self.job

    # -- parts -------------------------------------------------------------------------------------------------

    def chance(self, share):
        return self.rng.random() < share

    def code(self, zeros=0.4):
        """An exit code, or the negative number of a signal."""
        draw = self.rng.random()
        if draw < zeros:
            return 0
        return -self.rng.choice(SIGNALS) if draw > 0.85 else self.rng.randint(1, 255)

    def pause(self, longest):
        return f"sleep {self.rng.choice([0, 0.3, 1, 1]) * self.rng.uniform(0, longest):.2f}"

    def patch(self, **keys):
        """A documented PATCH by curl, with or without quotes around keys."""
        body = json.dumps(keys, ensure_ascii=False)
        if self.chance(0.4):
            body = re.sub(r'([{,] ?)"(progress|message|env)":', r"\1\2:", body)
        number, self.patches = self.patches, self.patches + 1
        quoted = body.replace("'", "'\\''")
        return (f"echo '>{number}' >>journal; echo \"<{number} $(curl -s -o /dev/null -w '%{{http_code}}' -X PATCH "
                f"-d '{quoted}' $EXECUTOR_ENDPOINT)\" >>journal")

    def report(self):
        """Progress, a message, or both: the shell line and the patch."""
        patch = {}
        if self.chance(0.7):
            patch["progress"] = self.rng.choice([self.rng.randint(0, 100), round(self.rng.uniform(0, 100), 1)])
        if not patch or self.chance(0.3):
            words = self.rng.choices(WORDS, k=self.rng.choice([1, 2, 4, 200]))
            patch["message"] = " ".join(words)
        return self.patch(**patch), patch

    def command(self, name, longest, code=None, reports=None, **options):
        """A command that ends by itself."""
        code = self.code() if code is None else code
        lines, patches = [], []
        if not options.get("is_async"):
            lines, self.waits = self.waits, []
        for _ in range(self.rng.choice([0, 0, 1, 1, 2, 6]) if reports is None else reports):
            line, patch = self.report()
            lines.append(line)
            patches.append(patch)
            if self.chance(0.5):
                lines.append(self.pause(longest / 2))
        lines += [self.pause(longest), f"echo -{name} >>journal"]
        # No core files, because each would be as large as a shell.
        lines.append(f"exit {code}" if code >= 0 else f"ulimit -c 0; kill -{-code} $$; sleep 10")
        return Command(name, lines, code, patches=patches, **options)

    def endless(self, name, grace, **options):
        """A command that ends only when it is stopped."""
        how = "" if options.get("is_async") else self.rng.choice(["", "", "trap", "ignore"])
        # An ignored SIGTERM takes the whole grace period; a trap needs some time.
        stopped, lines = -signal.SIGTERM, []
        if how == "trap":
            stopped = self.rng.randint(0, 255)
            lines = [f"trap 'exit {stopped}' TERM"]
        elif how == "ignore" and grace <= 3:
            stopped, lines = -signal.SIGKILL, ["trap '' TERM"]
        if options.get("is_async"):
            marker = f"{name}.up"
            self.waits.append(f"until [ -e {marker} ]; do sleep 0.05; done")
        else:
            marker = "ready"
            lines, self.waits = self.waits + lines, []
        patches = []
        if not options.get("is_async") and self.chance(0.5):
            line, patch = self.report()
            lines.append(line)
            patches.append(patch)
        lines += [f"touch {marker}", "while :; do sleep 0.1; done"]
        return Command(name, lines, None, stopped, patches=patches, **options)

    def hooks(self, letter, most, longest, **options):
        return [self.command(f"{letter}{n}", longest, **options) for n in range(self.rng.randint(0, most))]

    # -- kinds -------------------------------------------------------------------------------------------------

    def _plain(self):
        self.job.main = self.command("c", self.rng.choice([0, 2, 8]))

    def _hooks(self):
        self.job.before = self.hooks("b", 3, 0.8)
        self.job.main = self.command("c", 4)
        self.job.after = self.hooks("a", 3, 0.8)

    def _guard(self):
        """Guards that succeed, then one that fails; or an async guard that fails while the command runs."""
        job = self.job
        if self.chance(0.25):
            code = self.rng.randint(1, 255)
            job.before = [self.command("b0", 1.5, code, reports=0, guard=True, is_async=True)]
            job.breaker = job.before[0]
            job.main = Command("c", ["while :; do sleep 0.1; done"], None)
            job.after = self.hooks("a", 1, 0.3)
            return
        for name in ("b0", "b1", "a0", "a1"):
            code = self.code(0.75)
            command = self.command(name, 0.8, code, guard=self.chance(0.7))
            (job.after if command.is_after else job.before).append(command)
            if name == "b1":
                job.main = self.command("c", 2)

    def _monitor(self):
        """Async commands that are stopped or end first; their exit codes are read by other commands."""
        job = self.job
        job.before = [self.endless("b0", 5, is_async=True)]
        if self.chance(0.5):
            job.before.append(self.command("b1", 0.5, reports=0, is_async=True))
            self.waits.append("until curl -s $EXECUTOR_ENDPOINT | jq -e '.before_codes[1] != null'; do sleep 0.05; "
                              "done >/dev/null")
        if self.chance(0.5):
            job.before.append(self.command(f"b{len(job.before)}", 0.5))
        job.main = self.command("c", 4)
        if self.chance(0.5):
            job.after = [self.endless("a0", 5, is_async=True), self.command("a1", 1)]

    def _environment(self):
        """A before command sets and unsets variables, from which the command's exit code is computed."""
        job = self.job
        new, old, gone = (self.rng.randint(0, 120) for _ in range(3))
        job.environment.update(OLD=str(old), GONE=str(gone))
        body = self.patch(env={"NEW": str(new), "GONE": None})
        job.before = [Command("b0", [body, "echo -b0 >>journal", "exit $((OLD + GONE))"], old + gone, patches=[{}])]
        job.main = Command("c", [self.pause(3), "echo -c >>journal", "exit $((NEW + OLD + ${GONE-1}))"], new + old + 1)
        job.after = self.hooks("a", 2, 0.3)

    def _leftovers(self):
        """Processes that commands leave: in the background, in their own sessions, without a parent, ignoring SIGTERM."""
        job = self.job
        job.shutdown_grace = 1
        job.before = self.hooks("b", 1, 0.3)
        job.main = self.command("c", 2)
        leftovers = ["sleep 1000 &", "setsid sleep 1000 &", "(setsid sh -c 'sleep 1000 & sleep 1000' &)",
                  "(setsid sh -c 'trap \"\" TERM; touch deaf; sleep 1000' &); until [ -e deaf ]; do sleep 0.05; done"]
        for line in self.rng.sample(leftovers, self.rng.randint(1, 4)):
            target = self.rng.choice([*job.before, job.main])
            target.lines.insert(0, line)

    def _kill(self, gate, grace):
        repeat = self.rng.choice([None, None, 0.2, 1.0])
        return Kill(gate, self.rng.choice([0, 0, self.rng.uniform(0, 3)]), grace, repeat)

    def _killed(self):
        """Killed during a command that would never end."""
        job = self.job
        gate = self.rng.choice(["b", "c", "c", "c", "a"])
        grace = self.rng.choice([2, 3]) if gate == "a" else self.rng.choice([2, 3, 10])
        job.before = self.hooks("b", 2, 0.5)
        if gate != "a" and self.chance(0.3):
            job.before.append(self.endless(f"b{len(job.before)}", grace, is_async=True))
        if gate == "b":
            gate = f"b{len(job.before)}"
            job.before.append(self.endless(gate, grace))
        job.main = self.endless("c", grace) if gate == "c" else self.command("c", 1)
        if gate == "a":
            gate = "a0"
            job.after = [self.endless(gate, grace)]
            if self.chance(0.5):
                job.after.append(self.command("a1", 0.3))
        elif self.chance(0.6):
            # Short, because they have the same grace period as the command.
            job.after = [self.command(f"a{n}", 0.1, reports=0) for n in range(self.rng.randint(1, 2))]
        job.kill = self._kill(gate, grace)

    def _killed_at_random(self):
        job = self.job
        job.before = self.hooks("b", 2, 1)
        job.main = self.command("c", 4)
        job.after = [self.command(f"a{n}", 0.3, reports=0) for n in range(self.rng.randint(0, 2))]
        job.kill = self._kill(None, 10)
        job.kill.delay = self.rng.uniform(0, 4)
        job.kill.early = self.chance(0.15)

    def _refused(self):
        job = self.job
        job.main = self.command("c", 0)
        job.refused = self.rng.choice([
            '{"command": "touch ran"', {"command": " "}, {"command": 5}, {"before_commands": [{"value": "touch ran"}]},
            {"command": "touch ran", "after_commands": [{"value": "touch ran", "guard": "yes"}]}])


def make(rng, number):
    return Maker(rng, number).make()
