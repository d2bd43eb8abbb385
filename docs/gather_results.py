"""Copy the results of studies into docs/results, and write the table of all claims into docs/results.md.

    iterhead study run all
    python docs/gather_results.py runs

from the root of the repository. Only studies whose runs are all finished are copied: figures as PNG, tables and claims.
Without an argument it writes the table alone, from what is there. `make_claims_picture.py` draws the same claims.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from iterhead.studies.claims import Finding
from iterhead.studies.registry import OURS, find_studies
from iterhead.studies.results import claims_table
from iterhead.studies.study import Scale
from iterhead.studies.tables import Tables

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS / "results"
"""Laid out like a folder of runs, so that `iterhead study report NAME --redraw --out docs/results` finds its tables."""

SCALE: Scale = "laptop"

KEPT = ("*.png", "claims.json", "claims.md", "tables/*.parquet")


def studies() -> list[Path]:
    """Return the folders of the studies in docs/results; one with a page alone, as of all of them, is none."""
    return sorted(path.parent for path in (RESULTS / "study").glob(f"*-{SCALE}/claims.json"))


def claims() -> list[Finding]:
    """Return every claim of every published study in docs/results, by number and letter."""
    published = [folder for folder in studies() if folder.name.removesuffix(f"-{SCALE}") not in OURS]
    files = [json.loads((folder / "claims.json").read_text()) for folder in published]
    return sorted((Finding.from_json(claim) for file in files for claim in file["claims"]), key=_order)


def not_measured() -> list[Finding]:
    """Return the claims of the published studies that are not in docs/results."""
    measured = {folder.name.removesuffix(f"-{SCALE}") for folder in studies()}
    missing = [study for study in find_studies("all", SCALE) if study.name not in measured]
    return sorted((finding for study in missing for finding in study.check(Tables(study.name))), key=_order)


def _order(finding: Finding) -> tuple[float, str]:
    number = re.match(r"\d*", finding.id)[0]
    return float(number or "inf"), finding.id


def results_table() -> list[str]:
    """Return the lines of a Markdown table with a row for each claim, those not measured last."""
    findings, missing = claims(), not_measured()
    links = [f"[{each.figure}](results/study/{each.figure}-{SCALE}/claims.md)" for each in findings]
    links += [f"not measured: `iterhead study run {each.figure}`" for each in missing]
    return claims_table([*findings, *missing], "study", links)


def between(text: str, name: str, lines: Iterable[str]) -> str:
    """Return a page with other lines between `<!-- NAME -->` and `<!-- end of NAME -->`."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    body = "\n".join([begin, "", *lines, "", end])
    replaced, count = re.subn(re.escape(begin) + ".*?" + re.escape(end), lambda _: body, text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"expected {begin} and {end} once")
    return replaced


def results_page() -> str:
    """Return docs/results.md with the table as it should be."""
    return between((DOCS / "results.md").read_text(), "claims", results_table())


def copy(out: Path) -> None:
    """Copy the studies of a folder of runs whose runs are all finished."""
    for path in sorted((out / "study").glob(f"*-{SCALE}/claims.json")):
        content = json.loads(path.read_text())
        if content["measured"] < content["runs"]:
            print(f"skipped: {path.parent.name}, {content['measured']} of {content['runs']} runs")
            continue
        if not (path.parent / "tables" / "provenance.parquet").exists():
            print(f"skipped: {path.parent.name}, of an earlier version: iterhead study report {content['study']} first")
            continue
        target = RESULTS / "study" / path.parent.name
        shutil.rmtree(target, ignore_errors=True)
        for pattern in KEPT:
            for file in sorted(path.parent.glob(pattern)):
                copied = target / file.relative_to(path.parent)
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copied)
        print(f"copied: {target}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        copy(Path(sys.argv[1]))
    (DOCS / "results.md").write_text(results_page())
