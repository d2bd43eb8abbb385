"""A study of a user's own, named `module:name`: found, trained, drawn, checked and shown as a page."""

import json
import re
from pathlib import Path

import pytest

import iterhead.studies.cost as cost_module
from helpers.tiny_study import CALIBRATION
from iterhead.cli import main
from iterhead.errors import UserError
from iterhead.studies.registry import find_studies, is_study

DOCS = Path(__file__).parents[2] / "docs/studies.md"

ERRORS = """

number = 3
smallest = parity("smoke")


def broken(scale):
    raise ValueError(f"{scale}:\\n  no such")
"""
"""Names in the module that are no studies, but for the second."""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The module of docs/studies.md, in the current folder."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (tmp_path / "own_studies.py").write_text(code + ERRORS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(cost_module, "_measure", lambda _device: CALIBRATION)
    return "own_studies"


def test_from_its_name_to_its_page(module, tmp_path, capsys):
    name = f"{module}:parity"
    assert main(["study", "run", name, "--scale", "smoke", "--workers", "1", "--threads", "1", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["done"], printed["failed"]) == (8, [])
    folder = tmp_path / "runs/study/own_studies.parity-smoke"
    assert {path.name for path in folder.iterdir()} == {
        *("parity.png", "parity.pdf", "claims.json", "claims.md", "tables", "report.html"),
    }
    (claim,) = json.loads((folder / "claims.json").read_text())["claims"]
    assert (claim["figure"], claim["seeds"], claim["verdict"]) == (name, 8, "does not hold")
    command = f"iterhead study run {name} --scale smoke"
    assert command in (folder / "claims.md").read_text()
    assert command in (folder / "report.html").read_text()
    assert main(["report", name, "--scale", "smoke"]) == 0
    assert capsys.readouterr().out == "runs/study/own_studies.parity-smoke/report.html\n"


def test_a_study_has_a_scale_of_its_own_and_the_list_stays_the_published_ones(module, capsys):
    (study,) = find_studies(f"{module}:smallest", "paper")
    assert (study.name, study.scale) == ("own_studies:smallest", "smoke")
    assert main(["study", "list", study.name]) == 0
    assert "Parity at two widths" in capsys.readouterr().out
    assert main(["study", "list", "--scale", "smoke"]) == 0
    assert "own_studies" not in capsys.readouterr().out


@pytest.mark.parametrize(("name", "message"), [
    ("number", "own_studies:number: number has type int; expected a Study, or a function from a scale to one"),
    ("party", "own_studies:party: party is not there; expected a Study, or a function from a scale to one"),
    ("broken", "own_studies:broken: broken('smoke') failed with ValueError: smoke: no such"),
    ("config", "own_studies:config: config('smoke') failed with TypeError: config() missing 1 required"),
])  # fmt: skip
def test_what_is_no_study_is_refused_in_a_line(module, name, message):
    with pytest.raises(UserError) as error:
        find_studies(f"{module}:{name}", "smoke")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_missing_module_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^no_such_module:parity: no module 'no_such_module' among the installed ones"):
        find_studies("no_such_module:parity", "smoke")


@pytest.mark.parametrize("name", ["figure-7", "all", "a.b:c"])
def test_names_of_studies(name):
    assert is_study(name)


@pytest.mark.parametrize("name", ["figure-77", "parity", "runs/a:b", "a:", ":b", "polynomial:p=7"])
def test_other_names(name):
    assert not is_study(name)


WRONG = """
from dataclasses import replace
from helpers.tiny_study import tiny_study
study = tiny_study(4)
cell = study.cells[0]
seeds = lambda scale: replace(cell, seeds=(-1,))
axes = lambda scale: replace(cell, axes={"width": None})
parent = lambda scale: replace(cell, parent=())
config = lambda scale: replace(cell, config=None)
cells = lambda scale: replace(study, cells=(study,))
measures = lambda scale: replace(study, measures=("nothing",))
title = lambda scale: replace(study, title="\\ud800")
claims = replace(study, claims=(lambda tables: 1 / 0,))
exits = replace(study, claims=(lambda tables: exit(),))
findings = replace(study, claims=(lambda tables: [3],))
drawings = replace(study, drawings=(3,))
"""


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("seeds", "failed with ValidationError: 1 validation error for Cell seeds.0 Input should be greater than or"),
        ("axes", "for Cell axes.width"),
        ("parent", "for Cell parent Input should be"),
        ("config", "for Cell config"),
        ("cells", "for Study cells.0"),
        ("measures", "for Study measures.0"),
        ("title", "for Study title"),
        ("claims", "wrong_studies:claims: checking a claim failed with ZeroDivisionError: division by zero"),
        ("exits", "wrong_studies:exits: checking a claim failed with SystemExit"),
        ("findings", "wrong_studies:findings: checking a claim failed with TypeError"),
        ("drawings", "wrong_studies:drawings: a drawing failed with AttributeError: 'int' object has no attribute"),
    ],
)
def test_what_is_wrong_with_a_study_in_one_line(tmp_path, monkeypatch, capsys, name, problem):
    (tmp_path / "wrong_studies.py").write_text(WRONG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["study", "report", f"wrong_studies:{name}"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"iterhead: wrong_studies:{name}: ")
    assert problem in captured.err
    assert captured.err.count("\n") == 1
