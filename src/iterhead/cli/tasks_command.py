"""`iterhead tasks`: the list of tasks."""

import argparse

from iterhead.cli.parsing import Command, declare_shared, filled
from iterhead.cli.shell import Interrupts, print_json

_OWN = """\
A task of your own takes five lines, for example in mytasks.py in this folder:

  from iterhead import IterativeTask

  highest = IterativeTask(
      name="highest", alphabet=7, init=0, step=lambda s, x: max(s, x)
  )

  iterhead run --task mytasks:highest
"""


def _tasks(options: argparse.Namespace, _: Interrupts) -> int:
    """Print the catalogue of tasks."""
    from iterhead.tasks import catalogue

    if options.json:
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
        print_json({"tasks": entries})
        return 0
    intro = (
        "A task reads inputs x_1 x_2 ... up to EoI (end of input), then writes its states s_1 s_2 ... "
        "up to EoS (end of sequence): s_t = F(s_{t-1}, x_t)."
    )
    print(filled(intro))
    for entry in catalogue():
        print(f"\n--task {entry.spec}\n    {entry.about}")
        for component, worked in zip(entry.task.components, entry.worked, strict=True):
            print(f"    F = {component.formula:16}  {worked}")
    print(f"\n{_OWN}")
    return 0


COMMAND = Command(
    name="tasks",
    summary="the tasks, each with a worked example",
    examples=(
        ("iterhead tasks", "every kind of task, and how to add your own"),
        ("iterhead run --task parity", "train on one of them"),
        ('iterhead run --task "polynomial:p=7,f=s*x+x^2"', "options follow the colon; quote them for the shell"),
    ),
    declare=lambda parser: declare_shared(parser.add_argument_group("options")),
    run=_tasks,
)
