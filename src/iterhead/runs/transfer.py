"""Transfer: train the network of one run on another task."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, cast

from iterhead.errors import UserError
from iterhead.runs.options import ExecutionKeywords, ExecutionOptions, Observer
from iterhead.runs.run import Run, load
from iterhead.runs.training import train as train_run
from iterhead.settings import RunConfig, parse_config


def transfer(
    run: Run | str | Path,
    *,
    task: str,
    train: Literal["all", "last-mlp", "not-attention"] = "all",
    epoch: int | None = None,
    observer: Observer | None = None,
    **settings_and_options: Any,
) -> Run:
    """Train the network of a finished run on another task, and return the new run.

    `measure.emergence.epochs_to(run.history)` tells how soon it learned the task; `from_scratch(run.config)` are the
    settings of the run to compare it with.

    Args:
        run: whose network to start from: a run, its folder, or its name in `out`.
        task: to train on.
        train: which weights are trained: all, those of the last layer's MLP, or all but those of attention.
        epoch: which of its checkpoints; the last unless given.
        observer: is called after every evaluation.
        settings_and_options: settings as for `parse_config`, such as `seed=3` or `data={"max_length": 8}`, the rest
            being those of `run`; and the fields of `ExecutionOptions`. `out` is the folder of `run` unless given.

    Raises:
        UserError: as for `runs.training.train`.
    """
    names = {field.name for field in fields(ExecutionOptions)}
    options = {name: value for name, value in settings_and_options.items() if name in names}
    settings = {name: value for name, value in settings_and_options.items() if name not in names}
    parent = run if isinstance(run, Run) else load(run, options.get("out", "runs"))
    folder = parent.folder.path
    options = {"out": folder.parent} | options | {"parents": folder.resolve().parent}
    config = transfer_config(parent, {**settings, "task": task}, train=train, epoch=epoch)
    return train_run(config, observer=observer, **cast(ExecutionKeywords, options))


def transfer_config(
    parent: Run, settings: Mapping[str, Any], *, train: str = "all", epoch: int | None = None
) -> RunConfig:
    """Return the settings of a run that starts from `parent`: the parent's, with `settings` in their place.

    Raises:
        UserError: one line about the first thing that is wrong.
    """
    if "start" in settings:
        raise UserError("start: expected to be left to transfer, which starts from the run that it is given")
    values = _merged(parent.config.model_dump(), settings)
    training = settings.get("training")
    if isinstance(training, Mapping) and "train" in training:
        raise UserError("training.train: expected as the argument `train` of transfer")
    if isinstance(values["training"], dict):
        values["training"]["train"] = train
    values["start"] = {"run": parent.folder.path.resolve().name, "epoch": epoch}
    return parse_config(values)


def from_scratch(config: RunConfig) -> RunConfig:
    """Return the settings of the run to compare with: without a start, and with all weights trained."""
    training = config.training.model_copy(update={"train": "all"})
    return config.model_copy(update={"start": None, "training": training})


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values with others in their place."""
    merged = dict(values)
    for name, value in changes.items():
        old = merged.get(name)
        merged[name] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
