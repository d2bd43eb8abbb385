"""What all tests share: one thread of PyTorch, and a network that knows its task by half."""

import pytest
import torch

# Set before any test runs: threads that outnumber the cores slow small networks tenfold.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def half_trained():
    """A trainer of parity, stopped when its network gets some sequences right and others wrong (tests check that)."""
    from iterhead.settings import parse_config
    from iterhead.training.trainer import Trainer

    settings = {
        "task": "parity",
        "data": {"max_length": 4, "train_per_length": 96, "test_per_length": 32},
        "model": {"width": 16, "vocabulary": 5, "dropout": 0.0},
        "training": {"lr": 3e-3, "batch_size": 32, "short_epochs": 0},
    }
    trainer = Trainer([parse_config(settings)], precision="float32")
    for _ in range(8):
        trainer.train_epoch()
    return trainer
