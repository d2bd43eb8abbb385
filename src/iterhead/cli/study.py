"""`iterhead study`: the published study, figure by figure: what there is, train it, how far it is, what it shows."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iterhead.cli.interrupts import INTERRUPTED, Interrupts
from iterhead.cli.parsing import Command, Parser
from iterhead.cli.program import command_line
from iterhead.errors import UserError, nearest

if TYPE_CHECKING:
    from iterhead.studies.results import Reported
    from iterhead.studies.study import Study

SCIENCE_SAYS_NO = 1

SCALES = "smoke, laptop or paper"


def _declare(parser: Parser) -> None:
    given = parser.add_argument_group("options")
    given.add_argument("verb", metavar="VERB", nargs="?", default="list", help="list, run, status, retry or report")
    given.add_argument(
        "name", metavar="NAME", nargs="?", help="figure-7, ..., or all: see list; or your own, module:name"
    )
    given.add_argument("--scale", metavar="WORD", default="laptop", help=f"{SCALES} [default: laptop]")
    given.add_argument("--out", metavar="FOLDER", default="runs", help="where runs are kept [default: runs]")
    given.add_argument("--workers", metavar="N", help="processes at a time [default: one for each free core]")
    given.add_argument("--threads", metavar="N", help="of PyTorch in each process [default: free cores shared out]")
    given.add_argument("--device", metavar="NAME", default="auto", help="cpu, cuda, mps or auto [default: auto]")
    given.add_argument("--redraw", action="store_true", help="report: from its tables, without looking at the runs")
    given.add_argument("--json", action="store_true", help="one JSON object instead, for scripts")
    given.add_argument("-h", "--help", action="store_true", help="this help")


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


def _list(options: argparse.Namespace, _: Interrupts) -> int:
    """Print the studies with what they cost, or one of them with what was chosen."""
    from iterhead.cli.study_display import one_study, studies_table
    from iterhead.studies.cost import calibrate, cost
    from iterhead.studies.registry import ALL, STUDIES, find_scale, find_studies

    scale = find_scale(options.scale)
    names = [*STUDIES, ALL] if options.name is None else [options.name]
    listed = {name: find_studies(name, scale) for name in names}
    calibration = calibrate(Path(options.out), options.device)
    workers = _crew(options)
    costs = {name: cost(studies, calibration, workers) for name, studies in listed.items()}
    if options.json:
        entries = [{"name": name, "scale": scale, **_facts(listed[name]), **costs[name].__dict__} for name in names]
        print(json.dumps({"studies": entries, "workers": workers, "calibration": calibration.__dict__}))
    elif options.name is None or options.name == ALL:
        print(studies_table(scale, listed, costs, workers))
    else:
        print(one_study(listed[options.name][0], costs[options.name], workers))
    return 0


def _facts(studies: "Sequence[Study]") -> dict[str, Any]:
    if len(studies) > 1:
        return {"title": "all studies together", "published": "", "chosen": []}
    (study,) = studies
    return {"title": study.title, "published": study.published, "chosen": list(study.chosen)}


def _run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Train what is not finished of a study, and report it."""
    again = command_line(options.typed)
    interrupts.message = lambda: f"Interrupted: what was saved is kept. Go on with: {again}"
    from iterhead.cli.study_display import Display
    from iterhead.studies.cost import calibrate, cost
    from iterhead.studies.runner import failures, kept_checkpoints, train_studies

    studies, out = _studies(options), Path(options.out)
    calibration, workers = calibrate(out, options.device), _crew(options)
    display = Display(silent=options.json)
    display.heading(options.name, studies, cost(studies, calibration, workers), workers)
    try:
        with interrupts.raised(), display:
            progress = train_studies(
                studies,
                out,
                calibration=calibration,
                workers=workers,
                threads=_count("threads", options.threads),
                device=options.device,
                on_progress=display.watch,
                on_result=display.tell,
            )
            reported = []
            for study in studies:
                display.measuring(study)
                reported.append(_reported(study, options))
    except KeyboardInterrupt:
        print(interrupts.message(), file=sys.stderr)
        return INTERRUPTED
    page = _pages(reported, options)
    failed = failures(kept_checkpoints(studies), out)
    if options.json:
        told = {"done": progress.done, "runs": progress.total, "failed": [failure.__dict__ for failure in failed]}
        print(json.dumps({**told, **_as_json(reported, page)}, allow_nan=False))
    else:
        _tell_reports(reported, page)
    for failure in failed:
        print(f"{failure.name} failed: {failure.error}", file=sys.stderr)
    if failed:
        retry = command_line(["study", "retry", *options.typed[2:]])
        print(f"{len(failed)} failed; another try: {retry}", file=sys.stderr)
    return SCIENCE_SAYS_NO if failed else 0


def _status(options: argparse.Namespace, _: Interrupts) -> int:
    """Print how far a study is."""
    from iterhead.cli.study_display import status_table
    from iterhead.studies.runner import failures, states

    studies, out = _studies(options), Path(options.out)
    found = {study.name: states(study, out) for study in studies}
    failed = {failure.name: failure.error for study in studies for failure in failures(study.configs(), out)}
    if options.json:
        print(json.dumps({"studies": found, "failed": failed}))
    else:
        print(status_table(found, failed))
    return 0


def _retry(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Make failed runs ready for another try, and train what is not finished."""
    from iterhead.studies.runner import forget_failures

    found = forget_failures(_studies(options), Path(options.out))
    if not options.json:
        print(f"{len(found)} failed run{'' if len(found) == 1 else 's'} to try again." if found else "No run failed.")
    return _run(options, interrupts)


def _report(options: argparse.Namespace, _: Interrupts) -> int:
    """Write a study's tables, figures, claims and page, and print the claims."""
    reported = [_reported(study, options) for study in _studies(options)]
    page = _pages(reported, options)
    if options.json:
        print(json.dumps(_as_json(reported, page), allow_nan=False))
    else:
        _tell_reports(reported, page)
    no = any(finding.verdict == "does not hold" for done in reported for finding in done.findings)
    return SCIENCE_SAYS_NO if no else 0


def _reported(study: "Study", options: argparse.Namespace) -> "Reported":
    from iterhead.studies.results import report

    return report(study, Path(options.out), redraw=options.redraw, warn=lambda line: print(line, file=sys.stderr))


def _pages(reported: "Sequence[Reported]", options: argparse.Namespace) -> Path | None:
    """Write the pages of studies of which anything is measured; one that fails is told of, and costs no study."""
    from iterhead.cli.report import study_pages

    if not any(done.measured for done in reported):
        return None
    findings = {done.study.name: done.findings for done in reported}
    try:
        return study_pages(options.name, [done.study for done in reported], Path(options.out), findings)
    except UserError as error:
        why = str(error)
    except Exception as error:  # days of training stand behind this, and their claims are still to be told
        why = f"{' '.join(f'{type(error).__name__}: {error}'.split())} (this is a bug in iterhead: please report it)"
    print(f"No page was made: {why}", file=sys.stderr)
    return None


def _as_json(reported: "Sequence[Reported]", page: Path | None) -> dict[str, Any]:
    return {"studies": [done.as_json() for done in reported], "report": None if page is None else str(page)}


def _tell_reports(reported: "Sequence[Reported]", page: Path | None) -> None:
    from iterhead.cli.study_display import show_report

    for done in reported:
        show_report(done)
    if page is not None:
        print(f"\nTo look at and to look into, in a browser: {page}")


def _studies(options: argparse.Namespace) -> "list[Study]":
    from iterhead.studies.registry import find_scale, find_studies

    return find_studies(options.name, find_scale(options.scale))


def _crew(options: argparse.Namespace) -> int:
    """Return how many processes are to work; on a GPU one."""
    from iterhead.machine import find_device, free_cores

    return _count("workers", options.workers) or (free_cores() if find_device(options.device) == "cpu" else 1)


def _count(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise UserError(f"--{name} {text}: expected a whole number of at least 1")
    return int(text)


_VERBS: Mapping[str, Callable[[argparse.Namespace, Interrupts], int]] = {
    "list": _list,
    "run": _run,
    "status": _status,
    "retry": _retry,
    "report": _report,
}

COMMAND = Command(
    name="study",
    summary="the published study: every figure and claim by a command",
    about=(
        "A study is a list of runs, what to draw of them and which claims to check. Runs are shared: what is finished "
        "is never trained again, whichever study asked for it first. Interrupt it whenever you like; several processes "
        "may work on one study. Scales: smoke (minutes, to see that it works), laptop (a coarse grid, the fast "
        "recipe), paper (as published)."
    ),
    examples=(
        ("iterhead study list", "the studies, and what each costs on this machine; list figure-7 tells all of one"),
        ("iterhead study run all --scale smoke", "everything once, in minutes"),
        ("iterhead study run figure-7", "train what is missing, draw it, check its claims"),
        ("iterhead study status all", "how far everything is"),
        ("iterhead study retry figure-7", "another try for runs that failed"),
        (
            "iterhead study report figure-7 --redraw",
            "figures and claims from the tables; ends with 1 if one fails",
        ),
    ),
    declare=_declare,
    run=_study,
)
