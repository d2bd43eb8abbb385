"""The one exception that a person is meant to read."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Bad input, in one line: the value, what was expected and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """


def nearest(name: str, names: Iterable[str]) -> str:
    """Return `: did you mean 'x'?` for the closest of `names`, or nothing if none is close."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f": did you mean {close[0]!r}?" if close else ""


def shortened(value: object, most: int = 60) -> str:
    """Return how Python writes a value, on one line and cut where it is long."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."
