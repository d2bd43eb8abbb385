"""The results of a study, written into its folder: tables, figures and claims."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from iterhead.studies.study import Study
from iterhead.studies.tables import FOLDER, read_tables, write_tables

STUDY = "study"
"""In the folder of runs, the folder of all studies' results."""

CLAIMS_JSON, CLAIMS_TEXT = "claims.json", "claims.md"


@dataclass(frozen=True)
class Reported:
    """What `report` wrote."""

    study: Study
    folder: Path
    measured: int  # finished runs, which the tables have
    runs: int  # runs of the study
    seeds: tuple[int, ...]  # of the finished runs, increasing
    seconds: float  # total time of the finished runs, one after another, evaluations included
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


def command(study: Study, verb: str = "run") -> str:
    """Return the command that runs (or does something else with) a study."""
    return shlex.join(["iterhead", "study", verb, study.name, "--scale", study.scale])


@contextmanager
def of_this_version(study: Study, folder: Path) -> Iterator[None]:
    """Turn an error about the columns of a study's tables into a UserError."""
    try:
        yield
    except pl.exceptions.PolarsError as error:
        missing, again = str(error).partition("\n")[0], command(study, "report")
        raise UserError(f"{folder / FOLDER}: of another version, {missing}: {again} makes them from the runs") from None


def report(
    study: Study, out: Path, *, redraw: bool = False, warn: Callable[[str], None] = lambda _line: None
) -> Reported:
    """Write the results of a study's finished runs, and return what was written.

    With `redraw`, the tables that are there are read instead of the runs. `warn` gets a line about each run that cannot
    be read.

    Raises:
        UserError: a file cannot be written, or there are no tables to redraw from, or they are from another version.
    """
    folder = study_folder(study, out)
    if redraw:
        tables = read_tables(study, folder)
    else:
        tables = collect(study, out, warn)
        write_tables(tables, folder)
    with of_this_version(study, folder):
        figures, findings = study.draw(tables), study.check(tables)
    paths: list[Path] = []
    for name, figure in figures.items():
        add_foot(figure, command(study))
        for file, data in render(figure, name).items():
            atomic.write(folder / file, data)
            paths.append(folder / file)
    runs = tables["runs"]
    seeds = tuple(runs["seed"].unique().sort()) if len(runs) else ()
    seconds = float(runs["total_seconds"].sum()) if len(runs) else 0.0
    reported = Reported(study, folder, len(runs), study.run_count, seeds, seconds, tuple(paths), tuple(findings))
    content = {
        **reported.as_json(),
        "title": study.title,
        "published": study.published,
        "chosen": list(study.chosen),
        "command": command(study),
        "figures": [path.name for path in paths],
    }
    del content["folder"]  # claims.json names no path of the machine
    atomic.write(folder / CLAIMS_JSON, atomic.json_bytes(content))
    atomic.write(folder / CLAIMS_TEXT, claims_text(reported).encode())
    return reported


def claims_text(reported: Reported) -> str:
    """Return the results as a page of Markdown: what was measured, what was chosen, and a table of the claims."""
    study = reported.study
    lines = [
        f"# {study.name}: {study.title}",
        "",
        f"Made by `{command(study)}`: {reported.measured} of {reported.runs} runs{_effort(reported)}.",
        "",
        *(f"![{path.stem}]({path.name})\n" for path in reported.figures if path.suffix == ".png"),
        f"**Published.** {study.published}",
        "",
        "**Chosen here.**",
        "",
        *(f"- {choice}" for choice in study.chosen),
        "",
    ]
    if reported.findings:
        lines += claims_table(reported.findings, "", [finding.sentence for finding in reported.findings])
    return "\n".join(lines).rstrip() + "\n"


def _effort(reported: Reported) -> str:
    """Return the seeds, as a range unless some are missing, and the time."""
    if not reported.seeds:
        return ""
    first, last = reported.seeds[0], reported.seeds[-1]
    whole = len(reported.seeds) > 2 and reported.seeds == tuple(range(first, last + 1))
    seeds = f"{first} to {last}" if whole else ", ".join(map(str, reported.seeds))
    time = f"{reported.seconds:.0f} s" if reported.seconds < 120 else f"{reported.seconds / 60:.0f} minutes"
    return f", seeds {seeds}, {time} on one core"


def claims_table(findings: Sequence[Finding], title: str, last: Sequence[str]) -> list[str]:
    """Return the lines of a Markdown table of claims, with one more column."""
    lines = [f"| | claim | found | 95% over seeds | asked | verdict | {title} |".replace("|  |", "| |")]
    lines.append("|---|---|---|---|---|---|---|")
    for row, more in zip(claim_rows(findings), last, strict=True):
        verdict = row.verdict if row.verdict == "holds" else f"**{row.verdict}**"
        cells = (*row[:-1], verdict, more)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines
