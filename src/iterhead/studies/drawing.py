"""What every drawing of a study has in common: numbers from the tables go in, a figure and its description come out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iterhead.figures.panels import sheet
from iterhead.formatting import plural
from iterhead.studies.study import Study, Where
from iterhead.studies.tables import FULL_EPOCH, Tables

LABELS: Mapping[str, str] = {
    "longest": "longest length",
    "width": "width d",
    "lr": "learning rate",
    "batch": "batch size",
    "position_width": "coordinates with positions, p",
    FULL_EPOCH: "epochs of 1,024 sequences of each length",
}
"""Labels of axes; other axes are labelled with their names."""


def label(axis: str) -> str:
    """Return the label of an axis."""
    return LABELS.get(axis, axis)


@dataclass(frozen=True)
class Panel:
    """One of several plots side by side.

    Attributes:
        title: above it.
        score: column of the tables to show.
        where: cells to show; all by default.
        epoch: show the score at this epoch (of runs that ended before, the last one); at the end by default.
    """

    title: str
    score: str = "accuracy"
    where: Where = field(default_factory=dict)
    epoch: int | None = None


@dataclass(frozen=True)
class Drawing(ABC):
    """A figure of a study.

    Attributes:
        file: name of its files, without the ending.
        title: one line.
    """

    file: str
    title: str

    kind: ClassVar[str]
    """What sort of figure it is, in a few words."""

    about: ClassVar[str] = ""
    """What its axes and marks are, in a sentence."""

    @abstractmethod
    def draw(self, study: Study, tables: Tables) -> Figure | None:
        """Return the figure; None if nothing was measured."""

    def describe(self, study: Study) -> str:  # noqa: ARG002  # others tell the values of the study's axes
        """Return the text alternative."""
        return f"{self.kind}: {self.title}. {self.about}"

    def heading(self, study: Study) -> str:
        """Return the title, after the number of the published figure if there is one."""
        kind, _, number = study.name.partition("-")
        return f"Figure {number}. {self.title}" if kind == "figure" else self.title

    def frame(self, study: Study, subtitle: str, panels: int, **layout: Any) -> tuple[Figure, list[Axes]]:
        """Return a figure under its heading and its empty axes; `layout` as in `figures.sheet`."""
        return sheet(self.heading(study), f"{subtitle} Scale: {study.scale}.", panels, **layout)


def listing(noun: str, names: Sequence[str]) -> str:
    """Return e.g. `2 panels: Accuracy; Second peakiness.`."""
    return f"{plural(len(names), noun)}: {'; '.join(names)}."
