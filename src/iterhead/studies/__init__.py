"""Claims of the paper, checked: each with its value, an interval, a threshold and a verdict.

`verification.verify(run)` checks the claims about one network by interventions and probes. A `study.Study` is a list of
runs with what to draw of them and which claims to check; those of the paper are in `published`.
"""

import iterhead.figures  # noqa: F401 - before its modules import matplotlib
