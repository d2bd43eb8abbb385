"""Runs: a config trained into a folder that survives any kill, and is read back as an object.

`train` makes or resumes one, `transfer` makes one that starts from another's network, `load` opens one.
"""

from iterhead.runs.crew import Result
from iterhead.runs.many import train_many
from iterhead.runs.progress import Evaluation, Observer
from iterhead.runs.run import Run, Status, load
from iterhead.runs.storage import find_runs
from iterhead.runs.training import train, train_population
from iterhead.runs.transferring import from_scratch, transfer

__all__ = [
    "Evaluation",
    "Observer",
    "Result",
    "Run",
    "Status",
    "find_runs",
    "from_scratch",
    "load",
    "train",
    "train_many",
    "train_population",
    "transfer",
]
