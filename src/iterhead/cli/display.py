"""How a run in training is shown: the words, the bars and the numbers that a terminal and a pipe have in common."""

import math
import time
from collections.abc import Callable, Sequence

from iterhead.cli.parsing import filled
from iterhead.criteria import EMERGED_ACCURACY, EMERGED_EVALUATIONS, EMERGED_PEAKINESS
from iterhead.formatting import duration, length_range, percent, plural
from iterhead.measure import Scores, has_emerged
from iterhead.runs.options import Evaluation
from iterhead.runs.run import Run
from iterhead.settings import RunConfig

BLOCKS = "▁▂▃▄▅▆▇█"
DIGITS = "0123456789"
"""The same where the terminal's encoding has no blocks."""


class Watcher:
    """An observer that remembers, and shows nothing: the base of those that show.

    Attributes:
        run: what is trained; None until training begins, so None at the end means that nothing was left to train.
        past: every evaluation so far.
        resumed_from: epochs that were already done.
    """

    def __init__(self) -> None:
        self.run: Run | None = None
        self.past: list[Evaluation] = []
        self.resumed_from = 0
        self._started_at = 0.0
        self._full_since: tuple[int, float] | None = None

    def __enter__(self) -> "Watcher":
        """Begin to watch."""
        return self

    def __exit__(self, *error: object) -> None:
        """Give the terminal back as it was."""

    @property
    def saved_epoch(self) -> int:
        """The last epoch that is on the disk."""
        return self.past[-1].epoch if self.past else 0

    def started(self, run: Run, progress: list[Evaluation]) -> None:
        """Remember what was there, and from when to count the time."""
        self.run, self.past = run, list(progress)
        self.resumed_from = self.saved_epoch
        self._started_at = time.monotonic()

    def evaluated(self, run: Run, progress: Evaluation) -> None:  # noqa: ARG002 - one run is watched at a time
        """Remember an evaluation, and when the full epochs began."""
        self.past.append(progress)
        if self.run is not None and progress.epoch <= self.run.config.training.short_epochs:
            self._full_since = (progress.epoch, time.monotonic())

    def ends(self) -> bool:
        """Whether the last evaluation ends the training: only the full test and the figure are left."""
        if self.run is None or not self.past:
            return False
        training = self.run.config.training
        trained = [progress.scores for progress in self.past if progress.epoch > 0]
        return self.saved_epoch >= training.epochs or (training.early_stop and has_emerged(trained))

    def time_left(self) -> str:
        """Return how long the rest takes, e.g. `at most 3 min left`; nothing before the first evaluation here."""
        done = self.saved_epoch - self.resumed_from
        if self.run is None or done == 0 or self.ends():
            return ""
        training = self.run.config.training
        if self.saved_epoch <= training.short_epochs:
            return ""  # these epochs are many times shorter than those to come
        pace = self._pace(training.short_epochs, done)
        bound = "at most " if training.early_stop else ""
        return f"{bound}{duration(pace * (training.epochs - self.saved_epoch))} left"

    def _pace(self, short_epochs: int, done: int) -> float:
        """Return the seconds that a full epoch takes, from those seen since training started or went on."""
        if self.resumed_from >= short_epochs or self._full_since is None:
            return (time.monotonic() - self._started_at) / done
        epoch, begun = self._full_since
        return (time.monotonic() - begun) / max(1, self.saved_epoch - epoch)


def heading(run: Run, resumed_from: int) -> str:
    """Return what is trained and what to look for, as three lines."""
    import torch

    config = run.config
    parameters = sum(weight.numel() for weight in run.model.parameters())
    what = (
        f"{config.task}, {length_range(list(config.data.lengths))}: {plural(config.model.layers, 'layer')}, "
        f"{plural(config.model.heads, 'head')}, width {config.model.width}, {parameters:,} parameters, "
        f"{plural(torch.get_num_threads(), 'thread')}, seed {config.seed}{_start(config)}"
    )
    begun = f"Going on from epoch {resumed_from:,} with" if resumed_from else "Training on"
    return f"{begun} {what}.\n{_worked(run)}\n{_what_to_look_for(run)}"


def _start(config: RunConfig) -> str:
    """Return whose network it was and which weights move, where that is not the rule."""
    moving = {"all": "", "last-mlp": ", moving the last MLP only", "not-attention": ", attention frozen"}
    whose = f", from the network of {config.start.run}" if config.start else ""
    return f"{whose}{moving[config.training.train]}"


def _worked(run: Run) -> str:
    """Return a sequence of the task worked out."""
    data, components = run.config.data, run.config.iterative_task.components
    component = components[0]
    inputs = [component.symbols[(3 * i + 1) % len(component.symbols)] for i in range(min(4, data.max_length))]
    states = component.run(inputs)[0 if data.cot else -1 :]
    formula = f"   where s_t = {component.formula}" if component.formula else ""
    written = " ".join(map(str, states))
    which = f", for {component.name}" if len(components) > 1 else ""
    return f"For example{which}: {' '.join(map(str, inputs))} | EoI | {written} | EoS{formula}"


def _what_to_look_for(run: Run) -> str:
    if not run.config.data.cot:
        return "Without a chain of thought there is no iteration head to look for: watch the accuracy."
    return (
        f"Watch the last column: how often a head looks at x_t to write s_t. At {EMERGED_PEAKINESS}, with "
        f"{percent(EMERGED_ACCURACY)} accuracy, {EMERGED_EVALUATIONS} times in a row, the iteration head has emerged."
    )


def bar_values(shares: Sequence[float], room: int) -> tuple[list[float], int]:
    """Return one value a bar, and how many shares each bar is the mean of, so that at most `room` bars are needed."""
    group = -(-len(shares) // room)
    groups = [shares[start : start + group] for start in range(0, len(shares), group)]
    return [sum(part) / len(part) for part in groups], group


def bar(value: float, glyphs: str = BLOCKS) -> str:
    """Return the character for a value in 0 .. 1; the highest one is kept for exactly 1."""
    return glyphs[int(value * (len(glyphs) - 1))] if 0 <= value <= 1 else "?"


def glyphs_for(encoding: str | None) -> str:
    """Return the characters of bars that an encoding can write."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return DIGITS
    return BLOCKS


def number(value: float | None, digits: int = 2) -> str:
    """Return a score for a table, or a dash where there is none.

    Rounded down, as `percent` is: 1.00 means that nothing is missing.
    """
    if value is None or math.isnan(value):
        return "-"
    scale = 10**digits
    return f"{math.floor(value * scale + 1e-9) / scale:.{digits}f}"  # 0.29 * 100 = 28.999999999999996


def loss_text(loss: float | None) -> str:
    """Return a loss for a table; a dash before training."""
    return "-" if loss is None else f"{loss:.4f}"


class PlainLines(Watcher):
    """One line for each evaluation, for pipes and files: no control characters.

    Args:
        write: takes each line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write

    def started(self, run: Run, progress: list[Evaluation]) -> None:
        """Write the heading and the last evaluation."""
        super().started(run, progress)
        self._write("\n".join(filled(line) for line in heading(run, self.resumed_from).splitlines()))
        self._write(self._line(progress[-1]))

    def evaluated(self, run: Run, progress: Evaluation) -> None:
        """Write one line."""
        super().evaluated(run, progress)
        self._write(self._line(progress))
        if self.ends():
            self._write(LAST_WORK)

    def _line(self, progress: Evaluation) -> str:
        scores: Scores = progress.scores
        parts = [
            f"epoch {progress.epoch}/{progress.epochs}",
            f"loss {loss_text(progress.loss)}",
            f"accuracy {percent(scores.accuracy)}",
        ]
        if scores.second_peakiness is not None:
            parts += [
                f"first head {number(scores.first_peakiness)}",
                f"iteration head {number(scores.second_peakiness)}",
            ]
        return "  ".join(filter(None, [*parts, self.time_left()]))


LAST_WORK = "Testing on every held-out sequence and drawing the figure."
