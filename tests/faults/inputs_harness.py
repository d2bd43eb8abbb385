"""Turns a check of one generated input into a test of many, which counts what is wrong and shows each kind of it once.

    @generated("settings by option", 1000, strategy)
    def test_options(example, folder):
        return [...]  # what is wrong, see `inputs_oracle`

The inputs are the same on every call. INPUTS_SEED=7 draws others, INPUTS_TIMES=10 ten times as many.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from faults.counts import Counts

Check = Callable[[Any, Path], list[str]]

SHOWN = 1500
"""Characters of an input in a report."""

_SEED, _TIMES = os.environ.get("INPUTS_SEED"), float(os.environ.get("INPUTS_TIMES", "1"))
_KINDS = {"hang": "hangs", "slow": "hangs", "memory": "hangs", "lost": "lost", "traceback": "tracebacks"}


def generated(kind: str, count: int, strategy: SearchStrategy[Any]) -> Callable[[Check], Callable[..., None]]:
    """Return what makes a test of `count` inputs of a check, which gets an input and an empty folder."""

    def decorate(check: Check) -> Callable[..., None]:
        @pytest.mark.faults
        def test(tmp_path_factory: pytest.TempPathFactory, counts: Counts) -> None:
            place = tmp_path_factory.mktemp("inputs") / "x"
            shortest: dict[str, tuple[str, str]] = {}

            def one(example: Any) -> None:
                place.mkdir()
                try:
                    wrong = check(example, place)
                finally:
                    shutil.rmtree(place)
                counts.tried(fault)
                for problem in wrong:
                    counts.numbers[fault, _KINDS.get(problem.partition(":")[0], "other")] += 1
                    shown = shortest.setdefault(_alike(problem), (problem, repr(example)))
                    if len(repr(example)) < len(shown[1]):
                        shortest[_alike(problem)] = problem, repr(example)

            fault = f"inputs: {kind}"
            run = settings(
                max_examples=int(count * _TIMES),
                derandomize=_SEED is None,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )(given(strategy)(one))
            (run if _SEED is None else seed(int(_SEED))(run))()
            counts.reasons += [(fault, f"{problem}\n    {text[:SHOWN]}") for problem, text in shortest.values()]

        test.__doc__ = check.__doc__
        return test

    return decorate


def _alike(problem: str) -> str:
    """Return what problems of one cause have in common: their text without numbers and values."""
    return re.sub(r"(at \w+\.py|[a-z_]+\.py:)|[0-9]+|'[^']*'", r"\1", problem)[:80]
