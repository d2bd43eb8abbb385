"""`iterhead bench`: how fast this machine is, as ratios against the plain twins."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from iterhead.cli.interrupts import Interrupts
from iterhead.cli.parsing import Command, Parser
from iterhead.errors import UserError

if TYPE_CHECKING:
    from iterhead.bench import Group, Measured


def _declare(parser: Parser) -> None:
    group = parser.add_argument_group("what to measure")
    group.add_argument(
        "groups",
        metavar="GROUP",
        nargs="*",
        help="steps, populations, evaluation, workers, memory, emergence, scaling, study or gpu [default: the first 4]",
    )
    group.add_argument("--all", action="store_true", help="every group: ten minutes on two cores")
    group.add_argument("--device", metavar="NAME", default="auto", help="cpu, cuda, mps or auto [default: auto]")
    group.add_argument("--json", action="store_true", help="one JSON object instead, for scripts")
    group.add_argument("-h", "--help", action="store_true", help="this help")


def _run(options: argparse.Namespace, _interrupts: Interrupts) -> int:
    """Measure, and tell each figure as soon as it is there."""
    from iterhead.bench import describe_machine
    from iterhead.machine import find_device, free_cores, keep_freed_memory, torch_threads

    groups = _chosen(options)
    device = find_device(options.device)
    keep_freed_memory()
    results: list[Measured] = []
    with torch_threads(free_cores()):
        machine = describe_machine(device)
        if not options.json:
            print(_about(machine))
        for group in groups:
            if not options.json:
                print(f"\n{group.name}: {group.about}", flush=True)
            for measured in group.measure(device):
                results.append(measured)
                if not options.json:
                    print(f"  {_line(measured)}", flush=True)
    if options.json:
        print(json.dumps({"machine": machine, "results": [_as_json(measured) for measured in results]}))
    return 0


def _chosen(options: argparse.Namespace) -> list["Group"]:
    """Return the groups to measure.

    Raises:
        UserError: no such group.
    """
    from iterhead.bench import GROUPS

    known = {group.name: group for group in GROUPS}
    for name in options.groups:
        if name not in known:
            raise UserError(f"{name}: no such group of figures: expected {', '.join(known)}")
    if options.groups:
        return [known[name] for name in dict.fromkeys(options.groups)]
    return [group for group in GROUPS if group.quick or options.all]


def _about(machine: dict[str, Any]) -> str:
    from iterhead.formatting import plural

    rates = f"{machine['float32_gflops']:,.0f} GFLOP/s in float32"
    if "bfloat16_gflops" in machine:
        rates += f", {machine['bfloat16_gflops']:,.0f} in bfloat16"
    return (
        f"{machine['processor']}, {plural(machine['cores'], 'core')}, {plural(machine['threads'], 'thread')}, "
        f"torch {machine['torch']}\n"
        f"products of large matrices: {rates}; load before: {machine['load']}"
    )


def _line(measured: "Measured") -> str:
    if measured.value is None:
        value = "not measured"
    elif measured.unit == "share":
        value = f"{100 * measured.value:.1f}%"
    else:
        value = f"{measured.value:,.2f} {measured.unit}".removesuffix(" exponent")
    return f"{measured.name}: {value}{_goal(measured)}"


def _goal(measured: "Measured") -> str:
    if not measured.goal:
        return ""
    sign, bound = measured.goal.split()
    shown = f"{100 * float(bound):g}%" if measured.unit == "share" else bound
    met = {True: "reached", False: "missed", None: "open"}[measured.reached]
    return f"   (goal {sign} {shown}: {met})"


def _as_json(measured: "Measured") -> dict[str, Any]:
    return {
        "name": measured.name,
        "value": measured.value,
        "unit": measured.unit,
        "goal": measured.goal or None,
    }


COMMAND = Command(
    name="bench",
    summary="measure this machine's speed against the plain twins",
    about=(
        "Times the fast paths against plain PyTorch that computes the same: both sides take turns in one process, and "
        "each figure is a median of several rounds. Ratios can be compared between machines, milliseconds can't. Let "
        "nothing else run meanwhile."
    ),
    examples=(
        ("iterhead bench", "what takes a few minutes"),
        ("iterhead bench steps", "training steps alone: half a minute"),
        ("iterhead bench --all --json", "everything, for a script"),
    ),
    declare=_declare,
    run=_run,
)
