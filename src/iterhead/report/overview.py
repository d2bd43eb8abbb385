"""The page of all studies together: one table of claims, the first figure of each, and links to their own pages."""

import html
from collections.abc import Sequence
from pathlib import Path

from iterhead import atomic
from iterhead.formatting import out_option
from iterhead.report.assemble import assemble, pack, typeset
from iterhead.report.cells import INDEX, placed
from iterhead.report.pictures import pictures
from iterhead.report.run_page import REPORT
from iterhead.report.study_page import STYLES, Measured, claim_facts, headline
from iterhead.studies.results import STUDY, command
from iterhead.studies.study import Scale, Study

SCRIPTS = ("data.js", "text.js", "start.js", "claims.js", "overview.js")


def write_overview(name: str, found: Sequence[Measured], missing: Sequence[Study], out: Path) -> Path:
    """Write the page of several studies of one scale into a folder beside theirs, and return its path.

    Args:
        name: of all of them.
        found: those that have tables, one at least.
        missing: those that have none yet.
        out: the folder of run folders.

    Raises:
        UserError: the disk refuses.
    """
    scale = found[0].study.scale
    path = out / STUDY / f"{name}-{scale}" / REPORT
    atomic.write(path, overview(name, scale, found, missing, out))
    return path


def overview(name: str, scale: Scale, found: Sequence[Measured], missing: Sequence[Study], out: Path) -> bytes:
    """Return the page of several studies; runs that they share count once."""
    findings = [finding for one in found for finding in one.findings]
    of_each = [[config for _, _, config in one.study.runs()] for one in found]
    total = {config for configs in of_each for config in configs}
    done = {
        configs[index]
        for one, configs in zip(found, of_each, strict=True)
        for index in placed(one.study, one.tables["runs"])[INDEX]
    }
    left = [f"{command(study)}{out_option(out)}" for study in missing]
    told = headline(findings, len(done), len(total))
    texts = {
        "title": f"The published study ({scale}) - iterhead",
        "kicker": f"{len(found)} of {len(found) + len(missing)} studies · scale {scale}",
        "headline": "The published study, figure by figure",
        "summary": told,
        "command": f"iterhead study run {name} --scale {scale}{out_option(out)}",
    }
    facts = {
        "studies": [
            {
                "name": one.study.name,
                "title": one.study.title,
                "link": _link(one.study),
                "headline": one.headline,
                "claims": [claim_facts(finding) for finding in one.findings],
            }
            for one in found
        ],
        "missing": left,
    }
    drawn = "\n".join(_section(one) for one in found)
    return assemble("overview.html", STYLES, SCRIPTS, texts, pack(facts, {}), drawn)


def _section(one: Measured) -> str:
    """Return a study's heading, what became of it, and its first figure."""
    study = one.study
    heading = f'<h3><a href="{html.escape(_link(study))}">{html.escape(study.name)}</a>: {typeset(study.title)}</h3>'
    return f"<article>{heading}<p>{typeset(one.headline)}</p>{pictures(study, one.folder, '', most=1)}</article>"


def _link(study: Study) -> str:
    """Return where a study's own page is, from the folder of the page of all."""
    return f"../{study.folder}/{REPORT}"
