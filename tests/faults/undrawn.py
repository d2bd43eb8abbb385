"""Commands without the time that passes in them, and without the drawings and pages that take most of it."""

import time

from matplotlib.figure import Figure

from iterhead.report import run_page, scan_report
from iterhead.runs import checkpointing
from iterhead.studies import cost
from iterhead.studies.cost import Calibration

PICTURE, PAGE = b"a picture", b"a page"


def undrawn() -> None:
    """Change what the commands of this process do: files of the same names, the same content for the same settings."""
    time.perf_counter = lambda: 0.0
    cost._measure = lambda device: Calibration(start=1e-3, rate=1e10, memory=1e9, device=device)
    checkpointing.run_figure_files = lambda *_: {"figure.png": PICTURE, "figure.pdf": PICTURE}
    run_page.run_report = scan_report.scan_report = lambda *_: PAGE
    Figure.savefig = lambda _figure, file, **_options: file.write(PICTURE)
