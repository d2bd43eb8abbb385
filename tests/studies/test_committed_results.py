"""The results in docs/results follow from their own tables; docs/results.md and the picture show all their claims."""

import io
import json
import math
import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

from iterhead.figures.panels import add_foot
from iterhead.figures.style import render
from iterhead.runs.paths import run_folder_name
from iterhead.studies.claims import Finding
from iterhead.studies.registry import find_studies
from iterhead.studies.results import CLAIMS_JSON, command
from iterhead.studies.tables import Tables, read_tables

ROOT = Path(__file__).parents[2]
GATHER = runpy.run_path(str(ROOT / "docs/gather_results.py"))
FOLDERS = GATHER["studies"]()

ASKED = (*(f"figure-{number}" for number in (6, 7, 8, 9, 13)), "attention-replacement", "transfer-matrix")

of_each_study = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def read(folder):
    """A study, its tables, and its claims.json."""
    name, _, scale = folder.name.rpartition("-")
    (study,) = find_studies(name, scale)
    return study, read_tables(study, folder), json.loads((folder / CLAIMS_JSON).read_text())


def test_what_was_asked_for_is_there():
    assert {f"{name}-laptop" for name in ASKED} <= {folder.name for folder in FOLDERS}


def test_the_page_of_all_studies_is_no_study(tmp_path, monkeypatch):
    for name, file in (("all-laptop", "report.html"), ("figure-7-laptop", CLAIMS_JSON)):
        (tmp_path / "study" / name).mkdir(parents=True)
        (tmp_path / "study" / name / file).touch()
    monkeypatch.setitem(GATHER["studies"].__globals__, "RESULTS", tmp_path)
    assert [folder.name for folder in GATHER["studies"]()] == ["figure-7-laptop"]


@of_each_study
def test_every_run_has_the_settings_of_the_study_as_it_is_now(folder):
    study, tables, written = read(folder)
    assert set(tables["runs"]["run"]) == {run_folder_name(config) for _, _, config in study.runs()}
    assert written["measured"] == written["runs"] == tables["runs"].height


@of_each_study
def test_claims_follow_from_the_tables(folder):
    study, tables, written = read(folder)
    claims = json.loads(json.dumps([finding.as_json() for finding in study.check(tables)]))
    assert [claim["id"] for claim in claims] == [claim["id"] for claim in written["claims"]]
    for ours, theirs in zip(claims, written["claims"], strict=True):
        for name, value in ours.items():
            assert theirs[name] == (pytest.approx(value) if isinstance(value, float) else value), name


@of_each_study
def test_figures_follow_from_the_tables(folder):
    study, tables, _ = read(folder)
    drawn = study.draw(tables)
    assert {f"{name}.png" for name in drawn} == {path.name for path in folder.glob("*.png")}
    for name, figure in drawn.items():
        add_foot(figure, command(study))
        ours = imread(io.BytesIO(render(figure, name)[f"{name}.png"]))
        theirs = imread(folder / f"{name}.png")
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).mean() < 0.003  # of a scale of 1: room for another font renderer


def test_the_page_of_results_has_every_claim():
    text = (ROOT / "docs/results.md").read_text()
    assert text == GATHER["results_page"](), "python docs/gather_results.py writes it"
    rows = re.findall(r"^\| (\d+[a-z]?|R) \|", text, re.MULTILINE)
    published = {finding.id for study in find_studies("all", "laptop") for finding in study.check(Tables(study.name))}
    assert len(rows) == len(set(rows))
    assert set(rows) >= published
    assert rows.index("2a") < rows.index("11a") < rows.index("R")


@pytest.fixture
def picture(monkeypatch):
    """The script that draws all claims."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    return runpy.run_path(str(ROOT / "docs/make_claims_picture.py"))


def test_the_picture_of_all_claims_is_up_to_date(picture):
    rows = picture["rows"]()
    assert [row.id for row in rows if row.verdict] == [finding.id for finding in GATHER["claims"]()]
    path = ROOT / "docs/images/claims.png"
    assert path.stat().st_size < 300_000
    with Image.open(path) as image:
        assert image.text["Description"] == picture["digest"](rows), "python docs/make_claims_picture.py draws it"
        assert image.width == 1005


def test_rows_of_the_picture_by_hand(picture):
    """Distances from the threshold, positive where the claim holds, over the largest of the row."""
    share = Finding("1", "c", 0.9, 0.8, 1.0, 0.5, seeds=3, sentence="")
    row = picture["row_of"](share)
    assert (row.value, row.low, row.high) == pytest.approx((0.8, 0.6, 1))  # 0.4, 0.3 and 0.5
    assert (row.verdict, row.found, row.asked) == ("holds", "0.90 (0.80 to 1.00)", "≥ 0.50")
    cost = picture["row_of"](replace(share, bound="at most", threshold=0.0))
    assert (cost.value, cost.low, cost.high) == pytest.approx((-0.9, -1, -0.8))
    open_ended = picture["row_of"](replace(share, value=20, low=5, high=math.inf, threshold=10))
    assert (open_ended.value, open_ended.low, open_ended.high) == pytest.approx((0.9, -0.45, math.inf))
    assert open_ended.found == "20 (5.00 to ∞)"
    exact = picture["row_of"](replace(share, value=1.0, low=1.0, high=1.0, threshold=1.0))
    assert (exact.value, exact.low, exact.high) == (0, 0, 0)


def test_the_page_of_results_shows_every_figure():
    text = (ROOT / "docs/results.md").read_text()
    shown = set(re.findall(r"\]\((results/study/[^)]+\.png)\)", text))
    assert shown == {str(path.relative_to(ROOT / "docs")) for folder in FOLDERS for path in folder.glob("*.png")}
    for folder in FOLDERS:
        assert f"iterhead study run {folder.name.removesuffix('-laptop')}" in text
