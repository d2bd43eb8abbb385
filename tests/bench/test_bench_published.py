"""The benchmark of the published study, and the estimates of `iterhead study list`."""

import pytest

from iterhead.bench import suite, timing
from iterhead.bench.suite import GROUPS, SAMPLE
from iterhead.data.batches import make_packing
from iterhead.settings import DataConfig, ModelConfig, parse_config
from iterhead.studies.cost import Calibration, calibrate, epoch_seconds, solve
from iterhead.studies.registry import find_studies
from iterhead.training.flops import step_activations, step_flops

CALIBRATION = Calibration(start=2e-3, rate=1e9, memory=1e8, device="cpu")


@pytest.mark.parametrize(("name", "place"), SAMPLE)
def test_each_sampled_cell_is_one_cell_of_the_published_grid(name, place):
    (study,) = find_studies(name, "paper")
    assert len([cell for cell in study.cells if place.items() <= cell.axes.items()]) == 1


def test_an_epoch_by_hand():
    config = parse_config({"model": {"width": 32}, "training": {"precision": "float32"}})
    packing = make_packing(config.data, 4)  # 64 in a batch, 16 lengths
    operations, numbers = step_flops(config.model, packing), step_activations(config.model, packing.shape)
    alone = epoch_seconds(config, CALIBRATION)
    assert alone == pytest.approx(256 * (2e-3 + operations / 1e9 + numbers / 1e8))  # 1,024 of each length
    # Starting the operations is shared by the networks of a population; the products are not.
    assert alone - epoch_seconds(config, CALIBRATION, together=4) == pytest.approx(256 * 2e-3 * 3 / 4)


def test_numbers_of_a_step_by_hand():
    # Sequences of one and of two inputs make one row of 4 + 5 = 9 tokens, of which the loss reads 4.
    config = ModelConfig(width=8, mlp_width=10, vocabulary=6)
    packing = make_packing(DataConfig(max_length=2, cot=False), 1)
    of_query = 8 * 8 + 2 * 10 + 3 * 9
    assert step_activations(config, packing.shape) == 2 * (4 * 6 + 9 * 8) + (9 + 4) * of_query
    other = config.model_copy(update={"architecture": "gpt2"})  # every query of both layers, twice the vectors
    assert step_activations(other, packing.shape) == 2 * (4 * 6 + 9 * 8) + 18 * (2 * (8 * 8 + 2 * 10) + 3 * 9)


def test_a_calibration_from_three_steps_by_hand():
    rows = [(1, 1e6, 1e5), (1, 1e7, 1e7), (1, 1e9, 1e6)]
    seconds = [2e-3 + operations / 5e10 + numbers / 4e8 for _, operations, numbers in rows]
    solved = solve(rows, seconds, "cpu")
    assert (solved.start, solved.rate, solved.memory) == pytest.approx((2e-3, 5e10, 4e8))
    # A large step that took no longer than a small one: its part costs next to nothing, and the rest still fits.
    disturbed = solve(rows, [2.25e-3, 27e-3, 4.3e-3], "cpu")
    assert disturbed.rate > 1e13
    assert disturbed.start + 1e7 / disturbed.memory == pytest.approx(27e-3, rel=0.1)
    assert 1e-3 < disturbed.start < 3e-3


def test_calibration_is_measured_once_and_kept(tmp_path):
    measured = calibrate(tmp_path, "cpu")
    assert measured.rate > 1e8
    assert measured.memory > 1e6
    assert 0 < measured.start < 1
    assert calibrate(tmp_path, "cpu") == measured  # to the bit: read again
    (tmp_path / "study/calibration.json").write_text('{"start": 1, "rate": 1, "device": "cpu"}')  # of an earlier kind
    assert calibrate(tmp_path, "cpu").memory > 1


def test_bfloat16_is_faster_where_it_is_used():
    config = parse_config({"training": {"precision": "bfloat16"}})
    assert epoch_seconds(config, CALIBRATION) < 0.7 * epoch_seconds(
        config.model_copy(update={"training": config.training.model_copy(update={"precision": "float32"})}), CALIBRATION
    )


def test_a_small_cell_is_timed(monkeypatch):
    place = {"network": "two layers", "width": 8, "longest": 4}
    monkeypatch.setattr(suite, "SAMPLE", (("figure-7", place),))
    monkeypatch.setattr(suite, "calibrate", lambda _folder, _device: CALIBRATION)
    monkeypatch.setattr(timing, "in_turns", lambda works, **_: {name: [3.0, 0.5, 0.25] for name in works})
    size = "figure-7, 2 layers, width 8, lengths to 4, batch 256, 3 at once"  # its three seeds
    epoch, gain = next(group for group in GROUPS if group.name == "study").measure("cpu")
    assert (epoch.name, epoch.unit) == (f"{size}: an epoch of one network", "s")
    assert epoch.value == pytest.approx(0.5 * 16 / 3)  # 64 of each length in a batch
    one = parse_config({"data": {"max_length": 4}, "model": {"width": 8}, "training": {"batch_size": 256}})
    assert (gain.name, gain.unit) == (f"{size}: measured over estimated", "x")
    assert gain.value == pytest.approx(0.5 * 16 / 3 / epoch_seconds(one, CALIBRATION, 3))
