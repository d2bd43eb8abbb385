"""What networks are trained on: tasks that update a state once for each input symbol, and mixtures of them.

`task("polynomial:p=13")` gives a task by name, `catalogue()` lists them; `SequenceLayout` and `Vocabulary`
are the only home of positions and token ids. NumPy only: nothing here imports torch, so listing is quick.
"""

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
