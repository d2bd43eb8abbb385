"""`iterhead export`: the network of a run as a folder that other tools open."""

import argparse

from iterhead.cli.parsing import Command, Parser, declare, declare_shared, one_of, place, whole_number
from iterhead.cli.shell import Interrupts, print_json


def _declare(parser: Parser) -> None:
    group = parser.add_argument_group("options")
    group.add_argument("run", metavar="RUN", help="a folder, or the start of a name")
    group.add_argument("--to", metavar="FOLDER", type=place, required=True, help="the folder to write: new or empty")
    formats = one_of("auto", "gpt2", "transformer-lens")
    declare(group, "--format", "FORMAT", "auto, gpt2 or transformer-lens", formats, "auto")
    declare(group, "--epoch", "N", "checkpoint of this epoch [default: the last]", whole_number(least=0))
    group.add_argument("--force", action="store_true", help="replace an earlier export in that folder")
    declare_shared(group, "task", "out")


def _export(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Write the folder, and print what opens it."""
    from iterhead.runs.export import export
    from iterhead.runs.run import load

    run = load(options.run, options.out, task=options.task)
    with interrupts.raised():  # the temporary folder is removed
        folder = export(run, options.to, options.format, epoch=options.epoch, force=options.force)
    if options.json:
        files = sorted(path.name for path in folder.iterdir())
        print_json({"run": str(run.folder.path), "folder": str(folder), "format": options.format, "files": files})
    else:
        print(f"{folder}\nREADME.md in it says how to load it.")
    return 0


COMMAND = Command(
    name="export",
    summary="a run's network for transformers and TransformerLens",
    about=(
        "Writes the network of a run into a folder that Hugging Face's from_pretrained opens: config, weights "
        "(safetensors), a tokenizer and a model card. Format auto takes every network; a modelling file comes with the "
        "weights, so iterhead is not needed to load it, but trust_remote_code=True is. gpt2 and transformer-lens are "
        "plain GPT-2 checkpoints, for networks trained with --model.residual pre-norm. Needs pip install "
        "'iterhead[hf]'."
    ),
    examples=(
        ("iterhead export polynomial --to my-network", "the run whose name starts with polynomial"),
        ("iterhead export polynomial --to gpt2-network --format gpt2", "a pre-norm network as a GPT-2 checkpoint"),
        ("iterhead export polynomial --to epoch-12 --epoch 12 --json", "an earlier checkpoint, for scripts"),
    ),
    declare=_declare,
    run=_export,
)
