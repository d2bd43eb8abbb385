"""Scores as tables: of the evaluations, also while a run is in training, and of every head."""

from collections.abc import Mapping, Sequence

import polars as pl
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from iterhead.cli.display import bar, bar_values, glyphs_for, loss_text, number
from iterhead.criteria import EMERGED_ACCURACY
from iterhead.formatting import percent
from iterhead.measure import Scores, headline_lengths
from iterhead.runs.options import Evaluation
from iterhead.runs.run import Run
from iterhead.studies.claims import Check, Verdict, claim_rows

FIXED_WIDTH = 56
"""Columns that the table of evaluations needs beside its bars."""

VERDICT_COLOURS: Mapping[Verdict, str] = {"holds": "green", "does not hold": "red", "undecided": "yellow"}

HEAD_SCORES = ("peakiness", "weight", "invariance")


def plain_table(numbers: Sequence[str]) -> Table:
    """Return a table without lines and with right-aligned columns of these titles."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for title in numbers:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def evaluations_table(shown: Sequence[Evaluation], console: Console) -> Table:
    """Return one row for each evaluation, with the accuracy at each length as bars."""
    has_heads = shown[-1].scores.second_peakiness is not None
    room = max(4, console.width - FIXED_WIDTH)
    table = plain_table(["epoch", "loss", "accuracy"])
    table.add_column(_bars_title(shown[-1].scores, room), no_wrap=True)
    for title in ("first head", "iteration head") if has_heads else ():
        table.add_column(title, justify="right", no_wrap=True)
    for progress in shown:
        scores = progress.scores
        shares = list(scores.accuracy_by_length.values())
        # The first head is not coloured: a low score of it is no fault (section 5 of the paper: ~0.5 at Lmax < 10).
        peaks = [Text(number(scores.first_peakiness)), scored(scores.second_peakiness)] if has_heads else []
        table.add_row(
            f"{progress.epoch:,}",
            loss_text(progress.loss),
            Text(percent(scores.accuracy), style=colour(scores.accuracy)),
            bars_text(shares, room, glyphs_for(console.encoding)),
            *peaks,
        )
    return table


def _bars_title(scores: Scores, room: int) -> str:
    lengths = list(scores.accuracy_by_length)
    _, group = bar_values(lengths, room)
    span = f"{lengths[0]}-{lengths[-1]}" if len(lengths) > 1 else f"{lengths[0]}"
    return f"length {span}" + (f" by {group}" if group > 1 else "")


def bars_text(shares: Sequence[float], room: int, glyphs: str) -> Text:
    """Return coloured bars, one for each share or for some together."""
    text = Text()
    for value in bar_values(shares, room)[0]:
        text.append(bar(value, glyphs), style=colour(value))
    return text


def scored(value: float | None) -> Text:
    """Return a score in the colour that tells how good it is."""
    return Text(number(value), style=colour(value or 0))


def colour(share: float) -> str:
    """Return green for solved, yellow for half, red below."""
    if share >= EMERGED_ACCURACY:
        return "green"
    return "yellow" if share >= 0.5 else "red"


def lengths_table(scores: Scores, console: Console) -> Table:
    """Return the accuracy at each length, in as many columns as fit."""
    cells = [f"{length}: {percent(share)}" for length, share in scores.accuracy_by_length.items()]
    across = max(1, (console.width + 2) // (max(map(len, cells)) + 2))
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    for _ in range(min(across, len(cells))):
        table.add_column(justify="right", no_wrap=True)
    for start in range(0, len(cells), across):
        table.add_row(*cells[start : start + across])
    return table


def heads_table(run: Run) -> Table:
    """Return the scores of every head for both roles, means over the headline lengths, from the last evaluation.

    In three columns for each role: peakiness, weight and invariance.
    """
    means = _means(run)
    first, second = run.scores.best_pair or (None, None)
    table = plain_table(["layer", "head", "1st peak", "weight", "invar.", "2nd peak", "weight", "invar."])
    table.add_column("role", no_wrap=True)
    for layer, head in sorted({(layer, head) for _, layer, head in means}):
        values: list[RenderableType] = []
        for role in ("first", "second"):
            for score in HEAD_SCORES:
                value = means[f"{role}_{score}", layer, head]
                values.append(scored(value) if (role, score) == ("second", "peakiness") else number(value))
        roles = [name for name, best in (("first", first), ("iteration", second)) if (layer, head) == best]
        table.add_row(f"{layer + 1}", f"{head + 1}", *values, ", ".join(roles))
    return table


def _means(run: Run) -> dict[tuple[str, int, int], float]:
    """Return the mean of each head's scores by (name, layer, head), over the lengths of the headline."""
    table = run.measurements
    lengths = headline_lengths(list(run.scores.accuracy_by_length))
    last = table.filter((pl.col("epoch") == table["epoch"].max()) & pl.col("head").is_not_null())
    final = last.filter(pl.col("split") == last["split"][-1]).filter(pl.col("length").is_in(lengths))
    means = final.group_by("name", "layer", "head").agg(pl.col("value").mean())
    return {(name, layer, head): value for name, layer, head, value in means.iter_rows()}


def claims_table(checks: Sequence[Check], interval: str) -> Table:
    """Return a row for each claim.

    Args:
        checks: of a network or of a study.
        interval: title of the column of intervals.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", "claim", "found", interval, "asked"):
        table.add_column(title, justify="right" if title == "found" else "left")
    table.add_column("verdict", no_wrap=True)
    for row in claim_rows(checks):
        verdict = Text(row.verdict, style=VERDICT_COLOURS[row.verdict])
        table.add_row(row.id, row.claim, row.value or "-", row.interval or "-", row.asked, verdict)
    return table
