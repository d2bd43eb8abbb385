"""Iterative tasks by name, mixtures of them, token ids, and the layout of a sequence. Imports no torch."""

from iterhead.tasks.catalogue import catalogue, task
from iterhead.tasks.layout import QueryKeyPairs, SequenceLayout, Vocabulary
from iterhead.tasks.task import IterativeTask, Mixture, Task, next_states, states_before

__all__ = [
    "IterativeTask",
    "Mixture",
    "QueryKeyPairs",
    "SequenceLayout",
    "Task",
    "Vocabulary",
    "catalogue",
    "next_states",
    "states_before",
    "task",
]
