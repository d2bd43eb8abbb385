"""A study as a value: which runs, what to draw of them, which claims to check. Nothing here trains or reads a file.

A study is a list of cells. A cell is a point of a grid or one curve of a plot: one setting, several seeds. A cell may
start from the networks of another cell, seed by seed. Two studies that need the same run share its folder, since
folders are named by settings.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

from iterhead.contents import STRICT
from iterhead.errors import own_code
from iterhead.runs.paths import run_folder_name
from iterhead.settings import RunConfig, StartConfig
from iterhead.studies.claims import Finding
from iterhead.values import MAX_CHARACTERS, MAX_SEED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from iterhead.studies.claims import CheckClaims
    from iterhead.studies.drawings import Drawing
    from iterhead.studies.tables import Tables
else:  # pydantic needs values; `drawings` imports this module
    CheckClaims, Drawing = Callable[..., Any], Any

Scale: TypeAlias = Literal["smoke", "laptop", "paper"]

SCALES: tuple[Scale, ...] = get_args(Scale)
"""smoke: minutes, to check that everything works; laptop: a coarse grid, in hours; paper: as published."""

AxisValue: TypeAlias = str | int | float  # all values of an axis have one type
Where: TypeAlias = Mapping[str, AxisValue]  # selects cells: some axes, with the value wanted on each

Text: TypeAlias = Annotated[str, Field(max_length=MAX_CHARACTERS)]

Seed: TypeAlias = Annotated[int, Field(ge=0, le=MAX_SEED)]


# Studies may be a user's own, so types are checked; a wrong one raises ValidationError, a ValueError.
@dataclass(frozen=True, config=STRICT)
class Cell:
    """Runs that differ only in the seed, of a study in which `axes` are its coordinates.

    Each run starts from the network of the same seed of `parent`, at the checkpoint `parent_epoch` (the last one by
    default); without a parent, from scratch. `config` holds the other settings: the seed and the start are filled in.
    """

    axes: Mapping[str, AxisValue]
    config: RunConfig
    seeds: tuple[Seed, ...]
    parent: "Cell | None" = None
    parent_epoch: Annotated[int, Field(ge=0)] | None = None

    def run_config(self, seed: int) -> RunConfig:
        """Return the settings of the run with this seed."""
        start = None
        if self.parent is not None:
            start = StartConfig(run=run_folder_name(self.parent.run_config(seed)), epoch=self.parent_epoch)
        return self.config.model_copy(update={"seed": seed, "start": start})

    def is_at(self, where: Where) -> bool:
        """Whether `where` selects the cell."""
        return all(self.axes[axis] == value for axis, value in where.items())

    @cached_property
    def runs(self) -> Mapping[int, RunConfig]:
        """Settings of every run, by seed."""
        return {seed: self.run_config(seed) for seed in self.seeds}


Measure: TypeAlias = Literal["circuits", "interventions", "maps"]
"""What is measured on the finished networks themselves; see `studies.collect`."""


@dataclass(frozen=True, config=STRICT)
class Study:
    """One figure of the published study, or several of one kind.

    Attributes:
        name: as typed: a key of `registry.STUDIES`, or `module:name`.
        scale: how large it is.
        title: one line.
        published: what the paper shows.
        chosen: choices that are ours: settings that the paper leaves open or that differ from its own, and why.
        cells: the runs; all on the same axes, no two at the same coordinates.
        drawings: what to draw.
        claims: what to check.
        measures: what drawings and claims need besides the tables of runs.
    """

    name: Text
    scale: Scale
    title: Text
    published: Text
    chosen: tuple[Text, ...]
    cells: tuple[Cell, ...]
    drawings: "tuple[Drawing, ...]"
    claims: tuple[CheckClaims, ...] = ()
    measures: tuple[Measure, ...] = ()

    def __post_init__(self) -> None:
        names = {tuple(cell.axes) for cell in self.cells}
        if len(names) > 1:
            raise ValueError(f"{self.name}: its cells have different axes: {sorted(names)}")
        coordinates = [tuple(cell.axes.values()) for cell in self.cells]
        if len(set(coordinates)) < len(coordinates):
            raise ValueError(f"{self.name}: two cells have the same coordinates")

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes."""
        return tuple(self.cells[0].axes) if self.cells else ()

    @property
    def folder(self) -> str:
        """The name of the folder of its figures, tables and claims."""
        return f"{self.name.replace(':', '.')}-{self.scale}"

    @property
    def run_count(self) -> int:
        """Number of runs, without those of parents."""
        return sum(len(cell.seeds) for cell in self.cells)

    def runs(self) -> Iterator[tuple[Cell, int, RunConfig]]:
        """Yield every run with its cell and its seed."""
        for cell in self.cells:
            for seed, config in cell.runs.items():
                yield cell, seed, config

    def configs(self) -> list[RunConfig]:
        """Return the settings of every run once, including those that other runs start from."""
        return list(dict.fromkeys(config for cell in all_cells([self]) for config in cell.runs.values()))

    def draw(self, tables: "Tables") -> "dict[str, Figure]":
        """Return its figures by file name, without those of which nothing was measured."""
        figures: dict[str, Figure | None] = {}
        for drawing in self.drawings:
            with self._own("a drawing"):
                figures[drawing.file] = drawing.draw(self, tables)
        return {file: figure for file, figure in figures.items() if figure is not None}

    def check(self, tables: "Tables") -> list[Finding]:
        """Return its claims, checked on its tables."""
        findings: list[Finding] = []
        for check in self.claims:
            with self._own("checking a claim"):
                findings += [replace(finding, figure=self.name) for finding in check(tables)]
        return findings

    def _own(self, what: str) -> AbstractContextManager[None]:
        """Return what turns an exception in a user's own study into one line."""
        return own_code(f"{self.name}: {what}") if ":" in self.name else nullcontext()


def all_cells(studies: Iterable[Study]) -> list[Cell]:
    """Return the cells of studies and those that they start from; a cell that is shared occurs several times."""
    cells = [cell for study in studies for cell in study.cells]
    parents = cells
    while parents := [cell.parent for cell in parents if cell.parent is not None]:
        cells = cells + parents
    return cells
