"""Runs a row: every contestant in each round, in an order that turns round each time; medians, and the
largest peak."""
import contextlib
import statistics
import subprocess
import traceback

import disk
import lab as laboratory
from measure import Sample, count_calls, measure

FIELDS = ("seconds", "sync_seconds", "cpu", "peak", "read", "written", "read_by_calls")


class Result:
    """`state`: ran, skipped or failed; `why` for the last two."""

    def __init__(self, row):
        self.row, self.state, self.why = row, "ran", ""
        self.medians, self.samples, self.calls, self.given = {}, {}, {}, {}
        self.number = None  # that the goal bounds
        self.first_rival = None


def run_row(lab, row, rounds, with_calls):
    result = Result(row)
    try:
        contestants = row.make(lab)
        run_rounds(row, contestants, rounds, result)
        if with_calls:
            for contestant in contestants:
                if contestant.can_count_calls:
                    result.calls[contestant.name] = with_cleaning(
                        contestant, lambda contestant=contestant: count_calls(contestant.command())
                    )
        judge(lab, row, contestants, result)
    except laboratory.Skip as skip:
        result.state, result.why = "skipped", str(skip)
    except Exception as error:  # the other rows go on
        traceback.print_exc()
        result.state, result.why = "failed", str(error)
        lab.remove()  # nobody knows what state it has left them in
    return result


def run_rounds(row, contestants, rounds, result):
    result.samples = {contestant.name: [] for contestant in contestants}
    result.given = {contestant.name: contestant.given for contestant in contestants}
    if not row.cold:
        warm_up(contestants)
    for number in range(rounds):
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            result.samples[contestant.name].append(one_run(contestant, row.cold))
    for name, samples in result.samples.items():
        result.medians[name] = Sample(
            *(statistics.median(getattr(sample, field) for sample in samples) for field in FIELDS)
        )
        result.medians[name].peak = max(sample.peak for sample in samples)
        result.medians[name].out = samples[-1].out


def one_run(contestant, cold):
    def timed():
        disk.settle(cold)
        sample = measure(contestant.command(), contestant.disks(), contestant.servers)
        contestant.check(sample)
        return sample

    return with_cleaning(contestant, timed)


def with_cleaning(contestant, work):
    try:
        contestant.prepare()
        done = work()
    except BaseException:
        with contextlib.suppress(Exception):  # what made it fail is what to tell
            contestant.clean()
        raise
    contestant.clean()
    return done


def warm_up(contestants):
    """All that is read is in the cache before the first round."""
    for root in {getattr(contestant, "root", None) for contestant in contestants} - {None}:
        # Through a pipe: a tar whose archive is /dev/null reads no contents.
        words = ["sh", "-c", 'tar --sparse -C "$0" -cf - "$1" | cat >/dev/null', root.path, root.driver]
        subprocess.run(words, check=True, stderr=subprocess.DEVNULL)


def judge(lab, row, contestants, result):
    if row.judge:
        result.number = row.judge(lab, result.medians)
    elif len(contestants) > 1:
        result.first_rival = contestants[1].name
        ours, theirs = (result.medians[contestant.name] for contestant in contestants[:2])
        result.number = ours.synced / theirs.synced
