"""What must hold of a folder of runs, scans or exports at every moment, however its writers ended."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from faults.contents import TEMPORARY
from iterhead import atomic
from iterhead.errors import UserError
from iterhead.runs.notes import PROVENANCE
from iterhead.runs.paths import find_runs
from iterhead.runs.run import MEASUREMENTS, Run, is_finished
from iterhead.runs.storage import CONFIG, RunFolder

_EPOCH = re.compile(r"^epoch ([0-9]+)/", re.MULTILINE)
_RUN_EPOCH = re.compile(r"^saved (\S+) ([0-9]+)$", re.MULTILINE)
_SEED = re.compile(r"^  seed ([0-9]+): accuracy", re.MULTILINE)
_PAGE = re.compile(r"^Explore (?:it|them) in a browser: (.+)$", re.MULTILINE)


@dataclass
class Saved:
    """What the processes that worked in a folder have reported and saved so far; `check` looks whether it is there.

    The runs that are there at the beginning are not those that are reported.
    """

    folder: Path
    inputs: set[str] = field(init=False)
    epochs: dict[str, int] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.inputs = {path.name for path in find_runs(self.folder / "runs")}

    def check(self, written: str = "") -> list[str]:
        """Return in words what is missing or damaged, given what a command that has ended wrote to stdout."""
        problems: list[str] = []
        for path in _stored_folders(self.folder):
            problems += _problems(lambda path=path: self._check_stored(path))
        for path in _loose_files(self.folder):
            problems += _problems(lambda path=path: _check_loose(path))
        return problems + _problems(lambda: self._check_reported(written))

    def _check_stored(self, path: Path) -> None:
        """Read every file of a run or a scan, and see that nothing that was there has gone."""
        folder = RunFolder(path)
        if not folder.has(CONFIG):
            there = [name for name in folder.names() if name != PROVENANCE]
            assert not there, f"{path} has no {CONFIG}, but {there}"
            return
        for name in folder.names():
            folder.read(name)
        missing = atomic.missing_files(path)
        assert not missing, f"{path} lacks {missing}"
        if folder.has(PROVENANCE):  # a scan has none
            self._check_run(Run(folder))

    def _check_run(self, run: Run) -> None:
        epoch = run.status.epoch
        before = self.epochs.get(run.name, 0)
        assert epoch >= before, f"{run.name} went back from epoch {before} to {epoch}"
        self.epochs[run.name] = epoch
        if run.folder.has(MEASUREMENTS):
            assert int(run.measurements["epoch"].max()) >= epoch, f"{run.name}: no measurements of epoch {epoch}"
        for saved in run.checkpoints:
            run.model_at(saved)
        if is_finished(run.folder):
            self.finished.add(run.name)
        assert is_finished(run.folder) == (run.name in self.finished), f"{run.name} is not finished any more"

    def _check_reported(self, written: str) -> None:
        paths = [path for path in find_runs(self.folder / "runs") if path.name not in self.inputs]
        runs = {path.name: Run(RunFolder(path)) for path in paths}
        for epoch in _EPOCH.findall(written):
            (run,) = runs.values()
            assert run.status.epoch >= int(epoch), f"epoch {epoch} was reported, and {run.status.epoch} is saved"
            assert int(epoch) in run.checkpoints, f"epoch {epoch} was reported, and its weights are not there"
        for name, epoch in _RUN_EPOCH.findall(written):
            assert runs[name].status.epoch >= int(epoch), f"{name}: epoch {epoch} was reported"
        for seed in _SEED.findall(written):
            (run,) = (run for run in runs.values() if run.config.seed == int(seed))
            assert run.status.state == "finished", f"seed {seed} was reported as finished"
        for page in _PAGE.findall(written):
            assert (self.folder / page).read_text().rstrip().endswith("</html>"), f"{page} is not whole"


def _problems(check: Callable[[], None]) -> list[str]:
    try:
        check()
    except (AssertionError, UserError, OSError, ValueError, KeyError, pl.exceptions.PolarsError) as error:
        return [f"{type(error).__name__}: {error}"]
    return []


def _stored_folders(folder: Path) -> Iterator[Path]:
    """Yield the folders that hold a run or a scan, or the beginning of one."""
    for path in sorted(folder.rglob("checksums.json")):
        yield path.parent


def _loose_files(folder: Path) -> Iterator[Path]:
    """Yield the other files: of studies, exports, and so on."""
    stored = set(_stored_folders(folder))
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not stored.intersection(path.parents) and not any(map(TEMPORARY.fullmatch, parts)):
            yield path


def _check_loose(path: Path) -> None:
    if path.suffix == ".json":
        json.loads(path.read_bytes())
    elif path.suffix == ".parquet":
        pl.read_parquet(path)
    elif path.suffix == ".html":
        assert path.read_text().rstrip().endswith("</html>"), f"{path} is not whole"
    elif path.suffix in (".png", ".pdf", ".safetensors"):
        assert path.stat().st_size > 100, f"{path} is empty"
