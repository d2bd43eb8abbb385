"""Runs: a config trained into a folder that survives any kill, and is read back as an object.

`train` makes or resumes one, `load` opens one.
"""

from iterhead.runs.execute import Observer, Progress, free_cores, train
from iterhead.runs.run import Run, Status, load
from iterhead.runs.store import find_runs

__all__ = ["Observer", "Progress", "Run", "Status", "find_runs", "free_cores", "load", "train"]
