"""One run that is cut, or has an error, at one change of the disk, and everything that must be true afterwards."""
import fcntl
import json
import os
import random
import signal
import tempfile
import time

import snapshot
from host import Host, killed

INTERRUPTED = 130
ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EROFS", "EMFILE")
NOT_BEGUN = ("there is no migration", "there is no import")
NOT_READ = "interrupted before it had read all of its archive"  # it is to be given up, and begun again
HAD_ENDED = "removed what an ended migration had left"
CLOCK_TICK = 10_000_000  # a file's time is that of the last tick, in nanoseconds
PLACED = "everything is imported already"  # there is no way back any more


class Wrong(Exception):
    """What must not be."""


class Facts:
    """What is known of a kind: how the disk looks to the engine before and after, and how many changes there are."""

    def __init__(self, work):
        self._path = os.path.join(work, "facts.json")
        self.facts = {}
        if os.path.exists(self._path):
            with open(self._path) as file:
                self.facts = json.load(file)

    def save(self):
        with open(self._path, "w") as file:
            json.dump(self.facts, file)


class Judge:
    """Asks an engine what it makes of a disk, once for all disks that are alike."""

    def __init__(self, host, facts):
        self.host, self.facts = host, facts
        self.entries = []  # of the disk that was judged last
        self._folder = os.path.join(host.work, "judged")
        os.makedirs(self._folder, exist_ok=True)

    def outcome(self):
        """ "old", "new" or "held"; anything else is Wrong."""
        self.entries = self.host.entries()
        if not self.host.kind.runs_before and self.entries == self.facts["entries before"]:
            return "old"  # no engine of this kernel's can be asked
        name = snapshot.digest(self.entries)
        path = os.path.join(self._folder, name)
        if not os.path.exists(path):
            seen = self.host.observe_copy()
            # A number of the process is no name: each worker has processes of its own.
            with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False) as file:
                file.write(seen)
            os.rename(file.name, path)
        with open(path) as file:
            return self.of(file.read())

    def _shows_all_but_replaced(self, seen):
        return self.host.shows_all_of(self.facts["seen before"], seen, self.host.kind.replaces)

    def has_seen(self, state):
        """Whether drover has gone on, and back, from a disk like this one, its own folder included, and well."""
        return os.path.exists(os.path.join(self._folder, "ways-" + state))

    def remember(self, state):
        open(os.path.join(self._folder, "ways-" + state), "w").close()

    def of(self, seen):
        if seen == self.facts["seen after"]:
            return "new"
        if seen == self.facts["seen before"]:
            return "old"
        if seen == "held":
            return "held"
        if self.host.kind.adds and self.host.shows_all_of(self.facts["seen before"], seen):
            return "old and more"
        if self.host.kind.replaces and self._shows_all_but_replaced(seen):
            return "replacing"
        raise Wrong("the engine shows neither what it showed before nor what it is to show: %s" % seen)


def prepare(host):
    """Makes the disk that all trials begin with, and finds out what is before and after."""
    facts = Facts(host.work)
    host.make()
    host.disk.unmount()
    host.disk.rename_to(base_image(host))
    host.disk.take(base_image(host))
    log = os.path.join(host.work, "changes")
    ran = host.run(host.kind.command, log=log)
    if ran.code != 0:
        raise Wrong("drover %s: %s" % (" ".join(host.kind.command), ran))
    with open(log, errors="surrogateescape") as file:
        changes = [line.split(" ", 2) for line in file]
    facts.facts = {
        "changes": len(changes),
        "renames": [number for number, change in enumerate(changes, 1) if change[1] == "renameat2"],
        "entries after": host.entries(),
        "seen after": host.observe_copy(),
    }
    host.disk.take(base_image(host))
    facts.facts["entries before"] = host.entries()
    facts.facts["seen before"] = host.observe_copy() if host.kind.runs_before else "no engine has it"
    for seen in (facts.facts["seen after"], facts.facts["seen before"]):
        if seen == "held" or seen.startswith("refused"):
            raise Wrong("without any fault the engine is %s" % seen)
    host.disk.release()
    facts.save()


def base_image(host):
    return os.path.join(host.work, "base.img")


class Trial:
    def __init__(self, host, number):
        self.host, self.number = host, number
        self.facts = Facts(host.work).facts
        self.judge = Judge(host, self.facts)

    def run(self, fault):
        """The outcome right after the fault: "old", "new", "held"; "not reached" where the run ended before it."""
        self.host.disk.take(base_image(self.host))
        self.began = time.time_ns() - CLOCK_TICK
        try:
            if fault == "kill":
                return self._kill()
            if fault == "power":
                return self._power()
            if fault == "again":
                return self._again()
            if fault == "engine":
                return self._engine()
            if fault == "term":
                return self._signal()
            return self._error(fault)
        finally:
            self.host.disk.release()

    # --- cuts

    def _cut(self):
        """Killed before the change of this number, which is the same to the disk as after the one before it."""
        ran = self.host.run(self.host.kind.command, fault="before@%d" % self.number)
        if not killed(ran) and ran.code != 0:
            raise Wrong("killed by nobody: %s" % ran)
        return killed(ran)

    def _kill(self):
        if not self._cut():
            return "not reached"
        return self._go_both_ways()

    def _power(self):
        process = self.host.run_until_stopped(self.host.kind.command, self.number)
        if not process:
            return "not reached"
        self.host.disk.cut_power(process)
        return self._go_both_ways()

    def _again(self):
        """Cut, and cut again on the way on and on the way back, at changes drawn by the number."""
        if not self._cut():
            return "not reached"
        outcome = self.judge.outcome()
        draw = random.Random(self.number)
        kept = self.host.disk.keep_copy("again")
        for _ in range(3):
            fault = "before@%d" % draw.randint(1, self.facts["changes"])
            if not killed(self._on(self._forward_words(), fault)):
                break
            self.judge.outcome()
        self._forward()
        self.host.disk.put_back(kept)
        for _ in range(3):
            if not self.host.kind.back or not killed(
                self._on(self.host.kind.back, "before@%d" % draw.randint(1, 300))
            ):
                break
            self.judge.outcome()
        self._back()
        return outcome

    def _engine(self):
        """An engine runs on what is there, its container too, and after that drover goes on, or says that it cannot."""
        if not self._cut():
            return "not reached"
        outcome = self.judge.outcome()
        if outcome == "held" or (outcome == "old" and not self.host.kind.runs_before):
            self._go_both_ways()
            return outcome
        self.host.observe()
        before = self.host.observe(start=False)
        ran = self._on(self._forward_words())
        if ran.code != 0 and not self._had_ended(ran, outcome):
            self._check_message(ran)
            ran = self.host.run(self.host.kind.back)
            if ran.code != 0:
                raise Wrong("after an engine there is no way on and no way back: %s" % ran)
        after = self.host.observe(start=False)
        if not self.host.shows_all_of(before, after, self.host.kind.replaces):
            raise Wrong("what an engine had done is not there afterwards: %s, %s" % (before, after))
        return outcome

    def _signal(self):
        """SIGTERM: a tidy stop, or what could not be stopped any more is done."""
        ran = self.host.run(self.host.kind.command, fault="term@%d" % self.number)
        if ran.code == 0:
            return self._ended_well()
        if ran.code != INTERRUPTED:
            raise Wrong("ended with %s" % ran)
        self._check_message(ran)
        return self._go_both_ways()

    # --- errors

    def _error(self, fault):
        """`fault` is an error's name, with "+" where it stays, or "short"."""
        name = fault.rstrip("+")
        ran = self.host.run(
            self.host.kind.command, fault="%s@%d%s" % (name, self.number, "+" if fault.endswith("+") else "")
        )
        # 10: a driver that could not be tried out is not chosen.
        codes = (0, 1, 3, 10, 11, 12)
        if ran.code not in codes:
            raise Wrong("ended with %s" % ran)
        if ran.code == 0:
            return self._ended_well()
        self._check_message(ran)
        return self._go_both_ways()

    def _ended_well(self):
        outcome = self._require(self.judge.outcome(), "new", "after it had ended well")
        self._check_clean_if_ended()
        return outcome

    def _check_message(self, ran):
        lines = ran.text.splitlines()
        if not any(line.startswith("drover: ") for line in lines):
            raise Wrong("says no error: %s" % ran)
        if ran.code != INTERRUPTED and not any("`/" in line or " /" in line for line in lines):
            raise Wrong("names no path: %s" % ran)
        if not any(line.startswith("hint: ") for line in lines):
            raise Wrong("names no next step: %s" % ran)

    # --- the ways on

    def _go_both_ways(self):
        outcome = self.judge.outcome()
        state = self.host.whole_snapshot(self.began)
        if self.judge.has_seen(state):
            return outcome
        kept = self.host.disk.keep_copy("both") if self.host.kind.back else None
        self._forward(outcome)
        if kept:
            self.host.disk.put_back(kept)
            self._back(outcome)
        self.judge.remember(state)
        return outcome

    def _forward_words(self):
        return self.host.kind.forward

    def _on(self, words, fault=None):
        ran = self.host.run(words, fault)
        if ran.code == 1 and any(text in ran.text for text in NOT_BEGUN) and words == self.host.kind.forward:
            if words[0] in ("commit", "rollback"):
                return type(ran)(0, ran.text)  # it had ended
            return self.host.run(self.host.kind.command, fault)
        if ran.code == 1 and NOT_READ in ran.text:
            ran = self.host.run(self.host.kind.back, fault)
            return self.host.run(self.host.kind.command, fault) if ran.code == 0 else ran
        return ran

    def _forward(self, before=None):
        """`before`: what the engine makes of the disk as it is, if that is known."""
        before = before or self.judge.outcome()
        ran = self._on(self._forward_words())
        if ran.code != 0 and not self._had_ended(ran, before):
            raise Wrong("cannot go on: %s" % ran)
        self._require(self.judge.outcome(), "new", "after going on")
        self._check_clean_if_ended()

    def _had_ended(self, ran, outcome):
        """Then there is nothing to go on with."""
        said = "drover commit" if self.host.kind.command[0] == "migrate" else "in conflict"
        return outcome == "new" and ran.code in (1, 11) and said in ran.text

    def _check_clean_if_ended(self):
        """Of a migration its folder stays, for the way back."""
        keeps = self.host.kind.command[0] == "migrate"
        left = [path for path in self.host.left_behind() if not (keeps and path.endswith("/drover"))]
        if left:
            raise Wrong("left behind: %s" % " ".join(left))

    def _back(self, before=None):
        if not self.host.kind.back:
            return
        before = before or self.judge.outcome()
        ran = self.host.run(self.host.kind.back)
        if ran.code == 1 and any(text in ran.text for text in (*NOT_BEGUN, PLACED)):
            # It had not begun; or an import had ended, or all but, which cannot be taken back.
            if self.host.kind.command[0] != "import" and before == "new":
                raise Wrong("there is no way back: %s" % ran)
        elif ran.code != 0:
            raise Wrong("cannot go back: %s" % ran)
        elif HAD_ENDED not in ran.text:
            before = "old"
        self._require(self.judge.outcome(), before, "after going back")
        if before == "old" and self.host.left_behind():
            raise Wrong("left behind: %s" % " ".join(self.host.left_behind()))

    def _require(self, outcome, wanted, when):
        """What the engine shows, and each file of the disk, drover's own aside."""
        if outcome != wanted:
            raise Wrong("%s the engine shows what is %s" % (when, outcome))
        known = {"old": "entries before", "new": "entries after"}.get(outcome)
        if known and not self.host.kind.draws_ids:
            are, were = set(self.judge.entries), set(self.facts[known])
            if are != were:
                shown = sorted(["- " + e for e in were - are] + ["+ " + e for e in are - were])[:4]
                raise Wrong("%s the disk is not as it was: %s" % (when, "; ".join(shown)))
        return outcome
