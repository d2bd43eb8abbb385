"""`iterhead run`: train, watch the head emerge, say what became of it."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iterhead.cli.interrupts import INTERRUPTED, Interrupts
from iterhead.cli.parsing import Command, Parser
from iterhead.cli.program import command_line
from iterhead.errors import UserError

if TYPE_CHECKING:
    from iterhead.cli.display import Watcher
    from iterhead.runs.run import Run
    from iterhead.settings import RunConfig

SCIENCE_SAYS_NO = 1


def _declare(parser: Parser) -> None:
    from iterhead.cli.options import declare_settings

    run = parser.add_argument_group("the run")
    run.add_argument("--config", metavar="FILE", help="settings from a TOML file; options go before it")
    run.add_argument("--seeds", metavar="LIST", help="train several seeds, one for each core at a time, e.g. 0..9")
    run.add_argument("--workers", metavar="N", help="processes for --seeds [default: one for each free core]")
    declare_means(run)
    declare_settings(parser)


def declare_means(group: argparse._ArgumentGroup) -> None:
    """Add the options of whoever trains one run: with what, whether anew, and what to show."""
    group.add_argument("--out", metavar="FOLDER", default="runs", help="where runs are kept [default: runs]")
    group.add_argument("--again", action="store_true", help="train anew beside a finished run of the same settings")
    group.add_argument("--threads", metavar="N", help="threads of PyTorch [default: all free cores]")
    group.add_argument("--device", metavar="NAME", default="auto", help="cpu, cuda, mps or auto [default: auto]")
    group.add_argument(
        "--compile", action="store_true", help="let torch.compile translate the steps: for long runs only"
    )
    group.add_argument("--quiet", action="store_true", help="show only what became of the run")
    group.add_argument("--json", action="store_true", help="one JSON object instead, for scripts")
    group.add_argument("-h", "--help", action="store_true", help="this help")


def _run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Train a network, or go on, and tell what became of it."""
    from iterhead.cli.options import read_config

    config = read_config(options)
    threads, workers = (_count(name, getattr(options, name)) for name in ("threads", "workers"))
    if options.seeds is not None:
        return _run_seeds(config, options, interrupts, threads, workers)
    if workers is not None:
        raise UserError("--workers: expected together with --seeds; one run is one process")
    with waiting(options):
        from iterhead.cli.report import tell_page
        from iterhead.cli.telling import tell
        from iterhead.cli.verify import tell_claims
    ended = train_shown(config, options, interrupts)
    if ended is None:
        return INTERRUPTED
    run, watcher = ended
    tell(run, watcher, options)
    silent = options.quiet or options.json
    if not silent:
        tell_claims(run)
    tell_page(run, anew=watcher.run is not None, silent=silent)
    return exit_code(run)


def train_shown(
    config: "RunConfig", options: argparse.Namespace, interrupts: Interrupts, parents: Path | None = None
) -> tuple["Run", "Watcher"] | None:
    """Train a network, or go on, and show how it goes.

    Args:
        config: its settings.
        options: with those of `declare_means`.
        interrupts: are told what to say.
        parents: the folder with the run that it starts from, as for `runs.train`.

    Returns:
        The run, and who watched it; None where it was interrupted, which has been told.
    """
    command = command_line(options.typed)
    from iterhead.cli.telling import make_watcher
    from iterhead.runs.training import train

    watcher = make_watcher(options.quiet or options.json)
    threads = _count("threads", options.threads)
    means: dict[str, Any] = {"threads": threads, "device": options.device, "compiled": options.compile}
    interrupts.message = lambda: _interrupted(watcher, command)
    try:
        with interrupts.raised(), watcher:
            run = train(config, out=options.out, parents=parents, again=options.again, observer=watcher, **means)
    except KeyboardInterrupt:
        print(interrupts.message(), file=sys.stderr)
        return None
    see = command_line(["show", str(run.folder.path)])
    interrupts.message = lambda: f"Interrupted: the run is complete. See it with: {see}"
    return run, watcher


@contextmanager
def waiting(options: argparse.Namespace) -> Iterator[None]:
    """Say what takes the first seconds, and take it back; only to a person at a terminal."""
    text = "Loading PyTorch ..."
    shown = sys.stdout.isatty() and not (options.quiet or options.json)
    if shown:
        print(text, end="\r", flush=True)
    yield
    if shown:
        print(" " * len(text), end="\r", flush=True)


def exit_code(run: "Run") -> int:
    """Return 1 for a run that has diverged, 0 for any other."""
    return SCIENCE_SAYS_NO if run.status.state == "diverged" else 0


def _interrupted(watcher: "Watcher", command: str) -> str:
    if watcher.saved_epoch:
        return f"Interrupted after epoch {watcher.saved_epoch}. Go on with: {command}"
    return f"Interrupted before the first epoch was saved. Begin again with: {command}"


def _count(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        count = int(text)
    except ValueError:
        raise UserError(f"--{name} {text}: expected a whole number") from None
    if count < 1:
        raise UserError(f"--{name} {text}: expected at least 1")
    return count


def _run_seeds(
    config: "RunConfig", options: argparse.Namespace, interrupts: Interrupts, threads: int | None, workers: int | None
) -> int:
    """Train several seeds side by side."""
    for name in ("again", "compile"):
        if getattr(options, name):
            raise UserError(f"--{name}: expected for one run, not with --seeds")
    command = command_line(options.typed)
    with waiting(options):
        from iterhead.cli.seeds import train_seeds
    try:
        with interrupts.raised():
            results = train_seeds(config, options, threads, workers)
    except KeyboardInterrupt:
        print(f"Interrupted. What was saved is kept; go on with: {command}", file=sys.stderr)
        return INTERRUPTED
    bad = any(result.run is None or result.run.status.state == "diverged" for result in results)
    return SCIENCE_SAYS_NO if bad else 0


COMMAND = Command(
    name="run",
    summary="train a network and watch its iteration head emerge",
    about=(
        "Trains a small transformer on an iterative task, scores every head after each epoch, stops when the "
        "iteration head has emerged, tests it on sequences it has never seen and draws a figure. A run is a folder "
        "named by its settings: started again it goes on where it was interrupted, and what is finished is not "
        "trained twice."
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
