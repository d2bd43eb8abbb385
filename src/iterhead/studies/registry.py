"""Studies by name: the published ones, one of ours, and your own as `module:name`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

from iterhead.errors import UserError, nearest, own_code
from iterhead.studies import architectures
from iterhead.studies.published import inside_networks, position_embeddings, sgd_and_adam, transfer, width_and_length
from iterhead.studies.study import SCALES, Scale, Study
from iterhead.tasks.catalogue import import_module, names_in

ALL = "all"
"""The name of all published studies together."""

STUDIES: Mapping[str, Callable[[Scale], Study]] = {
    "figure-6": inside_networks.figure_6,
    "figure-7": width_and_length.figure_7,
    "figure-8": width_and_length.figure_8,
    "figure-9": transfer.figure_9,
    "figure-10": width_and_length.figure_10,
    "figure-11": width_and_length.figure_11,
    "figure-12": sgd_and_adam.figure_12,
    "figure-13": inside_networks.figure_13,
    "figure-14": position_embeddings.figure_14,
    "figure-15": position_embeddings.figure_15,
    "figure-16": position_embeddings.figure_16,
    "attention-replacement": inside_networks.attention_replacement,
    "transfer-matrix": transfer.transfer_matrix,
    "architectures": architectures.architectures,
}
"""The studies; each function returns the study at a scale."""

OURS = ("architectures",)
"""Studies that are not published, so not in `all`. This one needs transformers."""


def find_scale(name: str) -> Scale:
    """Return a scale by its name; raises UserError."""
    for scale in SCALES:
        if scale == name:
            return scale
    raise UserError(f"scale={name}: expected one of {', '.join(SCALES)}{nearest(name, SCALES)}")


def is_study(name: str) -> bool:
    """Whether a text names a study: one of `STUDIES`, all published ones, or `module:name`."""
    return name in (*STUDIES, ALL) or _is_own(name)


def _is_own(name: str) -> bool:
    module, _, attribute = name.partition(":")
    return attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))


def find_studies(name: str, scale: Scale) -> list[Study]:
    """Return the study of a name, or every published one for `all`.

    Args:
        name: a key of `STUDIES`, `all`, or `module:name` of your own: a `Study`, which has its own scale, or
            a function that takes a scale and returns a `Study`. Importing that module runs it, as any import does.
        scale: how large.

    Raises:
        UserError: in one line, if the name is no study.
    """
    if name == ALL:
        return [make(scale) for study, make in STUDIES.items() if study not in OURS]
    if name in STUDIES:
        return [STUDIES[name](scale)]
    if _is_own(name):
        return [_own_study(name, scale)]
    expected = f"one of {', '.join([*STUDIES, ALL])}, or your own as module:name"
    raise UserError(f"{name}: no such study: expected {expected}{nearest(name, STUDIES)}")


def _own_study(name: str, scale: Scale) -> Study:
    """Return a study of your own, renamed to the text that finds it again."""
    module_name, _, attribute = name.partition(":")
    # Neither getattr nor isinstance: a user's own __getattr__ may do anything.
    value = names_in(import_module(module_name, name)).get(attribute)
    if callable(value):
        with own_code(f"{name}: {attribute}({scale!r})"):
            value = value(scale)
    if not issubclass(type(value), Study):
        problem = "is not there" if value is None else f"has type {type(value).__name__}"
        raise UserError(f"{name}: {attribute} {problem}; expected a Study, or a function from a scale to one")
    return replace(cast(Study, value), name=name)
