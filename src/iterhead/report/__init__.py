"""The page of a run: one self-contained HTML file that a person opens, explores and sends on.

`write_report(run)` makes it from what a finished run left behind; `page/` holds its HTML, CSS and JavaScript.
"""

from iterhead.report.gather import REPORT, run_report, write_report

__all__ = ["REPORT", "run_report", "write_report"]
