"""The runs of a folder, one row each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iterhead.cli.display import number
from iterhead.cli.options import as_options
from iterhead.cli.parsing import filled
from iterhead.errors import UserError
from iterhead.formatting import percent
from iterhead.report.summary import outcome
from iterhead.runs.paths import find_runs
from iterhead.runs.run import load

Row = dict[str, Any]
"""One run: run, outcome, epochs, accuracy, second_peakiness, settings, and problem where it cannot be read."""


def rows(out: Path) -> list[Row]:
    """Return a row for each run in a folder; one that is damaged or not begun has None for its scores.

    Raises:
        UserError: the folder cannot be read.
    """
    return [_row(path) for path in find_runs(out)]


def _row(path: Path) -> Row:
    row: Row = {"run": str(path), "outcome": None, "epochs": None, "accuracy": None, "second_peakiness": None}
    row |= {"settings": [], "problem": None}
    try:
        run = load(path)
        row |= {"settings": as_options(run.config), "outcome": outcome(run), "epochs": run.status.epoch}
        row |= {"accuracy": run.scores.accuracy, "second_peakiness": run.scores.second_peakiness}
    except UserError as error:
        row["problem"] = str(error)
    return row


def listing(found: Sequence[Row]) -> str:
    """Return two lines or more for each row: what became of the run, and its settings or what is wrong with it."""
    width = max(len(Path(row["run"]).name) for row in found)
    titles = ("epochs", "accuracy", "iteration head")
    lines = [f"{'run':{width}}  {'outcome':15}  {'  '.join(titles)}"]
    for row in found:
        epochs = "-" if row["epochs"] is None else f"{row['epochs']:,}"
        accuracy = "-" if row["accuracy"] is None else percent(row["accuracy"])
        cells = zip((epochs, accuracy, number(row["second_peakiness"])), titles, strict=True)
        numbers = "  ".join(f"{cell:>{len(title)}}" for cell, title in cells)
        lines.append(f"{Path(row['run']).name:{width}}  {row['outcome'] or 'unreadable':15}  {numbers}")
        lines.append(filled(row["problem"] or " ".join(row["settings"]) or "every setting at its default", "    "))
    return "\n".join(lines)
