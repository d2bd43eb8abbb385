"""Training and test sequences, and batches of them packed without padding: a function of task, settings and seed."""

from iterhead.data.batches import Batches, Packing, make_packing
from iterhead.data.splits import Dataset, make_dataset

__all__ = ["Batches", "Dataset", "Packing", "make_dataset", "make_packing"]
