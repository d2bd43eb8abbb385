"""Runs and claims for people, as text and tables for the terminal, and for scripts, as JSON values."""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from iterhead.cli.options import as_options
from iterhead.cli.parsing import filled
from iterhead.cli.shell import command_line
from iterhead.criteria import EMERGED_ACCURACY
from iterhead.errors import UserError, printable
from iterhead.formatting import duration, finite_or_none, out_option, percent
from iterhead.measure.records import Scores, head_means
from iterhead.report.summary import Outcome, outcome
from iterhead.runs.options import Evaluation
from iterhead.runs.paths import run_folder_name
from iterhead.runs.run import Run, load
from iterhead.studies.claims import Check, Verdict, claim_rows
from iterhead.tasks.catalogue import NotImportedError

BLOCKS = "▁▂▃▄▅▆▇█"
DIGITS = "0123456789"
"""In place of the blocks where the terminal's encoding lacks them."""

FIXED_WIDTH = 56
"""Columns that the table of evaluations needs besides its bars."""

VERDICT_COLORS: Mapping[Verdict, str] = {"holds": "green", "does not hold": "red", "undecided": "yellow"}

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
    names = ("outcome", "epochs", "accuracy", "second_peakiness")
    row: dict[str, Any] = {"run": str(path), **dict.fromkeys(names), "settings": [], "problem": None}
    try:
        run = load(path)
        row |= {"settings": as_options(run.config), "outcome": outcome(run), "epochs": run.status.epoch}
        row |= {"accuracy": run.scores.accuracy, "second_peakiness": run.scores.second_peakiness}
    except UserError as error:
        row["problem"] = str(error)
    return row


def runs_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a list of runs from rows of `run_row`: outcome and scores, then settings or problem."""
    names = [printable(Path(row["run"]).name) for row in rows]
    width = max(map(len, names))
    lines = [f"{'run':{width}}  {'outcome':15}  epochs  accuracy  iteration head"]
    for name, row in zip(names, rows, strict=True):
        epochs = "-" if row["epochs"] is None else f"{row['epochs']:,}"
        accuracy = "-" if row["accuracy"] is None else percent(row["accuracy"])
        numbers = f"{epochs:>6}  {accuracy:>8}  {score_text(row['second_peakiness']):>14}"
        lines.append(f"{name:{width}}  {row['outcome'] or 'unreadable':15}  {numbers}")
        lines.append(filled(printable(row["problem"] or " ".join(row["settings"]) or "default settings"), "    "))
    return "\n".join(lines)


def files_text(run: Run) -> str:
    """Return a run's folder, the time it took, and its files with what each is."""
    status, names = run.status, run.folder.names()
    present = [file for file in _FILES if any(f"{name}/".startswith(f"{file}/") for name in names)]
    files = "".join(f"  {file:22}{_FILES[file]}\n" for file in present)
    times = f"{duration(status.total_seconds)} in all, {duration(status.train_seconds)} of it training"
    return f"{run.folder.path}  ({times})\n{files}"


def next_step(run: Run) -> str:
    """Return the next command to try, after a line about what it is for."""
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
    again = ["--again"] if not change and not _has_own_name(run) else []
    words = ["run", *as_options(config.model_copy(update=change)), *again]
    return f"{about}:\n  {command_line(words)}{out_option(run.folder.path.parent)}"


def _has_own_name(run: Run) -> bool:
    """Whether the folder has the name of its settings; taken for granted if the task is not imported."""
    try:
        return run.folder.path.name == run_folder_name(run.config)
    except NotImportedError:
        return True


def score_text(value: float | None) -> str:
    """Return a score with two decimals, or a dash for none.

    Rounded down, as `percent` is: 1.00 means that nothing is missing.
    """
    if value is None or math.isnan(value):
        return "-"
    return f"{math.floor(value * 100 + 1e-9) / 100:.2f}"  # 0.29 * 100 = 28.999999999999996


def score_parts(scores: Scores) -> list[str]:
    """Return e.g. `accuracy 98.5%`, `first head 0.52`, `iteration head 0.99`; heads only where they are scored."""
    parts = [f"accuracy {percent(scores.accuracy)}"]
    if scores.second_peakiness is not None:
        parts.append(f"first head {score_text(scores.first_peakiness)}")
        parts.append(f"iteration head {score_text(scores.second_peakiness)}")
    return parts


def loss_text(loss: float | None) -> str:
    """Return a loss, or a dash before training."""
    return "-" if loss is None else f"{loss:.4f}"


def bar_values(shares: Sequence[float], room: int) -> tuple[list[float], int]:
    """Return the value of each of at most `room` bars, and how many shares a bar is the mean of."""
    group = -(-len(shares) // room)
    groups = [shares[start : start + group] for start in range(0, len(shares), group)]
    return [sum(part) / len(part) for part in groups], group


def bar(value: float, glyphs: str = BLOCKS) -> str:
    """Return the character for a value in 0 .. 1; the highest one means exactly 1."""
    return glyphs[int(value * (len(glyphs) - 1))] if 0 <= value <= 1 else "?"


def glyphs_for(encoding: str | None) -> str:
    """Return the characters for bars that an encoding has."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return DIGITS
    return BLOCKS


def plain_table(*titles: str, left: Collection[str] = (), wrapped: Collection[str] = ()) -> Table:
    """Return a table without lines. Columns are right-aligned, or `left`; none is wrapped but those in `wrapped`."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for title in titles:
        table.add_column(title, justify="left" if title in (*left, *wrapped) else "right", no_wrap=title not in wrapped)
    return table


def evaluations_table(evaluations: Sequence[Evaluation], console: Console) -> Table:
    """Return one row for each evaluation, with the accuracy at each length as bars."""
    last = evaluations[-1].scores
    lengths, room = list(last.accuracy_by_length), max(4, console.width - FIXED_WIDTH)
    _, group = bar_values(lengths, room)
    span = f"{lengths[0]}-{lengths[-1]}" if len(lengths) > 1 else f"{lengths[0]}"
    bars = f"length {span}" + (f" by {group}" if group > 1 else "")
    has_heads = last.second_peakiness is not None
    heads = ("first head", "iteration head") if has_heads else ()
    table = plain_table("epoch", "loss", "accuracy", bars, *heads, left=[bars])
    glyphs = glyphs_for(console.encoding)
    for evaluation in evaluations:
        scores = evaluation.scores
        shares, _ = bar_values(list(scores.accuracy_by_length.values()), room)
        row: list[RenderableType] = [
            f"{evaluation.epoch:,}",
            loss_text(evaluation.loss),
            Text(percent(scores.accuracy), style=_color(scores.accuracy)),
            Text.assemble(*((bar(share, glyphs), _color(share)) for share in shares)),
        ]
        if has_heads:
            # The first head has no color: a low score of it is no fault (section 5 of the paper: ~0.5 at Lmax < 10).
            row += [score_text(scores.first_peakiness), _colored_score(scores.second_peakiness)]
        table.add_row(*row)
    return table


def _colored_score(value: float | None) -> Text:
    return Text(score_text(value), style=_color(value or 0))


def _color(share: float) -> str:
    if share >= EMERGED_ACCURACY:
        return "green"
    return "yellow" if share >= 0.5 else "red"


def lengths_table(scores: Scores, console: Console) -> Table:
    """Return the accuracy at each length, in as many columns as fit."""
    cells = [f"{length}: {percent(share)}" for length, share in scores.accuracy_by_length.items()]
    columns = min(len(cells), max(1, (console.width + 2) // (max(map(len, cells)) + 2)))
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(columns):
        table.add_column(justify="right", no_wrap=True)
    for start in range(0, len(cells), columns):
        table.add_row(*cells[start : start + columns])
    return table


def heads_table(run: Run) -> Table:
    """Return the scores of every head for both roles at the last evaluation: means over the headline lengths."""
    last = run.measurements.filter(pl.col("epoch") == pl.col("epoch").max())
    rows = head_means(last)
    rows = rows.filter(pl.col("split") == rows["split"][-1]).select("name", "layer", "head", "value")
    means = {(name, layer, head): value for name, layer, head, value in rows.iter_rows()}
    best = dict(zip(("first", "iteration"), run.scores.best_pair or (), strict=False))
    columns = ("layer", "head", "1st peak", "weight", "invar.", "2nd peak", "weight", "invar.", "role")
    table = plain_table(*columns, left=["role"])
    for layer, head in sorted({(layer, head) for _, layer, head in means}):
        first, second = (
            [means[f"{role}_{score}", layer, head] for score in ("peakiness", "weight", "invariance")]
            for role in ("first", "second")
        )
        table.add_row(
            f"{layer + 1}",
            f"{head + 1}",
            *map(score_text, first),
            _colored_score(second[0]),
            *map(score_text, second[1:]),
            ", ".join(role for role in best if best[role] == (layer, head)),
        )
    return table


def claims_table(checks: Sequence[Check], interval: str) -> Table:
    """Return a row for each claim of a network or a study; `interval` is the title of the column of intervals."""
    table = plain_table(
        "", "claim", "found", interval, "asked", "verdict", left=["", interval, "asked", "verdict"], wrapped=["claim"]
    )
    for row in claim_rows(checks):
        verdict = Text(row.verdict, style=VERDICT_COLORS[row.verdict])
        table.add_row(row.id, row.claim, row.value or "-", row.interval or "-", row.asked, verdict)
    return table
