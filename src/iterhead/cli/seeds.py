"""Several seeds of one run, side by side: `iterhead run --seeds 0..9`."""

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from iterhead.cli.display import number
from iterhead.cli.parsing import filled
from iterhead.cli.summary import summary
from iterhead.errors import UserError
from iterhead.formatting import duration, percent, plural
from iterhead.machine import find_device
from iterhead.runs.worker_pool import Result, train_many, worker_count
from iterhead.settings import RunConfig

MOST_SEEDS = 10_000
"""In one command; more than this is a slip of the keyboard."""


def read_seeds(text: str) -> list[int]:
    """Return the seeds that `0..9`, `3` or `1,4,7..9` means.

    Raises:
        UserError: it is none of these.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", part.strip())
        if not found:
            raise UserError(f"--seeds {text}: expected whole numbers and ranges, such as 0..9 or 1,4,7..9")
        first, last = int(found[1]), int(found[2] or found[1])
        if not first <= last < first + MOST_SEEDS:
            raise UserError(f"--seeds {text}: expected a range from low to high of at most {MOST_SEEDS:,} seeds")
        seeds += range(first, last + 1)
    return list(dict.fromkeys(seeds))


def train_seeds(
    config: RunConfig, options: argparse.Namespace, threads: int | None, workers: int | None
) -> list[Result]:
    """Train one network for each seed, tell of each as it ends and of all at the end; return what became of them."""
    seeds = read_seeds(options.seeds)
    configs = [config.model_copy(update={"seed": seed}) for seed in seeds]
    console = Console(highlight=False)
    silent = options.quiet or options.json
    begun = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    results: list[Result] = []
    if not silent:
        console.print(filled(_heading(config, seeds, worker_count(workers, find_device(options.device)))))
    with Progress(*columns, console=console, transient=True, disable=silent or not console.is_terminal) as progress:
        task = progress.add_task("runs done", total=len(configs))
        for result in train_many(configs, out=options.out, workers=workers, threads=threads, device=options.device):
            results.append(result)
            progress.advance(task)
            if not silent:
                progress.console.print(filled(_line(result), "  "))
    results.sort(key=lambda result: seeds.index(result.config.seed))
    if options.json:
        print(_as_json(results))
    else:
        print(filled(_together(results, config, time.monotonic() - begun, options.out)))
    for result in results:
        if result.run is None:
            print(f"seed {result.config.seed} failed: {result.error}", file=sys.stderr)
    return results


def _heading(config: RunConfig, seeds: Sequence[int], processes: int) -> str:
    return (
        f"Training {plural(len(seeds), 'network')} on {config.task}; processes at a time: {processes}. "
        "Each network is saved as it goes: Ctrl-C pauses, the same command goes on."
    )


def _line(result: Result) -> str:
    if result.run is None:
        return f"seed {result.config.seed}: failed: {result.error}"
    scores, status = result.run.scores, result.run.status
    parts = [f"accuracy {percent(scores.accuracy)}"]
    if scores.second_peakiness is not None:
        parts += [f"first head {number(scores.first_peakiness)}", f"iteration head {number(scores.second_peakiness)}"]
    ended = {"diverged": "diverged", "finished": "emerged" if status.emerged else "stopped"}[status.state]
    parts += [f"{ended} after {plural(status.epoch, 'epoch')}", f"{duration(status.train_seconds)} of training"]
    return f"seed {result.config.seed}: {', '.join(parts)}"


def _together(results: Sequence[Result], config: RunConfig, seconds: float, out: str) -> str:
    """Return what the seeds have in common: how many emerged, and when."""
    runs = [result.run for result in results if result.run]
    emerged = [run.status for run in runs if run.status.emerged]
    if config.data.cot:
        said = f"In {len(emerged)} of {plural(len(results), 'run')} the iteration head emerged"
        if emerged:
            epochs = [status.epoch for status in emerged]
            said += f", after {min(epochs)} to {max(epochs)} epochs (median {median(epochs):g})"
    else:
        said = f"{plural(len(runs), 'run')} trained"
    return f"{said}. {duration(seconds)} in all. See them with: iterhead show" + (
        "" if Path(out) == Path("runs") else f" --out {out}"
    )


def _as_json(results: Sequence[Result]) -> str:
    return json.dumps(
        {
            "runs": [summary(result.run) for result in results if result.run],
            "failed": [{"seed": o.config.seed, "error": o.error} for o in results if o.run is None],
        },
        allow_nan=False,
    )
