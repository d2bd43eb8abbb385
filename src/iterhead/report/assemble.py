"""One HTML file from the template, its style, its scripts and the data: nothing is fetched when it is opened.

Whatever comes from a person is escaped here, or stands in the data, which the scripts show as text only. Should markup
slip through all the same, the page's own Content-Security-Policy runs no script but the one whose hash it names, and
connects to nothing.
"""

import base64
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

PAGE = files("iterhead.report") / "page"

FRAME = "frame.html"
"""What every page has around its contents: its head, its heading, the data and the script."""

MOST_BYTES = 1_000_000
"""Of the page of a run: small enough for a letter."""

_PLACE = re.compile(r"\{\{(\w+)\}\}")
_SUBSCRIPT = re.compile(r"\b([xsF])_(\{t-1\}|\{t\+1\}|t|L|\d+)(?![\w}])")


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
        template: name of an HTML file in `page/`, the contents, with places such as `{{title}}`.
        styles: names of CSS files there, the later ones going before the earlier.
        scripts: names of JavaScript files there, in the order in which they run; they share one scope.
        texts: plain text for the template's places, by name; escaped here.
        data: base64, from `pack`.
        pictures: HTML for the place of that name, with pictures in it (`data:`), which the policy then allows; the
            caller has escaped what is in it.

    Raises:
        KeyError: for a place that nothing fills.
    """
    css = "\n".join(_read(name) for name in styles)
    script = '"use strict";\n' + "\n".join(_read(name) for name in scripts)
    filled = {name: typeset(text) for name, text in texts.items()}
    policy = _policy(css, script, images=pictures is not None)
    filled |= {"style": css, "script": script, "data": data, "policy": policy}
    if pictures is not None:
        filled["pictures"] = pictures
    if "title" in texts:
        filled["title"] = html.escape(texts["title"])  # a title has no markup
    # In one pass: a text that looks like a place is a text.
    page = _read(FRAME).replace("{{body}}", _read(template))
    return _PLACE.sub(lambda found: filled[found[1]], page).encode()


def typeset(text: str) -> str:
    """Return text as HTML: escaped, and `x_t` with a subscript."""
    return _SUBSCRIPT.sub(_subscript, html.escape(text))


def _subscript(found: re.Match[str]) -> str:
    return f"<i>{found[1]}</i><sub>{found[2].strip('{}')}</sub>"


def _policy(css: str, script: str, *, images: bool) -> str:
    """Return a Content-Security-Policy that allows this style and this script, and no request of any kind.

    With `images`, pictures that stand in the page itself are allowed too.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(css)}'",
            *(("img-src data:",) if images else ()),
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
