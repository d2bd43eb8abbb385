"""`iterhead study`: the published study by figures: list, train, follow, and report."""

import argparse
import sys
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from iterhead.cli.parsing import Command, Parser, declare_shared, filled
from iterhead.cli.shell import NEGATIVE_RESULT, Interrupts, command_line, print_json
from iterhead.errors import UserError, nearest
from iterhead.formatting import duration, plural

if TYPE_CHECKING:
    from iterhead.cli.watch import RunsBar
    from iterhead.runs.worker_pool import Result
    from iterhead.studies.cost import Calibration, Cost
    from iterhead.studies.results import Reported
    from iterhead.studies.runner import StudyProgress
    from iterhead.studies.study import Study


def _declare(parser: Parser) -> None:
    group = parser.add_argument_group("options")
    group.add_argument("verb", metavar="VERB", nargs="?", default="list", help="list, run, status, retry or report")
    group.add_argument("name", metavar="NAME", nargs="?", help="figure-6, ... or all: see the list; or module:name")
    group.add_argument("--redraw", action="store_true", help="report: use the tables as they are, without the runs")
    declare_shared(group, "scale", "out", "workers", "threads", "device")


def _study(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Do what the verb says."""
    if options.verb not in _VERBS:
        hint = nearest(options.verb, _VERBS) or f": expected {', '.join(_VERBS)}"
        raise UserError(f"study {options.verb}: no such verb{hint}")
    if options.name is None and options.verb != "list":
        raise UserError(f"study {options.verb}: expected the name of a study, or all (iterhead study list)")
    if options.redraw and options.verb != "report":
        raise UserError(f"--redraw: expected with study report, not with study {options.verb}")
    return _VERBS[options.verb](options, interrupts)


def _studies(options: argparse.Namespace, name: str | None = None) -> "list[Study]":
    """Return the studies of a name, or of that in the options."""
    from iterhead.studies.registry import find_scale, find_studies

    return find_studies(name or options.name, find_scale(options.scale or "laptop"))


def _machine(options: argparse.Namespace) -> "tuple[Calibration, int]":
    """Return how fast this machine is, and how many processes to use."""
    from iterhead.machine import find_device
    from iterhead.runs.worker_pool import worker_count
    from iterhead.studies.cost import calibrate

    calibration = calibrate(Path(options.out), options.device)
    return calibration, worker_count(options.workers, find_device(options.device))


def _list(options: argparse.Namespace, _: Interrupts) -> int:
    """Print the studies with their costs, or everything about one of them."""
    from iterhead.studies.cost import cost
    from iterhead.studies.registry import ALL, STUDIES

    names = [*STUDIES, ALL] if options.name is None else [options.name]
    studies = {name: _studies(options, name) for name in names}
    calibration, workers = _machine(options)
    costs = {name: cost(studies[name], calibration, workers) for name in names}
    if options.json:
        entries = []
        for name in names:
            study, *others = studies[name]
            entry = {"title": study.title, "published": study.published, "chosen": list(study.chosen)}
            if others:
                entry = {"title": "all studies together", "published": "", "chosen": []}
            entries.append({"name": name, "scale": study.scale, **entry, **costs[name].__dict__})
        print_json({"studies": entries, "workers": workers, "calibration": calibration.__dict__})
    elif options.name in (None, ALL):
        print(_studies_table(studies, costs, workers))
    else:
        print(_study_text(studies[options.name][0], costs[options.name], workers))
    return 0


def _studies_table(studies: "Mapping[str, Sequence[Study]]", costs: "Mapping[str, Cost]", workers: int) -> str:
    scale = next(iter(studies.values()))[0].scale
    intro = f"Scale {scale}, with {_processes(workers)} on this machine. Times are upper bounds: many runs stop early."
    lines = [filled(intro), "", f"{'study':23}{'runs':>8}{'time':>14}{'disk':>10}"]
    for name, members in studies.items():
        cost = costs[name]
        lines.append(f"{name:23}{cost.runs:>8,}{duration(cost.seconds):>14}{_size(cost.bytes):>10}")
        lines.append(filled(members[0].title if len(members) == 1 else "all of them; shared runs count once", "    "))
    return "\n".join([*lines, "", "iterhead study list NAME shows what was published and what was chosen here."])


def _study_text(study: "Study", cost: "Cost", workers: int) -> str:
    from iterhead.studies.results import command

    values = {axis: dict.fromkeys(str(cell.axes[axis]) for cell in study.cells) for axis in study.axes}
    axes = [textwrap.shorten(f"{axis}: {'; '.join(values[axis])}", 300, placeholder=" ...") for axis in study.axes]
    seeds = {seed for cell in study.cells for seed in cell.seeds}
    size = (
        f"{len(study.cells):,} cells, at most {plural(len(seeds), 'seed')} each, {plural(cost.runs, 'run')}: at "
        f"most {duration(cost.seconds)} with {_processes(workers)}, {_size(cost.bytes)} on disk."
    )
    parts = [
        f"{study.name}, scale {study.scale}: {study.title}",
        f"Published:\n{filled(study.published, '  ')}",
        "\n".join(["Chosen here:", *(filled(text, "  - ", "    ") for text in study.chosen)]),
        "\n".join(["Axes:", *(filled(axis, "  ", "    ") for axis in axes)]),
        filled(size),
        command(study),
    ]
    return "\n\n".join(parts)


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def _size(count: int) -> str:
    """Return a number of bytes, e.g. `12 MB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def _run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Train the unfinished runs of a study, and report it."""
    again = command_line(options.typed)
    interrupts.message = lambda: f"Interrupted: what was saved is kept. Resume with: {again}"
    from iterhead.cli.watch import RunsBar
    from iterhead.studies.cost import cost
    from iterhead.studies.runner import failures, kept_checkpoints, train_studies

    studies, out = _studies(options), Path(options.out)
    calibration, workers = _machine(options)
    costs = cost(studies, calibration, workers)
    title = studies[0].title if len(studies) == 1 else f"{len(studies)} studies"
    reported = []
    with interrupts.raised(), RunsBar(silent=options.json) as bar:
        bar.write(
            f"{options.name}: {title}. {plural(costs.runs, 'run')} in {_processes(workers)}: at most "
            f"{duration(costs.seconds)} if none is finished yet, {_size(costs.bytes)} on disk. Ctrl-C pauses, and the "
            "same command resumes."
        )
        progress = train_studies(
            studies,
            out,
            calibration=calibration,
            workers=workers,
            threads=options.threads,
            device=options.device,
            on_progress=lambda progress: bar.show(progress.done, progress.total, progress_text(progress)),
            on_result=lambda result: _write_failure(result, bar),
        )
        for study in studies:
            if study.measures:
                bar.write(f"{study.name}: measuring its networks")
            reported.append(_write_report(study, options))
    failed = failures(kept_checkpoints(studies), out)
    _show_reports(
        reported, options, done=progress.done, runs=progress.total, failed=[failure.__dict__ for failure in failed]
    )
    for failure in failed:
        print(f"{failure.name} failed: {failure.error}", file=sys.stderr)
    if failed:
        retry = command_line(["study", "retry", *options.typed[2:]])
        print(f"{plural(len(failed), 'run')} failed. Try again with: {retry}", file=sys.stderr)
    return NEGATIVE_RESULT if failed else 0


def _status(options: argparse.Namespace, _: Interrupts) -> int:
    """Print the progress of a study."""
    from iterhead.studies.runner import State, failures, states

    studies, out = _studies(options), Path(options.out)
    by_study = {study.name: states(study, out) for study in studies}
    failed = {failure.name: failure.error for study in studies for failure in failures(study.configs(), out)}
    if options.json:
        print_json({"studies": by_study, "failed": failed})
        return 0
    counts = {name: Counter[str](of_runs.values()) for name, of_runs in by_study.items()}
    present = [kind for kind in get_args(State) if any(count[kind] for count in counts.values())]
    print(f"{'study':23}{'runs':>7}" + "".join(f"{kind:>13}" for kind in present))
    for name, count in counts.items():
        print(f"{name:23}{count.total():>7,}" + "".join(f"{count[kind]:>13,}" for kind in present))
    for name, error in failed.items():
        print(filled(f"{name} failed: {error}"))
    return 0


def _retry(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Clear the failures of a study, and train its unfinished runs."""
    from iterhead.studies.runner import forget_failures

    cleared = forget_failures(_studies(options), Path(options.out))
    if not options.json:
        print(f"Trying {plural(len(cleared), 'failed run')} again." if cleared else "No run failed.")
    return _run(options, interrupts)


def _report(options: argparse.Namespace, _: Interrupts) -> int:
    """Write a study's tables, figures, claims and page, and print the claims."""
    reported = [_write_report(study, options) for study in _studies(options)]
    _show_reports(reported, options)
    refuted = any(finding.verdict == "does not hold" for done in reported for finding in done.findings)
    return NEGATIVE_RESULT if refuted else 0


def _write_report(study: "Study", options: argparse.Namespace) -> "Reported":
    from iterhead.studies.results import report

    return report(study, Path(options.out), redraw=options.redraw, warn=lambda line: print(line, file=sys.stderr))


def _show_reports(reported: "Sequence[Reported]", options: argparse.Namespace, **training: Any) -> None:
    """Write the pages of studies, and print their claims and where their files are; JSON begins with `training`."""
    page = _write_pages(reported, options)
    if options.json:
        print_json({**training, "studies": [done.as_json() for done in reported], "report": page and str(page)})
        return
    from rich.console import Console

    from iterhead.cli.output import claims_table

    console = Console(highlight=False)
    for done in reported:
        study = done.study
        console.print(f"\n[bold]{study.name}[/bold] ({study.scale}): {done.measured:,} of {done.runs:,} runs measured")
        if done.findings:
            console.print(claims_table(done.findings, "95% over seeds"))
        names = ", ".join(path.name for path in done.figures if path.suffix == ".png") or "no figure"
        console.print(f"{names}, tables and claims in {done.folder}", soft_wrap=True)
    if page is not None:
        print(f"\nExplore them in a browser: {page}")


def _write_pages(reported: "Sequence[Reported]", options: argparse.Namespace) -> Path | None:
    """Write the pages of the studies that have measurements. A failure is reported, but does not fail the study."""
    from iterhead.cli.report_command import write_study_pages

    if not any(done.measured for done in reported):
        return None
    findings = {done.study.name: done.findings for done in reported}
    try:
        return write_study_pages(options.name, [done.study for done in reported], Path(options.out), findings)
    except UserError as error:
        why = str(error)
    except Exception as error:  # this may follow days of training, and the claims are not printed yet
        why = f"{' '.join(f'{type(error).__name__}: {error}'.split())} (this is a bug in iterhead: please report it)"
    print(f"No page was made: {why}", file=sys.stderr)
    return None


def _write_failure(result: "Result", bar: "RunsBar") -> None:
    if result.run is None:
        bar.write(f"failed: {result.error}")
    elif result.run.status.state == "diverged":
        bar.write(f"diverged: {result.run.name}")


def progress_text(progress: "StudyProgress") -> str:
    """Return e.g. `2 running, 31 left, at most about 4 min`."""
    parts = [f"{progress.running} running", f"{progress.left:,} left"]
    parts += [f"{progress.failed} failed"] if progress.failed else []
    if progress.seconds_left is not None and progress.left + progress.running > 0:
        parts.append(f"at most about {duration(progress.seconds_left)}")
    return ", ".join(parts)


_VERBS = {"list": _list, "run": _run, "status": _status, "retry": _retry, "report": _report}

COMMAND = Command(
    name="study",
    summary="the published study: every figure and claim by a command",
    about=(
        "A study is a list of runs, the figures to draw from them and the claims to check. Studies share their runs. "
        "You may interrupt a study at any time, and run several processes on one. Scales: smoke (minutes, to see that "
        "it works), laptop (a coarse grid, the fast recipe), paper (as published)."
    ),
    examples=(
        ("iterhead study list", "the studies and their costs on this machine; list figure-7 shows one in detail"),
        ("iterhead study run all --scale smoke", "everything once, in minutes"),
        ("iterhead study run figure-7", "train what is missing, draw the figure, check the claims"),
        ("iterhead study status all", "the progress of every study"),
        ("iterhead study retry figure-7", "train runs that failed again"),
        ("iterhead study report figure-7 --redraw", "figures and claims from the tables; exit code 1 if a claim fails"),
    ),
    declare=_declare,
    run=_study,
)
