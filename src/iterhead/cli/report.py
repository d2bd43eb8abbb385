"""`iterhead report`: the page of a run or a study, one file to open, explore and send on."""

import argparse
import json
import shlex
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iterhead.cli.interrupts import Interrupts
from iterhead.cli.parsing import Command, Parser
from iterhead.errors import UserError, nearest

if TYPE_CHECKING:
    from iterhead.runs.run import Run
    from iterhead.settings import RunConfig
    from iterhead.studies.claims import Finding
    from iterhead.studies.study import Study


def _declare(parser: Parser) -> None:
    given = parser.add_argument_group("options")
    given.add_argument(
        "run",
        metavar="RUN | STUDY",
        help="a run: a folder, a name, or enough of a name; or a study: figure-7, ..., or all. The name of a study "
        "wins over a run whose name begins so",
    )
    given.add_argument("--scale", metavar="WORD", help="of a study: smoke, laptop or paper [default: laptop]")
    given.add_argument("--out", metavar="FOLDER", default="runs", help="where runs are kept [default: runs]")
    given.add_argument("--open", action="store_true", help="open the page in a browser")
    given.add_argument("--json", action="store_true", help="one JSON object instead, for scripts")
    given.add_argument("-h", "--help", action="store_true", help="this help")


def _report(options: argparse.Namespace, _: Interrupts) -> int:
    """Write the page of a run or a study, and say where it is."""
    path = _page(options)
    print(json.dumps({"report": str(path)}) if options.json else path, flush=True)
    if options.open and not webbrowser.open(path.resolve().as_uri()):
        raise UserError(f"{path}: no browser found to open it with")
    return 0


def _page(options: argparse.Namespace) -> Path:
    from iterhead.studies.published import ALL, STUDIES, find_scale, find_studies

    if options.run in (*STUDIES, ALL):
        scale = find_scale(options.scale or "laptop")
        return study_pages(options.run, find_studies(options.run, scale), Path(options.out))
    if options.scale is not None:
        raise UserError(f"--scale {options.scale}: expected with a study ({', '.join([*STUDIES, ALL])})")
    from iterhead.runs.run import load

    try:
        run = load(options.run, options.out)
    except UserError as error:
        study = nearest(options.run, [*STUDIES, ALL])
        raise UserError(f"{error}; or a study{study}" if study else str(error)) from None
    return make_page(run)


def make_page(run: "Run") -> Path:
    """Write report.html into a run's folder, and return its path.

    Raises:
        UserError: nothing is trained yet, another process works on the run, or the disk refuses.
    """
    from iterhead.report import REPORT, write_report

    write_report(run, _run_command(run.config))
    return run.folder.path / REPORT


def _run_command(config: "RunConfig") -> str:
    from iterhead.cli.options import as_options

    return shlex.join(["iterhead", "run", *as_options(config)])


def study_pages(
    name: str, studies: "Sequence[Study]", out: Path, findings: "Mapping[str, Sequence[Finding]] | None" = None
) -> Path:
    """Write the page of each study that has tables, and of all of them if there are several; return the last one's.

    Args:
        name: of the study, or of all of them.
        studies: of one scale.
        out: the folder of run folders.
        findings: the claims of studies by name, where they are checked already.

    Raises:
        UserError: none of them has tables, or the disk refuses.
    """
    from iterhead.report import has_tables, measured, no_tables, write_overview, write_study_report
    from iterhead.studies.results import STUDY, study_folder

    there = [study for study in studies if has_tables(study, out)]
    if not there:
        place = out / STUDY if len(studies) > 1 else study_folder(studies[0], out)
        raise no_tables(name, studies[0].scale, place, out)
    known = findings or {}
    found = [measured(study, out, known.get(study.name)) for study in there]
    paths = [write_study_report(study, _run_command) for study in found]
    if len(studies) > 1:
        missing = [study for study in studies if study not in there]
        paths.append(write_overview(name, found, missing, out))
    return paths[-1]


def tell_page(run: "Run", *, anew: bool, silent: bool) -> None:
    """Write the page at the end of a run, unless it is there already, and say where; a page that fails costs no run.

    Args:
        run: that ended.
        anew: it was trained just now, so a page that is there is an old one.
        silent: say nothing.
    """
    from iterhead.report import REPORT

    if run.folder.has(REPORT) and not anew:
        path = run.folder.path / REPORT
    else:
        try:
            path = make_page(run)
        except UserError as error:
            print(f"No page was made: {error}", file=sys.stderr)
            return
    if not silent:
        print(f"\nTo look at and to play with, in a browser: {path}")


COMMAND = Command(
    name="report",
    summary="a run or a study as one web page to explore",
    about=(
        "Of a run, writes report.html into its folder: attention maps of every head through the training, curves, "
        "claims with verdicts, and the network itself, which writes its chain of thought for any input while you "
        "replace its attention. `iterhead run` makes it by itself; make it again after `iterhead verify`, to show the "
        "claims it checked. Of a study, writes report.html beside its figures: the figures, the claims, and every "
        "cell down to its runs, their curves, settings and commands. `iterhead study run` makes it by itself. Each "
        "page is one file that loads nothing from elsewhere, to be opened in any browser."
    ),
    examples=(
        ("iterhead report polynomial", "the run whose name begins so: two seconds"),
        ("iterhead report runs/parity-e1cf48a887 --open", "and open it in a browser"),
        ("iterhead report figure-7", "a study, from its tables: a second"),
        ("iterhead report all --scale smoke", "every study that has tables, and one page of all their claims"),
        ("iterhead report polynomial --json", "for scripts: where the page is"),
    ),
    declare=_declare,
    run=_report,
)
