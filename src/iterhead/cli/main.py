"""The entry point: from command-line arguments to an exit code."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from iterhead.cli.shell import BAD_INPUT, CLOSED_PIPE, INTERRUPTED, Interrupts, command_line

# Everything else is imported inside the functions: no signal is handled before `main` runs.
if TYPE_CHECKING:
    from iterhead.cli.parsing import Command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code. `arguments` follow `iterhead`; by default those of this process."""
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
            from iterhead.errors import UserError

            if isinstance(error, UserError):
                line = str(error)
            # PyTorch raises a RuntimeError when it gets no memory.
            elif isinstance(error, MemoryError | OverflowError) or "allocate memory" in str(error):
                line = "out of memory with these settings: try a smaller width, length or number of sequences"
            else:  # a bug, which deserves its traceback
                raise
            _print_error(f"iterhead: {line}")
            return BAD_INPUT


def _dispatch(words: list[str], interrupts: Interrupts) -> int:
    from iterhead.values import check_arguments

    check_arguments(words)
    again = command_line(words)
    interrupts.message = lambda: f"Interrupted at the start: nothing is lost. Start again with: {again}"
    asks_for_help = bool({"-h", "--help"}.intersection(words))  # even if other words are mistakes
    if not words or (asks_for_help and words[0].startswith("-")):
        print(_overview(), end="")
    elif words[0] == "--version":
        from iterhead import __version__

        print(f"iterhead {__version__}")
    elif asks_for_help:
        print(find(words[0]).help(), end="")
    else:
        command = find(words[0])
        return command.run(command.parse(words[1:]), interrupts)
    return 0


def commands() -> "dict[str, Command]":
    """Return the commands by name. To add one: a module next to this one with a `Command` in it, and its place here."""
    from iterhead.cli.bench_command import COMMAND as BENCH
    from iterhead.cli.export_command import COMMAND as EXPORT
    from iterhead.cli.handmade_command import COMMAND as HANDMADE
    from iterhead.cli.report_command import COMMAND as REPORT
    from iterhead.cli.run_command import COMMAND as RUN
    from iterhead.cli.scan_command import COMMAND as SCAN
    from iterhead.cli.show_command import COMMAND as SHOW
    from iterhead.cli.study_command import COMMAND as STUDY
    from iterhead.cli.tasks_command import COMMAND as TASKS
    from iterhead.cli.transfer_command import COMMAND as TRANSFER
    from iterhead.cli.verify_command import COMMAND as VERIFY

    listed = (RUN, TRANSFER, SHOW, REPORT, VERIFY, SCAN, EXPORT, HANDMADE, STUDY, TASKS, BENCH)
    return {command.name: command for command in listed}


def find(name: str) -> "Command":
    """Return a command by name.

    Raises:
        UserError: there is no such command; the message names the nearest.
    """
    from iterhead.cli.parsing import nearest_option
    from iterhead.errors import UserError, nearest

    by_name = commands()
    if name in by_name:
        return by_name[name]
    if name.startswith("-"):
        near = nearest_option(name.partition("=")[0], ["--help", "--version"])
        hint = f"did you mean {near}?" if near else "options follow the command, as in iterhead run --seed 3"
        raise UserError(f"unknown option {name}: {hint}")
    hint = nearest(name.lower(), by_name) or f": expected {', '.join(by_name)}"
    raise UserError(f"unknown command {name!r}{hint}")


def _overview() -> str:
    from iterhead.cli.parsing import example_lines

    by_name = commands()
    listed = "".join(f"  {command.name:10}{command.summary}\n" for command in by_name.values())
    first = [by_name[name].examples[0] for name in ("run", "show", "report", "verify", "tasks")]
    return (
        "iterhead trains small transformers on iterative tasks and finds the iteration\n"
        "heads that carry their chain of thought.\n"
        f"\ncommands:\n{listed}"
        f"\nstart here:\n{example_lines(first)}"
        "\noptions:\n"
        "  -h, --help  show this help, or that of a command: iterhead run --help\n"
        "  --version   show the version\n"
    )


def _print_error(line: str) -> None:
    """Write one line to stderr, cut where it is long, with control characters from the input escaped."""
    from iterhead.errors import cut

    print("".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut(line)), file=sys.stderr)


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
