"""The page of a study in a browser, as a person uses it. Every test fails on a console message or a request outside."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import expect

from helpers.made_study import ACCURACY, AFTER, CHAIN, SEEDS, WITHOUT, config, made_study, write_made
from helpers.pages import NAMELESS
from iterhead.cli.options import read_config
from iterhead.cli.report_command import write_study_pages
from iterhead.cli.run_command import COMMAND as RUN
from iterhead.runs.paths import run_folder_name
from iterhead.studies.drawings import HeatMaps, Panel
from iterhead.studies.study import Cell
from iterhead.studies.tables import Tables

WIDER = """(width) => [...document.body.querySelectorAll("*")]
  .filter((e) => e.getBoundingClientRect().right > width && !e.closest("svg, .unseen, .skip"))
  .map((e) => e.outerHTML.slice(0, 80))"""
"""What reaches beyond a width."""


def score(value):
    """A share as the page tells it: two decimals, rounded down."""
    return f"{int(value * 100 + 1e-6) / 100:.2f}"


def cell(page, panel, longest, width):
    grid = page.get_by_role("grid", name=re.compile(f"^{panel}:"))
    return grid.get_by_role("button", name=re.compile(f"^longest length {longest}, width d {width}:"))


def runs(page):
    """The table of runs, row by row: seed, run, state, accuracy, second and first peakiness, epochs, ..."""
    return [row.locator("th, td").all_inner_texts() for row in page.locator("#runs tbody tr").all()]


def test_first_things_first(study_page):
    expect(study_page.get_by_role("heading", level=1)).to_have_text("A study of xt by hand")
    assert study_page.title() == "made (smoke): A study of x_t by hand - iterhead"
    expect(study_page.locator(".lead")).to_have_text(
        "2 of 4 claims hold, 1 does not, 1 is undecided; 23 of 27 runs finished (1 diverged)."
    )
    picture = study_page.get_by_role("img", name=re.compile("^Heat maps: Made maps"))
    assert picture.evaluate("(image) => image.complete && image.naturalWidth") == 150
    expect(study_page.get_by_text("iterhead study report made --scale smoke --redraw")).to_be_visible()


def test_claims(study_page):
    rows = [row.locator("th, td").all_inner_texts() for row in study_page.locator("#claims tbody tr").all()]
    assert [row[0] for row in rows] == ["1a", "1b", "1c", "1d"]
    assert rows[0][1:] == ["Claim 1a\n\nSentence of 1a.", "0.950", "0.900 to 1.000 (3 seeds)", "≥ 0.50", "✓ holds"]
    assert rows[1][2:] == ["0.150", "0.100 to 0.200 (3 seeds)", "> 0.50", "✗ does not hold"]
    assert rows[2][2:] == ["–", "–", "≥ 0.50", "? undecided"]
    assert rows[3][2:4] == ["9.500", "0.900 to ∞ (3 seeds)"]


def test_maps_tell_the_means_and_leave_blank_what_is_not_measured(study_page):
    for (network, width, longest), each in ACCURACY.items():
        if network == AFTER:
            continue
        panel = "With chain" if network == CHAIN else "Without"
        mean = sum(each) / len(each)
        button = cell(study_page, panel, longest, width)
        expect(button).to_have_accessible_name(re.compile(rf": accuracy {score(mean)}\b.*\({len(each)} of 3 seeds\)$"))
        expect(button).to_have_text("1" if mean == 1 else score(mean)[1:])
    blank = cell(study_page, "With chain", 6, 16)
    expect(blank).to_have_text("")
    expect(blank).to_have_accessible_name("longest length 6, width d 16: not measured yet (0 of 3 seeds)")
    assert blank.evaluate("(b) => getComputedStyle(b).backgroundColor") == "rgba(0, 0, 0, 0)"
    full = cell(study_page, "With chain", 4, 16)
    assert full.evaluate("(b) => getComputedStyle(b).backgroundColor") == "rgb(253, 231, 37)"  # the scale's upper end
    early = cell(study_page, "With chain, early", 4, 8)
    expect(early).to_have_accessible_name(re.compile("second peakiness after 2 epochs 0.15, from 0.12 to 0.17"))


def test_a_cell_chosen_by_the_pointer_shows_its_runs(study_page):
    expect(cell(study_page, "With chain", 4, 16)).to_have_attribute("aria-pressed", "true")  # the best of the first map
    cell(study_page, "With chain", 6, 8).click()
    expect(cell(study_page, "With chain", 6, 8)).to_have_attribute("aria-pressed", "true")
    expect(cell(study_page, "With chain", 4, 16)).to_have_attribute("aria-pressed", "false")
    expect(study_page.locator("#cell-text")).to_have_text(
        "Network: chain, width d 8, longest length 6: 2 of 3 seeds measured."
    )
    shown = runs(study_page)
    assert shown[0][2:] == ["finished", "0.25", "0.12", "0.06", "4", "–", "60 s"]
    assert shown[1][2:] == ["diverged", "0.00", "–", "–", "4", "–", "61 s"]
    assert shown[2][2:] == ["not there", *"–" * 6]
    study = made_study()
    assert [row[1] for row in shown] == study_page.evaluate("report.facts.names.slice(6, 9)")
    assert study.cells[2].axes == {"network": CHAIN, "width": 8, "longest": 6}


def test_a_cell_chosen_by_keyboard(study_page):
    """From the lower left corner of the first map to the right, up, and to the beginning of the row."""
    grid = study_page.get_by_role("grid").first
    grid.locator("button[tabindex='0']").focus()
    keys = ["ArrowLeft", "ArrowDown", "ArrowRight", "ArrowUp", "Home"]
    for key, (longest, width) in zip(keys, [(4, 8), (4, 8), (6, 8), (6, 16), (4, 16)], strict=True):
        study_page.keyboard.press(key)
        expect(cell(study_page, "With chain", longest, width)).to_be_focused()
        expect(study_page.locator("#maps .readout")).to_contain_text(f"longest length {longest}, width d {width}:")
    assert grid.locator("button[tabindex='0']").count() == 1
    study_page.keyboard.press("ArrowDown")
    study_page.keyboard.press("Enter")
    expect(study_page.locator("#cell-text")).to_contain_text("width d 8, longest length 4")
    assert [row[3] for row in runs(study_page)] == ["0.50", "0.60", "0.70"]
    study_page.keyboard.press("Tab")
    assert study_page.evaluate("document.activeElement.closest('[role=grid]').ariaLabel").startswith("Without:")


def test_tab_goes_back_to_the_cell_that_was_clicked(study_page):
    chosen = cell(study_page, "With chain", 6, 8)
    chosen.click()
    grid = study_page.get_by_role("grid").first
    assert grid.locator("button[tabindex='0']").count() == 1
    study_page.keyboard.press("Tab")
    study_page.keyboard.press("Shift+Tab")
    expect(chosen).to_be_focused()


def test_what_is_pointed_at_is_told_in_sight_and_not_twice_aloud(study_page):
    cell(study_page, "With chain", 6, 8).hover()
    expect(study_page.locator("#maps .readout")).to_contain_text("longest length 6, width d 8: accuracy 0.12")
    assert study_page.locator("#maps [aria-live], #maps [role=status]").count() == 0


def test_columns_tell_which_epochs_they_count(study_page):
    heads = {name: study_page.locator(f"#{name} thead th").all_inner_texts() for name in ("list", "runs")}
    assert heads["list"][-2:] == ["epochs trained", "full epochs to accuracy 0.9"]
    assert heads["runs"][-3:] == ["epochs trained", "emerged at epoch", "training time"]
    expect(study_page.locator("#curves text").filter(has_text="epoch")).to_have_text("epochs trained")
    for name in heads:
        assert study_page.locator(f"#{name}").evaluate("(t) => t.scrollWidth <= t.parentElement.clientWidth"), name
    expect(study_page.locator("#list-part p")).to_contain_text("a full epoch is 1,024 sequences of each length")


def large(tmp_path):
    """The page of a study with a map of 20 x 40 cells, of which none is measured but one."""
    places = [(width, longest) for width in range(2, 42) for longest in range(100, 120)]
    cells = [Cell({"width": w, "longest": n}, config(w, 4), (0,)) for w, n in places]
    drawing = HeatMaps("large", "A large map", "longest", "width", (Panel("All"),))
    study = made_study("large", cells=tuple(cells), drawings=(drawing,), claims=())
    place = {"width": [2], "longest": [100], "seed": [0], "state": ["finished"], "accuracy": [0.5]}
    write_made(study, tmp_path, Tables("large", {"runs": pl.DataFrame(place)}))
    return write_study_pages("large", [study], tmp_path)


@pytest.mark.parametrize("width", [1200, 360])
def test_a_large_map_scrolls_by_itself_and_can_be_hit_and_read(open_page, tmp_path, width):
    page = open_page(large(tmp_path), viewport={"width": width, "height": 800})
    buttons = page.get_by_role("grid").get_by_role("button")
    assert buttons.count() == 800
    assert page.evaluate(SMALL) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    window = page.locator("#maps .scroll").bounding_box()
    assert window["height"] <= 512
    names = page.locator("#maps th span:not(.unseen)")
    assert names.all_inner_texts() == [str(n) for n in range(100, 120, 2)]
    sizes = page.locator("#maps th").evaluate_all("(all) => all.map((th) => parseFloat(getComputedStyle(th).fontSize))")
    assert min(sizes) >= 11
    assert page.evaluate(OVERLAPPING) == []
    page.locator("#maps button[tabindex='0']").focus()
    for key in ("End", *["ArrowUp"] * 39, "Home", *["ArrowDown"] * 20):
        page.keyboard.press(key)
        assert page.evaluate(COVERED) is None
    expect(page.locator("#maps .readout")).to_contain_text("longest length 100, width d 21:")
    page.screenshot(path=tmp_path / f"large-{width}.png", full_page=True)


SMALL = """() => [...document.querySelectorAll("#maps button")].map((b) => b.getBoundingClientRect())
  .filter(({ width, height }) => Math.min(width, height) < 24)"""
"""QueryKeyPairs that are hard to hit."""

OVERLAPPING = """() => {
  const rights = [...document.querySelectorAll("#maps th[scope=col] span:not(.unseen)")].map((span) => {
    const range = document.createRange();
    range.selectNodeContents(span);
    return range.getBoundingClientRect();
  });
  return rights.filter((box, i) => i && box.left < rights[i - 1].right + 2);
}"""
"""Names of columns that run into the one before."""

COVERED = """() => {
  const { left, top, width, height } = document.activeElement.getBoundingClientRect();
  const there = document.elementFromPoint(left + width / 2, top + height / 2);
  return there === document.activeElement ? null : String(there?.outerHTML);
}"""
"""What stands over the cell that has the focus."""


def test_a_cell_that_stands_in_no_map(study_page):
    (row,) = study_page.locator("#list tbody tr").all()
    text = row.locator("td").all_inner_texts()
    assert text == ["3 of 3", "0.89", "0.44", "0.22", "4", "never"]  # one of three seeds gets beyond 0.9, after 3.5
    row.get_by_role("button").focus()
    study_page.keyboard.press("Enter")
    assert runs(study_page)[0][3] == "0.99"  # 0.99999: not all
    expect(study_page.locator("#settings")).to_contain_text("start.epoch2")
    assert study_page.locator("#settings div").filter(has_text="start.run").inner_text().endswith(
        study_page.evaluate("report.facts.names[0]")
    )  # fmt: skip


def test_the_seed_is_chosen_in_the_table(study_page):
    study_page.get_by_role("button", name="Seed 2").click()
    name = study_page.evaluate("report.facts.names[5]")
    expect(study_page.locator("#seed-title")).to_have_text(f"Seed 2: {name}")
    expect(study_page.locator("#run-report")).to_have_text(re.compile(f"^iterhead report {name} --out /"))
    expect(study_page.locator("#run-command")).to_contain_text("--seed 2")
    expect(study_page.locator("#run-versions")).to_have_text(
        "Versions: iterhead 0.1.0, torch 2.13.0, precision bfloat16, device cpu, threads 1."
    )
    expect(study_page.locator("#run-parents")).to_be_hidden()
    expect(study_page.locator("#settings div").filter(has_text="training.clip")).to_have_text("training.clipnone")
    expect(study_page.locator("#settings div").filter(has_text="mlp_width")).to_have_text("model.mlp_width64")
    expect(study_page.locator("#settings div").filter(has_text="seed")).to_have_text("seed2")
    expect(study_page.locator("#settings div").filter(has_text="model.width")).to_have_text("model.width16")
    expect(study_page.locator("#curve-text")).to_have_text("Seed 2, epoch 4: accuracy 100%.")


def test_commands_make_the_runs(study_page):
    """What the page tells to type means the settings of that run, start and all."""
    for index, each in enumerate(made_study().cells):
        for place, seed in enumerate(SEEDS):
            commands = study_page.evaluate(f"report.cells.commands({index}, {place})")
            wanted = (
                [each.run_config(seed)]
                if each.parent is None
                else [each.parent.run_config(seed), each.run_config(seed)]
            )
            assert [typed(command)[0] for command in commands] == wanted


def typed(command):
    """The settings and the folder that a command means."""
    words = shlex.split(command)
    assert words[:2] == ["iterhead", "run"]
    options = RUN.parse(words[2:])
    return read_config(options), options.out


def test_what_a_run_starts_from_is_made_first(open_page, tmp_path, monkeypatch):
    """In the same folder, the run that everything starts from at the top."""
    monkeypatch.chdir(tmp_path)
    study, out = made_study(), Path("my runs")
    after = study.cells[-1]
    last = replace(after, axes={**after.axes, "network": "after both"}, parent=after, parent_epoch=None)
    study = replace(study, cells=(*study.cells, last))
    write_made(study, out)
    page = open_page(tmp_path / write_study_pages("made", [study], out))
    page.locator("#list").get_by_role("button", name="after both").click()
    page.get_by_role("button", name="Seed 1").click()
    commands = page.locator("#parent-commands code, #run-command").all_inner_texts()
    configs = [each.run_config(1) for each in (after.parent, after, last)]
    assert [typed(command) for command in commands] == [(config, "my runs") for config in configs]
    expect(page.locator("#run-parents p")).to_have_text(
        "It starts from another run. iterhead study run made --scale smoke --out 'my runs' makes both; "
        "by hand, first its parent:"
    )
    expect(page.locator("#run-report")).to_have_text(f"iterhead report {run_folder_name(configs[-1])} --out 'my runs'")


def at_evaluation(page, seed, epoch, value):
    """Move the pointer beside a point of a curve."""
    chart = page.locator("#curves svg")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    x, y = page.evaluate(f"[report.curves.x({epoch}), report.curves.y({value})]")
    page.mouse.move(box["x"] + x + 1, box["y"] + y - 1)


def test_curves_tell_their_numbers(study_page):
    cell(study_page, "With chain", 4, 8).click()
    assert study_page.locator("#curves path").count() == 3
    text = study_page.locator("#curve-text")
    for seed, epoch in ((0, 4), (1, 3), (2, 1)):
        value = ACCURACY[CHAIN, 8, 4][seed] * epoch / 4
        at_evaluation(study_page, seed, epoch, value)
        expect(text).to_have_text(f"Seed {seed}, epoch {epoch}: accuracy {100 * value:g}%.")
        shown, wanted = study_page.evaluate(f"[report.curves.dot.cx.baseVal.value, report.curves.x({epoch})]")
        assert shown == pytest.approx(wanted, rel=1e-6)
    at_evaluation(study_page, 2, 4, 0.7)
    study_page.mouse.down()
    study_page.mouse.up()
    expect(study_page.locator("#seed-title")).to_contain_text("Seed 2")
    study_page.get_by_label("Curves").select_option("Loss")
    at_evaluation(study_page, 2, 2, 1.5)
    expect(text).to_have_text(re.compile("epoch 2: loss 1.500"))
    study_page.get_by_label("Curves").select_option("First peakiness")
    expect(text).to_have_text("Seed 2, epoch 4: first peakiness 17.5%.")


def test_curves_by_keyboard(study_page):
    cell(study_page, "With chain", 4, 8).click()
    chart = study_page.get_by_role("slider", name="Evaluation")
    chart.focus()
    for key, text in {
        "ArrowLeft": "Seed 0, epoch 3: accuracy 37.5%",
        "ArrowDown": "Seed 0, epoch 2: accuracy 25%",
        "ArrowUp": "Seed 0, epoch 3: accuracy 37.5%",
        "Home": "Seed 0, epoch 0: accuracy 0%",
        "ArrowRight": "Seed 0, epoch 1: accuracy 12.5%",
        "PageUp": "Seed 1, epoch 4: accuracy 60%",
        "PageDown": "Seed 0, epoch 4: accuracy 50%",
    }.items():
        study_page.keyboard.press(key)
        expect(chart).to_have_attribute("aria-valuetext", text)
    expect(study_page.locator("#seed-title")).to_contain_text("Seed 0")


def test_what_is_missing_is_said_and_not_drawn(study_page):
    cell(study_page, "Without", 4, 8).click()
    assert [row[3:6] for row in runs(study_page)] == [["0.10", "–", "–"]] * 3
    expect(study_page.locator("#no-peakiness")).to_be_visible()
    study_page.get_by_label("Curves").select_option("Second peakiness")
    expect(study_page.locator("#curves")).to_have_text("Without a chain of thought there is no peakiness.")
    assert study_page.locator("#curves path").count() == 0
    cell(study_page, "With chain", 6, 16).click()
    expect(study_page.locator("#no-peakiness")).to_be_hidden()
    expect(study_page.locator("#curves")).to_have_text("None of these runs is measured yet.")
    expect(study_page.locator("#run-versions")).to_have_text("Versions: not recorded.")
    expect(study_page.locator("#run-command")).to_contain_text("iterhead run ")
    cell(study_page, "With chain", 6, 8).click()
    study_page.get_by_role("button", name="Seed 2").click()
    expect(study_page.locator("#curve-text")).to_have_text("Seed 2: not measured yet.")


def test_everything_has_a_name(study_page):
    assert study_page.evaluate(NAMELESS) == []
    assert study_page.evaluate("[...document.images].every((image) => image.alt.length > 40)")


def test_a_study_without_claims_or_figures_has_no_such_parts(open_page, study_pages_made):
    page = open_page(study_pages_made / "study/silent-smoke/report.html")
    expect(page.locator("#claims-part")).to_be_hidden()
    expect(page.locator(".lead")).to_have_text("23 of 27 runs finished (1 diverged).")


def test_all_studies_on_one_page(open_page, study_pages_made):
    page = open_page(study_pages_made / "study/all-smoke/report.html")
    expect(page.locator(".lead")).to_contain_text("2 of 4 claims hold, 1 does not, 1 is undecided; 23 of 27 runs")
    expect(page.locator("#claims .group")).to_have_text("made: A study of xt by hand")
    assert page.locator("#claims tbody tr:not(.group)").count() == 4
    expect(page.locator("#no-claims")).to_have_text("Without claims: silent.")
    expect(page.locator("#missing")).to_have_text(f"iterhead study run absent --scale smoke --out {study_pages_made}")
    assert page.locator(".picture img").count() == 2
    links = {link.get_attribute("href") for link in page.locator("main a").all()}
    assert links == {"../made-smoke/report.html", "../silent-smoke/report.html"}
    assert all((study_pages_made / "study/all-smoke" / link).is_file() for link in links)
    assert page.evaluate(NAMELESS) == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 360), ("dark", 360)])
@pytest.mark.parametrize("name", ["made", "all"])
def test_pictures_of_each_page(open_page, study_pages_made, tmp_path, name, scheme, width):
    """Nothing is wider than the window; the pictures are for looking at (pytest's tmp_path keeps the last three)."""
    path = study_pages_made / f"study/{name}-smoke/report.html"
    page = open_page(path, color_scheme=scheme, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=tmp_path / f"{name}-{scheme}-{width}.png", full_page=True)
    if (scheme, width) == ("dark", 1200):
        ground = page.evaluate("getComputedStyle(document.querySelector('.picture img')).backgroundColor")
        assert ground == "rgb(255, 255, 255)"
        page.set_viewport_size({"width": 718, "height": 1000})  # A4 less its margins
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate(WIDER, 718) == []
        page.screenshot(path=tmp_path / f"{name}-print.png", full_page=True)


def test_the_networks_are_those_of_the_study():
    """WITHOUT has no chain, so that what is missing there is missing for that reason."""
    assert {each.config.data.cot for each in made_study().cells if each.axes["network"] == WITHOUT} == {False}
