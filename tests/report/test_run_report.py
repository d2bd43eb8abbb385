"""The contents of a run's page, read without a browser for the most part."""

import base64
import gzip
import json
import re

import numpy as np
import pytest

from helpers.architectures import architecture_run
from helpers.pages import ATTACK, Tags, facts_of, grown, staged
from helpers.stored_runs import stored, untrained
from iterhead.errors import UserError
from iterhead.model.handmade import handmade
from iterhead.report import overview, run_page, scan_page, study_page
from iterhead.report.assemble import PAGE, assemble, pack, typeset
from iterhead.report.replay import left_out, plan, replay
from iterhead.report.run_page import SCRIPTS, STYLES, run_report, write_report
from iterhead.runs.run import PROVENANCE, load, provenance
from iterhead.runs.training import train
from iterhead.tasks import task

COMMAND = "iterhead run --task parity"


def test_pack_can_be_read_again_and_is_the_same_each_time():
    arrays = {"a": np.arange(3, dtype=np.uint8), "b": np.arange(6, dtype=np.float32).reshape(2, 3)}
    packed = pack({"name": "é"}, arrays)
    assert packed == pack({"name": "é"}, arrays)
    raw = gzip.decompress(base64.b64decode(packed))
    length = int.from_bytes(raw[:4], "little")
    header = json.loads(raw[4 : 4 + length])
    assert header["facts"] == {"name": "é"}
    place = header["arrays"]["b"]
    assert (place["type"], place["shape"], place["start"]) == ("float32", [2, 3], 4)  # 3 bytes, filled to 4
    start = 4 + length + place["start"]
    assert start % 4 == 0
    np.testing.assert_array_equal(np.frombuffer(raw[start : start + 24], "<f4").reshape(2, 3), arrays["b"])


@pytest.mark.parametrize(("facts", "arrays"), [({"a": float("nan")}, {}), ({}, {"a": np.arange(3)})])
def test_types_that_javascript_cannot_read_raise(facts, arrays):
    with pytest.raises(ValueError, match=r"JSON|type int64"):
        pack(facts, arrays)


def test_typeset():
    assert (
        typeset("x_t < s_{t-1} x_16 x_two")
        == "<i>x</i><sub>t</sub> &lt; <i>s</i><sub>t-1</sub> <i>x</i><sub>16</sub> x_two"
    )


def test_texts_are_text():
    texts = dict.fromkeys(("title", "kicker", "headline", "summary"), ATTACK)
    page = assemble("run.html", STYLES, SCRIPTS, texts, "DATA").decode()
    plain = assemble("run.html", STYLES, SCRIPTS, dict.fromkeys(texts, "plain"), "DATA").decode()
    tags, expected = Tags(), Tags()
    tags.feed(page)
    expected.feed(plain)
    subscripts = [tag for tag in tags.found if tag[0] not in ("i", "sub")]
    assert subscripts == [tag for tag in expected.found if tag[0] not in ("i", "sub")]
    assert page.count("DATA") == plain.count("DATA")


@pytest.fixture(scope="module")
def written(run):
    """The page that lies in the run's folder."""
    return (run.folder.path / "report.html").read_bytes()


def test_nothing_comes_from_outside(written):
    page = written.decode()
    tags = Tags()
    tags.feed(page)
    assert not [tag for tag in tags.found if {"src", "style", "onclick"} & set(tag[1])]
    assert {attributes["href"] for _, attributes in tags.found if "href" in attributes} == {"#main"}
    assert "url(" not in page
    assert "@import" not in page
    policy = next(attributes["content"] for _, attributes in tags.found if attributes.get("http-equiv"))
    assert re.fullmatch(
        r"default-src 'none'; script-src 'sha256-\S+'; style-src 'sha256-\S+'; base-uri 'none'; form-action 'none'",
        policy,
    )


def test_every_file_of_the_page_is_used():
    names = {place.name for place in PAGE.iterdir()}
    templates = {"frame.html", "run.html", "study.html", "overview.html", "scan.html"}
    others = *study_page.STYLES, *study_page.SCRIPTS, *overview.SCRIPTS, *scan_page.STYLES, *scan_page.SCRIPTS
    assert names == {*templates, *STYLES, *SCRIPTS, *others}


def test_the_same_run_gives_the_same_page(run, written):
    assert run_report(load(run.folder.path), COMMAND) == written


def test_a_folder_in_use_and_one_without_a_network_are_refused(run, tmp_path):
    with run.folder.lock(), pytest.raises(UserError, match="working on this run"):
        write_report(run)
    bare = stored(tmp_path / "bare", untrained(3, width=4), "parity", max_length=3)
    with bare.folder.lock():
        bare.folder.remove([name for name in bare.folder.names() if name.startswith("checkpoints/")])
    with pytest.raises(UserError, match="nothing trained yet"):
        run_report(load(bare.folder.path))


def test_what_does_not_fit_gives_way(run):
    """Parity up to 6, 5 networks, 2 heads: T = 4, 6, ..., 14 tokens, T (T + 1) / 2 cells each."""
    cells = 10 + 21 + 36 + 55 + 78 + 105
    everything = plan(run, 5 * 3 * 2 * cells)
    assert (everything.epochs, everything.lengths, everything.sequences) == ([0, 1, 2, 3, 4], [1, 2, 3, 4, 5, 6], 3)
    assert plan(run, 5 * 3 * 2 * cells - 1).sequences == 2
    fewer = plan(run, 5 * 1 * 2 * cells - 1)
    assert (fewer.lengths, fewer.sequences, len(fewer.epochs)) == ([1, 4, 6], 1, 5)
    least = plan(run, 1)
    assert (least.epochs, least.lengths, least.sequences) == ([0, 4], [6], 1)
    assert left_out(run, least)[:2] == [
        "Of 5 stored networks this page holds 2, evenly chosen.",
        "Of 6 lengths the maps show 1: 6.",
    ]
    arrays = replay(run, least)
    assert arrays["maps.6"].shape == (2, 1, 2, 1, 105)
    # Rows of weights sum to 1 but for rounding: 14 weights of 1 / 510 at most.
    assert abs(int(arrays["maps.6"][1, 0, 0, 0, -14:].sum()) - 255) <= 7


def test_interventions_measure_what_they_should(written):
    """The network set by hand: right with its own or ideal maps, broken by all else."""
    interventions = facts_of(written)["interventions"]
    assert len(interventions["accuracies"]) == 25
    right = {name for name, accuracy in interventions["accuracies"].items() if accuracy["exact"] == 1}
    assert right == {"own.own", "own.ideal", "ideal.own", "ideal.ideal"}


def test_a_page_names_the_settings_claims_and_versions(written):
    facts = facts_of(written)
    assert facts["run"]["command"] == COMMAND
    assert facts["run"]["settings"]["data"]["max_length"] == 6
    assert len(facts["claims"]["claims"]) == 13
    assert facts["network"]["exact"] == 1


def test_without_chain_of_thought(tmp_path, made_page, open_page):
    networks = [untrained(4, cot=False, width=8)] * 2
    run = staged(tmp_path / "no-chain", networks, "parity", max_length=4, cot=False)
    facts = facts_of(run_report(run))
    assert (facts["best"], facts["interventions"], facts["claims"]) == (None, None, None)
    page = open_page(made_page(run))
    assert page.locator("#no-chain").is_visible()
    assert page.locator("#interventions-part").is_hidden()
    assert page.locator("#chain .token.written").count() >= 1


def test_many_heads_a_mixture_and_no_room_for_the_network(tmp_path, made_page, open_page):
    networks = [untrained(5, width=112, layers=3, heads=2)] * 2
    data = {"max_length": 5, "train_per_length": 32, "test_per_length": 16}
    run = staged(tmp_path / "wide", networks, "mix:copy,parity", **data)
    page = open_page(made_page(run))
    assert page.locator("#thumbnails button").count() == 6
    page.get_by_role("button", name="Show layer 2, head 2").click()
    assert page.locator("#maps figure[data-head='1.1']").count() == 1
    assert "so it cannot run here" in page.locator("#no-network").inner_text()
    assert page.locator("#machine").is_hidden()
    assert page.locator("#interventions-part").is_visible()


def test_a_network_of_another_architecture_is_shown_but_does_not_run(tmp_path, made_page, open_page):
    pytest.importorskip("transformers")
    run = train(architecture_run("llama", 4, 2, epochs=1), out=tmp_path, threads=1)
    page = open_page(made_page(run))
    assert "This network has the architecture llama." in page.locator("#no-network").inner_text()
    assert "llama" in page.locator("#settings").text_content()


def test_a_mixture_asks_which_task(tmp_path, made_page, open_page):
    networks = [grown(handmade(task("mix:copy,parity"), 4), share) for share in (0.3, 1)]
    data = {"max_length": 4, "train_per_length": 32, "test_per_length": 16}
    page = open_page(made_page(staged(tmp_path / "mixed", networks, "mix:copy,parity", **data)))
    for name, states in (("copy", ["1", "1", "0"]), ("parity", ["1", "0", "0"])):
        page.get_by_label("Task").select_option(label=name)
        page.get_by_role("textbox", name="Input").fill("1 1 0")
        page.get_by_role("button", name="Write the chain").click()
        assert page.locator("#chain .token.written b").all_inner_texts() == [*states, "EoS"]


def test_names_cannot_bring_markup_into_the_page(run, tmp_path, open_page, monkeypatch):
    """A task's name, its formula, a run's folder and its recorded versions, all of them hostile."""
    versions = {"torch": ATTACK, "iterhead": ATTACK}
    with run.folder.lock():
        run.folder.write_json(PROVENANCE, provenance(run.config) | versions)
    hostile = {
        "name": ATTACK,
        "components": [
            {**part, "name": ATTACK, "formula": ATTACK} for part in run_page.task_facts(task("parity"))["components"]
        ],
    }
    monkeypatch.setattr(run_page, "task_facts", lambda _: hostile)
    monkeypatch.setattr(run_page, "sentences", lambda _: [ATTACK, ATTACK])
    monkeypatch.setattr(run_page, "outcome", lambda _: ATTACK)
    path = tmp_path / "hostile.html"
    path.write_bytes(run_report(run, ATTACK))
    page = open_page(path)
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    assert page.title() == f"parity, seed 0: {ATTACK} - iterhead"
    assert "onerror=alert(1)" in page.locator("#command").inner_text()
    assert "onerror=alert(1)" in page.locator("h1").inner_text()
    assert "onerror=alert(1)" in page.locator("#inputs-help").inner_text()
    with run.folder.lock():
        run.folder.remove([PROVENANCE])


def test_should_markup_slip_through_the_policy_runs_no_script(written, tmp_path, browser):
    path = tmp_path / "slipped.html"
    slipped = b"<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\"><h1>"
    path.write_bytes(written.replace(b"<h1>", slipped, 1))
    context = browser.new_context()
    page = context.new_page()
    page.goto(path.as_uri())
    page.locator("html[data-ready]").wait_for(state="attached")
    assert page.title().startswith("parity")
    context.close()
