"""`iterhead handmade`: the network whose every weight is set by hand, built and put to the test."""

import argparse
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from iterhead.cli.interrupts import Interrupts
from iterhead.cli.parsing import Command, Parser, filled
from iterhead.errors import UserError

if TYPE_CHECKING:
    from iterhead.measure import Scores
    from iterhead.model import Transformer
    from iterhead.tasks import Task

SCIENCE_SAYS_NO = 1

LONGEST = 64
"""MLP 1 has L (L + 3) / 2 units, 2,144 here: testing takes up to half a minute, at twice the length several."""

TESTED = 32
"""Sequences of each length."""

WORKED = 8
"""The worked sequence is at most so long, so that it fits a line."""

Residual = Literal["published", "pre-norm"]


@dataclass(frozen=True)
class Built:
    """What is told about a network set by hand.

    Attributes:
        task: its name.
        max_length: the longest number of inputs.
        residual: the convention of the residual stream.
        error: the largest attention weight off the ideal key that was asked for.
        width, mlp_width, heads, parameters: of the network.
        accuracy: mean over the headline lengths.
        accuracy_by_length: exact match on sampled sequences.
        first_peakiness, second_peakiness: of its two heads.
        given: one sequence up to EoI, as names of tokens.
        written: what the network wrote after it by itself.
        true: what is right.
    """

    task: str
    max_length: int
    residual: Residual
    error: float
    width: int
    mlp_width: int
    heads: int
    parameters: int
    accuracy: float
    accuracy_by_length: dict[int, float]
    first_peakiness: float | None
    second_peakiness: float | None
    given: list[str]
    written: list[str]
    true: list[str]

    @property
    def right(self) -> bool:
        """Whether everything is as the construction promises."""
        return min(self.accuracy_by_length.values()) == 1.0 and self.written == self.true


def _declare(parser: Parser) -> None:
    given = parser.add_argument_group("options")
    given.add_argument("--task", metavar="TASK", default="polynomial", help="what to solve [default: polynomial]")
    given.add_argument("--max-length", metavar="L", default="16", help="longest number of inputs [default: 16]")
    given.add_argument(
        "--residual", metavar="KIND", default="published", help="published or pre-norm [default: published]"
    )
    given.add_argument(
        "--error", metavar="E", default="1e-12", help="attention weight off the ideal key, at most [default: 1e-12]"
    )
    given.add_argument("--json", action="store_true", help="one JSON object instead, for scripts")
    given.add_argument("-h", "--help", action="store_true", help="this help")


def _handmade(options: argparse.Namespace, _: Interrupts) -> int:
    """Build the network, test it, and print what came out."""
    length, residual, error = _length(options.max_length), _residual(options.residual), _error(options.error)
    built = _build(options.task, length, residual, error)
    print(json.dumps(asdict(built), allow_nan=False) if options.json else _as_text(built))
    return 0 if built.right else SCIENCE_SAYS_NO


def _length(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= LONGEST):
        raise UserError(f"--max-length {text}: expected a whole number in 1 .. {LONGEST}")
    return int(text)


def _residual(text: str) -> Residual:
    if text == "published":
        return "published"
    if text == "pre-norm":
        return "pre-norm"
    raise UserError(f"--residual {text}: expected published or pre-norm")


def _error(text: str) -> float:
    try:
        error = float(text)
    except ValueError:
        error = 0.0
    if not 0 < error < 1:
        raise UserError(f"--error {text}: expected a number above 0 and below 1, e.g. 1e-12")
    return error


def _build(spec: str, max_length: int, residual: Residual, error: float) -> Built:
    from iterhead.model.handmade import handmade
    from iterhead.tasks import task

    iterative = task(spec)
    model = handmade(iterative, max_length, residual=residual, error=error)
    scores, given, written, true = _tested(model, iterative, max_length)
    return Built(
        task=iterative.name,
        max_length=max_length,
        residual=residual,
        error=error,
        width=model.config.width,
        mlp_width=model.config.hidden,
        heads=model.config.heads,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        accuracy=scores.accuracy,
        accuracy_by_length=dict(scores.accuracy_by_length),
        first_peakiness=scores.first_peakiness,
        second_peakiness=scores.second_peakiness,
        given=given,
        written=written,
        true=true,
    )


def _tested(
    model: "Transformer", iterative: "Task", max_length: int
) -> tuple["Scores", list[str], list[str], list[str]]:
    """Return its scores on sampled sequences, and one sequence: up to EoI, what it wrote then, what is true."""
    import torch

    from iterhead.data import make_dataset
    from iterhead.measure import evaluate, headline, table
    from iterhead.model import generate
    from iterhead.settings import DataConfig
    from iterhead.tasks import SequenceLayout, Vocabulary

    vocabulary = Vocabulary(model.config.vocabulary)
    # Drawn independently: nothing was trained, so nothing has to be kept apart, and no task has too few sequences.
    drawn = DataConfig(max_length=max_length, train_per_length=TESTED, test_per_length=TESTED, split="iid")
    test = make_dataset(iterative, drawn, vocabulary, seed=0).test
    records = evaluate(model, iterative, test)
    scores = headline(table([{"epoch": 0, "split": "test", **record} for record in records]))
    layout = SequenceLayout(min(max_length, WORKED))
    whole = test[layout.length][0]
    prompt = torch.from_numpy(whole[None, : layout.end_of_input + 1])
    written = generate(model, prompt, steps=layout.length + 1)[0].tolist()
    names = vocabulary.names(whole)
    return (
        scores,
        names[: layout.end_of_input + 1],
        [vocabulary.name(token) for token in written],
        names[layout.targets],
    )


def _as_text(built: Built) -> str:
    wrong = [str(length) for length, accuracy in built.accuracy_by_length.items() if accuracy < 1]
    accuracy = f"wrong somewhere at lengths {', '.join(wrong)}" if wrong else f"each of 1 to {built.max_length}"
    peaks = f"first head {_score(built.first_peakiness)}, iteration head {_score(built.second_peakiness)}"
    heads = f"2 layers of {built.heads} head{'s' if built.heads > 1 else ''}"
    rows = [
        ("network", f"{heads}, width {built.width}, MLP width {built.mlp_width}, {built.parameters:,} parameters"),
        ("accuracy", f"{built.accuracy:.3f} on {TESTED} sequences of each length; {accuracy}"),
        ("peakiness", peaks),
        ("given", " ".join(built.given)),
        ("it writes", " ".join(built.written)),
        ("right is", " ".join(built.true)),
    ]
    title = f"Every weight set by hand: {built.task}, lengths up to {built.max_length}, residual {built.residual}"
    return "\n".join([filled(title), "", *(f"  {name:11}{value}" for name, value in rows)])


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


COMMAND = Command(
    name="handmade",
    summary="the circuit with every weight set by hand, built and tested",
    about=(
        "Builds the two-layer network that solves a task by the paper's circuit without any training, checks it on "
        "sampled sequences of every length, and lets it write one chain by itself. Ends with code 1 if anything is "
        "wrong, as where the error asked for is close to 1. The page 'The circuit by hand' derives the weights."
    ),
    examples=(
        ("iterhead handmade", "the polynomial mod 11, lengths up to 16"),
        ("iterhead handmade --task parity --max-length 32", "longer: a wider stream and a larger MLP 1"),
        ("iterhead handmade --task mix:copy,parity --json", "for scripts"),
    ),
    declare=_declare,
    run=_handmade,
)
