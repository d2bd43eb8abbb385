"""The benchmark of the published study times what it says, and the estimate is that of `study list`."""

import pytest

from iterhead.bench import published
from iterhead.bench.published import SAMPLE, published_epochs
from iterhead.data import make_packing
from iterhead.settings import parse_config
from iterhead.studies.calibrate import Calibration, epoch_seconds
from iterhead.studies.published import find_studies
from iterhead.training.operations import step_operations

CALIBRATION = Calibration(start=2e-3, rate=1e9, device="cpu")


@pytest.mark.parametrize(("name", "place"), SAMPLE)
def test_each_sampled_cell_stands_once_in_the_published_grid(name, place):
    (study,) = find_studies(name, "paper")
    assert len([cell for cell in study.cells if place.items() <= cell.axes.items()]) == 1


def test_an_epoch_by_hand():
    config = parse_config({"model": {"width": 32}, "training": {"precision": "float32"}})
    operations = step_operations(config.model, make_packing(config.data, 4))  # 64 in a batch, 16 lengths
    alone = epoch_seconds(config, CALIBRATION)
    assert alone == pytest.approx(256 * (2e-3 + operations / 1e9))  # 1,024 of each length
    # Starting the operations is shared by the networks of a population; the products are not.
    assert alone - epoch_seconds(config, CALIBRATION, together=4) == pytest.approx(256 * 2e-3 * 3 / 4)


def test_a_small_cell_is_timed(monkeypatch):
    place = {"network": "two layers", "width": 8, "longest": 4}
    monkeypatch.setattr(published, "SAMPLE", (("figure-7", place),))
    monkeypatch.setattr(published, "calibrate", lambda _folder, _device: CALIBRATION)
    monkeypatch.setattr(published, "in_turns", lambda works, **_: {name: [3.0, 0.5, 0.25] for name in works})
    (epochs,) = published_epochs("cpu")
    assert epochs.name == "figure-7, 2 layers, width 8, lengths to 4, batch 256"
    assert epochs.together == 3  # its three seeds
    assert epochs.seconds == pytest.approx(0.5 * 16 / 3)  # 64 of each length in a batch
    one = parse_config({"data": {"max_length": 4}, "model": {"width": 8}, "training": {"batch_size": 256}})
    assert epochs.estimated == epoch_seconds(one, CALIBRATION, 3)
