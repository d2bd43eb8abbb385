"""The packed training loop, its flat optimizer, and the plain padded twin that tests compare them with."""

from iterhead.training.initial_weights import check_fit
from iterhead.training.trainer import Trainer, population_key

__all__ = ["Trainer", "check_fit", "population_key"]
