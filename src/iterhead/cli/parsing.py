"""A command as a value, and the parser that tells what is wrong in one line."""

import argparse
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NoReturn

from iterhead.cli.interrupts import Interrupts
from iterhead.errors import UserError

WIDTH = 79
"""Columns of the help: a terminal of 80 shows it without wrapping."""

Examples = tuple[tuple[str, str], ...]
"""Commands to type, each with one line about what it does."""


def asks_for_help(words: list[str]) -> bool:
    """Whether help is wanted, whatever else is right or wrong in the words."""
    return "-h" in words or "--help" in words


class Parser(argparse.ArgumentParser):
    """An argparse parser whose mistakes are UserErrors, and which reads an underscore in an option as a dash."""

    def __init__(self, command: str) -> None:
        super().__init__(
            prog=f"iterhead {command}",
            usage=argparse.SUPPRESS,
            formatter_class=_formatter,
            add_help=False,
            allow_abbrev=False,
        )

    def read(self, words: list[str]) -> argparse.Namespace:
        """Return the options, with the words themselves as `typed`.

        Raises:
            UserError: an unknown option, a missing value, a word too many.
        """
        options, unknown = self.parse_known_args(_normalised(words))
        if unknown:
            self._refuse(unknown)
        options.typed = [self.prog.split()[-1], *words]
        return options

    def error(self, message: str) -> NoReturn:
        """Raise argparse's complaint as a UserError."""
        found = re.match(r"argument (\S+): (.*)", message)
        name, problem = found.groups() if found else ("", message)
        known = {"expected one argument": "expected a value"}
        if problem.startswith("ignored explicit argument"):
            problem = "takes no value"
        raise UserError(f"{name.split('/')[0]}: {known.get(problem, problem)}".removeprefix(": "))

    def _refuse(self, unknown: list[str]) -> NoReturn:
        word = next((word for word in unknown if word.startswith("-")), None)
        if word is None:
            raise UserError(f"unexpected {unknown[0]!r}: {self.prog} --help shows what may follow")
        name = word.partition("=")[0]
        near = nearest_option(name, self._option_string_actions)
        hint = f"did you mean {near}?" if near else f"{self.prog} --help lists the options"
        raise UserError(f"unknown option {name}: {hint}")


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, max_help_position=26, width=WIDTH)


def nearest_option(name: str, options: Iterable[str]) -> str | None:
    """Return the option that was meant: by its whole name, or by the part behind the dot."""
    wanted = name.lstrip("-").lower()
    known: dict[str, str] = {}
    for option in options:
        known.setdefault(option.lstrip("-").rpartition(".")[2], option)
        known[option.lstrip("-")] = option
    near = get_close_matches(wanted, known, n=1) or get_close_matches(wanted.rpartition(".")[2], known, n=1)
    return known[near[0]] if near else None


def _normalised(words: list[str]) -> list[str]:
    """Return the words with dashes for underscores in options, and `--lr -1` as `--lr=-1`.

    argparse takes some negative numbers, such as -1e-3 and -inf, for options.
    """
    normal: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if normal and normal[-1].startswith("--") and "=" not in normal[-1] and _is_negative_number(word):
            normal[-1] += f"={word}"
        elif name.startswith("--"):
            normal.append(name.replace("_", "-") + equals + value)
        else:
            normal.append(word)
    return normal


def _is_negative_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return word.startswith("-")


@dataclass(frozen=True)
class Command:
    """One command.

    Args:
        name: what is typed.
        summary: one line, without a capital or a full stop, for the list of commands.
        examples: to learn from.
        declare: adds the options to a parser.
        run: does it, and returns the exit code.
        about: more to know, one paragraph.
    """

    name: str
    summary: str
    examples: Examples
    declare: Callable[[Parser], None]
    run: Callable[[argparse.Namespace, Interrupts], int]
    about: str = ""

    def parse(self, words: list[str]) -> argparse.Namespace:
        """Return the options in `words`, which follow the command's name; raises UserError."""
        return self._parser().read(words)

    def help(self) -> str:
        """Return the help: examples first."""
        parser = self._parser()
        title = f"iterhead {self.name}: {self.summary}\n"
        about = f"\n{filled(self.about)}\n" if self.about else ""
        return f"{title}{about}\nexamples:\n{example_lines(self.examples)}\n{parser.format_help()}"

    def _parser(self) -> Parser:
        parser = Parser(self.name)
        self.declare(parser)
        return parser


def filled(text: str, indent: str = "", width: int = WIDTH) -> str:
    """Return a paragraph broken into lines."""
    import textwrap

    return textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def example_lines(examples: Examples) -> str:
    """Return examples as lines: the command, and below it what it does."""
    return "".join(f"  {command}\n{filled(about, ' ' * 6)}\n" for command, about in examples)
