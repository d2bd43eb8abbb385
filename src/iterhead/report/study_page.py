"""The page of a study: its figures, its claims, and every cell down to the runs, their curves and settings."""

import base64
import html
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterhead import atomic
from iterhead.errors import UserError
from iterhead.formatting import out_option, plural
from iterhead.report.assemble import assemble, pack
from iterhead.report.cells import NO_CURVES, cells_facts, maps_facts, placed, runs_facts, seed_curves
from iterhead.report.run_page import REPORT
from iterhead.settings import RunConfig
from iterhead.studies.claims import Finding
from iterhead.studies.drawings import Drawing
from iterhead.studies.results import command, of_this_version, study_folder
from iterhead.studies.study import Scale, Study
from iterhead.studies.tables import FOLDER, Tables, read_tables

STYLES = ("colours.css", "page.css", "tables.css", "charts.css", "study.css", "media.css")

SCRIPTS = (
    *("data.js", "text.js", "start.js", "state.js", "colours.js", "chart.js", "claims.js"),
    *("cells.js", "cell_maps.js", "cell_list.js", "run_list.js", "seed_curves.js", "study.js"),
)

MOST_BYTES = 8_000_000
"""Of the page of a study; beyond it, curves are thinned. At laptop scale a page has a tenth of that."""

_DOTS = 150  # per inch of a stored figure; a style sheet has 96

_PNG = b"\x89PNG\r\n\x1a\n"

Facts = dict[str, Any]

CommandOf = Callable[[RunConfig], str]


@dataclass(frozen=True)
class StudyResult:
    """A study with its measurements."""

    study: Study
    out: Path  # the folder of run folders
    tables: Tables  # as they are on the disk
    findings: Sequence[Finding]  # its claims, checked on the tables

    @property
    def folder(self) -> Path:
        """The folder of its figures, tables and page."""
        return study_folder(self.study, self.out)

    def command(self, verb: str = "run", *more: str) -> str:
        """Return the command that runs the study, or does something else with it."""
        return " ".join([command(self.study, verb), *more]) + out_option(self.out)

    @property
    def headline(self) -> str:
        """Its claims and runs in a sentence; raises UserError for tables of another version."""
        runs = placed(self.study, self.tables["runs"])
        diverged = runs.filter(runs["state"] == "diverged").height if runs.height else 0
        return headline(self.findings, runs.height, self.study.run_count, diverged)


def measured(study: Study, out: Path, findings: Sequence[Finding] | None = None) -> StudyResult:
    """Return a study with its tables in a folder of runs, and its claims if they are not given.

    Raises:
        UserError: there are no tables, or one cannot be read.
    """
    folder = study_folder(study, out)
    tables = read_tables(study, folder)
    with of_this_version(study, folder):
        return StudyResult(study, out, tables, study.check(tables) if findings is None else findings)


def no_tables(name: str, scale: Scale, folder: Path, out: Path) -> UserError:
    """Return the error if there is nothing to make a page from."""
    study = f"{name} --scale {scale}{out_option(out)}"
    return UserError(
        f"{name}: no tables in {folder}: `iterhead study report {study}` makes them from finished runs, "
        f"`iterhead study run {study}` trains what is missing"
    )


def has_tables(study: Study, out: Path) -> bool:
    """Whether a study has been reported, so that a page can be made."""
    return any((study_folder(study, out) / FOLDER).glob("*.parquet"))


def write_study_report(result: StudyResult, command_of: CommandOf) -> Path:
    """Write a study's page, report.html, into its folder, and return its path; `command_of` as in `cells_facts`.

    Raises:
        UserError: the tables are from another version of the study, or the file cannot be written.
    """
    path = result.folder / REPORT
    with of_this_version(result.study, result.folder):
        page = study_report(result, command_of)
    atomic.write(path, page)
    return path


def study_report(result: StudyResult, command_of: CommandOf) -> bytes:
    """Return a study's page, below `MOST_BYTES` if its figures and the number of its runs allow."""
    study = result.study
    texts = {
        "title": f"{study.name} ({study.scale}): {study.title} - iterhead",
        "kicker": f"{study.name} · scale {study.scale}",
        "headline": study.title,
        "summary": result.headline,
        "published": study.published,
        "command": result.command(),
    }
    images = pictures(study, result.folder, result.command("report", "--redraw"))
    runs, arrays = runs_facts(study, result.tables)
    maps, of_maps = maps_facts(study, result.tables)
    curves = seed_curves(study, result.tables)
    facts = {
        "study": {"name": study.name, "scale": study.scale, "chosen": list(study.chosen)},
        "out": out_option(result.out),
        "claims": [claim_facts(finding) for finding in result.findings],
        "maps": maps,
        **cells_facts(study, command_of),
        **runs,
    }
    arrays |= {**of_maps, "emerged": curves.emerged()}
    every = 1
    while True:
        data = pack({**facts, "left_out": _left_out(every)}, {**arrays, **curves.arrays(every)})
        page = assemble("study.html", STYLES, SCRIPTS, texts, data, images)
        if len(page) <= MOST_BYTES or every == NO_CURVES:
            return page
        every = every * 2 if every < curves.most else NO_CURVES


def pictures(study: Study, folder: Path, command: str, *, most: int | None = None) -> str:
    """Return the figures in a study's folder as HTML, `most` at most; damaged files are left out.

    The command, which redraws them, is shown under each; it may be empty.
    """
    files = [(drawing, folder / f"{drawing.file}.png") for drawing in study.drawings]
    images = [(drawing, path.read_bytes()) for drawing, path in files if path.is_file()]
    whole = [(drawing, data) for drawing, data in images if data.startswith(_PNG)]
    return "\n".join(_picture(study, drawing, data, command) for drawing, data in whole[:most])


def _picture(study: Study, drawing: Drawing, data: bytes, command: str) -> str:
    pixels = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))  # of the PNG's first chunk
    width, height = (round(size * 96 / _DOTS) for size in pixels)
    source = "data:image/png;base64," + base64.b64encode(data).decode()
    alternative = html.escape(drawing.describe(study))
    again = f" <span>Drawn again by <code>{html.escape(command)}</code></span>" if command else ""
    return (
        f'<figure class="picture"><img src="{source}" width="{width}" height="{height}" alt="{alternative}">'
        f"<figcaption><strong>{html.escape(drawing.title)}.</strong>{again}</figcaption></figure>"
    )


def _left_out(every: int) -> str:
    if every == 1:
        return ""
    reason = f"so that the page stays below {MOST_BYTES / 1e6:g} MB"
    if every == NO_CURVES:
        return f"The curves are left out, {reason}; tables/curves.parquet in the study's folder has them."
    which = "second" if every == 2 else f"{every}th"
    return f"Of the curves every {which} evaluation is kept, {reason}; tables/curves.parquet has all of them."


def claim_facts(finding: Finding) -> Facts:
    """Return a claim as JSON; nan is None, and infinity its sign."""
    numbers = {name: getattr(finding, name) for name in ("value", "low", "high")}
    infinite = {name: "∞" if value > 0 else "-∞" for name, value in numbers.items() if math.isinf(value)}
    return {**finding.as_json(), **infinite}


def headline(findings: Sequence[Finding], done: int, total: int, diverged: int = 0) -> str:
    """Return the state of claims and runs in a sentence."""
    runs = f"{done:,} of {plural(total, 'run')} finished" + (f" ({diverged:,} diverged)" if diverged else "")
    if not findings:
        return f"{runs}."
    if len(findings) == 1:
        verdict = findings[0].verdict
        return f"The claim {'is ' if verdict == 'undecided' else ''}{verdict}; {runs}."
    counts = Counter(finding.verdict for finding in findings)
    holding, failing, undecided = counts["holds"], counts["does not hold"], counts["undecided"]
    parts = [f"{holding} of {plural(len(findings), 'claim')} hold{'s' if holding == 1 else ''}"]
    parts += [f"{failing} do{'es' if failing == 1 else ''} not"] if failing else []
    parts += [f"{undecided} {'is' if undecided == 1 else 'are'} undecided"] if undecided else []
    return f"{', '.join(parts)}; {runs}."
