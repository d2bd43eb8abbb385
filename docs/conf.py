"""Settings of Sphinx; `make docs` builds the pages with warnings as errors."""

from importlib.metadata import version as installed_version

project = "iterhead"
author = "The iterhead developers"
project_copyright = "2026, The iterhead developers"
release = version = installed_version("iterhead")

extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"iterhead {release}"
