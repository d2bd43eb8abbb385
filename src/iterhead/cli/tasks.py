"""`iterhead tasks`: what there is to learn."""

import argparse
import json

from iterhead.cli.interrupts import Interrupts
from iterhead.cli.parsing import Command, Parser, filled

_OWN = """\
A task of your own takes five lines, say in mytasks.py in this folder:

  from iterhead import IterativeTask

  highest = IterativeTask(
      name="highest", alphabet=7, init=0, step=lambda s, x: max(s, x)
  )

  iterhead run --task mytasks:highest
"""


def _declare(parser: Parser) -> None:
    shown = parser.add_argument_group("options")
    shown.add_argument("--json", action="store_true", help="one JSON object instead, for scripts")
    shown.add_argument("-h", "--help", action="store_true", help="this help")


def _tasks(options: argparse.Namespace, _: Interrupts) -> int:
    """Print the catalogue of tasks."""
    print(_as_json() if options.json else _as_text())
    return 0


def _as_text() -> str:
    from iterhead.tasks import catalogue

    intro = (
        "A task reads inputs x_1 x_2 ... up to EoI (end of input), then writes its states s_1 s_2 ... "
        "up to EoS (end of sequence): s_t = F(s_{t-1}, x_t)."
    )
    parts = [filled(intro)]
    for entry in catalogue():
        lines = [f"--task {entry.spec}", f"    {entry.about}"]
        for component, worked in zip(entry.task.components, entry.worked, strict=True):
            lines.append(f"    F = {component.formula:16}  {worked}")
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, _OWN])


def _as_json() -> str:
    from iterhead.tasks import catalogue

    entries = [
        {
            "task": entry.spec,
            "about": entry.about,
            "alphabet": entry.task.alphabet,
            "formula": [component.formula for component in entry.task.components],
            "worked": list(entry.worked),
        }
        for entry in catalogue()
    ]
    return json.dumps({"tasks": entries})


COMMAND = Command(
    name="tasks",
    summary="the tasks, each with a worked sequence",
    examples=(
        ("iterhead tasks", "every kind of task, and how to bring your own"),
        ("iterhead run --task parity", "train on one of them"),
        ('iterhead run --task "polynomial:p=7,f=s*x+x^2"', "options follow the colon; quote what the shell would read"),
        ("iterhead tasks --json", "for scripts"),
    ),
    declare=_declare,
    run=_tasks,
)
