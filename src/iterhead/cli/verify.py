"""`iterhead verify`: interventions and probes on a run, as claims with verdicts."""

import argparse
import json
from typing import TYPE_CHECKING, get_args

from iterhead.cli.interrupts import Interrupts
from iterhead.cli.parsing import Command, Parser, filled
from iterhead.cli.program import command_line
from iterhead.criteria import SOLVED_ACCURACY
from iterhead.errors import UserError
from iterhead.studies.claims import Verdict

if TYPE_CHECKING:
    from rich.table import Table

    from iterhead.runs.run import Run
    from iterhead.studies.verify import Verification

SCIENCE_SAYS_NO = 1

QUICK = 32
"""Test sequences of each length at the end of `iterhead run`: a few seconds."""


def _declare(parser: Parser) -> None:
    given = parser.add_argument_group("options")
    given.add_argument("run", metavar="RUN", help="a folder, a name, or enough of a name")
    given.add_argument("--out", metavar="FOLDER", default="runs", help="where runs are kept [default: runs]")
    given.add_argument("--sequences", metavar="N", default="64", help="test sequences of each length [default: 64]")
    given.add_argument("--json", action="store_true", help="one JSON object instead, for scripts")
    given.add_argument("-h", "--help", action="store_true", help="this help")


def _verify(options: argparse.Namespace, _: Interrupts) -> int:
    """Check the claims about a run's network, and print them."""
    sequences = _count(options.sequences)
    from iterhead.runs.run import load
    from iterhead.studies.verify import verify, write_verification

    run = load(options.run, options.out)
    found = verify(run, sequences)
    # Shown before it is written: a folder that refuses costs nobody what was found.
    if options.json:
        print(json.dumps({"run": str(run.folder.path), **found.as_json()}, allow_nan=False), flush=True)
    else:
        show_verification(found)
    write_verification(run, found)
    if not options.json:
        print(f"\nWritten: claims.json, verify.png and verify.pdf in {run.folder.path}")
    return SCIENCE_SAYS_NO if any(check.verdict == "does not hold" for check in found.checks) else 0


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 2:
        raise UserError(f"--sequences {text}: expected a whole number of at least 2")
    return int(text)


def show_verification(found: "Verification") -> None:
    """Print the circuit, the claims and what each intervention leaves."""
    from rich.console import Console

    from iterhead.cli.tables import claims_table

    console = Console(highlight=False)
    console.print(filled(f"Circuit: {found.circuit}."))
    console.print()
    console.print(claims_table(found.checks, "95%"))
    console.print()
    console.print(_effects_table(found))
    console.print(filled(f"Chance, for a network that reads its own state but not x_t: {found.chance:.3f} of states."))


def tell_claims(run: "Run") -> None:
    """Check the claims about a network that has learnt its task, on few sequences, and say in a line what holds."""
    if run.status.state != "finished" or run.scores.best_pair is None or run.scores.accuracy < SOLVED_ACCURACY:
        return
    from iterhead.studies.verify import read_verification, verify, write_verification

    found = read_verification(run)
    if found is None:
        try:
            found = verify(run, QUICK)
            write_verification(run, found)
        except UserError as error:
            print(f"\nNot verified: {error}")
            return
    print(f"\n{filled(_in_a_line(found))}\n  {command_line(['verify', str(run.folder.path)])}")


def _in_a_line(found: "Verification") -> str:
    """Return what holds, e.g. `9 of 13 claims hold; 3 do not (4a, 4c, 4d); 1 undecided (5b)`, and the circuit."""
    by_verdict = {name: [check.id for check in found.checks if check.verdict == name] for name in get_args(Verdict)}
    failing, open_ = by_verdict["does not hold"], by_verdict["undecided"]
    parts = [f"{len(by_verdict['holds'])} of {len(found.checks)} claims hold"]
    parts += [f"{len(failing)} do not ({', '.join(failing)})"] if failing else []
    parts += [f"{len(open_)} undecided ({', '.join(open_)})"] if open_ else []
    return f"Checked by intervention ({found.circuit}): {'; '.join(parts)}. Each with its evidence:"


def _effects_table(found: "Verification") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("under an intervention")
    table.add_column("right states", justify="right")
    table.add_column("95%")
    table.add_column("whole chains", justify="right")
    for effect in found.effects:
        interval = f"{effect.low:.3f} .. {effect.high:.3f}"
        table.add_row(effect.name, f"{effect.by_token:.3f}", interval, f"{effect.exact:.3f}")
    return table


COMMAND = Command(
    name="verify",
    summary="interventions and probes on a run: claims with verdicts",
    about=(
        "Replaces attention maps by ideal, random, foreign and shifted ones, removes MLP 1, swaps inputs inside the "
        "network and reads its stream with linear probes, and says which claims of the paper hold for this network: "
        "the figure, its 95% interval over test sequences, what the claim asks, and the verdict. Ends with code 1 if a "
        "claim does not hold."
    ),
    examples=(
        ("iterhead verify polynomial", "the run whose name begins so: about ten seconds"),
        ("iterhead verify runs/parity-e1cf48a887 --sequences 256", "narrower intervals"),
        ("iterhead verify polynomial --json", "for scripts"),
    ),
    declare=_declare,
    run=_verify,
)
