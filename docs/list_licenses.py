"""Write the table of docs/dependencies.md: every package of constraints.txt with its license, from its metadata.

.venv/bin/python docs/list_licenses.py
"""

import tomllib
from collections import defaultdict
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path(__file__).parent
PAGE = FOLDER / "dependencies.md"
START = "| package | version | license | needed by |\n|---|---|---|---|\n"

LONGEST = 60  # characters of a license's name; some packages give the whole text


def pinned() -> dict[str, str]:
    """Return the version of each package in constraints.txt, by name."""
    lines = (FOLDER.parent / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def license_of(package: Distribution) -> str:
    """Return what a package says of its license: the expression, a short name, or the classifiers."""
    metadata = package.metadata
    names = [line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier", []) if line.startswith("License ::")]
    text = metadata.get("License", "")
    short = text if 0 < len(text) <= LONGEST and "\n" not in text else ""
    return str(metadata.get("License-Expression") or short or " or ".join(names))


def needed_by(packages: dict[str, Distribution]) -> dict[str, list[str]]:
    """Return who asks for each package: iterhead itself, its extras, or other packages; by canonical name."""
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())["project"]
    asked = {"iterhead": project["dependencies"]}
    asked |= {f"iterhead[{extra}]": lines for extra, lines in project["optional-dependencies"].items()}
    asked |= {name: package.requires or [] for name, package in packages.items()}
    users = defaultdict(list)
    for user, lines in asked.items():
        for requirement in map(Requirement, lines):
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if applies and user not in users[canonicalize_name(requirement.name)]:
                users[canonicalize_name(requirement.name)].append(user)
    return users


def table() -> str:
    """Return the rows of the table."""
    packages = {name: distribution(name) for name in pinned()}
    users = needed_by(packages)
    rows = ""
    for name, version in pinned().items():
        rows += f"| {name} | {version} | {license_of(packages[name])} | {', '.join(users[canonicalize_name(name)])} |\n"
    return rows


if __name__ == "__main__":
    before, _, _ = PAGE.read_text().partition(START)
    PAGE.write_text(before + START + table())
