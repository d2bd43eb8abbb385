"""From the words typed to an exit code: 0 done, 1 the science says no, 2 bad input, 130 interrupted."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from iterhead.cli.interrupts import INTERRUPTED, Interrupts

BAD_INPUT = 2
CLOSED_PIPE = 141
"""128 + SIGPIPE, as for any program whose reader goes away."""


def main(words: Sequence[str] | None = None) -> int:
    """Do what the words typed after `iterhead` say, and return the exit code.

    Args:
        words: those of this process unless given.
    """
    typed = list(sys.argv[1:] if words is None else words)
    interrupts = Interrupts()
    with interrupts.handled():
        try:
            with _output():
                return _dispatch(typed, interrupts)
        except BrokenPipeError:
            return CLOSED_PIPE
        except KeyboardInterrupt:
            _tell(interrupts.message())
            return INTERRUPTED
        except (ValueError, MemoryError, OverflowError, RuntimeError) as error:
            line = _explanation(error)
            if line is None:
                raise
            _tell(f"iterhead: {line}")
            return BAD_INPUT


def _explanation(error: Exception) -> str | None:
    """Return what to tell a person, or None where the fault is ours and a traceback is due."""
    # Imported here and not above: until signals are handled, nothing but the standard library is imported.
    from iterhead.errors import UserError

    if isinstance(error, UserError):
        return str(error)
    # PyTorch raises a RuntimeError when it gets no memory.
    if isinstance(error, MemoryError | OverflowError) or "allocate memory" in str(error):
        return "these settings need more memory than there is: try a smaller width, length or number of sequences"
    return None


def _dispatch(typed: list[str], interrupts: Interrupts) -> int:
    from iterhead.cli.program import command_line

    again = command_line(typed)
    interrupts.message = lambda: f"Interrupted at the start: nothing is lost. Begin again with: {again}"
    from iterhead.cli.commands import find, overview
    from iterhead.cli.parsing import asks_for_help

    if not typed or (asks_for_help(typed) and typed[0].startswith("-")):
        print(overview(), end="")
        return 0
    if typed[0] == "--version":
        from iterhead import __version__

        print(f"iterhead {__version__}")
        return 0
    command = find(typed[0])
    if asks_for_help(typed):
        print(command.help(), end="")
        return 0
    return command.run(command.parse(typed[1:]), interrupts)


def _tell(line: str) -> None:
    """Write one line to stderr, whatever characters a person's input brought into it."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    print(shown, file=sys.stderr)


@contextmanager
def _output() -> Iterator[None]:
    """Write out what stdout holds back before leaving, so that a failure to write is met here and not at exit.

    Raises:
        BrokenPipeError: nobody reads stdout any more.
        UserError: stdout cannot be written to, as on a full disk.
    """
    if sys.stdout is None:  # closed by the parent: iterhead tasks >&-
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - it stays open to the end
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="backslashreplace")  # a task may have a name that the terminal's encoding lacks
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:
            raise
        _abandon_stdout()
        if isinstance(error, BrokenPipeError):
            raise
        from iterhead.errors import UserError

        raise UserError(f"standard output cannot be written: {error.strerror or error}") from None


def _abandon_stdout() -> None:
    """Point stdout at nothing, so that Python's flush at exit does not fail as well."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
