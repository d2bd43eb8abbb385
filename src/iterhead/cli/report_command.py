"""`iterhead report`: a run or a study as one web page."""

import argparse
import shlex
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iterhead.cli.parsing import Command, Parser, declare_shared
from iterhead.cli.shell import Interrupts, print_json
from iterhead.errors import UserError, nearest

if TYPE_CHECKING:
    from iterhead.runs.run import Run
    from iterhead.settings import RunConfig
    from iterhead.studies.claims import Finding
    from iterhead.studies.study import Study


def _declare(parser: Parser) -> None:
    group = parser.add_argument_group("options")
    group.add_argument(
        "run",
        metavar="RUN | STUDY",
        help="a run: a folder, or the start of a name; or a study: figure-7, ..., or all. The name of a study takes "
        "precedence over a run whose name starts so",
    )
    group.add_argument("--open", action="store_true", help="open the page in a browser")
    declare_shared(group, "task", "scale", "out")


def _report(options: argparse.Namespace, _: Interrupts) -> int:
    """Write the page of a run or a study, and print its path."""
    from iterhead.studies.registry import find_scale, find_studies, is_study

    if is_study(options.run):
        studies = find_studies(options.run, find_scale(options.scale or "laptop"))
        path = write_study_pages(options.run, studies, Path(options.out))
    else:
        path = write_run_page(_find_run(options))
    if options.json:
        print_json({"report": str(path)})
    else:
        print(path, flush=True)
    if options.open and not webbrowser.open(path.resolve().as_uri()):
        raise UserError(f"{path}: no browser found to open it with")
    return 0


def _find_run(options: argparse.Namespace) -> "Run":
    from iterhead.studies.registry import ALL, STUDIES

    studies = [*STUDIES, ALL]
    if options.scale is not None:
        raise UserError(f"--scale {options.scale}: expected with a study ({', '.join(studies)})")
    from iterhead.runs.run import load

    try:
        return load(options.run, options.out, task=options.task)
    except UserError as error:
        study = nearest(options.run, studies)
        raise UserError(f"{error}; or a study{study}" if study else str(error)) from None


def write_run_page(run: "Run") -> Path:
    """Write report.html into a run's folder, and return its path.

    Raises:
        UserError: nothing is trained yet, another process is using the run, or the file cannot be written.
    """
    from iterhead.report.run_page import REPORT, write_report

    write_report(run, _run_command(run.config))
    return run.folder.path / REPORT


def _run_command(config: "RunConfig") -> str:
    from iterhead.cli.options import as_options

    return shlex.join(["iterhead", "run", *as_options(config)])


def write_study_pages(
    name: str, studies: "Sequence[Study]", out: Path, findings: "Mapping[str, Sequence[Finding]] | None" = None
) -> Path:
    """Write the page of each study that has tables and, if there are several, an overview; return the last path.

    `name` is that of the study or of all of them; `findings` are the claims by study, where they are already checked.

    Raises:
        UserError: none of the studies has tables, or a file cannot be written.
    """
    from iterhead.report.overview import write_overview
    from iterhead.report.study_page import has_tables, measured, no_tables, write_study_report
    from iterhead.studies.results import STUDY, study_folder

    with_tables = [study for study in studies if has_tables(study, out)]
    if not with_tables:
        place = out / STUDY if len(studies) > 1 else study_folder(studies[0], out)
        raise no_tables(name, studies[0].scale, place, out)
    results = [measured(study, out, (findings or {}).get(study.name)) for study in with_tables]
    paths = [write_study_report(result, _run_command) for result in results]
    if len(studies) > 1:
        missing = [study for study in studies if study not in with_tables]
        paths.append(write_overview(name, results, missing, out))
    return paths[-1]


def make_final_page(run: "Run", *, is_new: bool, silent: bool) -> None:
    """Write the page of a run that has ended, and print its path. A failure is reported, but does not fail the run.

    Unless the run `is_new`, an existing page is kept.
    """
    from iterhead.report.run_page import REPORT

    path = run.folder.path / REPORT
    if is_new or not run.folder.has(REPORT):
        try:
            write_run_page(run)
        except UserError as error:
            print(f"No page was made: {error}", file=sys.stderr)
            return
    if not silent:
        print(f"\nExplore it in a browser: {path}")


COMMAND = Command(
    name="report",
    summary="a run or a study as one web page to explore",
    about=(
        "For a run, writes report.html into its folder: the attention maps of every head during training, curves, "
        "claims with verdicts, and the network itself, which writes its chain of thought for any input while you "
        "replace its attention. Make it again after `iterhead verify` to show the claims. For a study, writes "
        "report.html next to its figures: the figures, the claims, and every cell with its runs, curves, settings and "
        "commands. `iterhead run` and `iterhead study run` make these pages too. A page is one file that loads nothing "
        "from the network."
    ),
    examples=(
        ("iterhead report polynomial --open", "the run whose name starts with polynomial, in the browser: two seconds"),
        ("iterhead report figure-7", "a study, from its tables: a second"),
        ("iterhead report all --scale smoke", "every study that has tables, and one page with all their claims"),
        ("iterhead report polynomial --json", "for scripts: the path of the page"),
    ),
    declare=_declare,
    run=_report,
)
