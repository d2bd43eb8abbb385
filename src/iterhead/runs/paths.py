"""Where the run of a config is or will be, and whether it is finished."""

import itertools
from pathlib import Path

from iterhead.errors import UserError
from iterhead.runs.run import STATUS, Run
from iterhead.runs.storage import RunFolder
from iterhead.settings import RunConfig


def run_folder_name(config: RunConfig) -> str:
    """Return the name of a config's run folder: the kind of task and the hash, e.g. `polynomial-0a1b2c3d4e`."""
    kind = "".join(c if c.isalnum() else "-" for c in config.task.partition(":")[0])
    return f"{kind}-{config.digest}"


def start_name(config: RunConfig) -> str | None:
    """Return the folder name of the run that a config starts from, or None."""
    return config.start.run if config.start else None


def find_folder(config: RunConfig, out: Path, again: bool) -> RunFolder:
    """Return the folder of a config's run; with `again`, the first of it, name-2, name-3, ... not yet finished."""
    name = run_folder_name(config)
    folder = RunFolder(out / name)
    for number in itertools.count(2):
        if not (again and _is_taken(folder)):
            break
        folder = RunFolder(out / f"{name}-{number}")
    return folder


def _is_taken(folder: RunFolder) -> bool:
    """Whether a folder is no place to train anew: a run that is done, or one that is damaged."""
    try:
        for name in folder.names():
            folder.read(name)
        return is_finished(folder)
    except UserError:
        return True


def is_finished(folder: RunFolder) -> bool:
    """Whether a folder holds a run that needs no more training: finished, or diverged."""
    return folder.has(STATUS) and Run(folder).status.state != "running"
