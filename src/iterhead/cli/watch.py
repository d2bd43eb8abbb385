"""What is shown while runs train.

Of one run, a table on a terminal and one line per evaluation elsewhere; of many runs, how many are done.
"""

import time
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from iterhead.cli.output import evaluations_table, loss_text, score_parts
from iterhead.cli.parsing import filled
from iterhead.criteria import EMERGED_ACCURACY, EMERGED_EVALUATIONS, EMERGED_PEAKINESS
from iterhead.formatting import duration, length_range, percent, plural
from iterhead.measure.emergence import has_emerged
from iterhead.runs.options import Evaluation
from iterhead.runs.run import Run
from iterhead.settings import RunConfig

REDRAWS = 1.0
"""Redraws per second. Each takes the interpreter from the training for some milliseconds."""

MARGINS = 3
"""Lines besides heading, rows and footer: an empty one, the column titles, and the one with the cursor."""

QUIET_SECONDS = 30.0
"""Between two lines of progress of many runs where stdout is no terminal."""

LAST_STEP = "Testing on every held-out sequence and drawing the figure."


class Watcher:
    """An observer that remembers the evaluations and prints nothing: the base of those that print. A context manager.

    Attributes:
        run: None until training begins; still None at the end if there was nothing to train.
        past: every evaluation so far.
        resumed_from: the epoch that training resumed from; 0 for a new run.
    """

    def __init__(self) -> None:
        self.run: Run | None = None
        self.past: list[Evaluation] = []
        self.resumed_from = 0
        self._timed_from = (0, 0.0)  # epoch and time

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Restore the terminal."""

    @property
    def saved_epoch(self) -> int:
        """The last epoch that is on disk."""
        return self.past[-1].epoch if self.past else 0

    def started(self, run: Run, past: list[Evaluation]) -> None:
        """Remember the run and its evaluations, and start the clock."""
        self.run, self.past = run, list(past)
        self.resumed_from = self.saved_epoch
        self._timed_from = (self.saved_epoch, time.monotonic())

    def evaluated(self, run: Run, evaluation: Evaluation) -> None:
        """Remember an evaluation. Short epochs, many times quicker than the others, do not count for the time left."""
        self.past.append(evaluation)
        if evaluation.epoch <= run.config.training.short_epochs:
            self._timed_from = (evaluation.epoch, time.monotonic())

    def is_last(self) -> bool:
        """Whether training ends after the last evaluation, so that only the test and the figure are left."""
        if self.run is None or not self.past:
            return False
        training = self.run.config.training
        trained = [evaluation.scores for evaluation in self.past if evaluation.epoch > 0]
        return self.saved_epoch >= training.epochs or (training.early_stop and has_emerged(trained))

    def time_left(self) -> str:
        """Return e.g. `at most 3 min left`; nothing before the first full epoch of this process."""
        epoch, since = self._timed_from
        if self.run is None or self.saved_epoch == epoch or self.is_last():
            return ""
        training = self.run.config.training
        seconds_per_epoch = (time.monotonic() - since) / (self.saved_epoch - epoch)
        bound = "at most " if training.early_stop else ""
        return f"{bound}{duration(seconds_per_epoch * (training.epochs - self.saved_epoch))} left"


class PlainLines(Watcher):
    """One line for each evaluation, for pipes and files: no control characters."""

    def started(self, run: Run, past: list[Evaluation]) -> None:
        """Print the heading and the last evaluation."""
        super().started(run, past)
        for line in heading(run, self.resumed_from).splitlines():
            print(filled(line))
        self._print_line()

    def evaluated(self, run: Run, evaluation: Evaluation) -> None:
        """Print one line."""
        super().evaluated(run, evaluation)
        self._print_line()
        if self.is_last():
            print(LAST_STEP, flush=True)

    def _print_line(self) -> None:
        last = self.past[-1]
        parts = [f"epoch {last.epoch}/{last.epochs}", f"loss {loss_text(last.loss)}", *score_parts(last.scores)]
        print("  ".join(filter(None, [*parts, self.time_left()])), flush=True)


class LiveTable(Watcher):
    """A table with one row for each evaluation; the last rows that fit are shown."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._heading = Text()
        self._is_over = False
        self._live = Live(self, console=console, refresh_per_second=REDRAWS)

    def __exit__(self, *error: object) -> None:
        """Draw once more, without the time left, and stop."""
        self._is_over = True
        self._live.stop()

    def started(self, run: Run, past: list[Evaluation]) -> None:
        """Start drawing."""
        super().started(run, past)
        self._heading = Text(heading(run, self.resumed_from))
        self._live.start(refresh=True)

    def evaluated(self, run: Run, evaluation: Evaluation) -> None:
        """Add a row."""
        super().evaluated(run, evaluation)
        self._live.refresh()

    def __rich__(self) -> RenderableType:
        """Return what the terminal shows now: heading, table, time left."""
        if not self.past:
            return Text()
        footer = [] if self._is_over else [Text(), Text(self._footer(), style="dim")]
        used = sum(len(self._console.render_lines(part, pad=False)) for part in (self._heading, *footer))
        rows = max(1, self._console.height - used - MARGINS)
        return Group(self._heading, Text(), evaluations_table(self.past[-rows:], self._console), *footer)

    def _footer(self) -> str:
        assert self.run is not None, "drawing begins when the run does"
        if self.is_last():
            return LAST_STEP
        left = self.time_left() or "the first epoch"
        early = ", less if the head emerges" if self.run.config.training.early_stop else ""
        return f"{self.saved_epoch:,} of {self.past[-1].epochs:,} epochs, {left}{early}. Ctrl-C pauses."


class RunsBar(Progress):
    """The progress of many runs: a bar on a terminal, a line now and then elsewhere. A context manager.

    Args:
        silent: show nothing.
    """

    def __init__(self, *, silent: bool) -> None:
        console = Console(highlight=False, quiet=silent)
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        super().__init__(*columns, console=console, transient=True, disable=silent or not console.is_terminal)
        self._task = self.add_task("", total=None)
        self._last_text, self._last_time = "", 0.0

    def show(self, done: int, total: int, text: str = "") -> None:
        """Show how many runs are done, and a text next to it."""
        self.update(self._task, description=text, completed=done, total=total)
        is_due = time.monotonic() - self._last_time >= QUIET_SECONDS
        if not self.console.is_terminal and text != self._last_text and is_due:
            self.write(f"{done:,} of {total:,} done, {text}")
            self._last_text, self._last_time = text, time.monotonic()

    def write(self, text: str, indent: str = "") -> None:
        """Print a paragraph above the bar."""
        self.console.print(filled(text, indent), markup=False)


def make_watcher(*, silent: bool) -> Watcher:
    """Return the watcher that suits stdout: a table on a terminal, plain lines elsewhere."""
    if silent:
        return Watcher()
    console = Console(highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveTable(console)
    return PlainLines()


def heading(run: Run, resumed_from: int) -> str:
    """Return three lines: what is trained, an example of the task, and what to watch for."""
    import torch

    config = run.config
    parameters = sum(weight.numel() for weight in run.model.parameters())
    parent = f", starting from {config.start.run}" if config.start else ""
    trained = {"all": "", "last-mlp": ", training the last MLP only", "not-attention": ", attention frozen"}
    what = (
        f"{config.task}, {length_range(list(config.data.lengths))}: {plural(config.model.layers, 'layer')}, "
        f"{plural(config.model.heads, 'head')}, width {config.model.width}, {parameters:,} parameters, "
        f"{plural(torch.get_num_threads(), 'thread')}, seed {config.seed}{parent}{trained[config.training.train]}"
    )
    verb = f"Resuming at epoch {resumed_from:,}:" if resumed_from else "Training on"
    watch = "Without a chain of thought there is no iteration head to look for: watch the accuracy."
    if config.data.cot:
        watch = (
            f"Watch the last column: how often a head looks at x_t to write s_t. At {EMERGED_PEAKINESS}, with "
            f"{percent(EMERGED_ACCURACY)} accuracy, {EMERGED_EVALUATIONS} times in a row, the iteration head has "
            "emerged."
        )
    return f"{verb} {what}.\n{_worked_example(config)}\n{watch}"


def _worked_example(config: RunConfig) -> str:
    components = config.iterative_task.components
    component = components[0]
    inputs = [component.symbols[(3 * i + 1) % len(component.symbols)] for i in range(min(4, config.data.max_length))]
    states = component.run(inputs)[0 if config.data.cot else -1 :]
    formula = f"   where s_t = {component.formula}" if component.formula else ""
    which = f", for {component.name}" if len(components) > 1 else ""
    return f"For example{which}: {' '.join(map(str, inputs))} | EoI | {' '.join(map(str, states))} | EoS{formula}"
