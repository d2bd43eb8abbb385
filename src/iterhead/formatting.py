"""Numbers and names as text, for messages, tables, figures and pages. Layers and heads are written counted from 1."""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

DEFAULT_OUT = Path("runs")
"""Where runs are kept unless `--out` names another folder."""


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal, rounded down: 100% means all, 0% none."""
    if share in (0, 1):
        return f"{share:.0%}"
    tenths = int(share * 1000 + 1e-9)
    return f"{tenths / 10:g}%" if tenths else "under 0.1%"


def plural(number: int, noun: str) -> str:
    """Return a number with its noun in the right form, e.g. `1 epoch`, `1,024 epochs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def head_label(head: tuple[int, int]) -> str:
    """Return the words for a head, counted from 1."""
    layer, index = head
    return f"layer {layer + 1}, head {index + 1}"


def length_range(lengths: Sequence[int]) -> str:
    """Return e.g. `lengths 1 to 16`, or `length 8`."""
    return f"length {lengths[0]}" if len(lengths) == 1 else f"lengths {lengths[0]} to {lengths[-1]}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names in a row, e.g. `a, b, c`, or `a, b and 3 more` beyond `most`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def duration(seconds: float) -> str:
    """Return a time in the units that a person would choose, e.g. `48 s`, `3 min`, `2 h 5 min`, `310 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 6000 else f"{seconds / 3600:,.0f} h"


def finite_or_none(value: float | None) -> float | None:
    """Return the value, or None where JSON cannot hold it: not a number, or infinite."""
    return value if value is not None and math.isfinite(value) else None


def out_option(out: Path) -> str:
    """Return ` --out FOLDER`, quoted for a shell; nothing for the default folder."""
    return "" if out == DEFAULT_OUT else f" --out {shlex.quote(str(out))}"
