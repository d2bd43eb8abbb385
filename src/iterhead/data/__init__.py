"""Data: disjoint training and test sequences for each length, and batches of them packed without padding.

Everything is a function of a task, a `DataConfig` and one seed.
"""

from iterhead.data.batches import Batches, Packing, make_packing
from iterhead.data.splits import Dataset, make_dataset

__all__ = [
    "Batches",
    "Dataset",
    "Packing",
    "make_dataset",
    "make_packing",
]
