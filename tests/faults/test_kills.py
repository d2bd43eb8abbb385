"""A thousand SIGKILLs at random moments: what was saved is there, and the work ends as if nothing had happened."""

import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from faults.counts import Counts
from faults.forked import HANG, Forked, call
from faults.kinds import KINDS, Twin
from faults.saved import Saved

KILLS = 40
"""In each test."""

MOST_KILLS = 12
"""In each history, before the work is left to end."""

SHARDS = {
    "run": 8,
    "population": 5,
    "seeds": 3,
    "study": 2,
    "scan": 2,
    "export": 2,
    "verify": 1,
    "report": 1,
    "transfer": 1,
}
"""Tests of each kind: 25 in all."""


@pytest.mark.parametrize(("kind", "shard"), [(kind, shard) for kind, count in SHARDS.items() for shard in range(count)])
def test_killed_at_random_moments(kind: str, shard: int, counts: Counts, tmp_path: Path):
    twin = Twin(KINDS[kind], tmp_path)
    moments = random.Random(f"{kind} {shard}")
    kills, histories = 0, 0
    while kills < KILLS:
        folder = twin.copy(tmp_path / f"history-{histories}")
        kills += _history(kind, twin, folder, moments, counts, min(MOST_KILLS, KILLS - kills))
        histories += 1


def _history(kind: str, twin: Twin, folder: Path, moments: random.Random, counts: Counts, most: int) -> int:
    """Start the work until it has ended, and kill it on the way; return how often."""
    fault, saved, kills = f"SIGKILL, {kind}", Saved(folder), 0
    while True:
        pause = moments.uniform(0.0, twin.seconds)
        began = time.monotonic()
        command = twin.kind.start(folder)
        has_ended = command.ends_within(pause if kills < most else HANG)
        if has_ended and kills == 0:  # quicker than measured: other programs had more of the machine then
            twin.seconds = time.monotonic() - began
        if not has_ended:
            command.kill(group=moments.random() < 0.5)
        output = command.wait()
        where = f"{folder}, start {kills + 1}, after {pause:.3f} s"
        _check_group(command, fault, where, counts)
        for problem in saved.check(output.out):
            counts.broke(fault, "lost", f"{where}: {problem}")
        if has_ended or kills == most:
            counts.judge(fault, output if has_ended else replace(output, code=None), (twin.code,), where)
            break
        kills += 1
        counts.tried(fault)
        if output.has_traceback:
            counts.broke(fault, "tracebacks", f"{where}: {output.err[-2000:]}")
        if kills % 4 == 1:
            counts.judge(fault, call(["show"], folder), (0,), f"show in {where}")
    for difference in twin.differences(folder):
        counts.broke(fault, "lost", f"{folder}, after {kills} kills: {difference}")
    return kills


def _check_group(command: Forked, fault: str, where: str, counts: Counts) -> None:
    """See that no process outlives the command."""
    if not command.is_empty():
        counts.broke(fault, "hangs", f"{where}: the processes {command.members()} go on")
        command.kill()
