"""Names of run folders, and how runs are found by what a person types."""

import difflib
import os
import stat
from pathlib import Path

from iterhead.errors import UserError, cut
from iterhead.explain import explained
from iterhead.formatting import listed
from iterhead.runs.storage import CONFIG, RunFolder
from iterhead.settings import RunConfig

MOST_SHOWN = 120
"""Characters of a name that an error repeats."""


def run_folder_name(config: RunConfig) -> str:
    """Return the name of a config's run folder: the kind of task and the hash, e.g. `polynomial-0a1b2c3d4e`."""
    kind = "".join(c if c.isalnum() else "-" for c in config.task.partition(":")[0])
    return f"{kind}-{config.digest}"


def parent_name(config: RunConfig) -> str | None:
    """Return the folder name of the run that a config starts from, or None."""
    return config.start.run if config.start else None


def find_runs(out: Path) -> list[Path]:
    """Return the runs in `out`, sorted by name; none if `out` does not exist.

    They are the folders that hold a config.json, and those that cannot be read, which would otherwise be lost silently.
    """
    with explained("read", out):
        try:
            entries = sorted(out.iterdir())
        except FileNotFoundError:
            return []
    return [path for path in entries if _may_be_run(path)]


def _may_be_run(path: Path) -> bool:
    try:
        return stat.S_ISREG((path / CONFIG).stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def open_run(path_or_name: str, out: Path) -> RunFolder:
    """Return the run at a path, or the run in `out` with this name or a unique beginning of it; else UserError."""
    path = Path(path_or_name)
    if RunFolder(path).has(CONFIG):
        return RunFolder(path)
    out, name = (path.parent if len(path.parts) > 1 else out), path.name
    exact = RunFolder(out / name)
    if name and os.path.lexists(exact.path):
        exact.check()
        return exact
    names = [other.name for other in find_runs(out)]
    matches = [other for other in names if name and other.startswith(name)]
    if not matches and os.path.lexists(path):
        RunFolder(path).check()
    if len(matches) == 1:
        return RunFolder(out / matches[0])
    shown = cut(name, MOST_SHOWN)
    if matches:
        same = f"{len(matches)} runs in {out} have names that begin so: {listed(matches)}"
        raise UserError(f"{shown}: {same}; give more of the name")
    if names:
        nearest = difflib.get_close_matches(name, names, n=3, cutoff=0)
        raise UserError(f"{shown}: no such run in {out}; the nearest: {listed(nearest)}")
    raise UserError(f"{shown}: no such run, {out} has none yet (iterhead run makes one; --out names another folder)")
