"""A study of six runs of a fraction of a second each; as a script, it trains them: `python tiny_study.py OUT`."""

import sys
from pathlib import Path

from iterhead.settings import parse_config
from iterhead.studies.cost import Calibration
from iterhead.studies.drawings import HeatMaps, Panel
from iterhead.studies.runner import train_studies
from iterhead.studies.study import Cell, Study

CALIBRATION = Calibration(start=1e-3, rate=1e10, memory=1e9, device="cpu")

SEEDS = (0, 1)

EPOCHS = 16


def tiny_config(task="parity", width=40, epochs=EPOCHS):
    """Wider than 32, so that each run is a job of its own."""
    return parse_config(
        {
            "task": task,
            "data": {"max_length": 4, "train_per_length": 24, "test_per_length": 8},
            "model": {"width": width, "vocabulary": 8},
            "training": {"batch_size": 12, "epochs": epochs, "short_epochs": 0, "early_stop": False},
        }
    )


def tiny_study(epochs=EPOCHS):
    """Copy and parity, and parity after copy as it was at epoch 2."""
    copy = Cell({"what": "copy", "width": 40, "longest": 4}, tiny_config("copy", epochs=epochs), SEEDS)
    parity = Cell({"what": "parity", "width": 40, "longest": 4}, tiny_config(epochs=epochs), SEEDS)
    after = Cell({"what": "after", "width": 40, "longest": 4}, tiny_config(epochs=4), SEEDS, copy, 2)
    drawing = HeatMaps("tiny", "Tiny", "longest", "width", (Panel("Parity", "accuracy", {"what": "parity"}),))
    return Study("tiny", "smoke", "A tiny study", "nothing", ("everything",), (copy, parity, after), (drawing,))


def train_tiny(out, *, epochs=EPOCHS, workers=1, **options):
    """Train it, and return how far it is then."""
    return train_studies(
        [tiny_study(epochs)], Path(out), calibration=CALIBRATION, workers=workers, threads=1, device="cpu", **options
    )


if __name__ == "__main__":
    progress = train_tiny(sys.argv[1], epochs=int(sys.argv[2]))
    print(progress.done, progress.failed)
