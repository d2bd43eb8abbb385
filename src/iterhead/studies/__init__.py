"""Claims of the paper, checked: each with its figure, an interval, a threshold and a verdict.

`verify(run)` checks the claims about one network by interventions and probes.
"""

from iterhead.studies.claims import Check, Verdict
from iterhead.studies.verify import Effect, Verification, read_verification, verify, write_verification

__all__ = ["Check", "Effect", "Verdict", "Verification", "read_verification", "verify", "write_verification"]
