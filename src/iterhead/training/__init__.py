"""Training: the packed loop, its flat optimiser, and the plain padded twin that they are held to."""

from iterhead.training.loop import Trainer

__all__ = ["Trainer"]
