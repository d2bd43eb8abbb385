"""`iterhead show`: a run again, in the terminal; without a name, the runs there are."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from iterhead.cli.interrupts import Interrupts
from iterhead.cli.parsing import Command, Parser, filled

if TYPE_CHECKING:
    from rich.console import Console

    from iterhead.runs.options import Evaluation
    from iterhead.runs.run import Run

MOST_ROWS = 20
"""Rows of the table of evaluations; of more, some are left out evenly."""


def _declare(parser: Parser) -> None:
    shown = parser.add_argument_group("options")
    shown.add_argument("run", metavar="RUN", nargs="?", help="a folder, a name, or enough of a name; all unless given")
    shown.add_argument("--out", metavar="FOLDER", default="runs", help="where runs are kept [default: runs]")
    shown.add_argument("--json", action="store_true", help="one JSON object instead, for scripts")
    shown.add_argument("-h", "--help", action="store_true", help="this help")


def _show(options: argparse.Namespace, _: Interrupts) -> int:
    """Print a run, or the list of runs."""
    from rich.console import Console

    if options.run is None:
        _show_all(Path(options.out), options.json)
        return 0
    from iterhead.cli.summary import as_json
    from iterhead.runs.run import load

    run = load(options.run, options.out)
    if options.json:
        print(as_json(run))
    else:
        show_run(run, Console(highlight=False))
    return 0


def _show_all(out: Path, as_json: bool) -> None:
    from iterhead.cli.listing import listing, rows

    found = rows(out)
    if as_json:
        print(json.dumps({"runs": found}, allow_nan=False))
    elif found:
        print(listing(found))
    else:
        print(f"No runs in {out} yet: iterhead run makes one; --out names another folder.")


def show_run(run: "Run", console: "Console") -> None:
    """Print everything about a run.

    Raises:
        UserError: nothing is measured yet, or a file is damaged.
    """
    from iterhead.cli.options import as_options
    from iterhead.cli.tables import evaluations_table, heads_table, lengths_table
    from iterhead.cli.telling import next_steps, written
    from iterhead.report.summary import verdict

    scores, past = run.scores, evaluations(run)
    shown = thinned(past, MOST_ROWS)
    settings = " ".join(as_options(run.config)) or "every setting at its default"
    some = f" ({len(shown)} of {len(past)})" if len(shown) < len(past) else ""
    parts = [
        (f"Run {run.name}", filled(settings)),
        (f"Evaluations on a sample{some}", evaluations_table(shown, console)),
        ("Accuracy at each length, last evaluation", lengths_table(scores, console)),
    ]
    if scores.best_pair is not None:
        parts.append(("Every head (layers and heads count from 1; in Python and JSON from 0)", heads_table(run)))
    parts += [("Verdict", filled(verdict(run))), ("Files", f"{written(run)}{next_steps(run)}")]
    for title, part in parts:
        console.print(title, style="bold", markup=False)
        # Wrapped by the terminal itself, so that a long command can still be copied in one piece.
        console.print(part, markup=False, soft_wrap=isinstance(part, str))
        console.print()


def evaluations(run: "Run") -> list["Evaluation"]:
    """Return the regular evaluations of a run, as an observer would have been told of them."""
    import polars as pl

    from iterhead.runs.options import Evaluation

    rows = run.measurements.filter(pl.col("name") == "loss").select("epoch", "value").iter_rows()
    losses: dict[int, float] = dict(rows)
    limit, seconds = run.config.training.epochs, run.status.train_seconds
    return [Evaluation(epoch, limit, losses.get(epoch), scores, seconds) for epoch, scores in run.history.items()]


def thinned(past: list["Evaluation"], most: int) -> list["Evaluation"]:
    """Return at most so many of the evaluations, evenly, the first and the last among them."""
    if len(past) <= most:
        return past
    last = len(past) - 1
    return [past[round(index * last / (most - 1))] for index in range(most)]


COMMAND = Command(
    name="show",
    summary="a run's settings, scores and curves in the terminal",
    examples=(
        ("iterhead show", "the runs made so far, with what became of each"),
        ("iterhead show polynomial", "the run whose name begins so, if there is one only"),
        ("iterhead show runs/parity-0a1b2c3d4e", "a run by its folder"),
        ("iterhead show polynomial --json", "for scripts: the scores of one run, layers and heads from 0"),
    ),
    declare=_declare,
    run=_show,
)
