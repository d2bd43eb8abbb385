"""Runs: a config trained into a folder that survives any kill, and is read back as an object.

`train` makes or resumes one, `load` opens one.
"""

from iterhead.runs.execute import train, train_population
from iterhead.runs.many import Result, train_many
from iterhead.runs.progress import Observer, Progress
from iterhead.runs.run import Run, Status, load
from iterhead.runs.store import find_runs

__all__ = [
    "Observer",
    "Progress",
    "Result",
    "Run",
    "Status",
    "find_runs",
    "load",
    "train",
    "train_many",
    "train_population",
]
