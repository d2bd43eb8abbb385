"""One HTML file from a template, its styles, its scripts and its data. Opening it loads nothing else.

Texts from outside are escaped here, or are part of the data, which the scripts show as text only. As a second defence,
the page's Content-Security-Policy runs no script but the one whose hash it names, lets that script make no markup from
text, and connects to nothing.
"""

import base64
import gzip
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

PAGE = files("iterhead.report") / "page"

FRAME = "frame.html"
"""The frame of every page: its head, heading, data and script."""

MOST_BYTES = 1_000_000
"""Size limit of a run's page: small enough for an email."""

Arrays = Mapping[str, NDArray[Any]]
"""Arrays of the types below, by name."""

TYPES = ("uint8", "uint16", "float16", "float32")

_ALIGNMENT = 4
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_UNSHOWABLE = re.compile("[\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What changes the direction of the text after it, and halves of characters, which UTF-8 lacks."""

_SUBSCRIPT = re.compile(r"\b([xsF])_(\{t-1\}|\{t\+1\}|t|L|\d+)(?![\w}])")


def pack(facts: Mapping[str, Any], arrays: Arrays) -> str:
    """Return facts (JSON values) and arrays as base64 of gzip; the same input gives the same text.

    Before compression: the header's length (4 bytes), the header (JSON), then the arrays in the order of the header,
    each aligned to 4 bytes. Integers and arrays are little-endian. `page/data.js` reads it.

    Raises:
        ValueError: for NaN or infinity among the facts, or an array of another type.
    """
    places, parts, start = {}, [], 0
    for name, array in arrays.items():
        if array.dtype.name not in TYPES:
            raise ValueError(f"{name} has type {array.dtype}: expected one of {', '.join(TYPES)}")
        part = _padded(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
        places[name] = {"type": array.dtype.name, "shape": list(array.shape), "start": start}
        parts.append(part)
        start += len(part)
    header_facts = {"facts": facts, "arrays": places}
    text = json.dumps(header_facts, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    header = _padded(_showable(text, r"\\").encode(), b" ")
    data = b"".join([len(header).to_bytes(4, "little"), header, *parts])
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def _padded(data: bytes, filler: bytes = b"\0") -> bytes:
    return data + filler * (-len(data) % _ALIGNMENT)


def assemble(
    template: str,
    styles: Sequence[str],
    scripts: Sequence[str],
    texts: Mapping[str, str],
    data: str,
    pictures: str | None = None,
) -> bytes:
    """Return a page.

    Args:
        template: name of an HTML file in `page/`, the contents, with placeholders such as `{{title}}`.
        styles: names of CSS files there; later ones override earlier ones.
        scripts: names of JavaScript files there, in the order in which they run; they share one scope.
        texts: plain text for the placeholders, by name; escaped here.
        data: from `pack`.
        pictures: HTML with inline pictures (`data:`) for the placeholder of that name; the policy then allows them. The
            caller has escaped it.

    Raises:
        KeyError: for a placeholder without a value.
    """
    css = "\n".join(_read(name) for name in styles)
    script = '"use strict";\n' + "\n".join(_read(name) for name in scripts)
    values = {name: typeset(text) for name, text in texts.items()}
    values |= {"style": css, "script": script, "data": data}
    values["policy"] = _policy(css, script, images=pictures is not None)
    if pictures is not None:
        values["pictures"] = pictures
    if "title" in texts:
        values["title"] = escape(texts["title"])  # a title has no markup
    # All placeholders at once, so that a text that looks like one stays a text.
    page = _read(FRAME).replace("{{body}}", _read(template))
    return _PLACEHOLDER.sub(lambda match: values[match[1]], page).encode()


def escape(text: str) -> str:
    """Return text as HTML, also for the value of an attribute; what cannot be shown is written as in Python."""
    return html.escape(_showable(text))


def typeset(text: str) -> str:
    """Return text as HTML: escaped, and `x_t` with a subscript."""
    return _SUBSCRIPT.sub(lambda match: f"<i>{match[1]}</i><sub>{match[2].strip('{}')}</sub>", escape(text))


def _showable(text: str, backslash: str = "\\") -> str:
    """Return text with the code of what cannot be shown in its place, such as u202e after a backslash."""
    return _UNSHOWABLE.sub(lambda match: f"{backslash}u{ord(match[0]):04x}", text)


def _policy(css: str, script: str, *, images: bool) -> str:
    """Return a Content-Security-Policy that allows this style, this script, inline pictures if any, and no request.

    Trusted types: in browsers that know them, giving text to `innerHTML` and its like is an error.
    """
    sources = f"script-src '{_hash(script)}'; style-src '{_hash(css)}'; {'img-src data:; ' if images else ''}"
    markup = "require-trusted-types-for 'script'; trusted-types 'none'"
    return f"default-src 'none'; {sources}base-uri 'none'; form-action 'none'; {markup}"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
