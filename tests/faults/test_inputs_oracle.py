"""The oracle itself: a check of generated inputs that cannot fail proves nothing."""

import os
import socket
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from faults.counts import Counts
from faults.inputs_oracle import MOST_MEGABYTES, MOST_SECONDS, STRANGER, observed, problems
from iterhead.errors import UserError
from iterhead.runs.training import train
from iterhead.settings import parse_config


def raises(error):
    raise error


def spins():
    end = time.process_time() + MOST_SECONDS + 0.1
    while time.process_time() < end:
        pass
    raise UserError("seed=3")


def connects():
    with socket.socket() as connection:
        connection.connect_ex(("127.0.0.1", 1))


def takes_memory():
    np.ones((2 * MOST_MEGABYTES, 2**20), dtype=np.uint8)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: raises(LookupError("nobody expected this")), "traceback: LookupError: nobody expected this"),
        (lambda: sys.exit(0), "traceback: SystemExit: 0"),
        (lambda: warnings.warn("careful", stacklevel=1), "warning: UserWarning: careful"),
        (lambda: raises(UserError("it is wrong")), "names nothing of ['seed']"),
        (lambda: raises(UserError("seed=" + "3" * 400)), "405 characters"),
        (lambda: print("a\nb", file=sys.stderr) or raises(UserError("seed")), "not one line"),
        (lambda: Path("../outside").write_text("x"), "changed "),
        (lambda: Path("../other").mkdir(), "changed "),
        (lambda: os.system("true"), "started os.system"),
        (connects, "started socket.connect"),
        (lambda: __import__(STRANGER), "a module was imported that only a folder names"),
        (spins, "slow: "),
        (takes_memory, "memory: "),
    ],
)
def test_what_is_wrong_is_seen(tmp_path, call, problem):
    folder = tmp_path / "x"
    folder.mkdir()
    sys.path.insert(0, "")  # as for `python -m`
    try:
        wrong = problems(observed(call, folder), ("seed",), folder)
    finally:
        sys.path.remove("")
    assert [line for line in wrong if problem in line], wrong


@pytest.mark.faults
def test_what_is_right_passes(tmp_path):
    assert problems(observed(lambda: Path("mine").write_text("x"), tmp_path), ("seed",), tmp_path) == []
    assert problems(observed(lambda: raises(UserError("seed=3")), tmp_path), ("seed",), tmp_path) == []
    outcome = observed(lambda: train(parse_config({"task": "parity"}), threads=1), tmp_path)
    assert (outcome.code, problems(outcome, (), tmp_path)) == (None, [])


@pytest.mark.faults
def test_wrong_inputs_are_counted_and_shown(tmp_path_factory):
    from hypothesis import strategies as st

    from faults.inputs_harness import generated

    counts = Counts()
    test = generated("numbers", 50, st.integers(0, 9))(lambda example, _: ["slow: 3 s"] if example > 5 else [])
    test(tmp_path_factory, counts)
    (row,) = counts.rows()
    assert row["fault"] == "inputs: numbers"
    assert row["tried"] >= 10
    assert 0 < row["hangs"] < row["tried"]
    ((_, reason),) = counts.reasons
    assert reason.startswith("slow: 3 s\n")
