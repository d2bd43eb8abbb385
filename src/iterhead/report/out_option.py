"""The folder of runs in the commands that a page tells."""

import shlex
from pathlib import Path

DEFAULT_OUT = Path("runs")
"""Where runs are kept unless `--out` names another folder."""


def out_option(out: Path) -> str:
    """Return ` --out FOLDER`, quoted for a shell; nothing for the folder that is meant without it."""
    return "" if out == DEFAULT_OUT else f" --out {shlex.quote(str(out))}"
