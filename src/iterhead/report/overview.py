"""The page of all studies together: one table of claims, the first figure of each, and links to their own pages."""

from collections.abc import Sequence
from pathlib import Path

from iterhead import atomic
from iterhead.formatting import out_option
from iterhead.report.assemble import assemble, escape, pack, typeset
from iterhead.report.cells import INDEX, placed
from iterhead.report.run_page import REPORT
from iterhead.report.study_page import STYLES, StudyResult, claim_facts, headline, pictures
from iterhead.studies.results import STUDY, command
from iterhead.studies.study import Scale, Study

SCRIPTS = ("data.js", "text.js", "start.js", "claims.js", "overview.js")


def write_overview(name: str, results: Sequence[StudyResult], missing: Sequence[Study], out: Path) -> Path:
    """Write the page of several studies of one scale into a folder next to theirs, and return its path.

    `results` are the studies with tables, at least one, and `missing` those without. Raises UserError if the file
    cannot be written.
    """
    scale = results[0].study.scale
    path = out / STUDY / f"{name}-{scale}" / REPORT
    atomic.write(path, overview(name, scale, results, missing, out))
    return path


def overview(name: str, scale: Scale, results: Sequence[StudyResult], missing: Sequence[Study], out: Path) -> bytes:
    """Return the page of several studies; runs that they share count once."""
    findings = [finding for result in results for finding in result.findings]
    configs = [[config for _, _, config in result.study.runs()] for result in results]
    done = {
        of_study[index]
        for result, of_study in zip(results, configs, strict=True)
        for index in placed(result.study, result.tables["runs"])[INDEX]
    }
    texts = {
        "title": f"The published study ({scale}) - iterhead",
        "kicker": f"{len(results)} of {len(results) + len(missing)} studies · scale {scale}",
        "headline": "The published study, figure by figure",
        "summary": headline(findings, len(done), len(set().union(*configs))),
        "command": f"iterhead study run {name} --scale {scale}{out_option(out)}",
    }
    facts = {
        "studies": [
            {
                "name": result.study.name,
                "title": result.study.title,
                "link": _link(result.study),
                "headline": result.headline,
                "claims": [claim_facts(finding) for finding in result.findings],
            }
            for result in results
        ],
        "missing": [f"{command(study)}{out_option(out)}" for study in missing],
    }
    sections = "\n".join(_section(result) for result in results)
    return assemble("overview.html", STYLES, SCRIPTS, texts, pack(facts, {}), sections)


def _section(result: StudyResult) -> str:
    study = result.study
    heading = f'<h3><a href="{escape(_link(study))}">{escape(study.name)}</a>: {typeset(study.title)}</h3>'
    first = pictures(study, result.folder, "", most=1)
    return f"<article>{heading}<p>{typeset(result.headline)}</p>{first}</article>"


def _link(study: Study) -> str:
    return f"../{study.folder}/{REPORT}"
