"""`iterhead show`: a run in the terminal or, without a name, the list of runs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from iterhead.cli.parsing import Command, Parser, declare_shared, filled
from iterhead.cli.shell import Interrupts, print_json
from iterhead.errors import printable

if TYPE_CHECKING:
    from iterhead.runs.options import Evaluation
    from iterhead.runs.run import Run

MOST_ROWS = 20
"""Rows of the table of evaluations; from a longer one, rows are left out evenly."""


def _declare(parser: Parser) -> None:
    group = parser.add_argument_group("options")
    about = "a folder, or the start of a name [default: list all runs]"
    group.add_argument("run", metavar="RUN", nargs="?", help=about)
    declare_shared(group, "task", "out")


def _show(options: argparse.Namespace, _: Interrupts) -> int:
    """Print a run, or the list of runs."""
    from iterhead.cli.output import run_row, run_summary, runs_table
    from iterhead.runs.paths import find_runs
    from iterhead.runs.run import load

    if options.run is not None:
        run = load(options.run, options.out, task=options.task)
        print_json(run_summary(run)) if options.json else _show_run(run)
        return 0
    rows = [run_row(path) for path in find_runs(Path(options.out))]
    if options.json:
        print_json({"runs": rows})
    elif rows:
        print(runs_table(rows))
    else:
        print(f"No runs in {options.out} yet. Make one with iterhead run, or name another folder with --out.")
    return 0


def _show_run(run: "Run") -> None:
    """Print everything about a run; raises UserError if nothing is measured yet, or a file is damaged."""
    from rich.console import Console

    from iterhead.cli.options import as_options
    from iterhead.cli.output import evaluations_table, files_text, heads_table, lengths_table, next_step
    from iterhead.report.summary import describe_outcome
    from iterhead.runs.options import evaluations

    console, scores = Console(highlight=False), run.scores
    past = evaluations(run.config, run.measurements, run.history, run.status.train_seconds)
    shown = thinned(past, MOST_ROWS)
    some = f" ({len(shown)} of {len(past)})" if len(shown) < len(past) else ""
    parts = [
        (f"Run {run.name}", filled(" ".join(as_options(run.config)) or "default settings")),
        *([(f"Evaluations on a sample{some}", evaluations_table(shown, console))] if shown else []),
        ("Accuracy at each length, last evaluation", lengths_table(scores, console)),
    ]
    if scores.best_pair is not None:
        parts.append(("Every head (layers and heads count from 1; in Python and JSON from 0)", heads_table(run)))
    parts += [("Outcome", filled(describe_outcome(run))), ("Files", f"{files_text(run)}{next_step(run)}")]
    for title, part in parts:
        console.print(printable(title), style="bold", markup=False)
        if isinstance(part, str):
            part = "\n".join(map(printable, part.split("\n")))
        # Text is wrapped by the terminal itself, so that a long command can be copied in one piece.
        console.print(part, markup=False, soft_wrap=isinstance(part, str))
        console.print()


def thinned(past: list["Evaluation"], most: int) -> list["Evaluation"]:
    """Return at most `most` of the evaluations, evenly spaced, including the first and the last."""
    if len(past) <= most:
        return past
    return [past[round(index * (len(past) - 1) / (most - 1))] for index in range(most)]


COMMAND = Command(
    name="show",
    summary="a run's settings, scores and curves in the terminal",
    examples=(
        ("iterhead show", "the list of runs, with the outcome of each"),
        ("iterhead show polynomial", "the run whose name starts with polynomial, if there is only one"),
        ("iterhead show polynomial --json", "for scripts: the scores of a run; layers and heads count from 0"),
    ),
    declare=_declare,
    run=_show,
)
