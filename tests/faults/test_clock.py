"""The wall clock jumps by a year, back or ahead, between a kill and the next start: nothing depends on it."""

import datetime
import os
import random
import re
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from faults.counts import Counts
from faults.forked import call, start
from faults.kinds import KINDS, RUN, Twin
from faults.saved import Saved
from iterhead.runs.paths import find_runs
from iterhead.runs.run import load

YEAR = 365 * 86_400
STARTS = 5
"""With another clock each, before the work is left to end."""


@dataclass(frozen=True)
class Clock:
    """Sets what this process takes for the time of day; a patch for the child of `forked.start`."""

    ahead: int

    def __call__(self) -> None:
        """Move every clock that a calendar date can be read from."""
        ahead, now, now_ns = self.ahead, time.time, time.time_ns

        class Datetime(datetime.datetime):
            @classmethod
            def now(cls, tz=None):
                return super().now(tz) + datetime.timedelta(seconds=ahead)

        time.time = lambda: now() + ahead
        time.time_ns = lambda: now_ns() + ahead * 10**9
        datetime.datetime = Datetime


@pytest.mark.parametrize("kind", ["run", "population", "seeds", "study", "scan", "export"])
def test_a_year_back_and_ahead(kind: str, counts: Counts, tmp_path: Path):
    twin = Twin(KINDS[kind], tmp_path)
    folder, draws, fault = twin.copy(tmp_path / "jumps"), random.Random(kind), f"clock jumps by a year, {kind}"
    saved = Saved(folder)
    for number in range(STARTS + 1):
        clock = Clock(draws.choice((-YEAR, 0, YEAR)))
        command = twin.kind.start(folder, before=clock)
        if number < STARTS and not command.ends_within(draws.uniform(0.2, 1.0) * twin.seconds):
            command.kill()
        output = command.wait()
        counts.tried(fault)
        for problem in [*saved.check(output.out), *_negative(folder, output.out)]:
            counts.broke(fault, "lost", f"{folder}, start {number}, {clock}: {problem}")
        listed = call(["show"], folder, before=Clock(-YEAR))
        if counts.judge(fault, listed, (0,), "show"):
            names = re.findall(r"^(?:parity|copy)-\w+", listed.out, re.MULTILINE)
            assert names == sorted(names)
        _touch(folder, time.time() + draws.choice((-YEAR, YEAR)))
    counts.judge(fault, output, (twin.code,), str(folder))
    for difference in twin.differences(folder):
        counts.broke(fault, "lost", f"{folder}: {difference}")


def test_a_lock_holds_whatever_the_clock_says(counts: Counts, tmp_path: Path):
    fault = "clock jumps by a year, lock"
    for ahead in (-YEAR, YEAR):
        folder = tmp_path / str(ahead)
        first = start([*RUN[:-1], "100000"], folder)
        while not list(folder.rglob("state.safetensors")):
            time.sleep(0.01)
        _touch(folder, time.time() - ahead)
        counts.tried(fault)
        output = call([*RUN[:-1], "100000"], folder, before=Clock(ahead))
        if counts.judge(fault, output, (2,), str(folder)) and f"(pid {first.pid} " not in output.err:
            counts.broke(fault, "other", output.err)
        if first.poll() is not None:
            counts.broke(fault, "other", f"the holder ended: {first.wait()}")
        first.kill()


def _negative(folder: Path, written: str) -> list[str]:
    """Return the times below zero that a command wrote, or noted in a run."""
    found = re.findall(r"-[0-9.]+ (?:s|min)\b", written)
    for run in map(load, find_runs(folder / "runs")):
        status = run.status
        found += [f"{run.name}: {status}"] if not 0 <= status.train_seconds <= status.total_seconds + 1 else []
    return found


def _touch(folder: Path, when: float) -> None:
    """Date every file."""
    for path in folder.rglob("*"):
        os.utime(path, (when, when))
