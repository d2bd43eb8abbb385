"""Two and four processes that do the same work in the same folder at once: one line, or shared work, and no mixture."""

import random
import time
from pathlib import Path

import pytest

from faults.counts import Counts
from faults.kinds import KINDS, Twin
from faults.saved import Saved

ROUNDS = {2: 3, 4: 2}
"""By number of processes."""

LOCKED = "is working on this run"


@pytest.mark.parametrize("kind", KINDS)
def test_several_processes_on_one_piece_of_work(kind: str, counts: Counts, tmp_path: Path):
    twin = Twin(KINDS[kind], tmp_path)
    pauses = random.Random(kind)
    for writers, rounds in ROUNDS.items():
        for number in range(rounds):
            folder = twin.copy(tmp_path / f"{writers}-writers-{number}")
            _work_together(kind, twin, folder, [pauses.uniform(0, 0.3) * twin.seconds for _ in range(writers)], counts)


def _work_together(kind: str, twin: Twin, folder: Path, pauses: list[float], counts: Counts) -> None:
    """Start a process after each of the pauses, and see how all of them end."""
    fault, saved = f"{len(pauses)} writers, {kind}", Saved(folder)
    counts.tried(fault)
    commands = []
    for pause in pauses:
        commands.append(twin.kind.start(folder))
        time.sleep(pause)
    outputs = [command.wait() for command in commands]
    for command, output in zip(commands, outputs, strict=True):
        if counts.judge(fault, output, (twin.code, 2), str(folder)) and output.code == 2 and LOCKED not in output.err:
            counts.broke(fault, "other", f"{folder}: {output.err}")
        assert command.is_empty()
    if not any(output.code == twin.code for output in outputs):
        counts.broke(fault, "other", f"{folder}: nobody did the work: {[output.err for output in outputs]}")
    problems = [problem for output in outputs for problem in saved.check(output.out)]
    for problem in [*problems, *twin.differences(folder)]:
        counts.broke(fault, "lost", f"{folder}: {problem}")
