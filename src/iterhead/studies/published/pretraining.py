"""Networks trained on one task after another, and the matrix of all transfers."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from iterhead.settings import RunConfig
from iterhead.studies.published.recipe import CHOSEN, Values, make_config
from iterhead.studies.speed_ups import FROM_SCRATCH, SpeedUps
from iterhead.studies.study import Cell, Scale, Study

SEEDS: Values = {"paper": tuple(range(100)), "laptop": tuple(range(10)), "smoke": (0, 1)}
CONTROL_SEEDS: Values = {**SEEDS, "laptop": tuple(range(5))}
"""Seeds of the controls: copy or a random F first, and the textbook residual stream."""
MATRIX_SEEDS: Values = {"paper": tuple(range(10)), "laptop": (0, 1, 2), "smoke": (0, 1)}

SIZE: Mapping[Scale, Mapping[str, Mapping[str, Any]]] = {
    "paper": {"data": {"max_length": 16}},
    "laptop": {"data": {"max_length": 16}},
    "smoke": {"data": {"max_length": 4}, "training": {"epochs": 20, "evaluate_every": 4}},
}
"""What differs from the recipe of the scale."""

LATER: Mapping[Scale, Mapping[str, Any]] = {
    "paper": {"epochs": 200, "evaluate_every": 1},
    "laptop": {"epochs": 24, "short_epochs": 0},
    "smoke": {"epochs": 4, "evaluate_every": 1, "short_epochs": 0},
}
"""How a pretrained network is trained on another task."""

PRETRAINING: Mapping[Scale, int | None] = {"paper": 200, "laptop": None, "smoke": None}
"""Epoch of the first task from which the second one starts; None for the last."""

FINE = {"train_per_length": 256}
"""Of binary tasks after another one, at laptop scale: epochs a quarter as long, since one is enough to learn these."""

BINARY = ("copy", "parity")

TASKS = {
    "copy": "copy",
    "parity": "parity",
    "polynomial": "polynomial",
    "polynomial mod 7": "polynomial:p=7",
    "random F": "iterhead.studies.published.tasks:random_f",
}

FROZEN, LAST_MLP = "attention frozen", "last MLP only"

_TRAIN = {FROZEN: "not-attention", LAST_MLP: "last-mlp"}


def scratch_config(scale: Scale, task: str, **model: Any) -> RunConfig:
    """Return the settings of a network that begins with a task, by the task's name here."""
    return make_config(scale, TASKS[task], **{**SIZE[scale], "model": model})


@cache
def scratch(scale: Scale, task: str, seeds: tuple[int, ...]) -> Cell:
    """Return the networks that begin with a task."""
    return Cell({"first": FROM_SCRATCH, "task": task}, scratch_config(scale, task), seeds)


def after(scale: Scale, first: str, task: str, seeds: tuple[int, ...], how: str = "") -> Cell:
    """Return the networks that go on with a task after another one, all weights or some of them trained."""
    given = SIZE[scale]
    training = {**given.get("training", {}), **LATER[scale], **({"train": _TRAIN[how]} if how else {})}
    data = {**given["data"], **(FINE if scale == "laptop" and task in BINARY else {})}
    config = make_config(scale, TASKS[task], data=data, training=training)
    place = {"first": first, "task": task}
    return Cell(place, config, seeds, scratch(scale, first, seeds), PRETRAINING[scale])


def chosen(scale: Scale) -> tuple[str, ...]:
    """Return what is ours about one task after another."""
    if scale == "paper":
        return (
            "Networks that go on with another task are trained for 200 epochs and evaluated after each.",
            "The random F of the control is a table drawn once; copy and it are trained for 1,000 epochs, and taken "
            "over at epoch 200 like the polynomial.",
        )
    size = SIZE[scale]["data"]
    return (
        f"Lengths to {size['max_length']}. Networks are taken over as they are at their end, when the head has emerged "
        "or the epochs are over.",
        "After another task, copy and parity have 256 training sequences of each length instead of 1,024: such epochs "
        "are a quarter as long, and count as a quarter. An accuracy is reached somewhere between two evaluations, and "
        "the intervals of speed-ups allow for that. It also splits the short lengths otherwise: of the 16 binary "
        "inputs of length 4 a network from scratch is trained on 8 and one after another task on 3, and each is tested "
        "on the rest. Only networks from scratch have the four short epochs; they count as nothing.",
    )


def transfer_matrix(scale: Scale) -> Study:
    """Return the matrix of transfers: every task after every other."""
    seeds = MATRIX_SEEDS[scale]
    tasks = ("copy", "parity") if scale == "smoke" else tuple(TASKS)
    alone = tuple(scratch(scale, task, seeds) for task in tasks)
    pairs = tuple(after(scale, first, task, seeds) for first in tasks for task in tasks if first != task)
    return Study(
        "transfer-matrix",
        scale,
        "Every task after every other",
        "Not in the paper: epochs to accuracy 0.9 from scratch over epochs after pretraining on another task.",
        (
            *CHOSEN[scale],
            *chosen(scale),
            f"Tasks: {', '.join(tasks)}. The random F is a table drawn once, over as many values as the polynomial's.",
            "A run that does not reach 0.9 counts with the epochs that it had.",
        ),
        (*alone, *pairs),
        (SpeedUps("transfer-matrix", "Epochs from scratch over epochs after another task"),),
    )
