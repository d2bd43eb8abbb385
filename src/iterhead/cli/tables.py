"""Scores as tables for the terminal: of evaluations, heads, claims and runs."""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from iterhead.cli.parsing import filled
from iterhead.criteria import EMERGED_ACCURACY
from iterhead.formatting import percent
from iterhead.measure.records import Scores, head_means
from iterhead.runs.options import Evaluation
from iterhead.runs.run import Run
from iterhead.studies.claims import Check, Verdict, claim_rows

BLOCKS = "▁▂▃▄▅▆▇█"
DIGITS = "0123456789"
"""In place of the blocks where the terminal's encoding lacks them."""

FIXED_WIDTH = 56
"""Columns that the table of evaluations needs beside its bars."""

HEAD_SCORES = ("peakiness", "weight", "invariance")

VERDICT_COLORS: Mapping[Verdict, str] = {"holds": "green", "does not hold": "red", "undecided": "yellow"}


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
    has_heads = evaluations[-1].scores.second_peakiness is not None
    room = max(4, console.width - FIXED_WIDTH)
    bars = _bars_title(evaluations[-1].scores, room)
    heads = ("first head", "iteration head") if has_heads else ()
    table = plain_table("epoch", "loss", "accuracy", bars, *heads, left=[bars])
    for evaluation in evaluations:
        scores = evaluation.scores
        row: list[RenderableType] = [
            f"{evaluation.epoch:,}",
            loss_text(evaluation.loss),
            Text(percent(scores.accuracy), style=_color(scores.accuracy)),
            _bars(list(scores.accuracy_by_length.values()), room, glyphs_for(console.encoding)),
        ]
        if has_heads:
            # The first head has no color: a low score of it is no fault (section 5 of the paper: ~0.5 at Lmax < 10).
            row += [score_text(scores.first_peakiness), _colored_score(scores.second_peakiness)]
        table.add_row(*row)
    return table


def _bars_title(scores: Scores, room: int) -> str:
    lengths = list(scores.accuracy_by_length)
    _, group = bar_values(lengths, room)
    span = f"{lengths[0]}-{lengths[-1]}" if len(lengths) > 1 else f"{lengths[0]}"
    return f"length {span}" + (f" by {group}" if group > 1 else "")


def _bars(shares: Sequence[float], room: int, glyphs: str) -> Text:
    return Text.assemble(*((bar(value, glyphs), _color(value)) for value in bar_values(shares, room)[0]))


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
            [means[f"{role}_{score}", layer, head] for score in HEAD_SCORES] for role in ("first", "second")
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


def runs_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a list of runs from the rows of `messages.run_row`: outcome and scores, then settings or problem."""
    width = max(len(Path(row["run"]).name) for row in rows)
    titles = ("epochs", "accuracy", "iteration head")
    lines = [f"{'run':{width}}  {'outcome':15}  {'  '.join(titles)}"]
    for row in rows:
        epochs = "-" if row["epochs"] is None else f"{row['epochs']:,}"
        accuracy = "-" if row["accuracy"] is None else percent(row["accuracy"])
        cells = zip((epochs, accuracy, score_text(row["second_peakiness"])), titles, strict=True)
        numbers = "  ".join(f"{cell:>{len(title)}}" for cell, title in cells)
        lines.append(f"{Path(row['run']).name:{width}}  {row['outcome'] or 'unreadable':15}  {numbers}")
        lines.append(filled(row["problem"] or " ".join(row["settings"]) or "default settings", "    "))
    return "\n".join(lines)
