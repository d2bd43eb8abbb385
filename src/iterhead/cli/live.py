"""The table of a run in training on a terminal."""

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from iterhead.cli.display import LAST_WORK, Watcher, heading
from iterhead.cli.tables import evaluations_table
from iterhead.runs.options import Evaluation
from iterhead.runs.run import Run

REDRAWS = 1.0
"""A second: each redraw takes the interpreter from the training for some milliseconds."""

MARGINS = 3
"""Lines beside heading, rows and footer: an empty one, the titles, and the one where the cursor rests."""


class LiveTable(Watcher):
    """A table that grows by one row for each evaluation; the last rows that fit are shown.

    Use it as a context manager: it gives the terminal back as it was.

    Args:
        console: the terminal.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._heading = Text()
        self._over = False
        self._live = Live(console=console, refresh_per_second=REDRAWS, get_renderable=self._frame)

    def __exit__(self, *error: object) -> None:
        """Draw once more, without the time left, and stop."""
        self._over = True
        self._live.stop()

    def started(self, run: Run, progress: list[Evaluation]) -> None:
        """Begin to draw."""
        super().started(run, progress)
        self._heading = Text(heading(run, self.resumed_from))
        self._live.start(refresh=True)

    def evaluated(self, run: Run, progress: Evaluation) -> None:
        """Add a row."""
        super().evaluated(run, progress)
        self._live.refresh()

    def _frame(self) -> RenderableType:
        """Return what the terminal shows now: heading, table, time left."""
        if not self.past:
            return Text()
        footer = [] if self._over else [Text(), Text(self._footer(), style="dim")]
        taken = sum(len(self._console.render_lines(part, pad=False)) for part in (self._heading, *footer))
        rows = max(1, self._console.height - taken - MARGINS)
        return Group(self._heading, Text(), evaluations_table(self.past[-rows:], self._console), *footer)

    def _footer(self) -> str:
        assert self.run is not None, "drawing begins when the run does"
        if self.ends():
            return LAST_WORK
        left = self.time_left() or "the first epoch"
        early = ", less if the head emerges" if self.run.config.training.early_stop else ""
        return f"{self.saved_epoch:,} of {self.past[-1].epochs:,} epochs, {left}{early}. Ctrl-C pauses."
