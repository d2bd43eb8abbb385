"""`iterhead handmade`: build the network whose weights are set by hand, and test it."""

import argparse
from typing import Any

from iterhead.cli.parsing import Command, Parser, declare, declare_shared, filled, one_of, refused, whole_number
from iterhead.cli.shell import NEGATIVE_RESULT, Interrupts, print_json
from iterhead.formatting import plural

LONGEST = 64
"""MLP 1 has L (L + 3) / 2 units, 2,144 here. Testing takes up to half a minute; at twice the length, minutes."""

TESTED = 32
"""Sequences of each length."""

WORKED = 8
"""Inputs of the printed sequence at most, so that it fits on a line."""


def _declare(parser: Parser) -> None:
    group = parser.add_argument_group("options")
    lengths, kinds = whole_number(least=1, most=LONGEST), one_of("published", "pre-norm")
    declare(group, "--task", "TASK", "the task to solve", default="polynomial")
    declare(group, "--max-length", "L", "longest number of inputs", lengths, 16)
    declare(group, "--residual", "KIND", "published or pre-norm", kinds, "published")
    declare(group, "--error", "E", "largest attention weight off the ideal key", _error, 1e-12)
    declare_shared(group)


def _error(text: str) -> float:
    try:
        error = float(text)
    except ValueError:
        error = 0.0
    if not 0 < error < 1:
        raise refused(text, "a number above 0 and below 1, e.g. 1e-12")
    return error


def _handmade(options: argparse.Namespace, _: Interrupts) -> int:
    """Build the network, test it, let it continue one sequence, and print the results."""
    results = _results(options)
    wrong = [str(length) for length, accuracy in results["accuracy_by_length"].items() if accuracy < 1]
    if options.json:
        print_json(results)
    else:
        longest, peaks = options.max_length, (results["first_peakiness"], results["second_peakiness"])
        first, second = ("-" if peak is None else f"{peak:.3f}" for peak in peaks)
        where = f"errors at lengths {', '.join(wrong)}" if wrong else f"no errors at lengths 1 to {longest}"
        size = f"width {results['width']}, MLP width {results['mlp_width']}, {results['parameters']:,} parameters"
        what = f"{results['task']}, lengths up to {longest}, residual {options.residual}"
        print(
            filled(f"Every weight set by hand: {what}"),
            f"\n  network    2 layers of {plural(results['heads'], 'head')}, {size}",
            f"  accuracy   {results['accuracy']:.3f} on {TESTED} sequences of each length; {where}",
            f"  peakiness  first head {first}, iteration head {second}",
            f"  given      {' '.join(results['given'])}",
            f"  it writes  {' '.join(results['written'])}",
            f"  right is   {' '.join(results['true'])}",
            sep="\n",
        )
    return NEGATIVE_RESULT if wrong or results["written"] != results["true"] else 0


def _results(options: argparse.Namespace) -> dict[str, Any]:
    """Return sizes, scores on samples, and one sequence: up to EoI, what the network wrote next, what is right."""
    import torch

    from iterhead.data.splits import make_dataset
    from iterhead.measure.evaluate import evaluate
    from iterhead.measure.records import headline, table
    from iterhead.model.generate import generate
    from iterhead.model.handmade import handmade
    from iterhead.settings import DataConfig
    from iterhead.tasks import SequenceLayout, Vocabulary, task

    iterative, longest = task(options.task), options.max_length
    model = handmade(iterative, longest, residual=options.residual, error=options.error)
    vocabulary = Vocabulary(model.config.vocabulary)
    # Drawn independently: nothing was trained, so no sequences have to be held out, and no task has too few.
    data = DataConfig(max_length=longest, train_per_length=TESTED, test_per_length=TESTED, split="iid")
    test = make_dataset(iterative, data, vocabulary, seed=0).test
    records = evaluate(model, iterative, test)
    scores = headline(table([{"epoch": 0, "split": "test", **record} for record in records]))
    layout = SequenceLayout(min(longest, WORKED))
    sequence, prompt = test[layout.length][0], slice(layout.end_of_input + 1)
    written = generate(model, torch.from_numpy(sequence[None, prompt]), steps=layout.length + 1)[0].tolist()
    names = vocabulary.names(sequence)
    return {
        "task": iterative.name,
        "max_length": longest,
        "residual": options.residual,
        "error": options.error,
        "width": model.config.width,
        "mlp_width": model.config.hidden,
        "heads": model.config.heads,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "accuracy": scores.accuracy,
        "accuracy_by_length": dict(scores.accuracy_by_length),
        "first_peakiness": scores.first_peakiness,
        "second_peakiness": scores.second_peakiness,
        "given": names[prompt],
        "written": [vocabulary.name(token) for token in written],
        "true": names[layout.targets],
    }


COMMAND = Command(
    name="handmade",
    summary="the circuit with every weight set by hand, built and tested",
    about=(
        "Builds the two-layer network that solves a task by the paper's circuit without any training, tests it on "
        "sampled sequences of every length, and lets it write one chain of thought. The exit code is 1 if anything is "
        "wrong. The page 'The circuit by hand' derives the weights."
    ),
    examples=(
        ("iterhead handmade", "the polynomial mod 11, lengths up to 16"),
        ("iterhead handmade --task parity --max-length 32", "longer: a wider stream and a larger MLP 1"),
        ("iterhead handmade --task mix:copy,parity --json", "for scripts"),
    ),
    declare=_declare,
    run=_handmade,
)
