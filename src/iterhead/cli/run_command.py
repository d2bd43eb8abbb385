"""`iterhead run`: train a network, or several seeds of it, and report the outcome."""

import argparse
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from iterhead.cli.parsing import Command, Parser, declare, declare_shared, filled, place, refused
from iterhead.cli.shell import BAD_INPUT, NEGATIVE_RESULT, Interrupts, command_line, print_json
from iterhead.errors import UserError
from iterhead.formatting import duration, out_option, plural
from iterhead.values import MAX_SEED

if TYPE_CHECKING:
    from iterhead.runs.run import Run
    from iterhead.runs.worker_pool import Result
    from iterhead.settings import RunConfig

MOST_SEEDS = 10_000
"""In one command; more are taken for a typo."""


def _declare(parser: Parser) -> None:
    from iterhead.cli.options import declare_settings

    run = parser.add_argument_group("the run")
    declare(run, "--config", "FILE", "settings from a TOML file; options take precedence", place)
    declare(run, "--seeds", "LIST", "train several seeds in parallel, e.g. 0..9", seed_list)
    declare_training(run, "workers")
    declare_settings(parser)


def declare_training(group: argparse._ArgumentGroup, *names: str) -> None:
    """Add the options of the commands that train one run, and the named ones of the shared options."""
    group.add_argument("--again", action="store_true", help="train a finished run again, in a new folder next to it")
    group.add_argument("--compile", action="store_true", help="compile with torch.compile; pays for long runs only")
    group.add_argument("--quiet", action="store_true", help="print only the outcome")
    declare_shared(group, "out", *names, "threads", "device")


def seed_list(text: str) -> list[int]:
    """Return the seeds that `0..9`, `3` or `1,4,7..9` stands for; a reader for argparse's `type`."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,19})(?:\.\.([0-9]{1,19}))?", part.strip())
        if not match:
            raise refused(text, "whole numbers and ranges, such as 0..9 or 1,4,7..9")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last <= min(MAX_SEED, first + MOST_SEEDS - len(seeds) - 1):
            raise refused(text, f"ranges from low to high, of at most {MOST_SEEDS:,} seeds up to {MAX_SEED:,}")
        seeds |= dict.fromkeys(range(first, last + 1))
    return list(seeds)


def _run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Train a network or resume its training, and print the outcome."""
    from iterhead.cli.options import read_config

    config = read_config(options)
    if options.seeds is not None:
        return _run_seeds(config, options, interrupts)
    if options.workers is not None:
        raise UserError("--workers: expected together with --seeds; one run is one process")
    with loading_message(options):
        from iterhead.cli.output import run_summary
        from iterhead.cli.report_command import make_final_page
        from iterhead.cli.verify_command import print_quick_check
    run, is_new = train_shown(config, options, interrupts)
    if options.json:
        print_json(run_summary(run))
    else:
        print_outcome(run, options, is_new=is_new)
    silent = options.quiet or options.json
    if not silent:
        print_quick_check(run)
    make_final_page(run, is_new=is_new, silent=silent)
    return exit_code(run)


def train_shown(
    config: "RunConfig", options: argparse.Namespace, interrupts: Interrupts, parents: Path | None = None
) -> tuple["Run", bool]:
    """Train a network or resume its training, and show the progress.

    The options are those of `declare_training`. Returns the run, and False if it was finished before.
    """
    from iterhead.cli.watch import make_watcher
    from iterhead.runs.training import train

    watcher = make_watcher(silent=options.quiet or options.json)
    command = command_line(options.typed)

    def interrupted() -> str:
        if watcher.saved_epoch:
            return f"Interrupted after epoch {watcher.saved_epoch}. Resume with: {command}"
        return f"Interrupted before the first epoch was saved. Start again with: {command}"

    interrupts.message = interrupted
    with interrupts.raised(), watcher:
        run = train(
            config,
            out=options.out,
            parents=parents,
            again=options.again,
            observer=watcher,
            threads=options.threads,
            device=options.device,
            compiled=options.compile,
        )
    see = command_line(["show", str(run.folder.path)])
    interrupts.message = lambda: f"Interrupted: the run is complete. See it with: {see}"
    return run, watcher.run is not None


@contextmanager
def loading_message(options: argparse.Namespace) -> Iterator[None]:
    """Show on a terminal that PyTorch is being imported, which takes seconds, and erase it."""
    text = "Loading PyTorch ..."
    is_shown = sys.stdout.isatty() and not (options.quiet or options.json)
    if is_shown:
        print(text, end="\r", flush=True)
    yield
    if is_shown:
        print(" " * len(text), end="\r", flush=True)


def exit_code(run: "Run") -> int:
    """Return 1 for a run that diverged, else 0."""
    return NEGATIVE_RESULT if run.status.state == "diverged" else 0


def print_outcome(run: "Run", options: argparse.Namespace, *, is_new: bool) -> None:
    """Print the outcome of a run, its files and what to do next."""
    from iterhead.cli.output import files_text, next_step
    from iterhead.report.summary import describe_outcome

    if options.quiet:
        print(filled(describe_outcome(run)))
        return
    if not is_new:
        ended = "diverged" if run.status.state == "diverged" else "is finished"
        print(f"This run {ended} and is not trained again; --again trains a new one.")
    show = command_line(["show", str(run.folder.path)])
    print(f"\n{filled(describe_outcome(run))}\n\n{files_text(run)}")
    print(f"see every score of every head:\n  {show}\n{next_step(run)}")


def _run_seeds(config: "RunConfig", options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Train one network for each seed, and print each result as it comes and a summary at the end."""
    for name in ("again", "compile"):
        if getattr(options, name):
            raise UserError(f"--{name}: expected for one run, not with --seeds")
    command = command_line(options.typed)
    with loading_message(options):
        from iterhead.cli.output import run_summary
    interrupts.message = lambda: f"Interrupted: what was saved is kept. Resume with: {command}"
    started = time.monotonic()
    with interrupts.raised():
        results = _train_seeds(config, options)
    if options.json:
        failed = [{"seed": result.config.seed, "error": result.error} for result in results if result.run is None]
        print_json({"runs": [run_summary(result.run) for result in results if result.run], "failed": failed})
    else:
        print(filled(_seeds_summary(results, config, time.monotonic() - started, Path(options.out))))
    for result in results:
        if result.run is None:
            print(f"seed {result.config.seed} failed: {result.error}", file=sys.stderr)
    if any(result.is_bad_input for result in results):
        return BAD_INPUT
    return NEGATIVE_RESULT if any(result.run is None or exit_code(result.run) for result in results) else 0


def _train_seeds(config: "RunConfig", options: argparse.Namespace) -> list["Result"]:
    """Return the result of each seed, in the order of the seeds."""
    from iterhead.cli.watch import RunsBar
    from iterhead.machine import find_device
    from iterhead.runs.worker_pool import train_many, worker_count

    configs = [config.model_copy(update={"seed": seed}) for seed in options.seeds]
    workers = worker_count(options.workers, find_device(options.device))
    execution = {"out": options.out, "threads": options.threads, "device": options.device}
    results: list[Result] = []
    found = train_many(configs, workers=options.workers, **execution)
    # Closed at once, whatever happens: the workers end with it.
    with closing(found), RunsBar(silent=options.quiet or options.json) as bar:
        bar.write(
            f"Training {plural(len(configs), 'network')} on {config.task}; processes at a time: {workers}. Every "
            "network is saved as it trains: Ctrl-C pauses, and the same command resumes."
        )
        bar.show(0, len(configs))
        for result in found:
            results.append(result)
            bar.show(len(results), len(configs))
            bar.write(f"seed {result.config.seed}: {_result_text(result)}", "  ")
    return sorted(results, key=lambda result: options.seeds.index(result.config.seed))


def _result_text(result: "Result") -> str:
    from iterhead.cli.output import score_parts

    if result.run is None:
        return f"failed: {result.error}"
    status = result.run.status
    ended = "diverged" if status.state == "diverged" else "emerged" if status.emerged else "stopped"
    times = [f"{ended} after {plural(status.epoch, 'epoch')}", f"{duration(status.train_seconds)} of training"]
    return ", ".join([*score_parts(result.run.scores), *times])


def _seeds_summary(results: Sequence["Result"], config: "RunConfig", seconds: float, out: Path) -> str:
    """Return in how many runs the head emerged, and when."""
    from statistics import median

    statuses = [result.run.status for result in results if result.run]
    epochs = [status.epoch for status in statuses if status.emerged]
    if config.data.cot:
        summary = f"The iteration head emerged in {len(epochs)} of {plural(len(results), 'run')}"
        if epochs:
            summary += f", after {min(epochs)} to {max(epochs)} epochs (median {median(epochs):g})"
    else:
        summary = f"{plural(len(statuses), 'run')} trained"
    return f"{summary}. {duration(seconds)} in all. See them with: {command_line(['show'])}{out_option(out)}"


COMMAND = Command(
    name="run",
    summary="train a network and watch its iteration head emerge",
    about=(
        "Trains a small transformer on an iterative task and scores every head after each epoch. It stops when the "
        "iteration head has emerged, tests the network on sequences it has never seen and draws a figure. The same "
        "command resumes an interrupted run; a finished one is not trained twice."
    ),
    examples=(
        ("iterhead run", "a polynomial mod 11, lengths 1 to 16: a minute on a laptop"),
        ("iterhead run --seeds 0..9", "ten seeds, one for each core at a time"),
        ("iterhead run --task parity --seed 3", "parity is solved too, but often by another circuit"),
        ("iterhead run --data.cot false --training.epochs 20", "without chain of thought, for comparison: a minute"),
        ("iterhead run --config mine.toml --training.lr 3e-4", "settings from a file, one of them replaced"),
    ),
    declare=_declare,
    run=_run,
)
