"""Training: the packed loop, its flat optimiser, and the plain padded twin that they are held to."""

from iterhead.training.loop import Trainer, population_key
from iterhead.training.start import check_fit

__all__ = ["Trainer", "check_fit", "population_key"]
