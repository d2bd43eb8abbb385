"""Training: the packed loop, its flat optimiser, and the plain padded twin that they are held to."""

from iterhead.training.initial_weights import check_fit
from iterhead.training.trainer import Trainer, population_key

__all__ = ["Trainer", "check_fit", "population_key"]
