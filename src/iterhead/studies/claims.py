"""What a checked claim is: of one network, or of a study over seeds."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from iterhead.criteria import FEWEST_SEEDS

if TYPE_CHECKING:
    from iterhead.studies.tables import Tables

Verdict: TypeAlias = Literal["holds", "does not hold", "undecided"]

Bound: TypeAlias = Literal["at least", "more than", "at most"]

SIGNS: dict[Bound, str] = {"at least": ">=", "more than": ">", "at most": "<="}


@dataclass(frozen=True)
class Check:
    """One claim about a network, or one part of it, with its evidence.

    Attributes:
        id: number of the claim in the list of docs/claims.md, and a letter for its part.
        claim: one sentence.
        value: the figure that decides.
        low, high: its 95% interval, over sequences.
        threshold: what the claim asks of the figure.
        bound: whether the figure must be at least, more than or at most the threshold.
    """

    id: str
    claim: str
    value: float
    low: float
    high: float
    threshold: float
    bound: Bound = "at least"

    @property
    def verdict(self) -> Verdict:
        """Holds, or does not, if the whole interval is on one side of the threshold; else undecided."""
        if self.bound == "at least":
            holds, fails = self.low >= self.threshold, self.high < self.threshold
        elif self.bound == "more than":
            holds, fails = self.low > self.threshold, self.high <= self.threshold
        else:
            holds, fails = self.high <= self.threshold, self.low > self.threshold
        return "holds" if holds else "does not hold" if fails else "undecided"

    @property
    def asked(self) -> str:
        """What the claim asks, e.g. `>= 0.95`."""
        return f"{SIGNS[self.bound]} {self.threshold:.2f}"

    def as_json(self) -> dict[str, Any]:
        """Return the fields and the verdict by name; None for what is not a number."""
        fields = {name: None if _is_nan(value) else value for name, value in self.__dict__.items()}
        return {**fields, "verdict": self.verdict}


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


@dataclass(frozen=True, kw_only=True)
class Finding(Check):
    """One claim about a study, with its evidence: the interval is over seeds.

    Attributes:
        figure: the study that it was found in.
        seeds: how many runs, or groups of runs of one seed, the figure is a mean over.
        sentence: what was found, in words.
        needed: with fewer seeds than this, nothing is decided.
    """

    figure: str
    seeds: int
    sentence: str
    needed: int = FEWEST_SEEDS

    @property
    def verdict(self) -> Verdict:
        """As for one network, but undecided where there are too few seeds."""
        return super().verdict if self.seeds >= self.needed else "undecided"


class ClaimRow(NamedTuple):
    """A claim as the cells of a table; value and interval are empty where nothing was measured."""

    id: str
    claim: str
    value: str
    interval: str
    asked: str
    verdict: Verdict


def claim_rows(checks: Iterable[Check]) -> list[ClaimRow]:
    """Return claims as rows of text; the interval of a study's claim is followed by the number of seeds."""
    rows = []
    for check in checks:
        value = interval = ""
        if not math.isnan(check.value):
            seeds = f" ({check.seeds})" if isinstance(check, Finding) else ""
            value, interval = f"{check.value:.3f}", f"{check.low:.3f} .. {check.high:.3f}{seeds}"
        rows.append(ClaimRow(check.id, check.claim, value, interval, check.asked, check.verdict))
    return rows


Judge: TypeAlias = "Callable[[Tables], list[Finding]]"
"""Checks claims on the tables of a study, and on nothing else."""
