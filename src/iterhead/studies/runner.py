"""Training the runs of studies: resumable at any moment, by several processes. Failed runs do not stop others.

There is no list of what is done: run folders are named by their settings, so finished runs are recognized. Only
failures are noted, in a small file for each run that failed, so that it is not tried again forever.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

from iterhead import atomic
from iterhead.contents import MOST_JSON_BYTES, STRICT, ContentError, parse_json
from iterhead.errors import UserError, printable
from iterhead.explain import explained
from iterhead.runs.notes import NewerFormatError
from iterhead.runs.paths import run_folder_name
from iterhead.runs.run import Run, is_finished
from iterhead.runs.storage import CONFIG, RunFolder
from iterhead.runs.worker_pool import Result, train_many
from iterhead.settings import RunConfig
from iterhead.studies.cost import Calibration, run_seconds
from iterhead.studies.study import Study, all_cells

FAILED, DAMAGED = "study/failed", "study/damaged"
"""In the folder of runs: notes of failures, and damaged run folders that were put aside."""

State: TypeAlias = Literal["finished", "diverged", "running", "interrupted", "failed", "waiting"]


@dataclass
class StudyProgress:
    """The progress of studies, in numbers of runs; changes while they run."""

    total: int
    done: int = 0  # finished or diverged
    failed: int = 0  # now or before
    running: int = 0  # in a process of this call
    seconds_left: float | None = None  # estimated; None before anything is known

    @property
    def left(self) -> int:
        """Number of runs that are not started here."""
        return self.total - self.done - self.failed - self.running


@dataclass(frozen=True)
class Failure:
    """A run that failed, and why, in one line."""

    name: str
    error: str


def train_studies(
    studies: Sequence[Study],
    out: Path,
    *,
    calibration: Calibration,
    workers: int,
    threads: int | None = None,
    device: str = "auto",
    on_progress: Callable[[StudyProgress], None] = lambda _progress: None,
    on_result: Callable[[Result], None] = lambda _result: None,
) -> StudyProgress:
    """Train the unfinished runs of some studies, and return the progress then.

    Runs that failed before are skipped; `forget_failures` makes them ready for another try. The longest runs come
    first, so that no worker is left alone with one in the end.

    Args:
        studies: whose runs; a run that several share is trained once.
        out: the folder of run folders.
        calibration: of this machine, for the time left.
        workers: number of processes.
        threads: of PyTorch in each.
        device: cpu, cuda, mps or auto.
        on_progress: called about once a second.
        on_result: called with each run that was trained here, or failed.
    """
    kept = kept_checkpoints(studies)
    failed_before = {failure.name for failure in failures(kept, out)}
    wanted = _without_failed(list(kept), failed_before, out)
    seconds = {config: run_seconds(config, calibration) for config in wanted}
    wanted.sort(key=lambda config: -seconds[config])
    # The time left is the estimate, corrected by the pace so far.
    left, estimated, start = sum(seconds.values()), 0.0, monotonic()
    progress = StudyProgress(total=len(kept), failed=len(kept) - len(wanted))
    running: set[RunConfig] = set()

    def tick() -> None:
        pace = (monotonic() - start) * workers / estimated if estimated else 1.0
        progress.running = len(running)
        progress.seconds_left = max(0.0, left * pace / workers)
        on_progress(progress)

    results = train_many(
        wanted,
        workers=workers,
        tick=tick,
        on_start=running.update,
        out=out,
        threads=threads,
        device=device,
        kept_checkpoints=kept,
    )
    with closing(results):  # whatever happens below, the processes end at once
        for result in results:
            trained_here = result.config in running
            running.discard(result.config)
            left -= seconds[result.config]
            estimated += seconds[result.config] if trained_here else 0.0
            if result.run is None:
                progress.failed += 1
                note = {"error": result.error, "config": result.config.model_dump(mode="json")}
                atomic.write(_note(run_folder_name(result.config), out), atomic.json_bytes(note))
            else:
                progress.done += 1
            if trained_here or result.run is None:
                on_result(result)
                tick()
    tick()
    return progress


def kept_checkpoints(studies: Iterable[Study]) -> dict[RunConfig, tuple[int, ...]]:
    """Return every run of some studies, with the checkpoints to keep: those that other runs start from."""
    kept: dict[RunConfig, tuple[int, ...]] = {}
    cells = all_cells(studies)
    for cell in cells:
        kept |= {config: kept.get(config, ()) for config in cell.runs.values()}
    for cell in cells:
        if cell.parent is not None and cell.parent_epoch is not None:
            for parent in map(cell.parent.run_config, cell.seeds):
                kept[parent] = tuple(sorted({*kept[parent], cell.parent_epoch}))
    return kept


def _without_failed(configs: list[RunConfig], failed: set[str], out: Path) -> list[RunConfig]:
    """Return the runs that did not fail and do not start from one that did, directly or not; finished ones stay."""
    skipped = set(failed)
    wanted = [config for config in configs if run_folder_name(config) not in skipped]
    while True:
        left = [c for c in wanted if c.start is None or c.start.run not in skipped or _is_done(c, out)]
        if len(left) == len(wanted):
            return left
        skipped |= {run_folder_name(config) for config in set(wanted) - set(left)}
        wanted = left


def _is_done(config: RunConfig, out: Path) -> bool:
    return _state(RunFolder(out / run_folder_name(config)), failed=False) in ("finished", "diverged")


def states(study: Study, out: Path) -> dict[str, State]:
    """Return the state of each run of a study, by folder name."""
    failed = {failure.name for failure in failures(study.configs(), out)}
    return {name: _state(RunFolder(out / name), name in failed) for name in map(run_folder_name, study.configs())}


def _state(folder: RunFolder, failed: bool) -> State:
    if folder.is_locked():
        return "running"
    try:
        if is_finished(folder):
            return "diverged" if Run(folder).status.state == "diverged" else "finished"
    except UserError:
        return "failed"
    if failed:
        return "failed"
    return "interrupted" if folder.path.exists() else "waiting"


def failures(configs: Iterable[RunConfig], out: Path) -> list[Failure]:
    """Return the noted failures of these runs."""
    read = ((name, _read_note(_note(name, out))) for name in map(run_folder_name, configs))
    return [Failure(name, error) for name, error in read if error is not None]


class _Note(BaseModel):
    """Why a run failed, and its settings."""

    model_config = STRICT
    error: str
    config: dict[str, Any]


def _read_note(path: Path) -> str | None:
    """Return why a run failed; None without a note. A damaged note says that it is damaged: the run did fail."""
    try:
        data = atomic.read(path, MOST_JSON_BYTES)
        return None if data is None else printable(" ".join(parse_json(data, _Note).error.split()))
    except ContentError as error:
        return f"{path} is damaged: {error}; iterhead study retry removes it"
    except UserError as error:
        return str(error)


def _note(name: str, out: Path) -> Path:
    return out / FAILED / f"{name}.json"


def forget_failures(studies: Sequence[Study], out: Path) -> list[Failure]:
    """Make the failed runs of some studies ready for another try, and return them.

    The folder of a damaged run is put aside, so that it is trained again from the start.
    """
    noted = failures(kept_checkpoints(studies), out)
    for failure in noted:
        folder = out / failure.name
        if folder.exists() and _is_damaged(RunFolder(folder)):
            aside = out / DAMAGED
            with explained("write", folder):
                aside.mkdir(parents=True, exist_ok=True)
                names = (f"{failure.name}-{n}" for n in count(1))
                folder.rename(next(path for path in map(aside.joinpath, names) if not path.exists()))
        note = _note(failure.name, out)
        with explained("write", note):
            note.unlink(missing_ok=True)
    return noted


def _is_damaged(folder: RunFolder) -> bool:
    try:
        # A folder whose very first write failed holds no run yet: training begins in it.
        if folder.has(CONFIG) or atomic.missing_files(folder.path):
            Run(folder).check()
    except NewerFormatError:
        return False
    except UserError:
        return True
    return False
