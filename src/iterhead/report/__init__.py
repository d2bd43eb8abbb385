"""Pages of a run, of a study and of all studies: self-contained HTML files that a person opens, explores and sends on.

`write_report(run)` makes one from what a finished run left behind, `write_study_report` from a study's tables and
figures, `write_overview` from those of several; `page/` holds their HTML, CSS and JavaScript.
"""

from iterhead.report.overview import write_overview
from iterhead.report.run_page import REPORT, run_report, write_report
from iterhead.report.study_page import StudyResult, has_tables, measured, no_tables, study_report, write_study_report

__all__ = [
    "REPORT",
    "StudyResult",
    "has_tables",
    "measured",
    "no_tables",
    "run_report",
    "study_report",
    "write_overview",
    "write_report",
    "write_study_report",
]
