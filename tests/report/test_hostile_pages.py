"""Hostile texts in every field of every page, in a browser: no script runs, the texts are shown, the controls work.

`open_page` fails a test on a console message, on what the page's policy stopped, and on a request to the outside.
"""

import os
import sys
from dataclasses import replace
from types import ModuleType

import polars as pl
import pytest
import torch

from helpers.made_study import CHAIN, finding, made_study, made_tables, write_made
from helpers.pages import ATTACK, CLICK_THROUGH, TAKEN, UNSHOWABLE, facts_of, grown, staged
from iterhead.model.handmade import handmade
from iterhead.model.hooks import ActivationCache
from iterhead.report import overview, run_page, scan_page, study_page
from iterhead.report.run_page import run_report
from iterhead.report.study_page import measured, study_report
from iterhead.runs.notes import PROVENANCE, STATUS
from iterhead.runs.run import load
from iterhead.runs.storage import CONFIG
from iterhead.studies.claims import Check
from iterhead.studies.drawings import HeatMaps, Panel
from iterhead.studies.verification import Effect, Verification, write_verification
from iterhead.tasks import IterativeTask, Mixture, Vocabulary, task

HOSTILE = UNSHOWABLE[0] + ATTACK + UNSHOWABLE[1:]

FILED = HOSTILE.encode("utf-8", "ignore").decode()
"""Without halves of characters, which are an error in most files and in names of tokens."""

SHOWN = r"\u202e\u2066"
"""How the characters look that may not act."""

COMMAND = "iterhead run"

WORDS = {
    *("finished", "running", "diverged", "not there"),
    *("holds", "does not hold", "undecided", "at least", "more than", "at most"),
    *("own", "ideal", "random", "shifted", "off", "iteration", "first"),
    *("learned", "pre-norm", "normalized", "rms", "layer", "none"),
    *("accuracy", "second_peakiness", "width", "longest", "network"),
}
"""Texts among the facts that scripts compare or look up: all others are only shown."""


def everywhere(value):
    """Facts with an attack in every text that is only shown."""
    if isinstance(value, str):
        return value if value in WORDS else value + HOSTILE
    if isinstance(value, dict):
        return {name: everywhere(part) for name, part in value.items()}
    return [everywhere(part) for part in value] if isinstance(value, list | tuple) else value


def put_attacks(monkeypatch):
    """Put an attack into everything that the pages' modules hand on to be packed and assembled."""
    for module in (run_page, study_page, overview, scan_page):
        pack, assemble = module.pack, module.assemble

        def hostile_assemble(template, styles, scripts, texts, *rest, assemble=assemble):
            return assemble(template, styles, scripts, everywhere(texts), *rest)

        monkeypatch.setattr(module, "pack", lambda facts, arrays, pack=pack: pack(everywhere(facts), arrays))
        monkeypatch.setattr(module, "assemble", hostile_assemble)


def study_result(out, **changed):
    study = made_study(**changed)
    write_made(study, out)
    return measured(study, out)


def scan_content():
    pytest.importorskip("transformers")
    from helpers.planted import planted_gpt2
    from helpers.scan_facts import page_of
    from iterhead.huggingface.language_model import LanguageModel
    from iterhead.prompts import make_sequences

    planted = planted_gpt2(task("parity"), 5, layers=3, heads=2)
    batch = make_sequences(task("parity"), Vocabulary(64), length=3, count=2)
    return page_of(LanguageModel(planted.model), [batch], planted.first, planted.second)


MAKE = {
    "run": lambda run, out: run_report(run, COMMAND),
    "study": lambda run, out: study_report(study_result(out), lambda _config: COMMAND),
    "overview": lambda run, out: overview.overview("all", "smoke", [study_result(out)], [made_study("absent")], out),
    "scan": lambda run, out: scan_page.scan_page(*scan_content(), COMMAND),
}
"""The bytes of a page of each kind."""

CONTROLS = {
    "run": {"select": 2, "input[type=radio]": 10, "input[type=range]": 1, "input[type=text]": 1, "button": 13},
    "study": {"select": 1, "button": 15},
    "overview": {},
    "scan": {"select": 1, "input[type=radio]": 6, "input[type=range]": 1, "button": 15},
}
"""How many controls of each kind a page has at least."""


@pytest.mark.parametrize("kind", MAKE)
def test_every_text_of_a_page_stays_a_text(kind, run, tmp_path, open_page, monkeypatch):
    put_attacks(monkeypatch)
    page = opened(open_page, tmp_path, MAKE[kind](run, tmp_path))
    counts = used(page)
    for control, least in CONTROLS[kind].items():
        assert counts[control] >= least, control
    assert SHOWN in page.locator("h1").text_content()
    assert SHOWN in page.title().replace("\n", " ")


def opened(open_page, folder, content):
    """A page, of which no part is markup from a text."""
    path = folder / "page.html"
    path.write_bytes(content)
    page = open_page(path)
    assert page.locator("script").count() == 2
    assert page.locator("base, img[onerror], [onload], [onmouseover]").count() == 0
    return page


def used(page):
    """Use every control; return how many there were of each kind."""
    counts = page.evaluate(CLICK_THROUGH)
    assert page.evaluate("window.taken") is None
    assert page.locator("#failure").is_hidden()
    assert page.locator("script").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    return counts


def shows(page, *places):
    """Whether these places show the attack as text, to its end."""
    for place in places:
        text = page.locator(place).first.text_content()
        assert TAKEN in text, place
        assert SHOWN in text, place


def strangers_tasks(monkeypatch):
    """A mixture in a module, whose components have hostile names and formulas."""
    module = ModuleType("strangers")
    parity = IterativeTask(HOSTILE, 2, step=lambda s, x: (s + x) % 2, init=0, formula=HOSTILE)
    copy = IterativeTask(f"2 {HOSTILE}", 2, step=lambda _s, x: x, init=0, formula=HOSTILE)
    module.tasks = Mixture(HOSTILE, (parity, copy), (0.5, 0.5))
    monkeypatch.setitem(sys.modules, "strangers", module)
    return module.tasks


FOLDER = os.fsdecode(b'"><img src=x onerror=taken=1>${taken=1}\xe2\x80\xae\xff')
"""A name that a folder can have."""

START = {"run": FILED.replace("/", ""), "epoch": 1}


def test_the_run_of_a_stranger(tmp_path, open_page, monkeypatch):
    tasks = strangers_tasks(monkeypatch)
    networks = [grown(handmade(tasks, 4), share) for share in (0.3, 1)]
    data = {"max_length": 4, "train_per_length": 32, "test_per_length": 16}
    made = staged(tmp_path / FOLDER, networks, "strangers:tasks", **data)
    claim = Check(FILED, FILED, 0.9, 0.8, 1.0, 0.5)
    versions = dict.fromkeys(("iterhead", "python", "numpy", "torch"), FILED)
    with made.folder.lock():
        made.folder.write_json(PROVENANCE, {"task": tasks.digest, **versions})
    write_verification(load(made.folder.path), Verification(FILED, [claim], [Effect("a", 1, 1, 1, 1)], 0.5))
    page = opened(open_page, tmp_path, run_report(load(made.folder.path), HOSTILE))
    assert used(page)["select"] == 3
    page.get_by_label("Task").select_option(index=0)
    shows(page, "#component", "#inputs-help", "#versions", "#claims tbody", "#command")
    assert FOLDER.replace("\u202e", r"\u202e").replace("\udcff", r"\udcff") in page.locator("#versions").text_content()


def failed_run(path, network):
    """A run whose settings and message of failure are hostile."""
    made = staged(path, [network], "parity", max_length=6, train_per_length=32, test_per_length=16)
    with made.folder.lock():
        made.folder.write_json(STATUS, {**vars(made.status), "state": "diverged", "message": FILED})
        made.folder.write_json(CONFIG, made.config.model_dump(mode="json") | {"start": START})
    return load(path)


def test_a_run_that_failed(run, tmp_path, open_page):
    """Its message is the headline."""
    page = opened(open_page, tmp_path, run_report(failed_run(tmp_path / FOLDER, run.model), HOSTILE))
    used(page)
    shows(page, "h1", "#command")


def strangers_study(out):
    """The result of a study whose every text is an attack, with tables to match."""
    axis, value = f"axis {FILED}", FILED
    made = made_study()

    def renamed(axes):
        return {axis: value + axes["network"], **{name: at for name, at in axes.items() if name != "network"}}

    panel = Panel(HOSTILE, "accuracy", {axis: value + CHAIN})
    study = replace(
        made,
        **{"name": "made<svg onload=taken=1>", "title": FILED, "published": FILED, "chosen": (FILED,)},
        cells=tuple(replace(cell, axes=renamed(cell.axes)) for cell in made.cells),
        drawings=(HeatMaps("made-maps", HOSTILE, "longest", "width", (panel,)),),
        claims=(lambda _tables: [finding(HOSTILE, claim=HOSTILE, sentence=HOSTILE, figure=HOSTILE)],),
    )
    tables = made_tables(made)
    for name, frame in tables.frames.items():
        hostile = {"network": pl.lit(value) + pl.col("network"), "run": pl.lit(value), "torch": pl.lit(value)}
        hostile = {column: new for column, new in hostile.items() if column in frame.columns}
        tables.frames[name] = frame.with_columns(**hostile).rename({"network": axis})
    write_made(study, out, tables)
    return measured(study, out)


def test_the_study_of_a_stranger(tmp_path, open_page):
    result = strangers_study(tmp_path)
    page = opened(open_page, tmp_path, study_report(result, lambda _config: HOSTILE))
    assert page.locator("img").count() == 1
    assert "taken=1" in page.title()
    shows(page, "h1", ".picture figcaption", "#maps h3", "#maps figcaption", "#claims", "#chosen", "#list")
    shows(page, "#run-command", "#run-versions", "#cell-text")
    assert used(page)["button"] >= 8
    facts = facts_of((tmp_path / "page.html").read_bytes())
    assert not [name for name in facts["names"] if TAKEN in name], "names go into commands"


def test_the_overview_of_a_strangers_studies(tmp_path, open_page):
    missing = made_study(FOLDER.removesuffix("\udcff"))
    content = overview.overview(ATTACK, "smoke", [strangers_study(tmp_path)], [missing], tmp_path)
    page = opened(open_page, tmp_path, content)
    used(page)
    shows(page, "#claims", "article h3")
    assert "taken=1" in page.locator("#missing").text_content()
    links = [link.get_attribute("href") for link in page.locator("main a").all()]
    assert links
    assert all(link.startswith("../made<svg onload=taken=1>-smoke/") for link in links)


def strangers_model(place):
    """A model in a folder: a token before every prompt, and the token that it always answers, are attacks."""
    from tokenizers.processors import TemplateProcessing
    from transformers import GPT2Config, GPT2LMHeadModel

    from helpers.tokenizers_made import word_level
    from iterhead.huggingface.language_model import LanguageModel

    tokenizer = word_level()
    tokenizer.add_special_tokens({"bos_token": FILED})
    tokenizer.add_tokens([f"2 {FILED}"])
    bos = {"id": "<bos>", "ids": [tokenizer.bos_token_id], "tokens": [FILED]}
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[bos])
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "tie_word_embeddings": False, "vocab_size": len(tokenizer)}
    model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=tokenizer.bos_token_id, eos_token_id=None))
    with torch.no_grad():
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.fill_(1.0)
        model.lm_head.weight.zero_()
        model.lm_head.weight[-1] = 1.0
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return LanguageModel.from_pretrained(str(place))


def test_the_scan_of_a_strangers_model(tmp_path, open_page):
    pytest.importorskip("transformers")
    from iterhead.report.scan_report import scan_report
    from iterhead.scans import scan

    name = FOLDER[:-1]  # the tokenizers need UTF-8
    model = strangers_model(tmp_path / name)
    result = scan(model, out=tmp_path, task="parity", lengths=(3, 4), prompts=2, shots=1)
    page = opened(open_page, tmp_path, scan_report(result, model, HOSTILE))
    used(page)
    shows(page, "#prompt", "#answers", "#command")
    for place in (".kicker", "#settings"):
        assert name.replace("\u202e", r"\u202e") in page.locator(place).text_content(), place


def test_in_a_notebook(run, tmp_path, browser):
    """Tables for Jupyter, which has no policy."""
    made = failed_run(tmp_path / FOLDER, run.model)
    tables = [made, made.scores, ActivationCache({HOSTILE: torch.zeros(1)})]
    context = browser.new_context()
    page = context.new_page()
    page.set_content("".join(table._repr_html_() for table in tables).encode("utf-8", "replace").decode())
    assert page.locator("script, img, svg, base").count() == 0
    assert page.evaluate("window.taken") is None
    assert page.locator("body").text_content().count(TAKEN) == 4
    context.close()
