"""The contents of the page of a study, without a browser."""

import html
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from helpers.made_study import ACCURACY, CHAIN, FINDINGS, VERSIONS, finding, made_study, made_tables, write_made
from helpers.pages import ATTACK, Tags, arrays_of, facts_of, staged
from helpers.stored_runs import settings
from iterhead.errors import UserError
from iterhead.model.handmade import handmade
from iterhead.report import cells, overview, study_page
from iterhead.report.cells import MISSING, seed_curves, shares
from iterhead.report.study_page import headline, measured, no_tables, study_report, write_study_report
from iterhead.runs.paths import run_folder_name
from iterhead.runs.run import PROVENANCE, STATUS
from iterhead.studies.collect import collect
from iterhead.studies.drawings import HeatMaps, Panel
from iterhead.studies.registry import ALL, find_studies
from iterhead.studies.results import study_folder
from iterhead.studies.study import Cell
from iterhead.studies.tables import Tables, write_tables
from iterhead.tasks import task


def command_of(config):
    return f"iterhead run --model.width {config.model.width}"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    write_made(made_study(), folder)
    return folder


@pytest.fixture(scope="module")
def page(out):
    return study_report(measured(made_study(), out), command_of)


def test_shares_are_rounded_down_but_all_and_none_are_exact():
    values = np.array([0, 1e-9, 0.5, 0.963, 1 - 1e-5, 1, math.nan])
    assert shares(values).tolist() == [0, 1, 5000, 9630, 9999, 10_000, MISSING]


def test_runs_stand_in_the_order_of_the_study(page):
    facts, arrays = facts_of(page), arrays_of(page)
    study = made_study()
    assert len(facts["names"]) == len(arrays["state"]) == 9 * 3
    for number, (cell, seed, _) in enumerate(study.runs()):
        accuracies = ACCURACY.get(tuple(cell.axes.values()), ())
        state = facts["states"][arrays["state"][number]]
        assert state == ("finished" if seed < len(accuracies) else "not there") or (state, seed) == ("diverged", 1)
        wanted = shares(np.array([accuracies[seed] if seed < len(accuracies) else math.nan]))[0]
        assert arrays["accuracy"][number] == wanted
    assert facts["names"][0].startswith("parity-")
    assert (arrays["state"] == 2).sum() == 1
    assert facts["versions"] == [VERSIONS]
    assert set(arrays["version"][arrays["state"] == 0]) == {MISSING}


def test_settings_in_common_are_told_once(page):
    facts = facts_of(page)
    assert facts["settings"]["training.epochs"] == 4
    settings = {"data.max_length": 4, "model.width": 16, "data.cot": True}
    settings |= {"model.mlp_width": 64, "model.position_width": 16, "model.context": 11}
    assert facts["cells"][1]["settings"] == settings, "defaults are filled in"
    assert facts["settings"]["training.clip"] is None
    assert facts["cells"][1]["command"] == "iterhead run --model.width 16"
    assert "seed" not in facts["settings"]
    parent = {"command": facts["cells"][0]["command"], "start": None}
    assert facts["cells"][8]["start"] == {"runs": facts["names"][:3], "epoch": 2, **parent}
    assert facts["cells"][0]["start"] is None


def test_maps_are_those_of_the_figure(page):
    """Rows are widths 8 and 16, columns lengths 4 and 6; the early map has half of half the accuracy."""
    facts, arrays = facts_of(page), arrays_of(page)
    (drawing,) = facts["maps"]
    assert (drawing["xs"], drawing["ys"]) == ([4, 6], [8, 16])
    assert [panel["cells"] for panel in drawing["panels"]] == [[[0, 2], [1, 3]], [[4, 6], [5, 7]], [[0, 2], [1, 3]]]
    mean, low, high = arrays["map.0.0"]
    np.testing.assert_array_equal(mean, [[6000, 1250], [10_000, MISSING]])
    np.testing.assert_array_equal(low, [[5000, 0], [10_000, MISSING]])
    np.testing.assert_array_equal(high, [[7000, 2500], [10_000, MISSING]])
    assert arrays["map.0.2"][0, 0, 0] == 1500  # 0.6 / 2 / 2


def test_curves_are_those_of_the_tables(page):
    arrays = arrays_of(page)
    assert arrays["evaluations"].tolist() == [5] * 8 + [0] + [0] * 3 + [5] * 15
    assert arrays["curve.epoch"][5:10].tolist() == [0, 1, 2, 3, 4]
    assert arrays["curve.accuracy"][5:10].tolist() == [0, 1500, 3000, 4500, 6000]
    np.testing.assert_array_equal(arrays["curve.loss"][5:10], np.float16([math.nan, 1.75, 1.5, 1.25, 1]))


def test_the_head_has_emerged_at_the_third_evaluation_in_a_row():
    study = made_study()
    shown = {0: (1, 1), 1: (1, 1), 2: (1, 0.9), 3: (1, 1), 4: (0.99, 0.95), 5: (1, 1), 6: (1, 1)}
    where = {"network": CHAIN, "width": 8, "longest": 4}
    rows = [{**where, "seed": seed, "epoch": epoch, "accuracy": float(a), "second_peakiness": float(p)}
            for seed in (0, 1) for epoch, (a, p) in shown.items() if epoch > 3 * seed]  # fmt: skip
    emerged = seed_curves(study, Tables("made", {"curves": pl.DataFrame(rows)})).emerged()
    assert emerged[:2].tolist() == [5, 6]
    assert np.isnan(emerged[2:]).all()


def test_thinned_curves_keep_their_first_and_last_evaluation():
    curves = seed_curves(made_study(), made_tables(made_study()))
    assert curves.most == 5
    thin = curves.arrays(3)
    assert thin["evaluations"][:3].tolist() == [3, 3, 3]
    assert thin["curve.epoch"][:6].tolist() == [0, 1, 4, 0, 1, 4]


def test_what_does_not_fit_gives_way(out, monkeypatch):
    result = measured(made_study(), out)
    whole = len(study_report(result, command_of))
    monkeypatch.setattr(study_page, "MOST_BYTES", whole - 1)
    page = study_report(result, command_of)
    assert len(page) < whole
    assert "every 2th" not in facts_of(page)["left_out"]
    assert "second evaluation" in facts_of(page)["left_out"]
    assert arrays_of(page)["curve.epoch"][:3].tolist() == [0, 2, 4]
    monkeypatch.setattr(study_page, "MOST_BYTES", 1)
    page = study_report(result, command_of)
    assert "left out" in facts_of(page)["left_out"]
    assert arrays_of(page)["curve.epoch"].size == 0
    assert arrays_of(page)["accuracy"][1] == 6000


@pytest.mark.parametrize(("verdicts", "text"), [
    ([], "5 of 7 runs finished."),
    (["holds"], "The claim holds; 5 of 7 runs finished."),
    (["undecided"], "The claim is undecided; 5 of 7 runs finished."),
    (["holds", "does not hold"], "1 of 2 claims holds, 1 does not; 5 of 7 runs finished."),
    (["holds", "holds", "undecided", "does not hold", "does not hold", "undecided"],
     "2 of 6 claims hold, 2 do not, 2 are undecided; 5 of 7 runs finished."),
])  # fmt: skip
def test_headline(verdicts, text):
    assert headline([finding(verdict=verdict) for verdict in verdicts], 5, 7) == text


def test_headline_tells_of_divergence_and_claims_of_infinity(out, page):
    text = measured(made_study(), out).headline
    assert text == "2 of 4 claims hold, 1 does not, 1 is undecided; 23 of 27 runs finished (1 diverged)."
    claims = facts_of(page)["claims"]
    assert (claims[2]["value"], claims[2]["seeds"], claims[3]["high"]) == (None, 0, "∞")
    assert [claim["verdict"] for claim in claims] == [finding.verdict for finding in FINDINGS]


def test_the_policy_allows_pictures_in_the_page_and_nothing_else(page):
    tags = Tags()
    tags.feed(page.decode())
    policy = next(attributes["content"] for _, attributes in tags.found if attributes.get("http-equiv"))
    assert "; img-src data:; " in policy
    assert policy.startswith("default-src 'none'; ")
    sources = [attributes["src"][:22] for _, attributes in tags.found if "src" in attributes]
    assert sources == ["data:image/png;base64,"]
    (picture,) = (attributes for tag, attributes in tags.found if tag == "img")
    assert (picture["width"], picture["height"]) == (
        "96",
        "48",
    )  # 150 by 75 dots, 150 to the inch
    assert not [tag for tag in tags.found if {"style", "onclick"} & set(tag[1])]


@pytest.mark.parametrize("study", find_studies(ALL, "smoke"), ids=lambda study: study.name)
def test_every_figure_is_described(study):
    for drawing in study.drawings:
        text = drawing.describe(study)
        assert drawing.title in text
        assert all(panel.title in text for panel in getattr(drawing, "panels", ()))
        assert len(text) > len(drawing.title) + 40


def test_tables_of_before_have_no_versions(out, tmp_path):
    tables = made_tables(made_study())
    old = Tables("made", {name: frame for name, frame in tables.frames.items() if name != "provenance"})
    write_made(made_study(), tmp_path, old)
    page = study_report(measured(made_study(), tmp_path), command_of)
    assert facts_of(page)["versions"] == []
    assert set(arrays_of(page)["version"]) == {MISSING}


def test_runs_that_the_study_has_no_more_do_not_count(out):
    study = made_study()
    fewer = measured(replace(study, cells=study.cells[:2]), out)
    assert fewer.headline.endswith("; 6 of 6 runs finished.")
    assert len(facts_of(study_report(fewer, command_of))["names"]) == 6


def test_no_tables_and_tables_of_another_version_are_refused(tmp_path):
    with pytest.raises(UserError, match="no tables"):
        measured(made_study(), tmp_path)
    tables = made_tables(made_study())
    renamed = {name: frame.rename({"width": "breadth"}) for name, frame in tables.frames.items()}
    write_made(made_study(), tmp_path, Tables("made", renamed))
    with pytest.raises(UserError, match="of another version: expected a column width: iterhead study report"):
        study_report(measured(made_study(), tmp_path), command_of)


def test_the_same_tables_give_the_same_page_and_a_damaged_figure_is_left_out(tmp_path):
    folder = write_made(made_study(), tmp_path)
    written = write_study_report(measured(made_study(), tmp_path), command_of)
    assert written == folder / "report.html"
    write_made(made_study(), tmp_path)
    assert written.read_bytes() == study_report(measured(made_study(), tmp_path), command_of)
    (folder / "made-maps.png").write_bytes(b"no picture")
    assert b"<img" not in study_report(measured(made_study(), tmp_path), command_of)


FOLDERS = {"runs": "", "./runs/": "", "my runs": " --out 'my runs'", "elsewhere/$x": " --out 'elsewhere/$x'"}


@pytest.mark.parametrize(("out", "text"), FOLDERS.items())
def test_commands_name_the_folder_unless_it_is_the_default_one(tmp_path, monkeypatch, out, text):
    monkeypatch.chdir(tmp_path)
    out, study, absent = Path(out), made_study(), made_study("absent")
    write_made(study, out)
    result = measured(study, out)
    page = study_report(result, command_of)
    assert facts_of(page)["out"] == text
    codes = re.findall("<code>(.*?)</code>", html.unescape(page.decode()))
    assert set(codes) == {
        f"iterhead study report made --scale smoke --redraw{text}",
        f"iterhead study run made --scale smoke{text}",
    }
    of_all = overview.overview("all", "smoke", [result], [absent], out)
    assert f"<code>iterhead study run all --scale smoke{text}</code>" in html.unescape(of_all.decode())
    assert facts_of(of_all)["missing"] == [f"iterhead study run absent --scale smoke{text}"]
    with pytest.raises(UserError) as refused:
        raise no_tables("absent", "smoke", out, out)
    assert str(refused.value).count(f" absent --scale smoke{text}`") == 2


def test_names_of_runs_are_those_of_the_settings(tmp_path):
    tables = made_tables(made_study())
    tables.frames["runs"] = tables["runs"].with_columns(run=pl.lit("x; rm -rf ~"))
    write_made(made_study(), tmp_path, tables)
    result = measured(made_study(), tmp_path)
    wanted = [run_folder_name(config) for _, _, config in made_study().runs()]
    assert facts_of(study_report(result, command_of))["names"] == wanted
    assert b"23 of 27 runs finished" in overview.overview("all", "smoke", [result], [], tmp_path)


def test_provenance_tells_how_a_run_was_computed(tmp_path):
    """In fact, not as asked for; beside the versions."""
    network = handmade(task("parity"), 4)
    data = {"max_length": 4, "train_per_length": 8, "test_per_length": 8}
    asked = settings("parity", network.config.model_dump(), **data)
    run = staged(tmp_path / run_folder_name(asked), [network], "parity", **data)
    with run.folder.lock():
        start = {"run": "p", "epoch": 1, "sha256": "0"}
        made_by = {"iterhead": "0.1.0", "numpy": "2.4", "python": "3.11", "torch": "2.13.0"}
        run.folder.write_json(PROVENANCE, {"task": asked.iterative_task.digest, "start": start, **made_by})
        run.folder.write_json(STATUS, {**vars(run.status), "precision": "bfloat16", "device": "cuda", "threads": 3})
    study = made_study(cells=(Cell({"task": "parity"}, asked, (asked.seed,)),), drawings=(), claims=())
    write_tables(collect(study, tmp_path), study_folder(study, tmp_path))
    facts = facts_of(study_report(measured(study, tmp_path), command_of))
    assert facts["versions"] == [{**made_by, "precision": "bfloat16", "device": "cuda", "threads": "3"}]
    assert facts["settings"]["training.precision"] == "auto"


def hostile(tmp_path, monkeypatch):
    """A study whose every text is an attack, as a page."""
    claim = finding("<b>", sentence=ATTACK, claim=ATTACK)
    panel = Panel(ATTACK, "accuracy", {"network": ATTACK + CHAIN})
    drawing = HeatMaps("made-maps", ATTACK, "longest", "width", (panel,))
    texts = {"title": ATTACK, "published": ATTACK, "chosen": (ATTACK,), "drawings": (drawing,)}
    attacking = (
        replace(cell, axes={**cell.axes, "network": ATTACK + cell.axes["network"]}) for cell in made_study().cells
    )
    study = made_study(findings=[claim], **texts, cells=tuple(attacking))
    tables = made_tables(made_study())
    for name in ("runs", "curves", "provenance"):
        columns = {"network": pl.lit(ATTACK) + pl.col("network")}
        columns |= {"run": pl.lit(ATTACK)} if name != "curves" else {}
        columns |= {"torch": pl.lit(ATTACK)} if name == "provenance" else {}
        tables.frames[name] = tables[name].with_columns(**columns)
    monkeypatch.setattr(cells, "_flat", lambda _config: {"task": ATTACK, "data.cot": True, ATTACK: 1})
    write_made(study, tmp_path, tables)
    return study_report(measured(study, tmp_path), lambda _config: ATTACK)


def test_names_cannot_bring_markup_into_the_page(tmp_path, monkeypatch, open_page):
    path = tmp_path / "hostile.html"
    path.write_bytes(hostile(tmp_path, monkeypatch))
    assert not [name for name in facts_of(path.read_bytes())["names"] if ATTACK in name], "names go into commands"
    page = open_page(path)
    assert page.locator("script").count() == 2
    assert page.locator("img").count() == 1
    assert page.locator("#maps button").count() == 4
    assert page.title() == f"made (smoke): {ATTACK} - iterhead"
    for place in (
        "h1",
        ".picture figcaption",
        "#maps h3",
        "#maps figcaption",
        "#claims",
        "#chosen",
        "#list",
        "#run-command",
        "#run-versions",
        "#settings",
    ):
        assert "onerror=alert(1)" in page.locator(place).text_content(), place
