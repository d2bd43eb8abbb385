"""The entry point: from command-line arguments to an exit code."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from iterhead.cli.shell import BAD_INPUT, CLOSED_PIPE, INTERRUPTED, Interrupts, command_line

# Everything else is imported inside the functions: no signal is handled before `main` runs.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code.

    Args:
        arguments: what follows `iterhead`; those of this process unless given.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    interrupts = Interrupts()
    with interrupts.handled():
        try:
            with _output():
                return _dispatch(words, interrupts)
        except BrokenPipeError:
            return CLOSED_PIPE
        except KeyboardInterrupt:
            _print_error(interrupts.message())
            return INTERRUPTED
        except (ValueError, MemoryError, OverflowError, RuntimeError) as error:
            line = _explanation(error)
            if line is None:
                raise
            _print_error(f"iterhead: {line}")
            return BAD_INPUT


def _explanation(error: Exception) -> str | None:
    """Return one line for the user, or None for a bug, which deserves its traceback."""
    from iterhead.errors import UserError

    if isinstance(error, UserError):
        return str(error)
    # PyTorch raises a RuntimeError when it gets no memory.
    if isinstance(error, MemoryError | OverflowError) or "allocate memory" in str(error):
        return "out of memory with these settings: try a smaller width, length or number of sequences"
    return None


def _dispatch(words: list[str], interrupts: Interrupts) -> int:
    again = command_line(words)
    interrupts.message = lambda: f"Interrupted at the start: nothing is lost. Start again with: {again}"
    from iterhead.cli.commands import find, overview
    from iterhead.cli.parsing import asks_for_help

    if not words or (asks_for_help(words) and words[0].startswith("-")):
        print(overview(), end="")
        return 0
    if words[0] == "--version":
        from iterhead import __version__

        print(f"iterhead {__version__}")
        return 0
    command = find(words[0])
    if asks_for_help(words):
        print(command.help(), end="")
        return 0
    return command.run(command.parse(words[1:]), interrupts)


def _print_error(line: str) -> None:
    """Write one line to stderr, with control characters from the input escaped."""
    print("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line), file=sys.stderr)


@contextmanager
def _output() -> Iterator[None]:
    """Flush stdout at the end of the block, so that a write error is handled here and not at exit.

    Raises:
        BrokenPipeError: nobody reads stdout any more.
        UserError: stdout cannot be written, e.g. because the disk is full.
    """
    if sys.stdout is None:  # closed by the parent: iterhead tasks >&-
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - it stays open to the end
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="backslashreplace")  # a task's name may have characters that the encoding lacks
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:
            raise
        # Point stdout at nothing, so that Python's own flush at exit does not fail as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        from iterhead.errors import UserError

        raise UserError(f"standard output cannot be written: {error.strerror or error}") from None
