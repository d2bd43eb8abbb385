"""What is said around the training of a run: which watcher shows it, and how it ends."""

import argparse
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from iterhead.cli.display import PlainLines, Watcher
from iterhead.cli.live import LiveTable
from iterhead.cli.options import as_options
from iterhead.cli.parsing import filled
from iterhead.cli.program import command_line
from iterhead.cli.summary import as_json
from iterhead.formatting import duration
from iterhead.report.summary import Outcome, outcome, verdict
from iterhead.runs.paths import run_folder_name
from iterhead.runs.run import Run

_FILES: Mapping[str, str] = {
    "report.html": "everything in one web page: maps, curves, claims, the network at work",
    "figure.png": "where both heads look, and how they grew",
    "figure.pdf": "the same, for print",
    "verify.png": "what each intervention leaves of the accuracy",
    "claims.json": "the claims checked, with intervals",
    "measurements.parquet": "every score of every head, a tidy table",
    "checkpoints": "the weights at each evaluation",
    "config.json": "the settings",
    "provenance.json": "versions, and what the task did",
}
"""What each file is for, the first to look at first."""


def make_watcher(silent: bool) -> Watcher:
    """Return the observer that suits stdout: a table on a terminal, plain lines elsewhere, nothing if not wanted."""
    if silent:
        return Watcher()
    console = Console(highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveTable(console)
    return PlainLines(lambda line: print(line, flush=True))


def tell(run: Run, watcher: Watcher, options: argparse.Namespace) -> None:
    """Print what became of a run that `train` returned."""
    if options.json:
        print(as_json(run))
        return
    if options.quiet:
        print(filled(verdict(run)))
        return
    if watcher.run is None:
        ended = "diverged" if run.status.state == "diverged" else "is finished"
        print(f"This run {ended} and is not trained again; --again trains it anew.")
    print(f"\n{filled(verdict(run))}\n")
    print(written(run))
    print(f"every score of every head:\n  {command_line(['show', str(run.folder.path)])}\n{next_steps(run)}")


def written(run: Run) -> str:
    """Return the files of a run with what each is for, and the time it took."""
    status, names = run.status, run.folder.names()
    there = [file for file in _FILES if any(f"{name}/".startswith(f"{file}/") for name in names)]
    files = "".join(f"  {file:22}{_FILES[file]}\n" for file in there)
    times = f"{duration(status.total_seconds)} in all, {duration(status.train_seconds)} of it in training"
    return f"{run.folder.path}  ({times})\n{files}"


def next_steps(run: Run) -> str:
    """Return one or two commands to go on with, each with what it is for."""
    config = run.config
    longer = {"training": config.training.model_copy(update={"epochs": 2 * config.training.epochs})}
    gentler = {"training": config.training.model_copy(update={"lr": float(f"{config.training.lr / 3:.1g}")})}
    steps: dict[Outcome, tuple[str, dict[str, Any]]] = {
        "interrupted": ("goes on where it stopped", {}),
        "diverged": ("learn more slowly", gentler),
        "not stable": ("train longer", longer),
        "partly learned": ("train longer", longer),
        "not learned": ("train longer", longer),
    }
    about, change = steps.get(outcome(run), ("whether another seed does the same", {"seed": config.seed + 1}))
    changed = config.model_copy(update=change)
    out = run.folder.path.parent
    elsewhere = [] if str(out) == "runs" else ["--out", str(out)]
    anew = ["--again"] if not change and run.folder.path.name != run_folder_name(config) else []
    again = command_line(["run", *as_options(changed), *elsewhere, *anew])
    return f"{about}:\n  {again}"
