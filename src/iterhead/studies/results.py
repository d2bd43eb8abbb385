"""What a study shows: tables, figures and claims, written into its folder."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from iterhead import atomic
from iterhead.errors import UserError
from iterhead.figures.panels import add_foot
from iterhead.figures.style import render
from iterhead.studies.claims import Finding, claim_rows
from iterhead.studies.collect import collect
from iterhead.studies.draw import draw
from iterhead.studies.study import Study
from iterhead.studies.tables import FOLDER as TABLES
from iterhead.studies.tables import Tables, read_tables, write_tables

STUDY = "study"
"""In the folder of runs, the folder of what studies show."""

CLAIMS_JSON, CLAIMS_TEXT = "claims.json", "claims.md"


@dataclass(frozen=True)
class Reported:
    """What was written.

    Attributes:
        study: that is shown.
        folder: where.
        measured: finished runs in the tables.
        runs: runs that the study has.
        seeds: of the finished runs, increasing.
        seconds: that the finished runs took, one after another, evaluations included.
        figures: the files of the figures.
        findings: the claims.
    """

    study: Study
    folder: Path
    measured: int
    runs: int
    seeds: tuple[int, ...]
    seconds: float
    figures: tuple[Path, ...]
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """Return everything by name."""
        return {
            "study": self.study.name,
            "scale": self.study.scale,
            "folder": str(self.folder),
            "measured": self.measured,
            "runs": self.runs,
            "seeds": list(self.seeds),
            "seconds": round(self.seconds, 1),
            "figures": [str(path) for path in self.figures],
            "claims": [finding.as_json() for finding in self.findings],
        }


def study_folder(study: Study, out: Path) -> Path:
    """Return the folder of a study's tables, figures and claims."""
    return out / STUDY / study.folder


def report(
    study: Study, out: Path, *, redraw: bool = False, tell: Callable[[str], None] = lambda _line: None
) -> Reported:
    """Write what a study shows, of the runs that are finished, and return what was written.

    Args:
        study: to show.
        out: the folder of run folders.
        redraw: take the tables that are there, and do not look at any run.
        tell: is given a line about each run that cannot be read.

    Raises:
        UserError: the disk refuses, or there are no tables to redraw from, or only those of another version.
    """
    folder = study_folder(study, out)
    if redraw:
        tables = read_tables(study.name, folder)
    else:
        tables = collect(study, out, tell)
        write_tables(tables, folder)
    try:
        drawn, findings = draw(study, tables), judge(study, tables)
    except pl.exceptions.ColumnNotFoundError as error:
        missing = str(error).partition("\n")[0]
        again = command(study, "report")
        raise UserError(f"{folder / TABLES}: of another version, {missing}: {again} makes them from the runs") from None
    figures: list[Path] = []
    for name, figure in drawn.items():
        add_foot(figure, command(study))
        for file, data in render(figure, name).items():
            atomic.write(folder / file, data)
            figures.append(folder / file)
    total = sum(len(cell.seeds) for cell in study.cells)
    rows = tables["runs"]
    seeds, seconds = (
        ((), 0.0) if rows.is_empty() else (rows["seed"].unique().sort(), float(rows["total_seconds"].sum()))
    )
    done = Reported(study, folder, rows.height, total, tuple(seeds), seconds, tuple(figures), tuple(findings))
    told = {**done.as_json(), **_about(study), "figures": _names(figures)}
    del told["folder"]  # the file is there; and a person's paths are nobody's business
    atomic.write(folder / CLAIMS_JSON, atomic.json_bytes(told))
    atomic.write(folder / CLAIMS_TEXT, claims_text(done).encode())
    return done


def judge(study: Study, tables: Tables) -> list[Finding]:
    """Return the claims of a study, checked on its tables."""
    return [finding for check in study.judges for finding in check(tables)]


def _names(figures: Sequence[Path]) -> list[str]:
    return [path.name for path in figures]


def _about(study: Study) -> dict[str, Any]:
    return {"title": study.title, "published": study.published, "chosen": list(study.chosen), "command": command(study)}


def command(study: Study, verb: str = "run") -> str:
    """Return what is typed to make a study again."""
    return shlex.join(["iterhead", "study", verb, study.name, "--scale", study.scale])


def claims_text(done: Reported) -> str:
    """Return the claims as a page of Markdown: what was measured, what was chosen, and a table."""
    study = done.study
    lines = [
        f"# {study.name}: {study.title}",
        "",
        f"Made by `{command(study)}`: {done.measured} of {done.runs} runs{_spent(done)}.",
        "",
        *(f"![{path.stem}]({path.name})\n" for path in done.figures if path.suffix == ".png"),
        f"**Published.** {study.published}",
        "",
        "**Chosen here.**",
        "",
        *(f"- {c}" for c in study.chosen),
        "",
    ]
    if done.findings:
        lines += claims_table(done.findings)
    return "\n".join(lines).rstrip() + "\n"


def _spent(done: Reported) -> str:
    """Return the seeds, as a range unless some are missing, and the time."""
    if not done.seeds:
        return ""
    first, last = done.seeds[0], done.seeds[-1]
    whole = len(done.seeds) > 2 and done.seeds == tuple(range(first, last + 1))
    seeds = f"{first} to {last}" if whole else ", ".join(map(str, done.seeds))
    time = f"{done.seconds:.0f} s" if done.seconds < 120 else f"{done.seconds / 60:.0f} minutes"
    return f", seeds {seeds}, {time} on one core"


def claims_table(findings: Sequence[Finding]) -> list[str]:
    """Return the lines of a Markdown table of claims."""
    lines = ["| | claim | found | 95% over seeds | asked | verdict | |", "|---|---|---|---|---|---|---|"]
    for finding, row in zip(findings, claim_rows(findings), strict=True):
        verdict = row.verdict if row.verdict == "holds" else f"**{row.verdict}**"
        cells = (*row[:-1], verdict, finding.sentence)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines
