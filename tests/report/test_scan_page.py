"""The contents of the page of a scan, read without a browser for the most part."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("transformers")

from transformers import GPT2Config, GPT2LMHeadModel

from helpers.pages import Tags, arrays_of, facts_of
from helpers.planted import planted_gpt2
from helpers.scan_facts import page_of
from helpers.tokenizers_made import byte_level, metaspace
from iterhead.huggingface.language_model import LanguageModel
from iterhead.model.hooks import pattern_hook
from iterhead.prompts import make_prompts, make_sequences
from iterhead.report import scan_page as module
from iterhead.report.scan_examples import Intervention, page_examples
from iterhead.report.scan_page import scan_page
from iterhead.report.scan_report import write_scan_report
from iterhead.scans import scan
from iterhead.tasks import Vocabulary, task


@pytest.fixture(scope="module")
def planted():
    return planted_gpt2(task("parity"), 5, layers=3, heads=2)


@pytest.fixture(scope="module")
def model(planted):
    return LanguageModel(planted.model)


@pytest.fixture(scope="module")
def batch():
    return make_sequences(task("parity"), Vocabulary(64), length=3, count=2)


@pytest.fixture(scope="module")
def content(model, planted, batch):
    """Facts and examples."""
    return page_of(model, [batch], planted.first, planted.second)


def random_model(tokenizer, heads=2):
    ids = {"bos_token_id": None, "eos_token_id": None}
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": heads, "n_positions": 512}
    return LanguageModel(GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **sizes, **ids)), tokenizer)


def test_facts_arrive(content, model):
    facts, examples = content
    page = scan_page(facts, examples, "iterhead scan MODEL")
    shown, arrays = facts_of(page), arrays_of(page)
    assert (shown["verdict"], shown["command"]) == ("iteration-head", "iterhead scan MODEL")
    assert (shown["layers"], shown["heads_per_layer"]) == (3, 2)
    assert shown["causal"][3]["follows"] == 0.1
    best = facts["heads"][0]
    layer, head, role, competing, significant = arrays["head_places"][0].tolist()
    assert (layer, head, ["iteration", "first"][role]) == (best["layer"], best["head"], best["role"])
    assert shown["competing"][competing] == best["competing"]
    assert significant == best["significant"] == 1
    assert arrays["head_scores"][0] == pytest.approx([best[name] for name in module.SCORES])
    # All heads, in the order of their best score; rows are the queries EoI, s_1, s_2, s_3 of 8 tokens without EoS.
    assert sorted(shown["kept"]) == [[layer, head] for layer in range(3) for head in range(2)]
    assert arrays["maps.0"].shape == (6, 4, 8)
    assert shown["examples"][0]["rows"] == [4, 5, 6, 7]


def test_an_example_by_hand(model, planted, batch):
    """Layout of length 3: task x_1 x_2 x_3 EoI s_1 s_2 s_3."""
    (example,) = page_examples(model, [batch])
    inputs, states = batch.inputs_BL[0].tolist(), batch.states_BL[0].tolist()
    assert example.tokens == ["task", *map(str, inputs), "EoI", *map(str, states)]
    assert example.right == list(map(str, states))
    (answers,) = example.answers
    assert (answers.answers, answers.right) == (example.right, [True] * 3)
    assert (answers.predicted, answers.follows) == ([None] * 3, [None] * 3)
    keys = example.as_json()["keys"]
    assert keys["iteration"]["queries"] == [4, 5, 6]
    assert keys["iteration"]["ideal"] == [[1, 2], [2, 3], [3, 4]]
    assert keys["first"]["queries"] == [5, 6, 7]
    assert keys["first"]["ideal"] == [[4, 5]] * 3
    layer, head = planted.second
    pattern = model.run_with_cache(batch.tokens_BT[:1])[1][pattern_hook(layer)][0, head, 4:].detach().numpy()
    np.testing.assert_array_equal(example.maps[2 * layer + head], np.round(pattern * 255))


def test_answers_are_marked_as_right_or_as_following_f(model, batch):
    """Answers 1 0 1 and predictions 1 1 -: step 1 is told apart only if the right state differs from 1."""
    right = batch.states_BL[0].tolist()
    wrong = [1 - state for state in right]
    stored = [wrong[0], right[1], wrong[2]]
    predicted = np.array([[wrong[0], wrong[1], -1]] * 2)
    (example,) = page_examples(
        model, [batch], lambda _: {"moved": Intervention(answers=stored, predicted_BL=predicted)}
    )
    answers = example.answers[1]
    assert (answers.name, answers.answers) == ("moved", list(map(str, stored)))
    assert answers.right == [False, True, False]
    assert answers.predicted == [str(wrong[0]), str(wrong[1]), None]
    assert answers.follows == [True, False, None]
    same = Intervention(answers=stored, predicted_BL=np.array([right] * 2))
    assert page_examples(model, [batch], lambda _: {"same": same})[0].answers[1].follows == [None] * 3


def test_an_edit_of_the_text_is_shown(model, batch):
    edited = batch.with_state(2, 1 - batch.states_BL[:, 1])
    change = Intervention(batch=edited, predicted_BL=edited.next_states_BL)
    (example,) = page_examples(model, [batch], lambda _: {"edited": change})
    answers = example.answers[1]
    assert answers.edited == {6: str(1 - batch.states_BL[0, 1])}  # s_2
    assert answers.right == [True, True, False]
    assert answers.follows == [None, None, True]


@pytest.mark.parametrize("tokenizer", [byte_level(0), byte_level(200), metaspace(), metaspace(split_digits=False)])
def test_tokens_of_text_are_decoded_one_by_one(tokenizer):
    batch = make_prompts(task("parity"), tokenizer, length=4, count=3, shots=1)
    (example,) = page_examples(random_model(tokenizer), [batch])
    assert "".join(example.tokens).removeprefix("<s>").strip() == batch.texts[0]
    assert example.maps.shape == (4, len(example.rows), batch.sizes_B[0])
    first, last = example.inputs[0]
    assert "".join(example.tokens[first:last]).strip() == str(batch.inputs_BL[0, 0])
    sums = example.maps.sum(-1, dtype=int)
    assert np.all(np.abs(sums - 255) <= batch.sizes_B[0] / 2)


def test_a_token_without_text_has_its_name(batch):
    tokenizer = byte_level(0)
    model = random_model(tokenizer)
    byte = tokenizer.convert_tokens_to_ids("Ã")  # the first byte of many characters: no text
    text = make_prompts(task("parity"), tokenizer, length=3, count=1, shots=0)
    answers = Intervention(answers=[byte, len(tokenizer) + 5, 0])
    (example,) = page_examples(model, [text], lambda _: {"odd": answers})
    assert example.answers[1].answers[:2] == ["Ã", f"token {len(tokenizer) + 5}"]


def test_what_does_not_fit_gives_way(content, monkeypatch):
    facts, examples = content
    monkeypatch.setattr(module, "MAP_BYTES", 3 * examples[0].maps[0].size)
    page = scan_page(facts, examples)
    ranked = list(dict.fromkeys((row["layer"], row["head"]) for row in _alternating(facts["heads"])))
    assert [tuple(place) for place in facts_of(page)["kept"]] == ranked[:3]
    assert arrays_of(page)["maps.0"].shape[0] == 3
    monkeypatch.setattr(module, "MOST_BYTES", 1)
    assert facts_of(scan_page(facts, examples))["kept"] == []


def _alternating(heads):
    by_role = [[row for row in heads if row["role"] == role] for role in ("iteration", "first")]
    return [row for pair in zip(*by_role, strict=True) for row in pair]


def test_a_large_model_stays_below_a_megabyte(content):
    """48 layers of 64 heads with random maps, which do not compress."""
    facts, (example,) = content
    random = np.random.default_rng(0)
    heads = [
        {**row, "layer": layer, "head": head, "score": float(random.uniform(-1, 1))}
        for row in facts["heads"][:2]
        for layer in range(48)
        for head in range(64)
    ]
    maps = random.integers(0, 256, (40, 48 * 64, *example.maps.shape[1:]), dtype=np.uint8)
    large = {**facts, "heads": heads, "model": {"name": "large", "layers": 48, "heads": 64}}
    page = scan_page(large, [replace(example, maps=of_one) for of_one in maps])
    assert 500_000 < len(page) <= 1_000_000
    assert 0 < len(facts_of(page)["kept"]) < 48 * 64


def test_missing_parts(content, tmp_path, open_page):
    """No causal rows, free=None, no notes, no settings, heads without numbers, no prompts."""
    facts, examples = content
    bare = {name: facts[name] for name in ("verdict", "sentence", "heads", "model")}
    bare["heads"] = [{**row, "low": None, "p": float("nan")} for row in facts["heads"]]
    bare["behaviour"] = {"teacher_forced": 0.5, "free": None, "guess": None, "by_length": {}}
    bare["causal"] = []
    for name, shown in (("with", examples), ("without", [])):
        path = tmp_path / f"{name}.html"
        path.write_bytes(scan_page(bare, shown))
        page = open_page(path)
        assert page.locator("#behaviour").inner_text() == (
            "With the right text before each state, 50% of the states are right."
        )
        assert page.locator("#causal-part").is_hidden()
        assert page.locator("#lengths-part").is_hidden()
        assert page.locator("#command-part").is_hidden()
        assert page.locator("#prompt-part").is_visible() == bool(shown)
        assert page.locator("#heads tbody td").nth(2).inner_text().startswith("– to ")


def test_a_head_without_stored_attention_says_so(content, tmp_path, open_page, monkeypatch):
    facts, examples = content
    monkeypatch.setattr(module, "MAP_BYTES", examples[0].maps[0].size)
    path = tmp_path / "one.html"
    path.write_bytes(scan_page(facts, examples))
    page = open_page(path)
    assert page.locator("#no-maps").is_hidden()
    page.locator("#heads tbody tr").last.get_by_role("button").click()
    assert page.locator("#no-maps").is_visible()
    assert page.locator("#reading .bars").count() == 0
    assert "5 are left out" in page.locator("#origin").inner_text()


def test_characters_that_cannot_be_seen_are_pictured(content, tmp_path, open_page):
    facts, (example,) = content
    tokens = ["\n\t\x00\x07\x7f\x85\u202e\ud800", *example.tokens[1:]]
    path = tmp_path / "pictured.html"
    path.write_bytes(scan_page(facts, [replace(example, tokens=tokens)]))
    first = open_page(path).locator("#prompt [data-place='0'] .text")
    assert first.inner_text() == r"⏎⇥␀␇␡\x85\u202e\ud800"


def test_nothing_comes_from_outside(content):
    page = scan_page(*content).decode()
    tags = Tags()
    tags.feed(page)
    assert not [tag for tag in tags.found if {"src", "style", "onclick"} & set(tag[1])]
    assert {attributes["href"] for _, attributes in tags.found if "href" in attributes} == {"#main"}
    assert "url(" not in page
    policy = next(attributes["content"] for _, attributes in tags.found if attributes.get("http-equiv"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def test_the_page_of_a_scan(tmp_path, model, planted):
    """From a scan to its page: every row of the causal table that has answers can be chosen."""
    result = scan(model, out=tmp_path, task="parity", lengths=(3, 5), prompts=4)
    write_scan_report(result, model, "iterhead scan planted")
    facts = facts_of((tmp_path / result.folder / "scan.html").read_bytes())
    for example in facts["examples"]:
        offered = [answers["name"] for answers in example["answers"]]
        assert offered == ["", *(row.intervention for row in result.causal if row.intervention != "none")]
        moved = next(answers for answers in example["answers"] if answers["name"] == "looking at x_{t+1}")
        assert all(follows is not False for follows in moved["follows"])
        assert True in moved["follows"]
    assert facts["examples"][0]["length"] == 3
