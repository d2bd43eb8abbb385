"""Values for a setting: valid ones, those at a bound, just beyond it, far beyond it, and of wrong types."""

import math
from typing import Any

from hypothesis import strategies as st

from iterhead.cli.options import Setting, settings

TINY: dict[str, Any] = {
    "task": "parity",
    "data": {"max_length": 3, "train_per_length": 8, "test_per_length": 4},
    "model": {"width": 8, "vocabulary": 8},
    "training": {"batch_size": 6, "epochs": 2, "short_epochs": 0, "evaluation_per_length": 4},
}
"""A run of a fraction of a second."""

HUGE = "9" * 5000
"""More digits than Python converts at once."""

SETTINGS = {".".join(setting.path): setting for setting in settings()}

FIELDS = tuple(name.rpartition(".")[2] for name in SETTINGS)

WORDS = (
    *(
        "",
        " ",
        "none",
        "true",
        "null",
        "-",
        "--",
        "=",
        "\x00",
        "\n",
        "a\nb",
        "\t",
        "é",
        "٣",
        "½",
        "🙂",
        "\u202e",
        "\ud800",
    ),
    *("a" * 5000, "../..", "/", "%s", "{0}", "{", "$(date)", "<script>", "\x1b[31m", "\x85", "\u2028", "\ufeff"),
)

COUNTS = (0, 1, 2, 3, 4, 5, 7, 8, 16, 24, 97, 1021, 1024, 1025, 8192, 8193, 32768, 32769)
INTEGERS = (
    *COUNTS,
    -1,
    -2,
    10**6,
    2**31 - 1,
    2**31,
    2**32,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    10**30,
    -(10**30),
    10**4299,
)
FLOATS = (
    0.0,
    -0.0,
    1.0,
    0.5,
    1e-3,
    5e-324,
    1e-300,
    1e300,
    1.7e308,
    -1e-9,
    0.9999999999999999,
    math.inf,
    -math.inf,
    math.nan,
)

NUMBER_TEXTS = (
    *(
        "1e3",
        "1.0",
        "0x10",
        "1_000",
        "+3",
        " 3 ",
        "-0",
        "00",
        "٣",
        "1e400",
        "-1e400",
        "nan",
        "inf",
        "-inf",
        "1e-999",
        ".5",
    ),
    *("5.", "1,5", "0b1", "infinity", "1" + "0" * 400, HUGE, f"-{HUGE}", f"0.{HUGE}", f"1e{HUGE}", "1j", "1/2", "--3"),
)

TASKS = (
    *("copy", "parity", "polynomial", "polynomial:p=5", "mix:copy,parity", "polynomial:p=1021", "polynomial:p=4"),
    *("mix:copy", "nothing", "no.module:name", "parity:x=1", f"polynomial:p={HUGE}", "polynomial:f=s^x"),
)


def words() -> st.SearchStrategy[str]:
    """Texts of any kind, without NUL, which no command line can have."""
    free = st.text(st.characters(exclude_characters="\0"), max_size=12)
    return st.sampled_from([word for word in WORDS if "\0" not in word]) | free


def integers() -> st.SearchStrategy[int]:
    """Whole numbers, small and absurd."""
    return st.sampled_from(INTEGERS) | st.integers(0, 40) | st.integers()


def wrong() -> st.SearchStrategy[Any]:
    """Values of types that no setting has."""
    fixed = (
        None,
        True,
        False,
        [],
        {},
        (),
        b"x",
        3j,
        object(),
        [1],
        {"a": 1},
        {1: 2},
        {"": {}},
        range(3),
        int,
        3.0,
        "3",
    )
    return st.sampled_from(fixed)


def _right(setting: Setting) -> st.SearchStrategy[Any]:
    if setting.choices:
        chosen = st.sampled_from(setting.choices)
        return chosen.map(lambda word: {"true": True, "false": False}.get(word, word))
    kind = setting.kinds[0]
    if kind is str:
        return st.sampled_from(TASKS)
    return st.sampled_from(COUNTS) if kind is int else st.floats(0, 1)


def value(setting: Setting) -> st.SearchStrategy[Any]:
    """A value for a setting: often of its type, often valid."""
    absurd = st.sampled_from((*FLOATS, HUGE, *NUMBER_TEXTS)) | st.floats()
    return _right(setting) | integers() | absurd | st.text(max_size=8) | st.sampled_from(WORDS) | wrong()


def text(setting: Setting) -> st.SearchStrategy[str]:
    """A text for a setting on the command line."""
    numbers = integers().map(lambda number: HUGE if abs(number) > 10**4000 else str(number))
    right = _right(setting).map(lambda chosen: str(chosen).lower() if isinstance(chosen, bool) else str(chosen))
    return right | numbers | st.sampled_from(NUMBER_TEXTS) | words() | st.floats().map(repr)


@st.composite
def changes(draw: st.DrawFn, of: Any = value) -> dict[str, Any]:
    """One changed setting, or a few; by dotted name."""
    names = draw(
        st.lists(st.sampled_from(sorted(SETTINGS)), min_size=1, max_size=draw(st.sampled_from((1, 1, 1, 2, 6))))
    )
    return {name: draw(of(SETTINGS[name])) for name in names}


def nested(changed: dict[str, Any], base: dict[str, Any] = TINY) -> dict[str, Any]:
    """Nested settings: `base` with some replaced."""
    values = {name: dict(part) if isinstance(part, dict) else part for name, part in base.items()}
    for name, new in changed.items():
        *parts, last = name.split(".")
        place = values
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = new
    return values
