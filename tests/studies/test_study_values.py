"""Studies as values: the published grids counted by hand, and runs that several of them share."""

import pytest

from iterhead.errors import UserError
from iterhead.model.size import parameters
from iterhead.model.transformer import Transformer
from iterhead.runs.paths import run_folder_name
from iterhead.settings import RunConfig, parse_config
from iterhead.studies.published.tasks import random_f
from iterhead.studies.published.width_and_length import EQUAL_COMPUTE, EQUAL_PARAMETERS
from iterhead.studies.registry import ALL, OURS, STUDIES, find_scale, find_studies
from iterhead.studies.runner import kept_checkpoints
from iterhead.studies.study import SCALES, Cell, Study


def study(name, scale="paper"):
    (a_study,) = find_studies(name, scale)
    return a_study


def names(a_study):
    return {run_folder_name(config) for config in a_study.configs()}


@pytest.mark.parametrize(("name", "cells"), [
    # Widths 4..63 are 60, lengths 4..31 are 28: 1,680 pairs.
    ("figure-7", 3 * 1680 + 2 * 9),  # three networks, and both controls of claim 8 at 3 widths and 3 lengths
    ("figure-8", 1680),
    ("figure-10", 4 * 1680),  # without chain of thought on both splits
    ("figure-11", 1680),
    ("figure-12", 2 * 12 * 8),  # optimisers, {1,3} x 1e-6..1e-1, and 16..2048 (8 is too small)
    ("figure-14", 2 * 31 * 28),  # learned and frozen, widths 1..31, lengths 4..31
    ("figure-15", 2 * 31 * 28),
    ("figure-16", 2 * 30),  # p from 2 to 31
    ("transfer-matrix", 5 * 5),  # five from scratch, and each of five after four others
])  # fmt: skip
def test_the_published_grids_by_hand(name, cells):
    assert len(study(name).cells) == cells


def test_the_published_settings():
    config = study("figure-7").cells[0].run_config(2)
    assert config.seed == 2
    assert (config.training.lr, config.training.batch_size, config.training.epochs) == (3e-4, 256, 1000)
    assert (config.training.evaluate_every, config.training.early_stop, config.training.short_epochs) == (10, False, 0)
    assert (config.training.optimizer, config.training.precision) == ("adam", "float32")
    assert (config.model.residual, config.data.split, config.data.train_per_length) == ("published", "disjoint", 1024)
    nine = study("figure-9").cells[0].run_config(99)
    assert (nine.model.width, nine.data.max_length) == (128, 16)
    deep = study("figure-13").cells[0].config
    assert (deep.model.layers, deep.model.heads, deep.data.max_length) == (3, 2, 32)
    assert {cell.config.training.epochs for cell in study("figure-14").cells} == {5000}
    assert {cell.config.training.epochs for cell in study("figure-16").cells} == {10_000}


def test_narrow_networks_learn_faster_at_laptop_scale():
    cells = [cell for name in ("figure-7", "figure-13", "figure-16") for cell in study(name, "laptop").cells]
    rates = {(cell.config.model.width, cell.config.training.lr) for cell in cells if cell.config.model.layers != 1}
    assert rates == {(6, 0.017), (10, 0.01), (16, 0.0063), (24, 0.0042), (40, 0.0025), (32, 0.0031), (64, 1e-3)}
    rates_of_12 = {cell.config.training.lr for cell in study("figure-12", "laptop").cells}  # an axis stays as it is
    assert rates_of_12 == {1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1}


@pytest.mark.parametrize("scale", ["smoke", "laptop"])
def test_figures_share_their_runs(scale):
    assert names(study("figure-8", scale)) < names(study("figure-7", scale))
    assert names(study("figure-11", scale)) < names(study("figure-10", scale))
    assert names(study("figure-14", scale)) == names(study("figure-15", scale))
    nine = names(study("figure-9", scale))
    assert names(study("figure-6", scale)) <= nine
    assert names(study("attention-replacement", scale)) <= nine
    assert names(study("transfer-matrix", scale)) & nine


def test_learned_positions_of_the_coarse_grid_are_those_of_figure_7():
    shared = names(study("figure-14", "laptop")) & names(study("figure-7", "laptop"))
    assert len(shared) == 4 * 4 * 3  # widths 6..24, lengths 4..16, three seeds


def test_cells_of_one_study_stand_on_the_same_axes_and_on_different_places():
    cell = Cell({"width": 4}, RunConfig(), (0,))
    with pytest.raises(ValueError, match="different axes"):
        Study("s", "smoke", "", "", (), (cell, Cell({"lr": 1}, RunConfig(), (0,))), ())
    with pytest.raises(ValueError, match="same coordinates"):
        Study("s", "smoke", "", "", (), (cell, Cell({"width": 4}, RunConfig(), (1,))), ())


def test_a_cell_starts_from_the_same_seed_of_its_parent():
    parent = Cell({"task": "copy"}, parse_config({"task": "copy"}), (0, 1))
    child = Cell({"task": "parity"}, parse_config({"task": "parity"}), (0, 1), parent, 20)
    for seed in (0, 1):
        start = child.run_config(seed).start
        assert (start.run, start.epoch) == (run_folder_name(parent.run_config(seed)), 20)
    a_study = Study("s", "smoke", "", "", (), (child,), ())
    assert len(a_study.configs()) == 4  # the parents are trained too
    kept = kept_checkpoints([a_study])
    assert [kept[cell.run_config(1)] for cell in (parent, child)] == [(20,), ()]


def test_figure_9_starts_from_epoch_200_of_the_same_seed():
    cells = {cell.axes["trained"]: cell for cell in study("figure-9").cells}
    start = cells["parity after polynomial"].run_config(7).start
    assert (start.run, start.epoch) == (run_folder_name(cells["polynomial"].run_config(7)), 200)
    assert cells["parity after polynomial, last MLP only"].config.training.train == "last-mlp"
    assert cells["parity after polynomial, attention frozen"].config.training.train == "not-attention"
    assert cells["polynomial, pre-norm"].config.model.residual == "pre-norm"


@pytest.mark.parametrize("model", [
    {"width": 12}, {"width": 12, "layers": 1, "heads": 3}, {"width": 20, "position_width": 7, "positions": "frozen"},
    {"width": 6, "norm": "none", "mlp_width": 11},
])  # fmt: skip
def test_parameters_are_those_of_the_network(model):
    config = parse_config({"data": {"max_length": 5}, "model": model})
    network = Transformer(config.model, config.context, [0])
    tables = [b for name, b in network.named_buffers() if name.endswith("W_pos")]  # frozen positions are no parameters
    there = [*network.parameters(), *tables]
    assert parameters(config.model, config.context) == sum(tensor.numel() for tensor in there)


def test_the_published_network_has_as_many_weights_as_published():
    config = parse_config({"model": {"width": 128}})
    assert parameters(config.model, config.context) == 414_720


def test_one_layer_at_equal_parameters_and_at_equal_compute():
    cells = {tuple(cell.axes.values()): cell.config for cell in study("figure-7", "laptop").cells}
    two = cells["two layers", 24, 12]
    wide = cells[EQUAL_PARAMETERS, 24, 12]
    asked = parameters(two.model, two.context)
    assert wide.model.layers == 1
    assert parameters(wide.model, wide.context) >= asked
    narrower = wide.model.model_copy(update={"width": wide.model.width - 1})
    assert parameters(narrower, wide.context) < asked
    long = cells[EQUAL_COMPUTE, 24, 12]
    assert (long.model.layers, long.model.width) == (1, 24)
    # The last layer of two computes less than the first, so one layer costs less than half: more than twice the epochs.
    assert 2 * two.training.epochs < long.training.epochs < 4 * two.training.epochs


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", STUDIES)
def test_every_study_says_what_it_shows_and_what_was_chosen(name, scale):
    a_study = study(name, scale)
    assert a_study.name == name
    assert a_study.title
    assert a_study.published
    assert a_study.chosen
    assert a_study.drawings
    axes = set(a_study.axes)
    for drawing in a_study.drawings:
        for part in (drawing, *getattr(drawing, "panels", ()), *getattr(drawing, "lines", ())):
            where = getattr(part, "where", {})
            assert set(where) <= axes
            assert any(all(cell.axes[a] == v for a, v in where.items()) for cell in a_study.cells), where


def test_all_is_every_published_study():
    assert [a_study.name for a_study in find_studies(ALL, "smoke")] == [name for name in STUDIES if name not in OURS]


def test_the_random_task_is_the_same_everywhere():
    # Its table is drawn from a named stream: s_1 = x_1, then the table's entries.
    assert random_f.run([1, 1, 2]) == [1, random_f.table[1, 1], random_f.table[random_f.table[1, 1], 2]]
    assert random_f.table[1:3, 1:4].tolist() == RANDOM_CORNER
    assert (random_f.table[:, 0] == -1).all()  # 0 is no input, as for the polynomial


RANDOM_CORNER = [[2, 3, 5], [7, 0, 5]]
"""As drawn once: another stream would rename every run of this task."""


@pytest.mark.parametrize(("call", "message"), [
    (lambda: find_scale("lapto"), "scale=lapto: expected one of smoke, laptop, paper: did you mean 'laptop'?"),
    (lambda: find_studies("figure-5", "smoke"), "figure-5: no such study: expected one of figure-6, "),
])  # fmt: skip
def test_names_that_are_none(call, message):
    with pytest.raises(UserError, match="expected") as error:
        call()
    assert message in str(error.value)
