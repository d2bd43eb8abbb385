"""How to call this program again: commands that can be pasted into the shell that it was started from."""

import shlex
import shutil
import sys
from pathlib import Path


def command_line(words: list[str]) -> str:
    """Return `iterhead` and its words, quoted for a shell."""
    return f"{program()} {shlex.join(words)}"


def program() -> str:
    """Return what a person types to start this program: as short as works."""
    script = Path(sys.argv[0])
    if script.parts[-2:] == ("iterhead", "__main__.py"):
        return f"{'python' if _finds('python', sys.executable) else shlex.quote(sys.executable)} -m iterhead"
    if script.stem == "iterhead" and script.exists() and not _finds("iterhead", script):
        return shlex.quote(str(script))
    return "iterhead"


def _finds(name: str, file: str | Path) -> bool:
    """Whether a shell finds this very file by its name."""
    found = shutil.which(name)
    return found is not None and Path(found).resolve() == Path(file).resolve()
