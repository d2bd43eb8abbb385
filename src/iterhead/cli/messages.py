"""A run as JSON for scripts; its files and a next step for people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iterhead.cli.options import as_options
from iterhead.cli.shell import command_line
from iterhead.errors import UserError
from iterhead.formatting import duration, finite_or_none, out_option
from iterhead.report.summary import Outcome, outcome
from iterhead.runs.paths import run_folder_name
from iterhead.runs.run import Run, load

_FILES: Mapping[str, str] = {
    "report.html": "one web page: maps, curves, claims, the live network",
    "figure.png": "the attention of both heads, and how they emerged",
    "figure.pdf": "the same, for print",
    "verify.png": "the accuracy that each intervention leaves",
    "claims.json": "the claims checked, with intervals",
    "measurements.parquet": "every score of every head, as a tidy table",
    "checkpoints": "the weights at each evaluation",
    "config.json": "the settings",
    "provenance.json": "versions, and a digest of the task",
}
"""What each file is, the most interesting first."""


def run_summary(run: Run) -> dict[str, Any]:
    """Return a run's settings, outcome and scores as JSON values; layers and heads count from 0, None is undefined.

    Raises:
        UserError: nothing is measured yet, or a file is damaged.
    """
    scores, status = run.scores, run.status
    names = [f"{role}_{name}" for name in ("peakiness", "weight", "invariance", "mass") for role in ("first", "second")]
    by_length = {str(length): finite_or_none(share) for length, share in scores.accuracy_by_length.items()}
    return {
        "run": str(run.folder.path),
        "config": run.config.model_dump(mode="json"),
        "epochs": status.epoch,
        "state": status.state,
        "emerged": status.emerged,
        "outcome": outcome(run),
        "message": status.message or None,
        "accuracy": finite_or_none(scores.accuracy),
        "accuracy_by_length": by_length,
        "grammar": finite_or_none(scores.grammar),
        "best_pair": [list(head) for head in scores.best_pair] if scores.best_pair else None,
        **{name: finite_or_none(getattr(scores, name)) for name in names},
        "seconds": {"train": status.train_seconds, "total": status.total_seconds},
    }


def run_row(path: Path) -> dict[str, Any]:
    """Return a run's row in the list of runs, as JSON values.

    A run that is damaged, or has no evaluation yet, has None for its scores and says why in `problem`.
    """
    row: dict[str, Any] = {"run": str(path), "outcome": None, "epochs": None, "accuracy": None}
    row |= {"second_peakiness": None, "settings": [], "problem": None}
    try:
        run = load(path)
        row |= {"settings": as_options(run.config), "outcome": outcome(run), "epochs": run.status.epoch}
        row |= {"accuracy": run.scores.accuracy, "second_peakiness": run.scores.second_peakiness}
    except UserError as error:
        row["problem"] = str(error)
    return row


def files_text(run: Run) -> str:
    """Return a run's folder, the time it took, and its files with what each is."""
    status, names = run.status, run.folder.names()
    present = [file for file in _FILES if any(f"{name}/".startswith(f"{file}/") for name in names)]
    files = "".join(f"  {file:22}{_FILES[file]}\n" for file in present)
    times = f"{duration(status.total_seconds)} in all, {duration(status.train_seconds)} of it training"
    return f"{run.folder.path}  ({times})\n{files}"


def next_step(run: Run) -> str:
    """Return a command to go on with, after a line about what it is for."""
    config = run.config
    longer = {"training": config.training.model_copy(update={"epochs": 2 * config.training.epochs})}
    slower = {"training": config.training.model_copy(update={"lr": float(f"{config.training.lr / 3:.1g}")})}
    steps: dict[Outcome, tuple[str, dict[str, Any]]] = {
        "interrupted": ("resume this run", {}),
        "diverged": ("try a smaller learning rate", slower),
        "not held": ("train longer", longer),
        "learnt in part": ("train longer", longer),
        "not learnt": ("train longer", longer),
    }
    about, change = steps.get(outcome(run), ("try another seed", {"seed": config.seed + 1}))
    again = ["--again"] if not change and run.folder.path.name != run_folder_name(config) else []
    words = ["run", *as_options(config.model_copy(update=change)), *again]
    return f"{about}:\n  {command_line(words)}{out_option(run.folder.path.parent)}"
