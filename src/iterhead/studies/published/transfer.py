"""Figure 9, the replacement of attention, and the matrix of transfers: networks of one size on several tasks."""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from iterhead.settings import RunConfig
from iterhead.studies.judges import network, training, transfer
from iterhead.studies.published.recipe import CHOSEN, make_config
from iterhead.studies.study import FULL_EPOCH, Cell, Curves, Interventions, Line, Panel, Scale, SpeedUps, Study

SEEDS: Mapping[Scale, tuple[int, ...]] = {
    "paper": tuple(range(100)),
    "laptop": tuple(range(10)),
    "smoke": (0, 1),
}

CONTROL_SEEDS: Mapping[Scale, tuple[int, ...]] = {**SEEDS, "laptop": tuple(range(5))}
"""Of what is first trained on copy or on a random F, and of the textbook residual stream."""

MATRIX_SEEDS: Mapping[Scale, tuple[int, ...]] = {"paper": tuple(range(10)), "laptop": (0, 1, 2), "smoke": (0, 1)}

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
"""How a network that was trained before is trained on another task."""

PRETRAINING: Mapping[Scale, int | None] = {"paper": 200, "laptop": None, "smoke": None}
"""The epoch of the first task whose network is taken over; the last unless given."""

FINE = {"train_per_length": 256}
"""Of binary tasks after another one, at laptop scale: epochs a quarter as long, since these are learnt within one."""

BINARY = ("copy", "parity")


TASKS = {
    "copy": "copy",
    "parity": "parity",
    "polynomial": "polynomial",
    "polynomial mod 7": "polynomial:p=7",
    "random F": "iterhead.studies.published.tasks:random_f",
}

REPLACED: Mapping[Scale, str] = {"paper": "polynomial", "laptop": "polynomial", "smoke": "copy"}
"""The task of the networks whose attention is replaced; copy is what a few epochs can teach."""

FROM_SCRATCH = "nothing"
"""What networks from scratch were trained on first."""

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


def figure_9(scale: Scale) -> Study:
    """Return figure 9: the polynomial, parity, and parity after the polynomial, over many seeds."""
    seeds, few = SEEDS[scale], CONTROL_SEEDS[scale]
    cells = {
        **{name: scratch(scale, name, seeds) for name in ("polynomial", "parity")},
        **{name: scratch(scale, name, few) for name in ("copy", "random F")},
        _after("polynomial"): after(scale, "polynomial", "parity", seeds),
        _after("copy"): after(scale, "copy", "parity", few),
        _after("random F"): after(scale, "random F", "parity", few),
        _after("polynomial", FROZEN): after(scale, "polynomial", "parity", seeds, FROZEN),
        _after("polynomial", LAST_MLP): after(scale, "polynomial", "parity", seeds, LAST_MLP),
        PRE_NORM: Cell({}, scratch_config(scale, "polynomial", residual="pre-norm"), few),
    }
    named = tuple(_named(cell, name) for name, cell in cells.items())
    drawn = ("polynomial", "parity", _after("polynomial"))
    controls = {
        "b": ("copy first instead", {"trained": _after("copy")}),
        "c": ("a random F first instead", {"trained": _after("random F")}),
        "d": ("attention frozen after the polynomial", {"trained": _after("polynomial", FROZEN)}),
        "e": ("only the last MLP trained after the polynomial", {"trained": _after("polynomial", LAST_MLP)}),
    }
    beginnings = ("parity", *(name for name in cells if name.startswith("parity after")))
    return Study(
        "figure-9",
        scale,
        "Polynomial, parity, and parity after the polynomial",
        "Lengths to 16, width 128, 100 seeds: mean and standard deviation of accuracy and peakiness over epochs. "
        "Polynomial 0.9 at about 170 epochs; parity 0.72 at 250, 0.87 at 500, 0.95 at 1,000; parity after 200 epochs "
        "of the polynomial 0.93 within about 20. Second peakiness at the end: 0.94 (sd 0.18), 0.58 (0.33), 0.93.",
        (*CHOSEN[scale], *_chosen(scale), "Bands are 95% intervals of the mean over seeds, not standard deviations."),
        named,
        (
            _curves("figure-9", "Mean over seeds and its 95% interval", drawn),
            _curves("figure-9-controls", "Parity after other beginnings", beginnings),
            _curves("residual", "Residual stream as published and as in textbooks", ("polynomial", PRE_NORM)),
        ),
        (
            partial(training.heads_emerge, where={"trained": "polynomial"}),
            partial(
                training.parity_induces_it_less, polynomial={"trained": "polynomial"}, parity={"trained": "parity"}
            ),
            partial(
                transfer.transfer_is_quick,
                scratch={"trained": "parity"},
                first={"trained": "polynomial"},
                transfer={"trained": _after("polynomial")},
                controls=controls,
                pretraining=PRETRAINING[scale],
            ),
            partial(
                transfer.last_mlp_is_enough,
                first={"trained": "polynomial"},
                where={"trained": _after("polynomial", LAST_MLP)},
            ),
            partial(
                transfer.convention_decides_speed,
                published={"trained": "polynomial"},
                textbook={"trained": PRE_NORM},
            ),
        ),
    )


PRE_NORM = "polynomial, pre-norm"


def _after(first: str, how: str = "") -> str:
    return f"parity after {first}" + (f", {how}" if how else "")


def _named(cell: Cell, name: str) -> Cell:
    """Return the same runs on the axis of figure 9."""
    return Cell({"trained": name}, cell.config, cell.seeds, cell.parent, cell.parent_epoch)


def _curves(file: str, title: str, names: tuple[str, ...]) -> Curves:
    lines = tuple(Line(name, {"trained": name}) for name in names)
    panels = (Panel("Accuracy", "accuracy"), Panel("Second peakiness", "second_peakiness"))
    return Curves(file, title, FULL_EPOCH, lines, panels)


def _chosen(scale: Scale) -> tuple[str, ...]:
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


def attention_replacement(scale: Scale) -> Study:
    """Return the replacement of attention maps in the polynomial networks of figure 9."""
    seeds = SEEDS[scale][:10]
    task = REPLACED[scale]
    return Study(
        "attention-replacement",
        scale,
        "Attention replaced by ideal, random and shifted maps",
        "Told in the text, without figures or code: attention replaced by the ideal map or by a random one, and the "
        "accuracy after.",
        (
            *CHOSEN[scale],
            f"The networks are {task} ones of figure-9. Claims 1, 3, 4, 5 and 6 are checked in each that solves its "
            "task, as `iterhead verify` does, and the interval is over networks.",
        ),
        (scratch(scale, task, seeds),),
        (Interventions("attention-replacement", "What each intervention leaves", {"task": task}),),
        (network.verified_over_seeds,),
        ("interventions",),
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
            *_chosen(scale),
            f"Tasks: {', '.join(tasks)}. The random F is a table drawn once, over as many values as the polynomial's.",
            "A run that does not reach 0.9 counts with the epochs that it had.",
        ),
        (*alone, *pairs),
        (SpeedUps("transfer-matrix", "Epochs from scratch over epochs after another task"),),
    )
