"""A study as a value: which runs, what to draw of them, which claims to check. Nothing here trains or reads a file.

A study is a list of cells. A cell is a point of a grid or a curve of a plot: one setting, some seeds. A cell may start
from another cell's networks, seed by seed. The same run in two studies is one folder, since folders are named by their
settings.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias, get_args

from iterhead.runs.paths import run_folder_name
from iterhead.settings import RunConfig, StartConfig
from iterhead.studies.claims import Judge

Scale: TypeAlias = Literal["smoke", "laptop", "paper"]

SCALES: tuple[Scale, ...] = get_args(Scale)
"""smoke: minutes, to see that everything works; laptop: a coarse grid in hours; paper: as published."""

AxisValue: TypeAlias = str | int | float
"""Where a cell stands on one axis; an axis has values of one type."""

Where: TypeAlias = Mapping[str, AxisValue]
"""Some axes with the value that is wanted on each."""


@dataclass(frozen=True)
class Cell:
    """Runs that differ in the seed alone.

    Attributes:
        axes: where the cell stands in its study, by name of the axis.
        config: the settings of its runs, of which the seed and the start are filled in for each run.
        seeds: one run each.
        parent: the cell whose network of the same seed each run starts from; from scratch if there is none.
        parent_epoch: which of the parent's checkpoints; its last unless given.
    """

    axes: Mapping[str, AxisValue]
    config: RunConfig
    seeds: tuple[int, ...]
    parent: "Cell | None" = None
    parent_epoch: int | None = None

    def run_config(self, seed: int) -> RunConfig:
        """Return the settings of one run."""
        start = None
        if self.parent is not None:
            name = run_folder_name(self.parent.run_config(seed))
            start = StartConfig(run=name, epoch=self.parent_epoch)
        return self.config.model_copy(update={"seed": seed, "start": start})

    @cached_property
    def runs(self) -> Mapping[int, RunConfig]:
        """The settings of every run, by seed."""
        return {seed: self.run_config(seed) for seed in self.seeds}


@dataclass(frozen=True)
class Panel:
    """One of several drawings side by side.

    Attributes:
        title: above it.
        score: the column of the tables that it shows.
        where: the cells that it shows; all unless given.
        epoch: the score as it was at this epoch (or at the end, for runs that ended before); at the end unless given.
    """

    title: str
    score: str = "accuracy"
    where: Where = field(default_factory=dict)
    epoch: int | None = None


@dataclass(frozen=True)
class Line:
    """One line of a plot: a name for the legend, and the cells that it is made of."""

    label: str
    where: Where


@dataclass(frozen=True)
class HeatMaps:
    """Maps of a score over two axes."""

    file: str
    title: str
    x: str
    y: str
    panels: tuple[Panel, ...]
    columns: int = 3


@dataclass(frozen=True)
class Contours:
    """Level lines of accuracy over two axes, both drawn as logarithms."""

    file: str
    title: str
    x: str
    y: str
    panels: tuple[Panel, ...]


FULL_EPOCH = "full_epoch"
"""Of curves, the epoch counted in 1,024 sequences of each length, so that epochs of other sizes stand beside it; the
short epochs at the beginning count as nothing."""


@dataclass(frozen=True)
class Curves:
    """Means over seeds with their interval, against `FULL_EPOCH` or an axis; a panel for each score."""

    file: str
    title: str
    x: str
    lines: tuple[Line, ...]
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class AttentionMaps:
    """The maps of every head of a cell's first network, and its accuracy by length over epochs."""

    file: str
    title: str
    where: Where


@dataclass(frozen=True)
class HeadShares:
    """How a role is shared out among heads: the weight of each head on its ideal keys."""

    file: str
    title: str
    where: Where


@dataclass(frozen=True)
class Interventions:
    """What each intervention leaves of the accuracy, over the networks of a cell."""

    file: str
    title: str
    where: Where


@dataclass(frozen=True)
class SpeedUps:
    """Epochs from scratch over epochs after pretraining, for each pair of tasks."""

    file: str
    title: str


Drawing: TypeAlias = HeatMaps | Contours | Curves | AttentionMaps | HeadShares | Interventions | SpeedUps

Measure: TypeAlias = Literal["circuits", "interventions", "maps"]
"""What is measured of finished networks beside their tables; see `studies.collect`."""


@dataclass(frozen=True)
class Study:
    """One figure of the published study, or more of one kind.

    Attributes:
        name: what is typed.
        scale: how much of it.
        title: one line.
        published: what the paper shows.
        chosen: what is ours: settings that the paper leaves open or that differ from its own, and why.
        cells: the runs; all on the same axes, no two on the same place.
        drawings: what to draw.
        judges: the claims to check.
        measures: what they need beside the tables of runs.
    """

    name: str
    scale: Scale
    title: str
    published: str
    chosen: tuple[str, ...]
    cells: tuple[Cell, ...]
    drawings: tuple[Drawing, ...]
    judges: tuple[Judge, ...] = ()
    measures: tuple[Measure, ...] = ()

    def __post_init__(self) -> None:
        names = {tuple(cell.axes) for cell in self.cells}
        if len(names) > 1:
            raise ValueError(f"{self.name}: its cells stand on different axes: {sorted(names)}")
        places = [tuple(cell.axes.values()) for cell in self.cells]
        if len(set(places)) < len(places):
            raise ValueError(f"{self.name}: two cells stand on one place")

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes."""
        return tuple(self.cells[0].axes) if self.cells else ()

    @property
    def folder(self) -> str:
        """The name of the folder of its figures, tables and claims."""
        return f"{self.name}-{self.scale}"

    def runs(self) -> Iterator[tuple[Cell, int, RunConfig]]:
        """Yield every run with its cell and its seed."""
        for cell in self.cells:
            for seed, config in cell.runs.items():
                yield cell, seed, config

    def configs(self) -> list[RunConfig]:
        """Return the settings of every run, once each, those that others start from among them."""
        return list(dict.fromkeys(config for cell in all_cells([self]) for config in cell.runs.values()))


def all_cells(studies: Iterable[Study]) -> list[Cell]:
    """Return the cells of studies, and those that they start from; one that stands in several comes several times."""
    cells = [cell for study in studies for cell in study.cells]
    parents = cells
    while parents := [cell.parent for cell in parents if cell.parent is not None]:
        cells = cells + parents
    return cells
