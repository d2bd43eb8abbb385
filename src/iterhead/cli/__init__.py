"""The command line: parses, calls one function for each command, tells errors in one line.

`main` is the entry; `commands.py` lists the commands, each a small module of this folder with one `Command` in it.
"""

from iterhead.cli.main import main

__all__ = ["main"]
