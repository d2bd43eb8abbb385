"""`iterhead transfer`: train a run's network on another task, and say how much sooner it learnt it."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iterhead.cli.interrupts import INTERRUPTED, Interrupts
from iterhead.cli.parsing import Command, Parser
from iterhead.cli.program import command_line
from iterhead.cli.run import declare_means, exit_code, train_shown, waiting
from iterhead.criteria import LEARNED_ACCURACY
from iterhead.errors import UserError

if TYPE_CHECKING:
    from iterhead.runs.run import Run


def _declare(parser: Parser) -> None:
    from iterhead.cli.options import declare_settings

    given = parser.add_argument_group("the transfer")
    given.add_argument("--from", dest="source", metavar="RUN", help="whose network: a folder, or enough of a name")
    given.add_argument("--epoch", metavar="N", help="which of its checkpoints [default: the last]")
    given.add_argument(
        "--only",
        metavar="WORD",
        default="all",
        choices=("all", "last-mlp", "not-attention"),
        help="which weights move: last-mlp, those of the last layer's MLP; not-attention, all but those of attention "
        "[default: all]",
    )
    declare_means(given)
    declare_settings(parser, without=("start", "training.train"), defaults=False)


def _transfer(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Train the child, or go on, and compare it with a run from scratch."""
    if options.source is None:
        raise UserError("--from: expected the run whose network to start from (iterhead show lists the runs)")
    if getattr(options, "--task") is None:
        raise UserError("--task: expected the task to train on, such as parity (iterhead tasks lists them)")
    from iterhead.cli.options import read_values

    values, epoch = read_values(options), _epoch(options.epoch)
    with waiting(options):
        from iterhead.cli.report import tell_page
        from iterhead.cli.telling import tell
        from iterhead.runs.run import load
        from iterhead.runs.transfer import transfer_config

        parent = load(options.source, options.out)
        config = transfer_config(parent, values, train=options.only, epoch=epoch)
    ended = train_shown(config, options, interrupts, parents=parent.folder.path.resolve().parent)
    if ended is None:
        return INTERRUPTED
    run, watcher = ended
    facts = comparison(run)
    if options.json:
        from iterhead.cli.summary import summary

        print(json.dumps(summary(run) | {"transfer": facts}, allow_nan=False))
    else:
        tell(run, watcher, options)
        print(f"\n{told(run, facts)}")
    tell_page(run, anew=watcher.run is not None, silent=options.quiet or options.json)
    return exit_code(run)


def _epoch(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        raise UserError(f"--epoch {text}: expected a whole number") from None


def comparison(run: "Run") -> dict[str, Any]:
    """Return how soon a run and its counterpart from scratch reached the accuracy, as JSON values.

    `epochs` and `scratch.epochs` are None where it was never reached; `scratch.run` is None where there is no finished
    run of those settings in the folder, and then `scratch.command` makes it.
    """
    from iterhead.cli.options import as_options
    from iterhead.measure import epochs_to
    from iterhead.runs.paths import run_folder_name
    from iterhead.runs.run import Run, is_finished
    from iterhead.runs.storage import RunFolder
    from iterhead.runs.transfer import from_scratch

    config, out = from_scratch(run.config), run.folder.path.parent
    elsewhere = [] if out == Path("runs") else ["--out", str(out)]
    scratch: dict[str, Any] = {"run": None, "epochs": None, "trained": None}
    scratch["command"] = command_line(["run", *as_options(config), *elsewhere])
    folder = RunFolder(out / run_folder_name(config))
    if is_finished(folder):
        other = Run(folder)
        scratch |= {
            "run": other.name,
            "epochs": epochs_to(other.history, LEARNED_ACCURACY),
            "trained": other.status.epoch,
        }
    start = run.config.start
    return {
        "from": start and start.run,
        "epoch": start and start.epoch,
        "only": run.config.training.train,
        "accuracy": LEARNED_ACCURACY,
        "epochs": epochs_to(run.history, LEARNED_ACCURACY),
        "trained": run.status.epoch,
        "scratch": scratch,
    }


def told(run: "Run", facts: dict[str, Any]) -> str:
    """Return the comparison in words."""
    from iterhead.formatting import length_range, plural
    from iterhead.measure import headline_lengths

    def line(epochs: int | None, trained: int) -> str:
        return f"not within {plural(trained, 'epoch')}" if epochs is None else f"after {plural(epochs, 'epoch')}"

    scratch = facts["scratch"]
    lengths = length_range(headline_lengths(list(run.config.data.lengths)))
    lines = [
        f"Mean accuracy {facts['accuracy']:g} on {lengths}:",
        f"  {line(facts['epochs'], facts['trained']):26}from {facts['from']}",
    ]
    if scratch["run"]:
        return "\n".join([*lines, f"  {line(scratch['epochs'], scratch['trained']):26}from scratch, {scratch['run']}"])
    return "\n".join([*lines, f"how long it takes from scratch:\n  {scratch['command']}"])


COMMAND = Command(
    name="transfer",
    summary="train a run's network on another task",
    about=(
        "Starts from the weights of a finished run, trains them on another task, and says after how many epochs the "
        f"mean accuracy reached {LEARNED_ACCURACY:g}, beside a run from scratch with the same settings if there is "
        "one. Settings that are not given are those of the run started from, its seed too; its short epochs as well, "
        "so --training.short-epochs 0 begins with all lengths. The new run has a copy of the weights it started from."
    ),
    examples=(
        ("iterhead transfer --from polynomial --task parity", "the run whose name begins so, on parity"),
        ("iterhead transfer --from polynomial --task parity --only last-mlp", "does it need only a new F?"),
        ("iterhead transfer --from polynomial --task copy --epoch 5", "from an earlier checkpoint"),
        ("iterhead transfer --from polynomial --task parity --json", "for scripts: the epochs, and the run's scores"),
    ),
    declare=_declare,
    run=_transfer,
)
