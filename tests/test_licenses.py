"""The table of licenses in the documentation."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT, _, TABLE = (ROOT / "docs" / "dependencies.md").read_text().partition("| package |")
ROWS = {(row[0], row[1]): row[2] for line in TABLE.splitlines()[2:] if (row := line.strip("| ").split(" | "))}

SEPARATOR = re.compile(" AND | OR | or ")

PERMISSIVE = ("MIT", "BSD", "0BSD", "Apache", "PSF", "Python Software", "CNRI", "ISC", "CC0", "Zlib", "BSL")
"""How the names of permissive licenses begin."""


def test_every_pinned_package_has_its_row():
    pinned = re.findall(r"^(\S+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert list(ROWS) == pinned, "python docs/list_licenses.py writes the table again"


def test_what_is_not_permissive_is_explained():
    others = {
        name
        for (name, _), license_ in ROWS.items()
        for part in SEPARATOR.split(license_)
        if not part.startswith(PERMISSIVE)
    }
    explained = TEXT.partition("All of them are permissive but these:")[2].partition("The library alone")[0]
    assert others == set(re.findall(r"`(\w+)`", explained))
