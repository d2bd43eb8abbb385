"""The table in training: on a pseudo-terminal, and frame by frame."""

import fcntl
import io
import os
import re
import struct
import subprocess
import sys
import termios
import time

import pytest
from rich.console import Console

from iterhead.cli.display import BLOCKS, DIGITS, PlainLines, Watcher, bar, bar_values, glyphs_for, number
from iterhead.cli.live import LiveTable
from iterhead.cli.show import thinned
from iterhead.cli.tables import evaluations_table
from iterhead.cli.telling import make_watcher
from iterhead.formatting import duration
from iterhead.measure import Scores
from iterhead.runs.options import Evaluation
from iterhead.runs.run import load

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(words: list[str], folder, columns: int) -> str:
    """What a process writes to a terminal of 24 lines."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "iterhead", *words],
        cwd=folder,
        stdout=theirs,
        stderr=theirs,
        env=clean | {"TERM": "xterm-256color", "PYTHONUTF8": "1"},
    )
    os.close(theirs)
    written = b""
    try:
        while part := os.read(ours, 65536):
            written += part
    except OSError:  # how Linux tells that the other end is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0
    return written.decode()


def lines_of(written: str) -> list[str]:
    """The lines that were on the terminal at some time, up to the verdict, without control sequences."""
    shown = ESCAPE.sub("", written)
    table = shown[: shown.index("The task is not learned")].replace("\r\n", "\n")
    return [line for part in table.split("\n") for line in part.split("\r")]


def test_the_table_draws_and_fits(tmp_path, tiny):
    written = on_a_terminal(["run", *tiny.split()], tmp_path, 80)
    assert "\x1b[?25l" in written  # the cursor is hidden while it draws
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")  # and shown again
    assert "\x1b[31m" in written  # red: nothing is learnt in two epochs
    lines = lines_of(written)
    assert 70 < max(map(len, lines)) <= 80
    assert "epoch    loss  accuracy  length 1-3  first head  iteration head" in lines
    assert any(re.match(r"    2  \d\.\d{4} +0%  ▁▁▁ +0.00 +0.00$", line) for line in lines)
    assert "Ctrl-C pauses" in written


def test_no_color_on_a_narrow_terminal(call, tiny, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for name, value in (("NO_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", "60"), ("LINES", "24")):
        monkeypatch.setenv(name, value)
    written = call(f"run {tiny}").out
    assert "\x1b[?25l" in written
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", written)
    assert "▁▁▁" in written
    assert max(map(len, lines_of(written))) <= 60


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for name, kind in (("xterm", LiveTable), ("dumb", PlainLines)):
        monkeypatch.setenv("TERM", name)
        assert type(make_watcher(silent=False)) is kind
    assert type(make_watcher(silent=True)) is Watcher


def scores(accuracy: float, lengths: int = 3) -> Scores:
    return Scores(accuracy, dict.fromkeys(range(1, lengths + 1), accuracy), 1.0, ((0, 0), (1, 0)), 0.5, accuracy)


def watched(finished, console: Console, evaluations: int) -> LiveTable:
    table = LiveTable(console)
    table.run = load(finished)
    table.past = [Evaluation(epoch, 2000, 0.5, scores(0.5), 1.0) for epoch in range(evaluations)]
    return table


def frame(table: LiveTable, console: Console) -> list[str]:
    return ["".join(segment.text for segment in line) for line in console.render_lines(table._frame(), pad=False)]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 15), (200, 50)])
def test_a_long_run_shows_the_last_rows_that_fit(finished, width, height):
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height)
    lines = frame(watched(finished, console, 1000), console)
    assert height - 3 <= len(lines) < height
    assert max(map(len, lines)) <= width
    epochs = [int(found[1]) for line in lines if (found := re.match(r" *(\d+)  0\.5", line))]
    assert epochs == list(range(1000 - len(epochs), 1000))
    assert len(epochs) > 5


def test_many_lengths_share_bars():
    shown = [Evaluation(1, 2, 0.5, scores(1.0, lengths=100), 1.0)]
    console = Console(file=io.StringIO(), width=80)
    console.print(evaluations_table(shown, console))
    head, row = console.file.getvalue().splitlines()
    assert "length 1-100 by 5" in head  # 80 - 56 = 24 columns; 100 / 24 = 4.2, so five lengths a bar
    assert "█" * 20 in row
    assert "█" * 21 not in row


def test_bars():
    assert [bar(value) for value in (0.0, 0.5, 0.999, 1.0)] == ["▁", "▄", "▇", "█"]
    assert [bar(value, DIGITS) for value in (0.0, 0.5, 0.999, 1.0)] == ["0", "4", "8", "9"]
    assert bar(float("nan")) == "?"
    assert bar_values([0.0, 1.0, 0.5], 2) == ([0.5, 0.5], 2)
    assert bar_values([0.0, 1.0], 2) == ([0.0, 1.0], 1)


@pytest.mark.parametrize(("encoding", "glyphs"), [("utf-8", BLOCKS), ("ascii", DIGITS), (None, DIGITS), ("?", DIGITS)])
def test_glyphs_that_the_encoding_has(encoding, glyphs):
    assert glyphs_for(encoding) == glyphs


def test_numbers_never_say_more_than_is_there():
    assert [number(value) for value in (1.0, 0.9999, 0.29, 0.0, None, float("nan"))] == [
        "1.00",
        "0.99",
        "0.29",
        "0.00",
        "-",
        "-",
    ]


def test_durations():
    shown = [duration(seconds) for seconds in (0.25, 9.94, 48.4, 120, 7500, 12_345_678)]
    assert shown == ["0.2 s", "9.9 s", "48 s", "2 min", "2 h 5 min", "3,429 h"]


def test_time_left_is_counted_from_where_this_process_began(finished, monkeypatch):
    watcher = Watcher()
    clock = iter([100.0, 130.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    before = [Evaluation(epoch, 100, None, scores(0.5), 1.0) for epoch in (0, 10)]
    run = load(finished)
    object.__setattr__(run.config.training, "epochs", 100)
    watcher.started(run, before)
    assert watcher.time_left() == ""
    watcher.evaluated(watcher.run, Evaluation(25, 100, 0.5, scores(0.5), 1.0))
    # 15 epochs in 30 s: 2 s each, 75 left
    assert watcher.time_left() == "at most 2 min left"


def test_time_left_does_not_count_the_short_epochs(finished, monkeypatch):
    watcher = Watcher()
    clock = iter([100.0, 101.0, 107.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    run = load(finished)
    object.__setattr__(run.config.training, "epochs", 64)
    object.__setattr__(run.config.training, "short_epochs", 4)
    watcher.started(run, [Evaluation(0, 64, None, scores(0.5), 0.0)])
    watcher.evaluated(watcher.run, Evaluation(4, 64, 0.5, scores(0.5), 1.0))
    assert watcher.time_left() == ""
    watcher.evaluated(watcher.run, Evaluation(6, 64, 0.5, scores(0.5), 7.0))
    # Four short epochs in 1 s tell nothing; two full ones in 6 s: 3 s each, 58 left, 174 s.
    assert watcher.time_left() == "at most 3 min left"


def test_the_end_is_seen_coming(finished):
    watcher = Watcher()
    watcher.started(load(finished), [Evaluation(0, 2, None, scores(1.0), 0.0)])
    ends = []
    object.__setattr__(watcher.run.config.training, "epochs", 9)
    for epoch in (1, 2, 3):
        watcher.evaluated(watcher.run, Evaluation(epoch, 9, 0.1, scores(1.0), 1.0))
        ends.append(watcher.ends())
    assert ends == [False, False, True]  # three evaluations in a row show the head; the untrained one is not counted


def test_thinning_keeps_both_ends():
    assert thinned(list(range(5)), 20) == [0, 1, 2, 3, 4]
    assert thinned(list(range(101)), 5) == [0, 25, 50, 75, 100]
