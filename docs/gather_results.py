"""Copy what studies show into docs/results, and write the tables of claims in README.md and docs/results.md anew.

    iterhead study run all
    python docs/gather_results.py runs

from the root of the repository. Only studies whose runs are all finished are copied; the figures as PNG, the tables and
the claims. Without an argument it writes the tables of claims alone, from what is there.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from iterhead.studies.claims import SIGNS
from iterhead.studies.registry import find_studies
from iterhead.studies.study import Scale
from iterhead.studies.tables import Tables

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS / "results"
"""Shaped like a folder of runs, so that `iterhead study report NAME --redraw --out docs/results` finds its tables."""

SCALE: Scale = "laptop"

KEPT = ("*.png", "claims.json", "claims.md", "tables/*.parquet")

NAMES: Mapping[str, str] = {
    "1": "The circuit set by hand works",
    "2": "Iteration heads emerge",
    "3": "Heads read positions, not content",
    "4": "They are causal",
    "5": "MLP 1 subtracts",
    "6": "MLP 2 computes F",
    "7": "Chain of thought is needed",
    "8": "Two layers are needed",
    "9": "Small widths break the subtraction first",
    "10": "Accuracy goes with second peakiness",
    "11": "Other circuits exist",
    "12": "Parity induces the head less well",
    "13": "After the polynomial parity comes ten times sooner (b to e, z: controls)",
    "14": "Tuning only the last MLP is enough",
    "15": "Longer sequences are learned later",
    "16": "Adam's good region is larger than SGD's",
    "17": "Frozen positions need a larger width; positions need room",
    "18": "Deeper, wider networks spread the role",
    "R": "The published residual stream learns sooner than the textbook one",
}
"""The paper's claims by number, in a few words; R is ours."""

UNITS: Mapping[str, str] = {
    **dict.fromkeys(("4a", "4b", "4c", "4d"), "chains lost "),
    **dict.fromkeys(("4e", "4f"), "states right "),
    **dict.fromkeys(("13a", "13b", "13c", "13d", "13e", "13z"), "times sooner "),
    "9a": "first peakiness ",
    "9b": "times as wide ",
    "10": "rank correlation ",
    "11c": "networks ",
    "12b": "difference of standard deviations ",
    "14": "accuracy ",
    "15": "rank correlation ",
    "17a": "times as wide ",
    "18b": "weight on x_t ",
    "R": "times as many epochs ",
}
"""What the figure of a claim is, where its sentence does not say so."""

Claim = dict[str, Any]


def studies() -> list[Path]:
    """Return the folders of the studies in docs/results; one with a page alone, as of all of them, is none."""
    return sorted(path.parent for path in (RESULTS / "study").glob(f"*-{SCALE}/claims.json"))


def claims() -> list[Claim]:
    """Return every claim of every study, by number and letter."""
    found = []
    for folder in studies():
        told = json.loads((folder / "claims.json").read_text())
        found += [{**claim, "study": told["study"]} for claim in told["claims"]]
    return sorted(found, key=lambda claim: (list(NAMES).index(number_of(claim["id"])), claim["id"]))


def number_of(id_: str) -> str:
    """Return the number of a claim without the letter of its part."""
    return id_ if id_ in NAMES else id_.rstrip("abcdefghijklmnopqrstuvwxyz")


def not_measured() -> dict[str, list[tuple[str, str]]]:
    """Return the parts of claims that no study here has checked, with their study, by number."""
    there = {folder.name.removesuffix(f"-{SCALE}") for folder in studies()}
    missing: dict[str, list[tuple[str, str]]] = {}
    for study in find_studies("all", SCALE):
        for finding in study.check(Tables(study.name)) if study.name not in there else []:
            missing.setdefault(number_of(finding.id), []).append((finding.id, study.name))
    return missing


def short_table() -> list[str]:
    """Return a row for each number of a claim: which of its parts hold, and what was found of those that do not."""
    lines = ["| | claim | holds | does not hold | undecided, or not measured |", "|---|---|---|---|---|"]
    found, missing = claims(), not_measured()
    for number, name in NAMES.items():
        parts = [claim for claim in found if number_of(claim["id"]) == number]
        holding = ", ".join(claim["id"] for claim in parts if claim["verdict"] == "holds")
        others = [
            "; ".join(_plainly(claim) for claim in parts if claim["verdict"] == verdict)
            for verdict in ("does not hold", "undecided")
        ]
        open_ = "; ".join(filter(None, [others[1], _left(number, missing)]))
        lines.append(f"| {number} | {name} | {holding} | {others[0]} | {open_} |")
    return lines


def _left(number: str, missing: Mapping[str, list[tuple[str, str]]]) -> str:
    """Return the parts of a claim that were not measured, and how to."""
    parts = missing.get(number, [])
    commands = ", ".join(f"`iterhead study run {study}`" for study in dict.fromkeys(study for _, study in parts))
    return f"{', '.join(id_ for id_, _ in parts)} not measured ({commands})" if parts else ""


def _plainly(claim: Claim) -> str:
    """Return a part of a claim with what was found and what was asked."""
    unit = UNITS.get(claim["id"], "")
    found = f"{unit}{_told(claim['value'])} ({_told(claim['low'])} to {_told(claim['high'])})"
    return f"**{claim['id']}** {_escaped(claim['claim'])}: {found}, asked {_asked(claim)}"


def full_table() -> list[str]:
    """Return a row for each claim, with its figure, interval, what was asked and verdict."""
    lines = ["| | claim | found | 95% over seeds | asked | verdict | study |", "|---|---|---|---|---|---|---|"]
    for claim in claims():
        ends = f"{_told(claim['low'])} to {_told(claim['high'])} ({claim['seeds']})" if claim["seeds"] else ""
        verdict = claim["verdict"] if claim["verdict"] == "holds" else f"**{claim['verdict']}**"
        study = f"[{claim['study']}](results/study/{claim['study']}-{SCALE}/claims.md)"
        found = _told(claim["value"]) if claim["seeds"] else "nothing"
        cells = (claim["id"], _escaped(claim["claim"]), found, ends, _asked(claim), verdict, study)
        lines.append("| " + " | ".join(cells) + " |")
    for parts in not_measured().values():
        lines += [f"| {id_} | {NAMES[number_of(id_)]} | | | | **not measured** | {study} |" for id_, study in parts]
    return lines


def _asked(claim: Claim) -> str:
    return f"{SIGNS[claim['bound']]} {claim['threshold']:.2f}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _told(value: float | None) -> str:
    return "unbounded" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def between(text: str, name: str, lines: Iterable[str]) -> str:
    """Return a page with other lines between `<!-- NAME -->` and `<!-- end of NAME -->`."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    body = "\n".join([begin, "", *lines, "", end])
    replaced, count = re.subn(re.escape(begin) + ".*?" + re.escape(end), lambda _: body, text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"expected {begin} and {end} once")
    return replaced


def pages() -> dict[Path, str]:
    """Return README.md and docs/results.md with the tables as they should be."""
    tables = {DOCS.parent / "README.md": short_table(), DOCS / "results.md": full_table()}
    return {page: between(page.read_text(), "claims", table) for page, table in tables.items()}


def copy(out: Path) -> None:
    """Copy the studies of a folder of runs whose runs are all finished."""
    for path in sorted((out / "study").glob(f"*-{SCALE}/claims.json")):
        told = json.loads(path.read_text())
        if told["measured"] < told["runs"]:
            print(f"left out: {path.parent.name}, {told['measured']} of {told['runs']} runs")
            continue
        if not (path.parent / "tables" / "provenance.parquet").exists():
            print(f"left out: {path.parent.name}, of an earlier version: iterhead study report {told['study']} first")
            continue
        into = RESULTS / "study" / path.parent.name
        shutil.rmtree(into, ignore_errors=True)
        for pattern in KEPT:
            for file in sorted(path.parent.glob(pattern)):
                target = into / file.relative_to(path.parent)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        print(f"copied: {into}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        copy(Path(sys.argv[1]))
    for page, text in pages().items():
        page.write_text(text)
