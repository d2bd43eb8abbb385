"""The one exception that a person is meant to read, and what its line is made of."""

import difflib
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

MAX_LINE = 1000
"""Characters of an error's line."""


class UserError(ValueError):
    """Bad input, in one line: the value, what was expected and what to do.

    The command line prints the message without a traceback and exits with code 2. Characters that cannot be printed,
    line breaks and lone surrogates among them, are escaped, and a message that is too long is cut.
    """

    def __init__(self, line: str):
        super().__init__(printable(cut(line)))


def printable(text: str) -> str:
    """Return a text in one line, with the code of what cannot be printed in its place: it commands no terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return `: did you mean 'x'?` for the closest of `names`, or nothing if none is close."""
    close = difflib.get_close_matches(name[:MAX_LINE], list(names), n=1)
    return f": did you mean {close[0]!r}?" if close else ""


def shortened(value: object, most: int = 60) -> str:
    """Return how Python writes a value, on one line and cut where it is long; never fails."""
    try:
        text = repr(value[: most + 1]) if isinstance(value, str) else repr(value)
    except Exception:  # thousands of digits, lists in lists in lists, or a user's own class
        text = f"<{type(value).__name__}>"
    return cut(" ".join(text.splitlines()), most)


def quoted(text: str, most: int = 60) -> str:
    """Return a text as it is typed in a shell, cut where it is long."""
    return cut(shlex.quote(text[: most + 1]), most)


def cut(text: str, most: int = MAX_LINE) -> str:
    """Return a text of at most `most` characters; one that is longer ends in `...`."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def own_failure(what: str, error: BaseException) -> UserError:
    """Return in one line that a user's own code failed: `what failed with ...`.

    Such code may raise anything, SystemExit by `sys.exit` too, which must not end the program in silence. Only Ctrl-C
    is raised again.
    """
    if isinstance(error, KeyboardInterrupt):
        raise error
    try:
        reason = cut(" ".join(str(error).split()), 200)
    except Exception:  # a user's own __str__
        reason = "an error that has no text"
    return UserError(f"{what} failed with {type(error).__name__}: {reason}")


@contextmanager
def own_code(what: str) -> Iterator[None]:
    """Turn what a user's own code raises inside into a UserError: see `own_failure`."""
    try:
        yield
    except BaseException as error:
        raise own_failure(what, error) from error
