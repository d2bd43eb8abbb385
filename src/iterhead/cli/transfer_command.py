"""`iterhead transfer`: train a run's network on another task, and compare how soon it learned it."""

import argparse
from typing import TYPE_CHECKING, Any

from iterhead.cli.parsing import Command, Parser, declare, one_of, whole_number
from iterhead.cli.run_command import declare_training, exit_code, loading_message, print_outcome, train_shown
from iterhead.cli.shell import Interrupts, command_line, print_json
from iterhead.criteria import LEARNED_ACCURACY
from iterhead.errors import UserError
from iterhead.formatting import length_range, out_option, plural

if TYPE_CHECKING:
    from iterhead.runs.run import Run


def _declare(parser: Parser) -> None:
    from iterhead.cli.options import declare_settings

    group = parser.add_argument_group("the transfer")
    group.add_argument("--from", dest="source", metavar="RUN", help="the run to start from: a folder or part of a name")
    declare(group, "--epoch", "N", "which of its checkpoints [default: the last]", whole_number(least=0))
    about = "weights to train: all, those of the last MLP (last-mlp), or all but attention (not-attention)"
    declare(group, "--only", "WORD", about, one_of("all", "last-mlp", "not-attention"), "all")
    declare_training(group)
    declare_settings(parser, without=("start", "training.train"), defaults=False)


def _transfer(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Train the new run or resume its training, and compare it with a run from scratch."""
    if options.source is None:
        raise UserError("--from: expected the run whose network to start from (iterhead show lists the runs)")
    if getattr(options, "--task") is None:
        raise UserError("--task: expected the task to train on, such as parity (iterhead tasks lists them)")
    from iterhead.cli.options import read_values

    values = read_values(options)
    with loading_message(options):
        from iterhead.cli.output import run_summary
        from iterhead.cli.report_command import make_final_page
        from iterhead.runs.run import load
        from iterhead.runs.transfer import transfer_config

        parent = load(options.source, options.out)
        config = transfer_config(parent, values, train=options.only, epoch=options.epoch)
    run, is_new = train_shown(config, options, interrupts, parents=parent.folder.path.resolve().parent)
    comparison = _compare(run)
    if options.json:
        print_json(run_summary(run) | {"transfer": comparison})
    else:
        print_outcome(run, options, is_new=is_new)
        print(f"\n{_comparison_text(run, comparison)}")
    make_final_page(run, is_new=is_new, silent=options.quiet or options.json)
    return exit_code(run)


def _compare(run: "Run") -> dict[str, Any]:
    """Return how soon a run and its counterpart from scratch reached the accuracy, as JSON values.

    `epochs` and `scratch.epochs` are None if it was never reached. `scratch.run` is None if the folder has no finished
    run with those settings; `scratch.command` trains it.
    """
    from iterhead.cli.options import as_options
    from iterhead.measure.emergence import epochs_to
    from iterhead.runs.paths import run_folder_name
    from iterhead.runs.run import Run, is_finished
    from iterhead.runs.storage import RunFolder
    from iterhead.runs.transfer import from_scratch

    config, out = from_scratch(run.config), run.folder.path.parent
    scratch: dict[str, Any] = {"run": None, "epochs": None, "trained": None}
    scratch["command"] = command_line(["run", *as_options(config)]) + out_option(out)
    folder = RunFolder(out / run_folder_name(config))
    if is_finished(folder):
        other = Run(folder)
        epochs = epochs_to(other.history, LEARNED_ACCURACY)
        scratch |= {"run": other.name, "epochs": epochs, "trained": other.status.epoch}
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


def _comparison_text(run: "Run", comparison: dict[str, Any]) -> str:
    from iterhead.measure.records import headline_lengths

    def line(entry: dict[str, Any], origin: str) -> str:
        epochs, limit = entry["epochs"], plural(entry["trained"], "epoch")
        when = f"not within {limit}" if epochs is None else f"after {plural(epochs, 'epoch')}"
        return f"\n  {when:26}from {origin}"

    scratch = comparison["scratch"]
    lengths = length_range(headline_lengths(list(run.config.data.lengths)))
    text = f"Mean accuracy {comparison['accuracy']:g} on {lengths}:{line(comparison, comparison['from'])}"
    if scratch["run"]:
        return text + line(scratch, f"scratch, {scratch['run']}")
    return f"{text}\nto compare, train from scratch:\n  {scratch['command']}"


COMMAND = Command(
    name="transfer",
    summary="train a run's network on another task",
    about=(
        "Starts from the weights of a finished run and trains them on another task. Reports after how many epochs the "
        f"mean accuracy reached {LEARNED_ACCURACY:g}, next to a run from scratch with the same settings if there is "
        "one. Settings that are not given are those of the first run, including its seed and its short epochs: use "
        "--training.short-epochs 0 to begin with all lengths. The new run keeps a copy of the weights it started from."
    ),
    examples=(
        ("iterhead transfer --from polynomial --task parity", "the run whose name starts with polynomial, on parity"),
        ("iterhead transfer --from polynomial --task parity --only last-mlp", "does it need only a new F?"),
        ("iterhead transfer --from polynomial --task copy --epoch 5", "from an earlier checkpoint"),
    ),
    declare=_declare,
    run=_transfer,
)
