"""What is told of studies: what they cost, how far they are, what they show."""

import textwrap
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from iterhead.cli.parsing import filled
from iterhead.cli.tables import claims_table
from iterhead.formatting import duration, plural
from iterhead.runs.worker_pool import Result
from iterhead.studies.cost import Cost
from iterhead.studies.results import Reported, command
from iterhead.studies.runner import State, StudyProgress
from iterhead.studies.study import Study

QUIET_SECONDS = 30.0
"""Between two lines about progress where no terminal shows it."""


def size(count: int) -> str:
    """Return a number of bytes, e.g. `12 MB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def studies_table(scale: str, listed: Mapping[str, Sequence[Study]], costs: Mapping[str, Cost], workers: int) -> str:
    """Return a line for each study: its name, what it costs, and its title."""
    lines = [
        f"At scale {scale}, with {plural(workers, 'process') if workers == 1 else f'{workers} processes'} on this "
        "machine; times are at most: many runs stop early.\n",
        f"{'study':23}{'runs':>8}{'time':>14}{'disk':>10}  title",
    ]
    for name, studies in listed.items():
        what = studies[0].title if len(studies) == 1 else "all of them; runs that they share count once"
        cost = costs[name]
        lines.append(f"{name:23}{cost.runs:>8,}{duration(cost.seconds):>14}{size(cost.bytes):>10}  {what}")
    return "\n".join([*lines, "\niterhead study list NAME: what was published, and what was chosen here."])


def one_study(study: Study, cost: Cost, workers: int) -> str:
    """Return everything about a study: what was published, what was chosen, what it costs."""
    axes = [f"  {axis}: {', '.join(map(str, _places(study, axis)))}" for axis in study.axes]
    seeds = sorted({seed for cell in study.cells for seed in cell.seeds})
    parts = [
        f"{study.name}, scale {study.scale}: {study.title}",
        f"Published:\n{filled(study.published, '  ')}",
        "Chosen here:\n" + "\n".join(_item(text) for text in study.chosen),
        "Axes:\n" + "\n".join(textwrap.shorten(line, 300, placeholder=" ...") for line in axes),
        f"{len(study.cells):,} cells, {plural(len(seeds), 'seed')} at most, {plural(cost.runs, 'run')}: at most "
        f"{duration(cost.seconds)} with {workers} at a time, {size(cost.bytes)} on the disk.",
        command(study),
    ]
    return "\n\n".join(parts)


def _item(text: str) -> str:
    return textwrap.fill(text, 79, initial_indent="  - ", subsequent_indent="    ")


def _places(study: Study, axis: str) -> list[object]:
    return list(dict.fromkeys(cell.axes[axis] for cell in study.cells))


class Display:
    """Shows how studies go on: a bar on a terminal, a line now and then elsewhere. A context manager.

    Args:
        silent: show nothing.
    """

    def __init__(self, *, silent: bool) -> None:
        self._console = Console(highlight=False)
        self._silent = silent
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        live = self._console.is_terminal and not silent
        self._bar = Bar(*columns, console=self._console, transient=True, disable=not live)
        self._task = self._bar.add_task("", total=None)
        self._said = (0.0, "")

    def __enter__(self) -> "Display":
        """Begin to draw."""
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Give the terminal back."""
        self._bar.stop()

    def heading(self, name: str, studies: Sequence[Study], cost: Cost, workers: int) -> None:
        """Say what begins."""
        if self._silent:
            return
        what = f"{name}: {studies[0].title}" if len(studies) == 1 else f"{name}: {len(studies)} studies"
        self._console.print(
            filled(
                f"{what}. {plural(cost.runs, 'run')}, {workers} at a time, at most {duration(cost.seconds)} if none "
                f"is finished yet, {size(cost.bytes)} on the disk. Ctrl-C pauses, the same command goes on."
            )
        )

    def watch(self, progress: StudyProgress) -> None:
        """Show how far it is."""
        told = told_progress(progress)
        self._bar.update(self._task, description=told, completed=progress.done, total=progress.total)
        since = time.monotonic() - self._said[0]
        if not self._silent and not self._console.is_terminal and told != self._said[1] and since >= QUIET_SECONDS:
            print(f"{progress.done:,} of {progress.total:,} done, {told}", flush=True)
            self._said = (time.monotonic(), told)

    def measuring(self, study: Study) -> None:
        """Say that a study's networks are looked into, which can take minutes."""
        if study.measures and not self._silent:
            self._bar.console.print(f"{study.name}: measuring its networks")

    def tell(self, result: Result) -> None:
        """Say that a run failed, or diverged."""
        if self._silent:
            return
        if result.run is None:
            self._bar.console.print(filled(f"failed: {result.error}"))
        elif result.run.status.state == "diverged":
            self._bar.console.print(filled(f"diverged: {result.run.name}"))


def told_progress(progress: StudyProgress) -> str:
    """Return what is running and left, e.g. `2 running, 31 left, about 4 min`."""
    parts = [f"{progress.running} running", f"{progress.left:,} left"]
    parts += [f"{progress.failed} failed"] if progress.failed else []
    if progress.seconds_left is not None and progress.left + progress.running > 0:
        parts.append(f"at most about {duration(progress.seconds_left)}")
    return ", ".join(parts)


def status_table(found: Mapping[str, Mapping[str, State]], failed: Mapping[str, str]) -> str:
    """Return a line for each study: how many of its runs are where."""
    kinds: tuple[State, ...] = ("finished", "diverged", "running", "interrupted", "failed", "waiting")
    lines = [f"{'study':23}{'runs':>7}" + "".join(f"{kind:>13}" for kind in kinds)]
    for name, states in found.items():
        counts = Counter(states.values())
        lines.append(f"{name:23}{len(states):>7,}" + "".join(f"{counts[kind]:>13,}" for kind in kinds))
    lines += [filled(f"{name} failed: {error}") for name, error in failed.items()]
    return "\n".join(lines)


def show_report(done: Reported) -> None:
    """Print the claims of a study, and where its files are."""
    console = Console(highlight=False)
    study = done.study
    console.print(f"\n[bold]{study.name}[/bold] ({study.scale}): {done.measured:,} of {done.runs:,} runs measured")
    if done.findings:
        console.print(claims_table(done.findings, "95% over seeds"))
    names = ", ".join(path.name for path in done.figures if path.suffix == ".png") or "no figure"
    console.print(f"{names}, tables and claims in {done.folder}", soft_wrap=True)
