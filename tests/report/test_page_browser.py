"""The page in a browser, as a person uses it. Every test fails on a console message or a request to the outside."""

import re

import pytest
import torch
from playwright.sync_api import expect

from helpers.pages import NAMELESS

LENGTH = 6
CHAIN = [0, 1, 0, 0, 1, 1]  # parity of 0 1 1 0 1 0, by hand
INPUT = "0 1 1 0 1 0"


def pixels(page, index):
    """The colours of a map, as one text."""
    return page.locator("#maps canvas").nth(index).evaluate("(canvas) => canvas.toDataURL()")


def point_at(page, index, query, key):
    """Move the pointer to a cell of a map."""
    canvas = page.locator("#maps canvas").nth(index)
    canvas.scroll_into_view_if_needed()
    frame = canvas.evaluate("(canvas) => frameOf(canvas.clientWidth, new Layout(6, true).inputSize)")
    box = canvas.bounding_box()
    at = [
        box[side] + frame[edge] + (place + 0.5) * frame["cell"]
        for side, edge, place in (("x", "left", key), ("y", "top", query))
    ]
    page.mouse.move(*at)


def readout(page, index):
    return page.locator("#maps .readout").nth(index)


def written(page):
    return page.locator("#chain .token.written b").all_inner_texts()


def test_first_things_first(still_page, run):
    """What was learnt in one sentence, then the maps of both heads."""
    heading = still_page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("iteration head")
    expect(still_page.locator("#maps figure")).to_have_count(2)
    assert heading.bounding_box()["y"] < still_page.locator("#maps").bounding_box()["y"] < 300
    assert still_page.title() == f"{run.config.task}, seed 0: emerged - iterhead"


def test_the_slider_moves_maps_predictions_and_curves(page):
    at_the_end = pixels(page, 1)
    cursor = float(page.locator("#peakiness-cursor").get_attribute("x1"))
    expect(page.locator("#predictions .wrong")).to_have_count(0)
    page.get_by_role("slider", name="Epoch").fill("0")
    expect(page.locator("#epoch-text")).to_have_text("Before training")
    assert pixels(page, 1) != at_the_end
    assert float(page.locator("#peakiness-cursor").get_attribute("x1")) < cursor - 100
    assert page.locator("#predictions .wrong").count() > 0
    page.get_by_role("button", name="One network on").click()
    expect(page.locator("#epoch-text")).to_have_text("Epoch 1")


def test_play_goes_through_the_training_and_stops_at_its_end(page):
    page.get_by_role("button", name="Play the training").click()
    expect(page.locator("#epoch-text")).not_to_have_text("Epoch 4")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.locator("#epoch-text")).to_have_text("Epoch 4")
    expect(page.get_by_role("button", name="Play the training")).to_be_visible()


def test_it_plays_by_itself_unless_motion_is_unwanted(open_page, run):
    page = open_page(run.folder.path / "report.html", reduced_motion="no-preference")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play the training")).to_be_visible()


def test_pointing_at_a_cell_tells_query_key_weight_and_the_ideal(page, run):
    """The iteration head set by hand: the query s_2 (position 9) gives x_3 all its weight."""
    tokens = run.dataset.test[LENGTH][0]
    point_at(page, 1, LENGTH + 3, 3)
    expect(readout(page, 1)).to_have_text(
        f"Query s2 = {tokens[LENGTH + 3]}, key x3 = {tokens[3]}: weight 1.00. The ideal iteration head looks here."
    )
    point_at(page, 1, LENGTH + 3, 2)
    expect(readout(page, 1)).to_contain_text("weight 0.00. The ideal iteration head looks at x3.")
    point_at(page, 0, LENGTH + 3, LENGTH + 1)
    expect(readout(page, 0)).to_have_text(
        f"Query s2 = {tokens[LENGTH + 3]}, key EoI: weight 1.00. The ideal first head looks here."
    )
    point_at(page, 0, 2, 5)
    expect(readout(page, 0)).to_contain_text("cannot look ahead")
    page.mouse.move(1, 1)
    expect(readout(page, 0)).to_contain_text("Point at a cell")


def test_weights_are_those_of_python(page, run):
    tokens = torch.from_numpy(run.dataset.test[LENGTH][:1, :-1])
    for epoch, query, key in ((0, 9, 7), (0, 12, 4), (0, 3, 3), (2, 9, 7), (2, 12, 4), (2, 3, 3)):
        page.get_by_role("slider", name="Epoch").fill(str(epoch))
        weights = run.model_at(epoch).run_with_cache(tokens)[1]["blocks.0.attn.hook_pattern"][0, 0].detach()
        point_at(page, 0, query, key)
        weight = float(re.search(r"weight (\S+)\. ", readout(page, 0).inner_text()).group(1))
        assert weight == pytest.approx(float(weights[query, key]), abs=0.0075)  # two decimals, and a byte


def test_another_length_and_sequence(page, run):
    page.get_by_role("combobox", name="Length").select_option("4")
    page.get_by_role("combobox", name="Sequence").select_option("test 2")
    shown = page.locator("#predictions tbody tr").nth(0).locator("td").all_inner_texts()
    assert shown == [*map(str, run.dataset.test[4][1][1:5]), ""]
    expect(page.locator("#accuracy-text")).to_contain_text("length 4")


def test_an_input_is_answered_by_its_chain(page):
    page.get_by_label("Input").fill(INPUT)
    page.get_by_role("button", name="Write the chain").click()
    expect(page.locator("#chain-verdict")).to_have_text("The whole chain is right.")
    assert written(page) == [*map(str, CHAIN), "EoS"]
    page.get_by_role("button", name="s_3: 0, right").click()
    expect(page.locator("#chain-readout")).to_have_text(
        "To write s3 = 0 (right), standing on s2 = 1: the iteration head read x3 = 1 with weight 1.00; the first head "
        "read EoI with weight 1.00."
    )
    assert page.locator("#chain .arc.second").count() == page.locator("#chain .arc.first").count() == 1


def test_its_maps_can_be_looked_at(page):
    page.get_by_label("Input").fill("1 1 1")
    page.get_by_role("button", name="Write the chain").click()
    page.get_by_role("combobox", name="Sequence").select_option("your own")
    expect(page.locator("#own-note")).to_be_visible()
    assert page.locator("#predictions tbody tr").nth(1).locator("td").all_inner_texts() == ["1", "0", "1", "EoS"]
    page.get_by_role("combobox", name="Length").select_option("2")
    expect(page.locator("#own-note")).to_be_hidden()


def test_token_by_token(open_page, run):
    page = open_page(run.folder.path / "report.html", reduced_motion="no-preference")
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Input").fill(INPUT)
    page.get_by_label("Input").press("Enter")
    page.get_by_role("button", name="Next token").click()
    first = written(page)
    assert 1 <= len(first) <= len(CHAIN)
    page.get_by_role("button", name="Next token").click()
    assert len(written(page)) == len(first) + 1
    while page.get_by_role("button", name="Next token").is_enabled():
        page.get_by_role("button", name="Next token").click()
    expect(page.locator("#chain-verdict")).to_have_text("The whole chain is right.")


PROBLEMS = {
    "": "Nothing to read: give at least one number.",
    "0 1 2": "x3 is 2: expected one of 0, 1.",
    "0 1.5": "x2 is 1.5: expected one of 0, 1.",
    "<b>1</b>": "x1 is <b>1</b>: expected one of 0, 1.",
    "0 1 0 1 0 1 0 1": "8 numbers: expected at most 6, as the network knows 15 positions.",
}


def test_an_illegal_input_shows_the_problem(page):
    before = written(page)
    for text, problem in PROBLEMS.items():
        page.get_by_label("Input").fill(text)
        page.get_by_role("button", name="Write the chain").click()
        expect(page.get_by_role("alert").filter(has_text=problem)).to_be_visible()
        expect(page.get_by_label("Input")).to_have_attribute("aria-invalid", "true")
    assert written(page) == before
    page.get_by_role("button", name="Another input").click()
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#chain-verdict")).to_have_text("The whole chain is right.")


def test_an_intervention_breaks_the_chain(page, run):
    """Looking one place too far, the iteration head makes the network write the parity of x_2 x_3 ...."""
    page.get_by_label("Input").fill(INPUT)
    page.get_by_role("button", name="Write the chain").click()
    second = page.get_by_role("group", name="Iteration head")
    second.get_by_label("one too far").check()
    assert written(page)[:5] == ["1", "0", "0", "1", "1"]  # the parity of 1 1 0 1 0
    expect(page.locator("#chain-verdict")).to_contain_text("The chain is wrong")
    assert page.evaluate("report.facts.interventions.accuracies['own.shifted'].exact") < 0.5
    second.get_by_label("ideal").check()
    expect(page.locator("#chain-verdict")).to_have_text("The whole chain is right.")
    expect(page.locator("#exact-text")).to_have_text("100%")
    page.get_by_role("group", name="First head").get_by_label("no head").check()
    expect(page.locator("#chain-verdict")).to_contain_text("The chain is wrong")
    share = page.evaluate("report.facts.interventions.accuracies['off.ideal'].states")
    assert (
        float(page.locator("#states").get_attribute("value") or page.locator("#states").evaluate("(m) => m.value"))
        == share
    )


def test_claims_and_heads(page):
    assert page.locator("#claims tbody tr").count() == 13
    expect(page.locator("#claims tbody tr").filter(has_text="without MLP 1")).to_contain_text("✓ holds")
    row = page.locator("#heads tbody tr").first
    assert row.locator("td.number").first.inner_text() == "1.00"
    row.get_by_role("button").click()
    expect(row.get_by_role("button")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#maps figure").first).to_have_class(re.compile("chosen"))


def test_keyboard_alone(page):
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    for name in ("Play the training", "One network back"):
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name=name)).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    expect(page.locator("#epoch-text")).to_have_text("Before training")
    page.keyboard.press("End")
    page.keyboard.press("Tab")  # one network on is disabled at the end, so the first map
    expect(readout(page, 0)).to_contain_text("Query s1")
    page.keyboard.press("ArrowDown")
    expect(readout(page, 0)).to_contain_text("Query s2")
    page.keyboard.press("ArrowLeft")
    expect(readout(page, 0)).to_contain_text("key x6")
    page.locator("#chain button").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#chain button").nth(1)).to_be_focused()
    expect(page.locator("#chain-readout")).to_contain_text("To write s2")
    page.get_by_label("its own").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("ideal").first).to_be_checked()


def test_everything_has_a_name(still_page):
    """Buttons, inputs and pictures: what a screen reader says of them is not empty."""
    assert still_page.evaluate(NAMELESS) == []


def luminance(colour):
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(still_page, scheme):
    """WCAG AA asks 4.5 of text: every colour of text on every ground it stands on."""
    still_page.emulate_media(color_scheme=scheme)
    names = ("ink", "quiet", "first", "second", "good", "bad", "page", "raised", "tint")
    colour = {name: still_page.evaluate(f"new Colours().get('{name}')") for name in names}
    for text in names[:6]:
        for ground in names[6:]:
            light, dark = sorted((luminance(colour[text]), luminance(colour[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (scheme, text, ground)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 360)])
def test_pictures_of_each_state(open_page, run, tmp_path, scheme, width):
    """Nothing is wider than the window; the pictures are for looking at (pytest's tmp_path keeps the last three)."""
    page = open_page(run.folder.path / "report.html", color_scheme=scheme, viewport={"width": width, "height": 800})
    states = {
        "opened": lambda: None,
        "half-way": lambda: page.get_by_role("slider", name="Epoch").fill("2"),
        "broken": lambda: page.get_by_role("group", name="Iteration head").get_by_label("random").check(),
        "refused": lambda: (
            page.get_by_label("Input").fill("7"),
            page.get_by_role("button", name="Write the chain").click(),
        ),
    }
    for name, reach in states.items():
        reach()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=tmp_path / f"{name}-{scheme}-{width}.png", full_page=True)
    page.emulate_media(media="print")
    expect(page.get_by_role("slider", name="Epoch")).to_be_hidden()
