"""Iterative tasks by name, mixtures of them, token ids, and the layout of a sequence. Imports no torch."""

from iterhead.tasks.catalogue import Entry, catalogue, copy_task, parity_task, task
from iterhead.tasks.layout import QueryKeyPairs, SequenceLayout, Vocabulary
from iterhead.tasks.polynomial import Polynomial, parse_polynomial, polynomial_task
from iterhead.tasks.task import IterativeTask, Mixture, Task

__all__ = [
    "Entry",
    "IterativeTask",
    "Mixture",
    "Polynomial",
    "QueryKeyPairs",
    "SequenceLayout",
    "Task",
    "Vocabulary",
    "catalogue",
    "copy_task",
    "parity_task",
    "parse_polynomial",
    "polynomial_task",
    "task",
]
