"""The library as a notebook has it: public names, tables and drawings of heads, and the cells of docs/notebook.md."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.patches import Rectangle

import iterhead as ih
from helpers.oracle import LONGEST, POLYNOMIAL, by_hand, sequences
from helpers.stored_runs import stored, untrained

SPEC = "polynomial:p=5,f=s+x"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The network set by hand as a finished run of lengths up to 4."""
    model = ih.handmade(ih.task(SPEC), 4, vocabulary=16)
    return stored(tmp_path_factory.mktemp("notebook") / "runs" / "polynomial-1", model, SPEC, max_length=4)


@pytest.fixture
def draw():
    """`ih.attention_map` without a window."""
    pyplot.switch_backend("agg")
    yield ih.attention_map
    pyplot.close("all")


# Public names


@pytest.mark.parametrize("name", ih.__all__)
def test_public_names_are_there(name):
    value = getattr(ih, name)
    assert name in dir(ih)
    assert name == "__version__" or (value.__module__.startswith("iterhead.") and value.__name__ == name)


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="nothing"):
        ih.nothing  # noqa: B018


def test_the_stub_is_the_list_of_names():
    stub = Path(ih.__file__).with_suffix(".pyi").read_text()
    assert sorted(re.findall(r"import (\w+) as \1$", stub, re.MULTILINE)) == sorted(ih.__all__)
    assert not {"StartConfig", "parse_config"} & set(ih.__all__)


# Scores of heads


@pytest.fixture(scope="module")
def scores(run):
    return ih.head_scores(run)


def test_every_head_has_its_scores_in_both_roles_at_each_length(run, scores):
    assert scores.columns == ["length", "layer", "head", "role", "peakiness", "weight", "invariance"]
    # Four lengths of two layers of one head each, in two roles.
    assert scores.select("length", "layer", "head", "role").rows() == [
        (length, layer, 0, role) for length in (1, 2, 3, 4) for layer in (0, 1) for role in ("first", "second")
    ]
    # By construction layer 1 attends to EoI and layer 2 to x_t.
    assert (scores.filter(layer=0, role="first")["peakiness"] == 1).all()
    assert (scores.filter(layer=1, role="second")["weight"] > 0.99).all()


def test_scores_of_heads_are_those_of_the_evaluation(run, scores):
    for length, layer, head, role, *values in scores.iter_rows():
        rows = run.measurements.filter(length=length, layer=layer, head=head)
        stored = [rows.filter(name=f"{role}_{name}")["value"].item() for name in ("peakiness", "weight", "invariance")]
        assert values == pytest.approx(stored, abs=1e-6)


def test_heads_are_scored_under_an_intervention(run):
    model, data = run.model, {3: run.dataset.test[3]}
    spoiled = ih.head_scores(model, data, lambda layout: ih.shifted_attention(layout, 1, 1))
    assert spoiled.filter(layer=1, role="second")["peakiness"].item() == 0
    assert spoiled.filter(layer=0, role="first")["peakiness"].item() == 1


def test_head_scores_need_sequences(run):
    with pytest.raises(ih.UserError, match="head_scores of a network needs sequences"):
        ih.head_scores(run.model)


# Drawings of maps


def outlined(ax):
    """Queries and keys of the outlined cells."""
    return sorted((round(p.get_y() + 0.5), round(p.get_x() + 0.5)) for p in ax.patches if isinstance(p, Rectangle))


def test_a_map_is_drawn_with_the_pairs_of_the_heads_role(run, draw):
    ax = draw(run, length=3, layer=1, head=0, sequence=5)
    # Length 3: EoI at 4, which writes s_1 from x_1 at 1; 5 and 6 write s_2 and s_3 from x_2 and x_3.
    assert outlined(ax) == [(4, 1), (5, 2), (6, 3)]
    assert ax.get_title(loc="left") == "Layer 2, head 1: 1.00 on x_t"
    assert ax.figure.number in pyplot.get_fignums()
    with torch.no_grad():
        _, cache = run.model.run_with_cache(torch.from_numpy(run.dataset.test[3][5:6, :-1]))
    drawn = np.asarray(ax.collections[0].get_array()).reshape(8, 8)
    visible = np.tri(8, dtype=bool)
    expected = cache["blocks.1.attn.hook_pattern"][0, 0].numpy()
    np.testing.assert_allclose(drawn[visible], expected[visible], atol=1e-6)
    assert outlined(draw(run, layer=0, head=0)) == [(6, 5), (7, 5), (8, 5), (9, 5)]


def test_a_map_can_be_drawn_into_axes_under_an_intervention(run, draw):
    axes = pyplot.figure(figsize=(4, 4)).add_subplot()
    assert draw(run, layer=1, head=0, hooks=ih.uniform_attention(1), ax=axes) is axes
    assert outlined(axes) == []
    assert axes.get_title(loc="left") == "Layer 2, head 1"


@pytest.mark.parametrize("end", [None, -1])
def test_a_map_of_any_sequence_of_a_bare_network(end, draw):
    model, row = by_hand(POLYNOMIAL), sequences(POLYNOMIAL, LONGEST)[LONGEST][0]
    ax = draw(model, layer=1, head=0, tokens=row[:end])
    assert outlined(ax) == [(LONGEST + t, t) for t in range(1, LONGEST + 1)]


def test_a_map_without_chain_of_thought(tmp_path, draw):
    model = untrained(3, cot=False, width=4)
    ax = draw(stored(tmp_path / "bare", model, "parity", max_length=3, cot=False), layer=1, head=0)
    assert outlined(ax) == []
    assert ax.get_title(loc="left") == "Layer 2, head 1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 2}, "layer=2: expected 0 .. 1"),
        ({"head": 1}, "head=1: expected 0 .. 0"),
        ({"length": 5}, "length=5: expected one of this run's lengths 1 to 4"),
        ({"length": 1, "sequence": -1}, "sequence=-1: expected 0 .. 1, the test sequences of length 1"),
        ({"tokens": [1, 2, 3]}, "tokens shaped [3]: expected one sequence: problem, x_1 .. x_L, EoI (14), s_1 .. s_L"),
        ({"tokens": [13, 1, 14]}, "tokens shaped [3]: expected one sequence: problem"),
        ({"tokens": [[13, 1, 14, 1]]}, "tokens shaped [1, 4]: expected one sequence: problem"),
    ],
)
def test_maps_that_do_not_exist(run, options, message, draw):
    with pytest.raises(ih.UserError) as caught:
        draw(run, **{"layer": 1, "head": 0, **options})
    assert str(caught.value).startswith(message)


def test_a_map_of_a_network_needs_tokens(run, draw):
    with pytest.raises(ih.UserError, match="attention_map of a network needs tokens"):
        draw(run.model, layer=0, head=0)


# The page of documentation


def run_cells(name, least):
    """Run the Python cells of a page of the documentation, and return the variables that they leave."""
    page = Path(__file__).parents[1] / "docs" / name
    cells = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert len(cells) >= least
    variables = {}
    for cell in cells:
        exec(compile(cell, str(page), "exec"), variables)
    return variables


def test_the_cells_about_language_models_run(tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    ih.export(ih.handmade(ih.task("polynomial"), 9), "my-network", task="polynomial")
    variables = run_cells("language-models.md", least=3)
    assert (variables["answers"] == torch.from_numpy(variables["batch"].states_BL)).all()
    assert variables["result"].verdict == "iteration-head"


@pytest.mark.usefixtures("draw")
def test_the_cells_of_the_documentation_run(run, monkeypatch):
    monkeypatch.chdir(run.folder.path.parents[1])
    names = run_cells("notebook.md", least=10)
    assert names["intact"][4].exact.all()
    assert not names["shifted"][4].exact.any()
