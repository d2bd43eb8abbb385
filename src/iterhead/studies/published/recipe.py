"""How networks are trained at each scale, and what is said about it."""

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from iterhead.data.batches import make_packing
from iterhead.model.size import parameters
from iterhead.settings import RunConfig, parse_config
from iterhead.studies.study import Scale
from iterhead.training.flops import step_flops

Values: TypeAlias = Mapping[Scale, tuple[int, ...]]
"""Values of an axis, or seeds, at each scale."""

RECIPES: Mapping[Scale, Mapping[str, Mapping[str, Any]]] = {
    "paper": {
        "data": {},
        "model": {"width": 128},
        "training": {
            **{"lr": 3e-4, "batch_size": 256, "epochs": 1000, "evaluate_every": 10},
            **{"early_stop": False, "short_epochs": 0, "precision": "float32"},
        },
    },
    "laptop": {"data": {}, "model": {"width": 64}, "training": {"epochs": 40}},
    "smoke": {
        "data": {"max_length": 5, "train_per_length": 128, "test_per_length": 32},
        "model": {"width": 16},
        "training": {"lr": 1e-2, "batch_size": 40, "epochs": 4, "evaluation_per_length": 16, "short_epochs": 1},
    },
}
"""What differs from the defaults of `RunConfig`."""

SMALL = 64
"""At laptop scale, networks narrower than this learn at a rate of 0.1 over their width."""

CHOSEN: Mapping[Scale, tuple[str, ...]] = {
    "paper": (
        "Published: Adam, lr 3e-4, batch 256, evaluation every 10 epochs, no early stop, float32.",
        "Ours: test sequences never stand in the training set, and the loss counts the states and one EoS. Several "
        "seeds on every cell, where the paper has single runs.",
    ),
    "laptop": (
        "The fast recipe: width 64 where it is not an axis, lr 1e-3 (0.1 over the width where that is below 64), "
        "batch 64, four short epochs of lengths 1 to 3 first, and a run stops when its iteration head has emerged. A "
        "coarser grid. Epochs are counted without the short ones.",
    ),
    "smoke": ("Networks too small, trained too briefly: it shows that everything works, and decides nothing.",),
}

SEEDS: Values = {"paper": (0, 1, 2), "laptop": (0, 1, 2), "smoke": (0, 1)}
"""Seeds of a cell of a grid."""


def make_config(scale: Scale, task: str = "polynomial", **changes: Mapping[str, Any]) -> RunConfig:
    """Return the settings of a run at a scale, with changes to its `data`, `model` and `training`."""
    parts = {name: {**part, **changes.get(name, {})} for name, part in RECIPES[scale].items()}
    width = parts["model"]["width"]
    if scale == "laptop" and width < SMALL:
        parts["training"] = {"lr": float(f"{0.1 / width:.2g}"), **parts["training"]}
    return parse_config({"task": task, **parts})


def with_equal_parameters(config: RunConfig) -> RunConfig:
    """Return the settings with one layer, of the least width that has as many weights (claim 8)."""
    asked = parameters(config.model, config.context)
    width = config.model.width
    while parameters(one := _with_layers(config, 1, width=width).model, config.context) < asked:
        width += 1
    return config.model_copy(update={"model": one})


def with_equal_compute(config: RunConfig) -> RunConfig:
    """Return the settings with one layer, trained for as many more epochs as a step costs less (claim 8)."""
    one = _with_layers(config, 1)
    packing = make_packing(config.data, config.training.batch_size // len(config.data.lengths))
    ratio = step_flops(config.model, packing) / step_flops(one.model, packing)
    training = one.training.model_copy(update={"epochs": math.ceil(ratio * one.training.epochs)})
    return one.model_copy(update={"training": training})


def _with_layers(config: RunConfig, layers: int, **changes: Any) -> RunConfig:
    return config.model_copy(update={"model": config.model.model_copy(update={"layers": layers, **changes})})
