"""`iterhead verify`: interventions and probes on a run, as claims with verdicts."""

import argparse
from typing import TYPE_CHECKING

from iterhead.cli.parsing import Command, Parser, declare, declare_shared, filled, whole_number
from iterhead.cli.shell import NEGATIVE_RESULT, Interrupts, command_line, print_json
from iterhead.criteria import SOLVED_ACCURACY
from iterhead.errors import UserError

if TYPE_CHECKING:
    from iterhead.runs.run import Run
    from iterhead.studies.verification import Verification

QUICK = 32
"""Test sequences of each length at the end of `iterhead run`: a few seconds."""


def _declare(parser: Parser) -> None:
    group = parser.add_argument_group("options")
    group.add_argument("run", metavar="RUN", help="a folder, or the start of a name")
    declare(group, "--sequences", "N", "test sequences of each length", whole_number(least=2), 64)
    declare_shared(group, "task", "out")


def _verify(options: argparse.Namespace, _: Interrupts) -> int:
    """Check the claims about a run's network, and print them."""
    from iterhead.runs.run import load
    from iterhead.studies.verification import verify, write_verification

    run = load(options.run, options.out, task=options.task)
    verification = verify(run, options.sequences)
    # Printed before it is written, so that nothing is lost if the folder cannot be written.
    if options.json:
        print_json({"run": str(run.folder.path), **verification.as_json()})
    else:
        _show(verification)
    write_verification(run, verification)
    if not options.json:
        print(f"\nWritten: claims.json, verify.png and verify.pdf in {run.folder.path}")
    return NEGATIVE_RESULT if any(check.verdict == "does not hold" for check in verification.checks) else 0


def _show(verification: "Verification") -> None:
    """Print the circuit, the claims, and the accuracy under each intervention."""
    from rich.console import Console

    from iterhead.cli.output import claims_table, plain_table

    console = Console(highlight=False)
    console.print(filled(f"Circuit: {verification.circuit}."), end="\n\n")
    console.print(claims_table(verification.checks, "95%"))
    effects = plain_table(
        "under an intervention", "right states", "95%", "whole chains", left=["95%"], wrapped=["under an intervention"]
    )
    for effect in verification.effects:
        interval = f"{effect.low:.3f} .. {effect.high:.3f}"
        effects.add_row(effect.name, f"{effect.by_token:.3f}", interval, f"{effect.exact:.3f}")
    chance = f"Chance, for a network that reads its own state but not x_t: {verification.chance:.3f} of states."
    console.print("", effects, filled(chance), sep="\n")


def print_quick_check(run: "Run") -> None:
    """Check the claims about a network that has learned its task on few sequences, and print a summary.

    A run that is already verified is not checked again.
    """
    if run.status.state != "finished" or run.scores.best_pair is None or run.scores.accuracy < SOLVED_ACCURACY:
        return
    from iterhead.studies.verification import read_verification, verify, write_verification

    verification = read_verification(run)
    if verification is None:
        try:
            verification = verify(run, QUICK)
            write_verification(run, verification)
        except UserError as error:
            print(f"\nNot verified: {error}")
            return
    checks = verification.checks
    parts = [f"{sum(check.verdict == 'holds' for check in checks)} of {len(checks)} claims hold"]
    for verdict, words in (("does not hold", "do not"), ("undecided", "undecided")):
        ids = [check.id for check in checks if check.verdict == verdict]
        parts += [f"{len(ids)} {words} ({', '.join(ids)})"] if ids else []
    summary = f"Checked by intervention ({verification.circuit}): {'; '.join(parts)}. See the evidence for each:"
    print(f"\n{filled(summary)}\n  {command_line(['verify', str(run.folder.path)])}")


COMMAND = Command(
    name="verify",
    summary="interventions and probes on a run: claims with verdicts",
    about=(
        "Replaces attention maps, removes MLP 1, swaps inputs inside the network and probes its residual stream, and "
        "says which claims of the paper hold for this network: the value, its 95% interval over test sequences, the "
        "threshold, and the verdict. The exit code is 1 if a claim does not hold."
    ),
    examples=(
        ("iterhead verify polynomial", "the run whose name starts with polynomial: about ten seconds"),
        ("iterhead verify runs/parity-e1cf48a887 --sequences 256", "narrower intervals"),
        ("iterhead verify polynomial --json", "for scripts"),
    ),
    declare=_declare,
    run=_verify,
)
