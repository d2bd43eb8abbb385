"""`iterhead report`: the page of a run, one file to open, explore and send on."""

import argparse
import json
import shlex
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from iterhead.cli.interrupts import Interrupts
from iterhead.cli.parsing import Command, Parser
from iterhead.errors import UserError

if TYPE_CHECKING:
    from iterhead.runs import Run


def _declare(parser: Parser) -> None:
    given = parser.add_argument_group("options")
    given.add_argument("run", metavar="RUN", help="a folder, a name, or enough of a name")
    given.add_argument("--out", metavar="FOLDER", default="runs", help="where runs are kept [default: runs]")
    given.add_argument("--open", action="store_true", help="open the page in a browser")
    given.add_argument("--json", action="store_true", help="one JSON object instead, for scripts")
    given.add_argument("-h", "--help", action="store_true", help="this help")


def _report(options: argparse.Namespace, _: Interrupts) -> int:
    """Write the page of a run, and say where it is."""
    from iterhead.runs import load

    path = make_page(load(options.run, options.out))
    print(json.dumps({"report": str(path)}) if options.json else path, flush=True)
    if options.open and not webbrowser.open(path.resolve().as_uri()):
        raise UserError(f"{path}: no browser found to open it with")
    return 0


def make_page(run: "Run") -> Path:
    """Write report.html into a run's folder, and return its path.

    Raises:
        UserError: nothing is trained yet, another process works on the run, or the disk refuses.
    """
    from iterhead.cli.options import as_options
    from iterhead.report import REPORT, write_report

    write_report(run, shlex.join(["iterhead", "run", *as_options(run.config)]))
    return run.folder.path / REPORT


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
    summary="a run as one web page to explore",
    about=(
        "Writes report.html into the run's folder: attention maps of every head through the training, curves, claims "
        "with verdicts, and the network itself, which writes its chain of thought for any input while you replace its "
        "attention. One file that loads nothing from elsewhere, to be opened in any browser. `iterhead run` makes it "
        "by itself; make it again after `iterhead verify`, to show the claims it checked."
    ),
    examples=(
        ("iterhead report polynomial", "the run whose name begins so: two seconds"),
        ("iterhead report runs/parity-e1cf48a887 --open", "and open it in a browser"),
        ("iterhead report polynomial --json", "for scripts: where the page is"),
    ),
    declare=_declare,
    run=_report,
)
