"""Training: the packed loop, its flat optimiser, and the plain padded twin that they are held to."""

from iterhead.training.loop import Trainer, population_key

__all__ = ["Trainer", "population_key"]
