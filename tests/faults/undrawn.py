"""Imported by the fork server: commands in which no time passes, and that make no drawings and pages.

So the same settings give the same bytes, and a command takes tenths of a second. Files and their names are the same.
"""

import time

from iterhead.report import run_page, scan_report
from iterhead.runs import checkpointing
from iterhead.studies import cost
from iterhead.studies.cost import Calibration

time.perf_counter = lambda: 0.0
cost._measure = lambda device: Calibration(start=1e-3, rate=1e10, memory=1e9, device=device)
checkpointing.run_figure_files = lambda *_: {"figure.png": b"a picture", "figure.pdf": b"a picture"}
run_page.run_report = scan_report.scan_report = lambda *_: b"a page"
