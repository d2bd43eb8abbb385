"""The harness itself: a fault test that cannot fail proves nothing."""

import os
import signal
import sys
import time
from pathlib import Path

from faults.counts import Counts
from faults.forked import Output, call, start


def raises(_words):
    raise LookupError("nobody expected this")


def sleeps(_words):
    print("asleep", flush=True)
    time.sleep(100)


def forks(_words):
    if os.fork() == 0:
        time.sleep(100)
    print("forked", flush=True)
    time.sleep(100)


def shows_environment(words):
    print(os.environ.get(words[0]), Path.cwd(), sys.argv[0])
    print("to the other", file=sys.stderr)
    return 3


def wait_for(what):
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_streams_environment_folder_and_exit_code(tmp_path):
    output = call(["COLOUR"], tmp_path / "here", env={"COLOUR": "green"}, program=shows_environment)
    assert output == Output(3, f"green {tmp_path / 'here'} iterhead\n", "to the other\n")
    assert call(["--version"], tmp_path / "here").out.startswith("iterhead ")


def test_a_traceback_a_hang_and_a_wrong_exit_code_are_counted(tmp_path):
    counts = Counts()
    for _ in range(2):
        assert not counts.judge("raising", call([], tmp_path / "a", program=raises), (0,), "raises")
    assert not counts.judge("sleeping", call([], tmp_path / "a", program=sleeps, seconds=0.5), (0,), "sleeps")
    assert not counts.judge("code", call(["X"], tmp_path / "a", program=shows_environment), (0, 2), "shows")
    assert not counts.judge("lines", Output(2, "", "one\ntwo\n"), (2,), "prints")
    assert counts.judge("lines", Output(2, "", "one\n"), (2,), "prints")
    counts.tried("lines", 7)
    assert not counts.is_clean
    assert {row["fault"]: tuple(row.values())[1:] for row in counts.rows()} == {
        "code": (0, 0, 0, 0, 1),
        "lines": (7, 0, 0, 0, 1),
        "raising": (0, 0, 2, 0, 0),
        "sleeping": (0, 0, 0, 1, 0),
    }
    assert "nobody expected this" in counts.table()


def test_a_process_that_is_left_over_is_seen_and_a_group_is_killed_whole(tmp_path):
    command = start([], tmp_path / "a", program=forks)
    wait_for(lambda: command.written() == "forked\n")
    command.kill(group=False)
    assert command.wait(5).code == -signal.SIGKILL
    assert not command.is_empty(0.2)
    command.kill()
    assert command.is_empty()
