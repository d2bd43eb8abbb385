"""Ctrl-C, kill and a closed terminal at random moments, once or twice: one line, exit code 130, and nothing is lost.

A signal goes to all processes of the group, as a terminal sends it. `run --seeds` and `study`, which start processes,
are real programs here; other commands run in forked children.
"""

import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from faults.counts import Counts
from faults.forked import HANG, Output, start
from faults.kinds import KINDS, SETTINGS, Twin
from faults.saved import Saved
from helpers.process_groups import handles_signals, signalled
from iterhead.cli import main

INTERRUPTED = 130
NUMBERS = (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C is what people do most."""

MOMENTS = 20
"""Of a test of a forked child. After every other signal another one comes, 0.05 to 0.3 seconds later."""

FORKED = ("run", "scan", "export", "verify", "report", "transfer")
STARTED = {
    "run": (f"run {SETTINGS} 100000", 15),
    "seeds": (f"run {SETTINGS} 100000 --seeds 0..3 --workers 2", 30),
    "study": ("study run figure-7 --scale smoke --workers 2", 15),
}
"""Commands that go on for long, and at how many moments they get signals."""

START = 6.0
"""Seconds over which signals are spread: imports take about two, as does the server of the workers."""


@pytest.mark.parametrize("kind", STARTED)
def test_while_it_starts(kind: str, counts: Counts, tmp_path: Path):
    command, most = STARTED[kind]
    moments = random.Random(kind)
    for number in range(most):
        folder = tmp_path / f"{number}"
        signals = _signals(START * (number + moments.random()) / most, moments)
        ended = signalled(command.split(), folder, *signals)
        fault = f"{signal.Signals(signals[0][1]).name} while it starts, {kind}"
        counts.tried(fault)
        where = f"{folder}: {signals}"
        _judge(fault, Output(ended.code, ended.out, ended.err), (INTERRUPTED,), where, counts)
        if ended.orphans:
            counts.broke(fault, "hangs", f"{where}: {ended.orphans} go on")
        for left in ended.temporaries:
            counts.broke(fault, "lost", f"{where}: {left} is left over")
        for problem in Saved(folder).check():
            counts.broke(fault, "lost", f"{where}: {problem}")


@pytest.mark.parametrize("kind", FORKED)
def test_at_random_moments(kind: str, counts: Counts, tmp_path: Path):
    twin = Twin(KINDS[kind], tmp_path)
    moments = random.Random(kind)
    folder, number = None, 0
    while number < MOMENTS or folder is not None:
        number += 1
        folder = folder or twin.copy(tmp_path / f"history-{number}")
        signals = _signals(moments.uniform(0.0, 1.2 * twin.seconds), moments) if number <= MOMENTS else []
        fault = f"signals, {kind}"
        output = _forked(kind, folder, signals)
        counts.tried(fault, len(signals) > 0)
        where = f"{folder}: {signals}"
        _judge(fault, output, (twin.code, INTERRUPTED) if signals else (twin.code,), where, counts)
        if output.code == INTERRUPTED:
            continue
        for difference in twin.differences(folder):
            counts.broke(fault, "lost", f"{where}: {difference}")
        folder = None


def _signals(pause: float, moments: random.Random) -> list[tuple[float, int]]:
    number = moments.choice(NUMBERS)
    again = [(moments.uniform(0.05, 0.3), number)] if moments.random() < 0.5 else []
    return [(pause, number), *again]


def _forked(kind: str, folder: Path, signals: Sequence[tuple[float, int]]) -> Output:
    """Do a kind of work in a forked child, and send it signals."""
    command = start(KINDS[kind].words, folder, program=_program)
    while command.poll() is None and not handles_signals(command.pid):
        time.sleep(0.001)
    for pause, number in signals:
        if not command.ends_within(pause):
            command.signal(number, group=True)
    return command.wait(HANG)


def _program(words: Sequence[str]) -> int:
    """Do what the program does: its process has nothing to do afterwards."""
    sys.argv[1:] = words
    return main()


def _judge(fault: str, output: Output, codes: tuple[int, ...], where: str, counts: Counts) -> None:
    if counts.judge(fault, output, codes, where) and output.code == INTERRUPTED:
        lines = output.err.splitlines()
        if len(lines) != 1 or not lines[0].startswith("Interrupted"):
            counts.broke(fault, "other", f"{where}: expected one line: {output.err!r}")
