"""The entry point: from command-line arguments to an exit code."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from iterhead.cli.shell import BAD_INPUT, CLOSED_PIPE, INTERRUPTED, Interrupts, command_line
from iterhead.cli.streams import StdoutError, standard_error, standard_output

# Everything else is imported inside the functions: no signal is handled before `main` runs.
if TYPE_CHECKING:
    from iterhead.cli.parsing import Command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code. `arguments` follow `iterhead`; by default those of this process.

    Without `arguments`, the process is expected to end next: it ignores signals from then on.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    interrupts = Interrupts()
    with interrupts.handled(to_the_end=arguments is None), standard_error():
        try:
            with standard_output(), interrupts.raised(unless_importing=True):
                return _dispatch(words, interrupts)
        except BaseException as error:
            # A library may turn the interrupt into another exception, and a closed terminal into one of stdout.
            if interrupts.arrived or isinstance(error, KeyboardInterrupt):
                _print_error(interrupts.message())
                return INTERRUPTED
            if isinstance(error, StdoutError) and isinstance(error.error, BrokenPipeError):
                return CLOSED_PIPE
            from iterhead.explain import in_one_line

            line = str(error) if isinstance(error, StdoutError) else in_one_line(error)
            if line is None:  # a bug, which deserves its traceback
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
        from iterhead.memory import check_memory_limit

        command = find(words[0])
        check_memory_limit()
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
    from iterhead.errors import cut, printable

    print(printable(cut(line)), file=sys.stderr)
