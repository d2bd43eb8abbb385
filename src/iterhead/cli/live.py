"""The table of a run in training on a terminal."""

from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from iterhead.cli.display import LAST_WORK, Watcher, bar, bar_values, glyphs_for, heading, loss_text, number
from iterhead.measure.emergence import EMERGED_ACCURACY
from iterhead.runs import Progress, Run
from iterhead.runs.verdict import percent

REDRAWS = 1.0
"""A second: each redraw takes the interpreter from the training for some milliseconds."""

FIXED_WIDTH = 48
"""Columns that the table needs beside the bars."""


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
        self._live = Live(console=console, refresh_per_second=REDRAWS, get_renderable=self._frame)

    def __enter__(self) -> "LiveTable":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def started(self, run: Run, progress: list[Progress]) -> None:
        """Begin to draw."""
        super().started(run, progress)
        self._heading = Text(heading(run, self.resumed_from))
        self._live.start(refresh=True)

    def evaluated(self, progress: Progress) -> None:
        """Add a row."""
        super().evaluated(progress)
        self._live.refresh()

    def _frame(self) -> RenderableType:
        """Return what the terminal shows now: heading, table, time left."""
        if not self.past:
            return Text()
        footer = Text(self._footer(), style="dim")
        taken = sum(len(self._console.render_lines(part, pad=False)) for part in (self._heading, footer))
        margins = 4  # two empty lines, the table's head, and the line where the cursor rests
        rows = max(1, self._console.height - taken - margins)
        return Group(self._heading, Text(), self._table(rows), Text(), footer)

    def _table(self, rows: int) -> Table:
        shown = self.past[-rows:]
        has_heads = shown[-1].scores.second_peakiness is not None
        room = max(4, self._console.width - FIXED_WIDTH)
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for name in ("epoch", "loss", "accuracy"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column(_bars_title(shown[-1], room), no_wrap=True)
        for name in ("peak 1", "peak 2") if has_heads else ():
            table.add_column(name, justify="right", no_wrap=True)
        for progress in shown:
            table.add_row(*self._cells(progress, room, has_heads))
        return table

    def _cells(self, progress: Progress, room: int, has_heads: bool) -> list[RenderableType]:
        scores = progress.scores
        cells: list[RenderableType] = [
            f"{progress.epoch:,}",
            loss_text(progress.loss),
            Text(percent(scores.accuracy), style=colour(scores.accuracy)),
            bars_text(list(scores.accuracy_by_length.values()), room, glyphs_for(self._console.encoding)),
        ]
        peaks = (scores.first_peakiness, scores.second_peakiness) if has_heads else ()
        return cells + [Text(number(peak), style=colour(peak or 0)) for peak in peaks]

    def _footer(self) -> str:
        if self.run is None:
            return ""
        if not self._live.is_started:
            return ""
        if self.ends():
            return LAST_WORK
        left = self.time_left() or "first epoch"
        early = ", sooner once the head has emerged" if self.run.config.training.early_stop else ""
        return f"{self.saved_epoch:,} of {self.past[-1].epochs:,} epochs, {left}{early}. Ctrl-C keeps what is done."


def _bars_title(progress: Progress, room: int) -> str:
    lengths = list(progress.scores.accuracy_by_length)
    _, group = bar_values(lengths, room)
    span = f"{lengths[0]}-{lengths[-1]}" if len(lengths) > 1 else f"{lengths[0]}"
    return f"length {span}" + (f", {group} a bar" if group > 1 else "")


def bars_text(shares: list[float], room: int, glyphs: str) -> Text:
    """Return coloured bars, one for each share or for some together."""
    values, _ = bar_values(shares, room)
    text = Text()
    for value in values:
        text.append(bar(value, glyphs), style=colour(value))
    return text


def colour(share: float) -> str:
    """Return green for solved, yellow for half, red below."""
    if share >= EMERGED_ACCURACY:
        return "green"
    return "yellow" if share >= 0.5 else "red"
