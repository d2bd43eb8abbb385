"""The results in docs/results are what their own tables give, and README.md and docs/results.md tell them rightly."""

import io
import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from iterhead.figures.panels import add_foot
from iterhead.figures.style import render
from iterhead.runs.paths import run_folder_name
from iterhead.studies.registry import find_studies
from iterhead.studies.results import CLAIMS_JSON, command
from iterhead.studies.tables import read_tables

ROOT = Path(__file__).parents[2]
GATHER = runpy.run_path(str(ROOT / "docs/gather_results.py"))
FOLDERS = GATHER["studies"]()

ASKED = (*(f"figure-{number}" for number in (6, 7, 8, 9, 13)), "attention-replacement", "transfer-matrix")

of_each_study = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def told(folder):
    """A study with its tables, and what is written of its claims."""
    name, _, scale = folder.name.rpartition("-")
    (study,) = find_studies(name, scale)
    return study, read_tables(name, folder), json.loads((folder / CLAIMS_JSON).read_text())


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
    study, tables, written = told(folder)
    assert set(tables["runs"]["run"]) == {run_folder_name(config) for _, _, config in study.runs()}
    assert written["measured"] == written["runs"] == tables["runs"].height


@of_each_study
def test_claims_follow_from_the_tables(folder):
    study, tables, written = told(folder)
    found = json.loads(json.dumps([finding.as_json() for finding in study.check(tables)]))
    assert [claim["id"] for claim in found] == [claim["id"] for claim in written["claims"]]
    for ours, theirs in zip(found, written["claims"], strict=True):
        for name, value in ours.items():
            assert theirs[name] == (pytest.approx(value) if isinstance(value, float) else value), name


@of_each_study
def test_figures_follow_from_the_tables(folder):
    study, tables, _ = told(folder)
    drawn = study.draw(tables)
    assert {f"{name}.png" for name in drawn} == {path.name for path in folder.glob("*.png")}
    for name, figure in drawn.items():
        add_foot(figure, command(study))
        ours = imread(io.BytesIO(render(figure, name)[f"{name}.png"]))
        theirs = imread(folder / f"{name}.png")
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).mean() < 0.003  # of a scale of 1: room for another font renderer


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_pages_have_the_claims_of_the_results(page):
    (text,) = (text for path, text in GATHER["pages"]().items() if path == ROOT / page)
    assert (ROOT / page).read_text() == text, "python docs/gather_results.py writes them"


def test_the_page_of_results_shows_every_figure():
    text = (ROOT / "docs/results.md").read_text()
    shown = set(re.findall(r"\]\((results/study/[^)]+\.png)\)", text))
    assert shown == {str(path.relative_to(ROOT / "docs")) for folder in FOLDERS for path in folder.glob("*.png")}
    for folder in FOLDERS:
        assert f"iterhead study run {folder.name.removesuffix('-laptop')}" in text
