"""The command line. `main.py` lists the commands; each is one `Command`, in a module named after it."""

from iterhead.cli.main import main

__all__ = ["main"]
