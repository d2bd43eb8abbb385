"""What a run gives and shows in a notebook."""

import base64
from html.parser import HTMLParser

import pytest
import torch

from helpers.stored_runs import settings, stored, untrained
from iterhead.errors import UserError
from iterhead.runs.notes import STATUS, Status
from iterhead.runs.run import Run, changed_settings
from iterhead.runs.storage import CONFIG, RunFolder
from iterhead.settings import RunConfig

SPEC = "polynomial:p=5"
MODEL = {"width": 8, "vocabulary": 8}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("runs") / "a", untrained(3, **MODEL), SPEC, min_length=2, max_length=3)


def shown(run):
    """What a notebook shows of a run."""
    return run._repr_html_()


class Tags(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, _attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += f"{data}|"


# Tokens


def test_tokens_are_what_the_model_takes(run):
    # Length 3: problem, 3 inputs, EoI, 3 states; EoS is left out.
    tokens = run.tokens(3)
    assert (tokens.dtype, tokens.shape[1]) == (torch.int64, 8)
    assert torch.equal(tokens, torch.from_numpy(run.dataset.test[3][:, :-1]))
    assert torch.equal(run.tokens(2, split="train"), torch.from_numpy(run.dataset.train[2][:, :-1]))
    assert run.model(tokens).shape[:2] == tokens.shape


def test_tokens_are_a_copy(run):
    run.tokens(3).zero_()
    assert run.tokens(3).any()


@pytest.mark.parametrize("length", [1, 4, -2])
def test_other_lengths_are_refused(run, length):
    with pytest.raises(UserError, match=f"^length={length}: expected one of this run's lengths 2 to 3$"):
        run.tokens(length)


def test_other_splits_are_refused(run):
    with pytest.raises(UserError, match=r"^split='validation': expected train or test$"):
        run.tokens(3, split="validation")


# Settings


def test_changed_settings_are_those_that_differ_from_the_defaults():
    assert changed_settings(RunConfig()) == {}
    config = settings("parity", {"width": 16}, cot=False)
    assert changed_settings(config) == {"task": "parity", "data.cot": False, "model.width": 16}
    values = {"run": "polynomial-1", "epoch": None}
    assert changed_settings(RunConfig.model_validate({"start": values})) == {"start.run": "polynomial-1"}


# Notebooks


def test_a_finished_run_shows_settings_and_scores(run):
    page = Tags(shown(run))
    assert page.text.startswith("a|settings|task = polynomial:p=5, data.min_length = 2, data.max_length = 3, ")
    for part in ("state|finished, iteration head emerged|", "epochs|1 of at most ", "|accuracy|", "|second peakiness|"):
        assert part in page.text
    assert "img" not in page.tags


def test_the_figure_is_inside_the_page(tmp_path):
    run = stored(tmp_path / "a", untrained(3, **MODEL), SPEC, max_length=3)
    run.folder.write("figure.png", b"\x89PNG <drawn>")
    assert f"data:image/png;base64,{base64.b64encode(run.folder.read('figure.png')).decode()}" in shown(run)
    (run.folder.path / "figure.png").write_bytes(b"?")
    page = Tags(shown(run))
    assert "img" not in page.tags
    assert "problem|" in page.text
    assert "figure.png is damaged" in page.text


def test_a_run_without_chain_of_thought_shows_no_peakiness(tmp_path):
    run = stored(tmp_path / "a", untrained(3, cot=False, **MODEL), SPEC, max_length=3, cot=False)
    assert "peakiness" not in shown(run)


def test_a_run_that_has_hardly_begun_says_what_is_missing(tmp_path):
    folder = RunFolder(tmp_path / "a")
    folder.write_json(CONFIG, RunConfig().model_dump(mode="json"))
    text = Tags(shown(Run(folder))).text
    assert "settings|all defaults|" in text
    assert "measurements.parquet: no such file" in text


def test_hostile_names_are_escaped(tmp_path):
    name = '<img src=x onerror="alert(1)">&amp;'
    run = stored(tmp_path / name, untrained(3, **MODEL), SPEC, max_length=3)
    message = "</td><script>alert(1)</script>"
    run.folder.write_json(STATUS, vars(Status("diverged", 1, False, 1, 0.0, 0.0, message)))
    page = Tags(shown(run))
    assert set(page.tags) == {"div", "strong", "table", "tr", "th", "td"}
    assert page.text.startswith(f"{name}|")
    assert f"diverged: {message}" in page.text
