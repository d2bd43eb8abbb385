"""Where matplotlib finds no folder for its cache, it says so in two lines; we print none of them."""

import os
import subprocess
import sys
from pathlib import Path

import iterhead


def test_nothing_is_printed_without_a_home():
    env = {name: value for name, value in os.environ.items() if name not in ("MPLCONFIGDIR", "XDG_CONFIG_HOME")}
    code = "import iterhead.studies.drawings, matplotlib; print(matplotlib.get_configdir())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env | {"HOME": "/proc/nothing", "XDG_CACHE_HOME": "/proc/nothing"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stdout.startswith("/proc")  # so there was something to say
    assert done.stderr == ""


def test_the_package_that_handles_the_log_comes_first():
    source = Path(iterhead.__file__).parent
    importing = {path for path in source.rglob("*.py") if "\nfrom matplotlib" in path.read_text()}
    importing |= {path for path in source.rglob("*.py") if "\nimport matplotlib" in path.read_text()}
    assert importing
    # Both packages import iterhead.figures, or are it, before their modules.
    assert {path.relative_to(source).parts[0] for path in importing} == {"figures", "studies"}
