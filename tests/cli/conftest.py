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
class Said:
    """What one call of the command line did."""

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
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Call the command line in an empty folder, in this process; words come one by one, or joined by spaces."""
    monkeypatch.chdir(tmp_path)

    def called(*words: str) -> Said:
        capsys.readouterr()
        code = main([part for word in words for part in word.split(" ")])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return called


@pytest.fixture
def tiny() -> str:
    """Options of a run of a fraction of a second."""
    return TINY


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; nobody may change it."""
    out = tmp_path_factory.mktemp("finished")
    assert main(["run", "--quiet", "--out", str(out), *TINY.split()]) == 0
    (folder,) = out.iterdir()
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """The same run in `runs` of the test's own folder, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "runs" / finished.name))
