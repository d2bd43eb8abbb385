"""The table shown during training: on a pseudo-terminal, and frame by frame."""

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

from iterhead.cli.output import BLOCKS, DIGITS, bar, bar_values, evaluations_table, glyphs_for, score_text
from iterhead.cli.show_command import thinned
from iterhead.cli.watch import LiveTable, PlainLines, Watcher, make_watcher
from iterhead.formatting import duration
from iterhead.measure.records import Scores
from iterhead.runs.options import Evaluation
from iterhead.runs.run import load

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_on_terminal(words: list[str], folder, columns: int) -> str:
    """Return what a process writes to a terminal of 24 lines."""
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
    except OSError:  # raised on Linux when the other end is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0
    return written.decode()


def test_table_is_drawn_and_fits_the_terminal(tmp_path, tiny):
    written = run_on_terminal(["run", *tiny.split()], tmp_path, 80)
    assert "\x1b[?25l" in written  # the cursor is hidden while drawing
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")  # and shown again
    assert "\x1b[31m" in written  # red: nothing is learned in two epochs
    shown = ESCAPE.sub("", written)
    table = shown[: shown.index("The task is not learned")].replace("\r\n", "\n")
    lines = [line for part in table.split("\n") for line in part.split("\r")]
    assert 70 < max(map(len, lines)) <= 80
    assert "epoch    loss  accuracy  length 1-3  first head  iteration head" in lines
    assert any(re.match(r"    2  \d\.\d{4} +0%  ▁▁▁ +0.00 +0.00$", line) for line in lines)
    assert "Ctrl-C pauses" in written


def test_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for name, kind in (("xterm", LiveTable), ("dumb", PlainLines)):
        monkeypatch.setenv("TERM", name)
        assert type(make_watcher(silent=False)) is kind
    assert type(make_watcher(silent=True)) is Watcher


def scores(accuracy: float, lengths: int = 3) -> Scores:
    return Scores(accuracy, dict.fromkeys(range(1, lengths + 1), accuracy), 1.0, ((0, 0), (1, 0)), 0.5, accuracy)


def run_with(finished, **training):
    """A finished run with other training settings in its config."""
    run = load(finished)
    settings = run.config.training.model_copy(update=training)
    run.config = run.config.model_copy(update={"training": settings})
    return run


def live_table(finished, console: Console, evaluations: int) -> LiveTable:
    table = LiveTable(console)
    table.run = load(finished)
    table.past = [Evaluation(epoch, 2000, 0.5, scores(0.5), 1.0) for epoch in range(evaluations)]
    return table


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 15), (200, 50)])
def test_long_run_shows_the_last_rows_that_fit(finished, width, height):
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height)
    frame = console.render_lines(live_table(finished, console, 1000), pad=False)
    lines = ["".join(segment.text for segment in line) for line in frame]
    assert height - 3 <= len(lines) < height
    assert max(map(len, lines)) <= width
    epochs = [int(match[1]) for line in lines if (match := re.match(r" *(\d+)  0\.5", line))]
    assert epochs == list(range(1000 - len(epochs), 1000))
    assert len(epochs) > 5


def test_no_color_on_a_narrow_terminal(finished, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), force_terminal=True, width=60, height=24)
    console.print(live_table(finished, console, 5))
    written = console.file.getvalue()
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", written)
    assert "▄▄▄" in written
    assert max(map(len, ESCAPE.sub("", written).splitlines())) <= 60


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
def test_bars_use_glyphs_that_the_encoding_has(encoding, glyphs):
    assert glyphs_for(encoding) == glyphs


def test_scores_are_rounded_down():
    values = (1.0, 0.9999, 0.29, 0.0, None, float("nan"))
    assert [score_text(value) for value in values] == ["1.00", "0.99", "0.29", "0.00", "-", "-"]


def test_durations():
    shown = [duration(seconds) for seconds in (0.25, 9.94, 48.4, 120, 7500, 12_345_678)]
    assert shown == ["0.2 s", "9.9 s", "48 s", "2 min", "2 h 5 min", "3,429 h"]


def test_time_left_counts_only_the_epochs_of_this_process(finished, monkeypatch):
    watcher = Watcher()
    clock = iter([100.0, 130.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    run = run_with(finished, epochs=100)
    watcher.started(run, [Evaluation(epoch, 100, None, scores(0.5), 1.0) for epoch in (0, 10)])
    assert watcher.time_left() == ""
    watcher.evaluated(run, Evaluation(25, 100, 0.5, scores(0.5), 1.0))
    # 15 epochs in 30 s: 2 s each, 75 left
    assert watcher.time_left() == "at most 2 min left"


def test_time_left_does_not_count_the_short_epochs(finished, monkeypatch):
    watcher = Watcher()
    clock = iter([100.0, 101.0, 107.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    run = run_with(finished, epochs=64, short_epochs=4)
    watcher.started(run, [Evaluation(0, 64, None, scores(0.5), 0.0)])
    watcher.evaluated(run, Evaluation(4, 64, 0.5, scores(0.5), 1.0))
    assert watcher.time_left() == ""
    watcher.evaluated(run, Evaluation(6, 64, 0.5, scores(0.5), 7.0))
    # Four short epochs in 1 s do not count; two full ones in 6 s: 3 s each, 58 left, 174 s.
    assert watcher.time_left() == "at most 3 min left"


def test_watcher_knows_the_last_evaluation(finished):
    watcher = Watcher()
    run = run_with(finished, epochs=9)
    watcher.started(run, [Evaluation(0, 9, None, scores(1.0), 0.0)])
    is_last = []
    for epoch in (1, 2, 3):
        watcher.evaluated(run, Evaluation(epoch, 9, 0.1, scores(1.0), 1.0))
        is_last.append(watcher.is_last())
    assert is_last == [False, False, True]  # the head has to show three times in a row; epoch 0 does not count


def test_thinning_keeps_both_ends():
    assert thinned(list(range(5)), 20) == [0, 1, 2, 3, 4]
    assert thinned(list(range(101)), 5) == [0, 25, 50, 75, 100]
