"""The page of a scan in a browser, as a person uses it. A console message or a request to the outside fails a test."""

import re

import pytest
from playwright.sync_api import expect

pytest.importorskip("transformers")

from helpers.pages import NAMELESS
from helpers.planted import planted_gpt2
from helpers.scan_facts import page_of
from iterhead.huggingface.language_model import LanguageModel
from iterhead.prompts import make_sequences
from iterhead.report.scan_page import scan_page
from iterhead.tasks import Vocabulary, task

LENGTHS = (3, 5)


@pytest.fixture(scope="module")
def planted():
    return planted_gpt2(task("parity"), 5, layers=3, heads=2)


@pytest.fixture(scope="module")
def batches():
    return [make_sequences(task("parity"), Vocabulary(64), length=length, count=2) for length in LENGTHS]


@pytest.fixture(scope="module")
def place(planted, batches, tmp_path_factory):
    facts, examples = page_of(LanguageModel(planted.model), batches, planted.first, planted.second)
    path = tmp_path_factory.mktemp("scan") / "scan.html"
    path.write_bytes(scan_page(facts, examples, "iterhead scan planted"))
    return path


@pytest.fixture
def page(open_page, place):
    page = open_page(place)
    page.get_by_role("combobox", name="Prompt").select_option(label="5 inputs, 12 tokens")
    return page


def go_to(page, step):
    page.get_by_role("slider", name="Step t").fill(str(step))


def token(page, position):
    return page.locator(f"#prompt [data-place='{position}']")


def head_name(place):
    return f"layer {place[0] + 1}, head {place[1] + 1}"


def row(page, name):
    return page.locator("#answers tbody tr").filter(has=page.get_by_role("rowheader", name=name, exact=True))


def intervention(page, name):
    return page.get_by_role("group", name="Intervention").get_by_role("radio", name=name)


def values(page, name):
    return row(page, name).locator("td .text").all_inner_texts()


def test_first_things_first(page):
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("An iteration head: it looks at xt.")
    assert page.title() == "planted GPT-2 · parity · after-input: iteration-head - iterhead"
    expect(page.locator("#behaviour")).to_contain_text("100% (95% interval 99% to 100%) of the states are right")
    expect(page.locator("#pictures figure")).to_have_count(2)


def test_stepping_through_the_queries(page, planted):
    """The sequence is task x_1 .. x_5 EoI s_1 .. s_5: the query of s_t is token 5 + t, and x_t is token t."""
    expect(page.locator("#head-text")).to_have_text(head_name(planted.second))
    for step in (1, 4, 5):
        go_to(page, step)
        expect(page.locator("#step-text")).to_have_text(f"t = {step} of 5")
        expect(token(page, 5 + step)).to_have_class(re.compile(r"\bquery\b"))
        expect(page.locator("#prompt .ideal")).to_have_attribute("data-place", str(step))
        expect(page.locator("#reading .bars .ideal")).to_contain_text("1.00")
        assert page.locator("#prompt .later").count() == 6 - step
    page.get_by_role("button", name="One step back").click()
    expect(page.locator("#step-text")).to_have_text("t = 4 of 5")
    token(page, 7).click()  # the written s_1
    expect(page.locator("#step-text")).to_have_text("t = 1 of 5")
    page.locator("#prompt").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#step-text")).to_have_text("t = 2 of 5")


def test_pointing_at_a_competing_key_marks_its_tokens(page):
    go_to(page, 3)  # the query is s_2, token 8; the token before it is 7
    page.locator("#reading .bars li").filter(has_text="previous token").hover()
    expect(page.locator("#prompt .pointed")).to_have_attribute("data-place", "7")
    token(page, 1).hover()
    expect(page.locator("#reading p").last).to_contain_text("x1: “")
    token(page, 9).hover()
    expect(page.locator("#reading p").last).to_contain_text("comes later")


def test_weights_are_those_of_the_model(page, planted, batches):
    tokens = batches[1].tokens_BT[:1]
    layer, head = planted.first
    pattern = (
        LanguageModel(planted.model).run_with_cache(tokens)[1][f"blocks.{layer}.attn.hook_pattern"][0, head].detach()
    )
    page.evaluate(f"report.state.set({{place: {{layer: {layer}, head: {head}, role: 'iteration'}}}})")
    for step in (1, 3):
        go_to(page, step)
        for key in (1, 3, 6):
            token(page, key).hover()
            if key > 5 + step:
                continue
            found = re.search(r"has weight (\S+?)[. ]*( \(|$)", page.locator("#reading p").last.inner_text()).group(1)
            assert float(found) == pytest.approx(float(pattern[5 + step, key]), abs=0.0075)  # two decimals, and a byte


def test_a_head_is_picked_from_the_picture_and_from_the_table(page, planted):
    canvas = page.locator("figure[data-role=first] canvas")
    layer, head = planted.first
    cell = page.evaluate("report.pictures[1].cell")
    at = {"x": 34 + (head + 0.5) * cell, "y": 20 + (layer + 0.5) * cell}
    canvas.hover(position=at)
    readout = page.locator("figure[data-role=first] .readout")
    name = head_name(planted.first)
    expect(readout).to_contain_text(f"{name.capitalize()} as first head: score")
    expect(readout).to_contain_text(", significant.")
    canvas.click(position=at)
    expect(page.locator("#head-text")).to_have_text(name)
    expect(page.get_by_role("radio", name="as first head")).to_be_checked()
    expect(page.locator("#prompt .ideal")).to_have_attribute("data-place", "6")  # EoI
    expect(page.locator("#heads tr.chosen")).to_contain_text(name)

    chosen = (
        page.locator("#heads tbody tr").filter(has_text=head_name(planted.second)).filter(has_text="iteration head")
    )
    chosen.get_by_role("button").click()
    expect(page.locator("#head-text")).to_have_text(head_name(planted.second))
    expect(page.get_by_role("radio", name="as iteration head")).to_be_checked()
    canvas.focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="as first head")).to_be_checked()


def test_an_intervention_changes_the_answers(page, batches):
    """Pointed at x_{t+1}, the answer is s_{t-1} + x_{t+1} mod 2."""
    batch = batches[1]
    inputs, states = batch.inputs_BL[0], batch.states_BL[0]
    assert values(page, "right st") == [str(state) for state in states]
    assert values(page, "the model") == values(page, "right st")
    expect(page.locator("#answers-text")).to_have_text("The model as it is: 5 of 5 answers right.")
    intervention(page, "looking at x").check()
    before = [0, *states[:3]]
    predicted = [str((s + x) % 2) for s, x in zip(before, inputs[1:], strict=False)]
    assert values(page, "F predicts") == [*predicted, "–"]
    assert values(page, "looking at xt+1")[:4] == predicted
    told = sum(p != str(s) for p, s in zip(predicted, states, strict=False))
    assert told > 0
    expect(page.locator("#answers-text")).to_contain_text(f"{told} step")
    expect(page.locator("#answers-text")).to_contain_text(f"{told} follow it")
    assert page.locator("#answers .answer.follows").count() == told
    intervention(page, "a written state replaced").check()
    expect(page.locator("#prompt .edited")).to_have_attribute("data-place", "7")  # s_1
    intervention(page, "none").check()
    expect(page.locator("#prompt .edited")).to_have_count(0)


def test_another_prompt(page):
    go_to(page, 5)
    page.get_by_role("combobox", name="Prompt").select_option(label="3 inputs, 8 tokens")
    expect(page.locator("#step-text")).to_have_text("t = 3 of 3")
    assert len(values(page, "the model")) == 3


def test_tables(page, planted):
    assert page.locator("#causal tbody tr").count() == 4
    expect(page.locator("#causal tbody tr").nth(2)).to_contain_text("98% (93% to 100%)")
    assert page.locator("#heads tbody tr").count() == 12  # 3 layers of 2 heads in two roles
    expect(page.locator("#more-heads")).to_be_hidden()
    expect(page.locator("#command")).to_have_text("iterhead scan planted")


def test_everything_has_a_name(page):
    assert page.evaluate(NAMELESS) == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 360)])
def test_nothing_is_wider_than_the_window(open_page, place, tmp_path, scheme, width):
    page = open_page(place, color_scheme=scheme, viewport={"width": width, "height": 800})
    intervention(page, "looking at x").check()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)
