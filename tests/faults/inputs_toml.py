"""TOML text: of settings, and damaged."""

import math
from typing import Any

from hypothesis import strategies as st


def toml(value: Any) -> str:
    """Return how TOML writes a value; something that it does not accept, for values that it lacks."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        escaped = "".join(_escaped(character) for character in value)
        return f'"{escaped}"'
    if isinstance(value, list | tuple | range):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{toml(str(name))} = {toml(item)}' for name, item in value.items())}}}"
    if isinstance(value, int) and abs(value) > 10**4000:
        return "9" * 5000
    return repr(value)


def _escaped(character: str) -> str:
    if character in '"\\' or not character.isprintable():
        return f"\\U{ord(character):08x}" if not 0xD800 <= ord(character) < 0xE000 else character
    return character


def document(values: dict[str, Any]) -> str:
    """Return a TOML file with tables for the parts of settings."""
    parts = {name: part for name, part in values.items() if isinstance(part, dict) and part and all(part)}
    lines = [f"{name} = {toml(value)}" for name, value in values.items() if name not in parts]
    for name, part in parts.items():
        lines += [
            f"[{name}]",
            *(f"{key if isinstance(key, str) else repr(key)} = {toml(item)}" for key, item in part.items()),
        ]
    return "\n".join(lines) + "\n"


PIECES = (
    *(
        "[data]\n",
        "[[data]]\n",
        "[data.x]\n",
        "a.b.c = 1\n",
        "=\n",
        '"""',
        "'''",
        "[",
        "]",
        "{",
        "}",
        "#",
        "\r\n",
        "\r",
        "\0",
    ),
    *(
        "seed = 1\n",
        "seed = 1\nseed = 2\n",
        "data = 3\n",
        "start.run = 'x'\n",
        "data.max_length = 3\n",
        "\ufeff",
        "\x7f",
        "\x1b",
    ),
    *(
        "x = 1979-05-27T07:32:00Z\n",
        "seed = 1979-05-27\n",
        "seed = 07:32:00\n",
        "seed = 0o7\n",
        "seed = +inf\n",
        "é = 1\n",
    ),
    *("a = " + "[" * 900 + "]" * 900 + "\n", "a = " + "{x=" * 900 + "1" + "}" * 900 + "\n", f"seed = {'9' * 5000}\n"),
    *(".".join("a" * 20000) + " = 1\n", f"{'k' * 100_000} = 1\n", f"[{'k' * 5000}]\n", f"task = '{'t' * 100_000}'\n"),
    *(
        "[" + ".".join("a" * 3000) + "]\n",
        "x = '''" + "\n" * 5000 + "'''\n",
        'task = "\\ud800"\n',
        'task = "\\U0010FFFF"\n',
    ),
)


@st.composite
def damaged(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> bytes:
    """A TOML file with pieces put in, taken out, repeated or replaced; perhaps of another encoding."""
    text = draw(texts)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.sampled_from((start, start, start + 1, start + 5, start + 40)))
        piece = draw(st.sampled_from((*PIECES, "", text[start:end] * 2)) | st.text(max_size=6))
        text = text[:start] + piece + text[end:]
    data = text.encode(
        draw(st.sampled_from(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32"))), "surrogatepass"
    )
    if draw(st.integers(0, 4)) == 0:
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.binary(max_size=8)) + data[place + draw(st.integers(0, 8)) :]
    return data.replace(b"\n", draw(st.sampled_from((b"\n", b"\n", b"\n", b"\r\n", b"\r"))))
