import contextlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from iterhead.cli import main

TINY = (
    "--task parity --data.max-length 3 --data.train-per-length 8 --data.test-per-length 4 "
    "--model.width 8 --training.batch-size 6 --training.epochs 2 --training.short-epochs 0 "
    "--threads 1"
)
"""A run of a fraction of a second: 3 lengths, 2 sequences of each in a batch."""


@dataclass
class Output:
    """What one call of the command line returned and wrote."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line on stderr, with nothing on stdout."""
        assert self.out == ""
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1
        return self.err.removesuffix("\n")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Output]:
    """Call the command line in this process, in an empty folder; words come one by one, or joined by spaces."""
    monkeypatch.chdir(tmp_path)

    def called(*words: str) -> Output:
        capsys.readouterr()
        code = main([part for word in words for part in word.split(" ")])
        captured = capsys.readouterr()
        return Output(code, captured.out, captured.err)

    return called


@pytest.fixture
def tiny() -> str:
    """Options of a run of a fraction of a second."""
    return TINY


@pytest.fixture(scope="session")
def piped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Output]:
    """The folder of a run, and what the command that trained it wrote into a pipe."""
    out = tmp_path_factory.mktemp("finished")
    with contextlib.redirect_stdout(io.StringIO()) as stdout, contextlib.redirect_stderr(io.StringIO()) as stderr:
        code = main(["run", "--out", str(out), *TINY.split()])
    (folder,) = out.iterdir()
    return folder, Output(code, stdout.getvalue(), stderr.getvalue())


@pytest.fixture(scope="session")
def finished(piped: tuple[Path, Output]) -> Path:
    """The folder of a finished run; tests must not change it."""
    return piped[0]


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run in `runs` of the test's own folder, which the test may change."""
    return Path(shutil.copytree(finished, tmp_path / "runs" / finished.name))


@pytest.fixture
def strict_json() -> Callable[[str], dict]:
    """Read one JSON object; NaN and Infinity, which Python's parser accepts, are refused."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return lambda text: json.loads(text, parse_constant=refuse)
