"""`iterhead bench`: the speed of this machine, as ratios against plain PyTorch."""

import argparse
from typing import TYPE_CHECKING, Any

from iterhead.cli.parsing import Command, Parser, declare_shared
from iterhead.cli.shell import Interrupts, print_json
from iterhead.errors import UserError
from iterhead.formatting import plural

if TYPE_CHECKING:
    from iterhead.bench.suite import Group
    from iterhead.bench.timing import Measurement


def _declare(parser: Parser) -> None:
    group = parser.add_argument_group("what to measure")
    group.add_argument(
        "groups",
        metavar="GROUP",
        nargs="*",
        help="steps, populations, evaluation, workers, memory, emergence, scaling, study, scan or gpu "
        "[default: the first 4]",
    )
    group.add_argument("--all", action="store_true", help="every group: a quarter of an hour")
    declare_shared(group, "device")


def _bench(options: argparse.Namespace, _: Interrupts) -> int:
    """Measure, and print each result as soon as it is there."""
    from iterhead.bench.timing import describe_machine
    from iterhead.machine import find_device, free_cores, keep_freed_memory, torch_threads

    def show(line: str) -> None:
        if not options.json:
            print(line, flush=True)

    groups, device = _chosen(options), find_device(options.device)
    keep_freed_memory()
    results: list[dict[str, Any]] = []
    with torch_threads(free_cores()):
        machine = describe_machine(device)
        show(_machine_text(machine))
        for group in groups:
            show(f"\n{group.name}: {group.about}")
            for measured in group.measure(device):
                goal = measured.goal or None
                results.append({"name": measured.name, "value": measured.value, "unit": measured.unit, "goal": goal})
                show(f"  {_line(measured)}")
    if options.json:
        print_json({"machine": machine, "results": results})
    return 0


def _chosen(options: argparse.Namespace) -> list["Group"]:
    """Return the groups to measure; raises UserError for one that does not exist."""
    from iterhead.bench.suite import GROUPS

    by_name = {group.name: group for group in GROUPS}
    for name in options.groups:
        if name not in by_name:
            raise UserError(f"{name}: no such benchmark: expected {', '.join(by_name)}")
    if options.groups:
        return [by_name[name] for name in dict.fromkeys(options.groups)]
    return [group for group in GROUPS if group.quick or options.all]


def _machine_text(machine: dict[str, Any]) -> str:
    rates = f"{machine['float32_gflops']:,.0f} GFLOP/s in float32"
    if "bfloat16_gflops" in machine:
        rates += f", {machine['bfloat16_gflops']:,.0f} in bfloat16"
    return (
        f"{machine['processor']}, {plural(machine['cores'], 'core')}, {plural(machine['threads'], 'thread')}, "
        f"torch {machine['torch']}\n"
        f"products of large matrices: {rates}; load average before: {machine['load']}"
    )


def _line(measured: "Measurement") -> str:
    if measured.value is None:
        value = "not measured"
    elif measured.unit == "share":
        value = f"{100 * measured.value:.1f}%"
    else:
        value = f"{measured.value:,.2f} {measured.unit}".removesuffix(" exponent")
    if not measured.goal:
        return f"{measured.name}: {value}"
    sign, bound = measured.goal.split()
    shown = f"{100 * float(bound):g}%" if measured.unit == "share" else bound
    met = {True: "reached", False: "missed", None: "open"}[measured.reached]
    return f"{measured.name}: {value}   (goal {sign} {shown}: {met})"


COMMAND = Command(
    name="bench",
    summary="measure the speed of this machine against plain PyTorch",
    about=(
        "Times the fast paths against plain PyTorch code that computes the same. Both take turns in one process, and "
        "each result is a median of several rounds. Compare ratios between machines, not milliseconds, and let nothing "
        "else run meanwhile."
    ),
    examples=(
        ("iterhead bench", "the quick benchmarks: a few minutes"),
        ("iterhead bench steps", "training steps alone: half a minute"),
        ("iterhead bench --all --json", "everything, for a script"),
    ),
    declare=_declare,
    run=_bench,
)
