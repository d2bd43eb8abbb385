"""Text from outside becomes a value here, whether it is an argument, a file of settings or a part of a task's name.

There is one limit on each kind of size, far above what anybody needs. Below the limits nothing is slow: Python takes
minutes for a key of 100,000 parts, and it does not read numbers of 5,000 digits or brackets 900 deep at all.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from iterhead.errors import UserError, shortened

MAX_CHARACTERS = 4096
"""Of an argument, and of a line in a file of settings: as many as a path may have on Linux."""

MAX_DIGITS = 40
"""Of a whole number."""

MAX_DEPTH = 100
"""Of folders in folders, and of tables in tables."""

MAX_SEED = 2**63 - 1
"""Of random numbers."""

MAX_FILE = 16 * MAX_CHARACTERS
"""Bytes of a file of settings."""


def check_arguments(words: Iterable[str]) -> None:
    """Raise UserError for the first word that no option can take: too long, too deep a path, or no UTF-8."""
    for word in words:
        shown = shortened(word)
        if len(word) > MAX_CHARACTERS:
            raise UserError(f"{shown}: {len(word):,} characters: expected at most {MAX_CHARACTERS:,} in an argument")
        if word.count("/") > MAX_DEPTH:
            raise UserError(f"{shown}: {word.count('/'):,} slashes: expected at most {MAX_DEPTH} in an argument")
        if "\0" in word or any("\ud800" <= character <= "\udfff" for character in word):
            raise UserError(f"{shown}: expected UTF-8 without null characters")


def whole_number(text: str) -> int:
    """Return the integer that a text names, in ASCII digits; raises ValueError, also beyond `MAX_DIGITS`."""
    if len(text) > MAX_DIGITS:
        raise ValueError(f"expected at most {MAX_DIGITS} digits")
    if not re.fullmatch(r"\s*[+-]?[0-9]+\s*", text):
        raise ValueError("expected digits")
    return int(text)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the nested values of a TOML file, unchecked; UserError if it cannot be read or is not TOML."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise UserError(f"{path}: more than {MAX_FILE:,} bytes: expected a file of settings")
        text = data.decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if (longest := max(map(len, text.split("\n")))) > MAX_CHARACTERS:
        raise UserError(f"{path}: a line of {longest:,} characters: expected at most {MAX_CHARACTERS:,}")
    try:
        values = tomllib.loads(text)
        if _depth(values) > MAX_DEPTH:
            raise RecursionError
    except RecursionError:
        raise UserError(f"{path}: tables and lists nested more than {MAX_DEPTH} deep: expected settings") from None
    except ValueError as error:  # no TOML, or a number of thousands of digits
        raise UserError(f"{path}: not TOML: {error}") from None
    return values


def _depth(values: object) -> int:
    """Return how deep tables and lists are nested in one another; without recursion, which has a limit."""
    level, deep = [values], -1
    while level:
        level, deep = [part for value in level for part in _parts(value)], deep + 1
    return deep


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()
