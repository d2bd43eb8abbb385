"""The published study (section 5 of the paper) as values, each figure at three scales."""

from collections.abc import Callable, Mapping

from iterhead.errors import UserError, nearest
from iterhead.studies.published import grids, positions, training, transfer
from iterhead.studies.study import SCALES, Scale, Study

ALL = "all"
"""The name of all studies together."""

STUDIES: Mapping[str, Callable[[Scale], Study]] = {
    "figure-6": training.figure_6,
    "figure-7": grids.figure_7,
    "figure-8": grids.figure_8,
    "figure-9": transfer.figure_9,
    "figure-10": grids.figure_10,
    "figure-11": grids.figure_11,
    "figure-12": training.figure_12,
    "figure-13": training.figure_13,
    "figure-14": positions.figure_14,
    "figure-15": positions.figure_15,
    "figure-16": positions.figure_16,
    "attention-replacement": transfer.attention_replacement,
    "transfer-matrix": transfer.transfer_matrix,
}
"""Each makes the study at a scale."""


def find_scale(name: str) -> Scale:
    """Return a scale by its name; raises UserError."""
    for scale in SCALES:
        if scale == name:
            return scale
    raise UserError(f"scale={name}: expected one of {', '.join(SCALES)}{nearest(name, SCALES)}")


def find_studies(name: str, scale: Scale) -> list[Study]:
    """Return the study of a name, or every one for `all`; raises UserError."""
    if name == ALL:
        return [make(scale) for make in STUDIES.values()]
    if name not in STUDIES:
        raise UserError(f"{name}: no such study: expected one of {', '.join([*STUDIES, ALL])}{nearest(name, STUDIES)}")
    return [STUDIES[name](scale)]
