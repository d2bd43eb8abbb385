"""Settings of networks that are trained as one population, for the tests of training and of runs."""

from typing import Any

from iterhead.settings import RunConfig, parse_config

MEMBERS: tuple[dict[str, Any], ...] = (
    {"task": "polynomial:p=7", "seed": 0, "training": {"lr": 3e-3, "weight_decay": 0.0}},
    {"task": "parity", "seed": 4, "training": {"lr": 1e-2, "weight_decay": 0.01}, "data": {"split": "iid"}},
    {"task": "mix:copy,parity", "seed": 9, "training": {"lr": 1e-3, "weight_decay": 0.1}},
)
"""Three networks of other tasks, seeds, rates and decays; of short sequences they have different numbers."""


def member(own: dict[str, Any], **common: dict[str, Any]) -> RunConfig:
    """The settings of one network: small ones that all share, `common` over them, `own` over all."""
    values: dict[str, Any] = {
        "data": {"max_length": 4, "train_per_length": 24, "test_per_length": 12},
        "model": {"width": 12, "mlp_width": 20, "vocabulary": 16, "dropout": 0.1},
        "training": {"batch_size": 12, "precision": "float64", "short_epochs": 1, "early_stop": False},
    }
    for changes in (common, own):
        for part, settings in changes.items():
            values[part] = values.get(part, {}) | settings if isinstance(settings, dict) else settings
    return parse_config(values)


def members(**common: dict[str, Any]) -> list[RunConfig]:
    """The settings of the three networks."""
    return [member(own, **common) for own in MEMBERS]
