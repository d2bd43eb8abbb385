"""A command as a value, and its parser, which reports a mistake in one line."""

import argparse
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NoReturn

from iterhead import values
from iterhead.cli.shell import Interrupts
from iterhead.errors import UserError, cut, quoted, shortened
from iterhead.machine import MAX_THREADS

WIDTH = 79
"""Columns of the help: it fits a terminal of 80 without wrapping."""

Examples = Sequence[tuple[str, str]]
"""Commands to type, each with one line about what it does."""


def whole_number(*, least: int, most: int = 2**31 - 1) -> Callable[[str], int]:
    """Return a reader of whole numbers, for argparse's `type`."""

    def read(text: str) -> int:
        with suppress(ValueError):
            if least <= (value := values.whole_number(text)) <= most:
                return value
        raise refused(text, f"a whole number from {least} to {most:,}")

    return read


def one_of(*words: str) -> Callable[[str], str]:
    """Return a reader of one of these words, for argparse's `type`."""

    def read(text: str) -> str:
        if text not in words:
            raise refused(text, f"{', '.join(words[:-1])} or {words[-1]}")
        return text

    return read


def place(text: str) -> str:
    """Return the name of a file or folder; a reader for argparse's `type`. An empty name is no current folder."""
    if not text:
        raise refused(text, "the name of a file or folder")
    return text


def refused(text: str, expected: str) -> argparse.ArgumentTypeError:
    """Return what a reader raises for a value: the parser turns it into `--option VALUE: expected ...`."""
    return argparse.ArgumentTypeError(f" {quoted(text)}: expected {expected}")


_SHARED_OPTIONS: Mapping[str, tuple[str, str, Callable[[str], object], object]] = {
    "scale": ("WORD", "size of a study: smoke, laptop or paper [default: laptop]", str, None),
    "task": ("TASK", "the task of a run with a task of your own: imports module:name", str, None),
    "out": ("FOLDER", "folder of the runs", place, "runs"),
    "workers": (
        "N",
        "processes at a time [default: one per free core; one on a GPU]",
        whole_number(least=1, most=MAX_THREADS),
        None,
    ),
    "threads": (
        "N",
        "PyTorch threads per process [default: the free cores, divided]",
        whole_number(least=1, most=MAX_THREADS),
        None,
    ),
    "device": ("NAME", "cpu, cuda, mps or auto", str, "auto"),
}


def declare(
    group: argparse._ArgumentGroup,
    flag: str,
    metavar: str,
    about: str,
    reader: Callable[[str], object] = str,
    default: object = None,
) -> None:
    """Add an option with a value; its default is added to its help."""
    shown = "" if default is None else f" [default: {default}]"
    group.add_argument(flag, metavar=metavar, type=reader, default=default, help=about + shown)


def declare_shared(group: argparse._ArgumentGroup, *names: str) -> None:
    """Add the named ones of the options that several commands have, and `--json` and `--help`, which all have."""
    for name in names:
        declare(group, f"--{name}", *_SHARED_OPTIONS[name])
    group.add_argument("--json", action="store_true", help="print one JSON object, for scripts")
    group.add_argument("-h", "--help", action="store_true", help="show this help")


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises UserErrors."""

    def error(self, message: str) -> NoReturn:
        """Raise argparse's message as a UserError, in our words."""
        match = re.match(r"argument (\S+): (.*)", message)
        name, problem = match.groups() if match else ("", message)
        name = name.split("/")[-1]
        if problem.startswith(" "):  # from `refused`
            raise UserError(f"{name}{problem}")
        if problem.startswith("ignored explicit argument"):
            problem = "takes no value"
        problem = problem.replace("expected one argument", "expected a value")
        raise UserError(f"{name}: {problem}" if name else problem)


def nearest_option(name: str, options: Iterable[str]) -> str | None:
    """Return the option closest to a name, compared as a whole and by the part after the dot."""
    wanted = name.lstrip("-").lower()
    by_name: dict[str, str] = {}
    for option in options:
        by_name.setdefault(option.lstrip("-").rpartition(".")[2], option)
        by_name[option.lstrip("-")] = option
    near = get_close_matches(wanted, by_name, n=1) or get_close_matches(wanted.rpartition(".")[2], by_name, n=1)
    return by_name[near[0]] if near else None


def _normalized(words: list[str]) -> list[str]:
    """Return the words with dashes for underscores in options, and `--lr -1` as `--lr=-1`.

    argparse takes some negative numbers, such as -1e-3 and -inf, for options.
    """
    normalized: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if name.startswith("--") and value == "--":  # argparse gives a list for it
            raise UserError(f"{name}: expected a value")
        if normalized and normalized[-1].startswith("--") and "=" not in normalized[-1] and _is_negative(word):
            normalized[-1] += f"={word}"
        elif name.startswith("--"):
            normalized.append(name.replace("_", "-") + equals + value)
        else:
            normalized.append(word)
    return normalized


def _is_negative(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return word.startswith("-")


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: what is typed.
        summary: a line for the list of commands.
        examples: commands to learn from.
        declare: adds the options to a parser.
        run: runs the command and returns the exit code.
        about: one paragraph of help.
    """

    name: str
    summary: str
    examples: Examples
    declare: Callable[[Parser], None]
    run: Callable[[argparse.Namespace, Interrupts], int]
    about: str = ""

    def parse(self, words: list[str]) -> argparse.Namespace:
        """Return the options in the words that follow the command's name, and the words themselves as `typed`.

        Raises:
            UserError: an unknown option, a missing value, a bad value, a word too many.
        """
        parser = self._parser()
        options, unknown = parser.parse_known_args(_normalized(words))
        if unknown:
            word = next((word for word in unknown if word.startswith("-")), None)
            if word is None:
                raise UserError(f"unexpected {shortened(unknown[0])}: see {parser.prog} --help")
            name = word.partition("=")[0]
            near = nearest_option(name, parser._option_string_actions)
            hint = f"did you mean {near}?" if near else f"{parser.prog} --help lists the options"
            raise UserError(f"unknown option {cut(name)}: {hint}")
        options.typed = [self.name, *words]
        return options

    def help(self) -> str:
        """Return the help: examples first."""
        about = f"\n{filled(self.about)}\n" if self.about else ""
        options = self._parser().format_help()
        return f"iterhead {self.name}: {self.summary}\n{about}\nexamples:\n{example_lines(self.examples)}\n{options}"

    def _parser(self) -> Parser:
        parser = Parser(
            prog=f"iterhead {self.name}",
            usage=argparse.SUPPRESS,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=26, width=WIDTH),
            add_help=False,
            allow_abbrev=False,
        )
        self.declare(parser)
        return parser


def filled(text: str, indent: str = "", hanging: str | None = None) -> str:
    """Return a paragraph broken into lines that start with `indent` or, after the first line, with `hanging`."""
    later = indent if hanging is None else hanging
    return textwrap.fill(
        text, WIDTH, initial_indent=indent, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )


def example_lines(examples: Examples) -> str:
    """Return each example as lines: the command, and below it what it does."""
    return "".join(f"  {command}\n{filled(about, ' ' * 6)}\n" for command, about in examples)
