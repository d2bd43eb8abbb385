"""Claims and their evidence: checks of one network, and findings of a study over seeds."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeAlias

from iterhead.criteria import FEWEST_SEEDS
from iterhead.estimates import NO_ESTIMATE, Estimate
from iterhead.formatting import finite_or_none

if TYPE_CHECKING:
    from iterhead.studies.tables import Tables

Verdict: TypeAlias = Literal["holds", "does not hold", "undecided"]

Bound: TypeAlias = Literal["at least", "more than", "at most"]

SIGNS: dict[Bound, str] = {"at least": ">=", "more than": ">", "at most": "<="}


@dataclass(frozen=True)
class Check:
    """One claim about a network, or one part of it, with its evidence.

    The claim asks that the value is at least, more than or at most the threshold, as `bound` says.
    """

    id: str  # number in docs/claims.md, and a letter for its part
    claim: str  # one sentence
    value: float
    low: float  # of the 95% interval of the value, over sequences
    high: float
    threshold: float
    bound: Bound = "at least"

    @property
    def verdict(self) -> Verdict:
        """Holds or does not hold if the whole interval is on one side of the threshold; undecided otherwise."""
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
        """Return the fields and the verdict by name; None for a value that is not finite."""
        fields = {
            name: finite_or_none(value) if isinstance(value, float) else value for name, value in vars(self).items()
        }
        return {**fields, "verdict": self.verdict}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Return what `as_json` gave; what is None was infinite, or nan if nothing was measured."""
        unmeasured = fields["value"] is None and not fields.get("seeds")
        missing = math.nan if unmeasured else math.inf
        own = {name: fields[name] for name in cls.__dataclass_fields__}
        values: dict[str, Any] = {name: missing if value is None else value for name, value in own.items()}
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Finding(Check):
    """One claim about a study, with its evidence; the interval is over seeds."""

    figure: str = ""  # the name of the study
    seeds: int  # number of runs, or groups of runs of one seed, behind the value
    sentence: str  # the evidence in words
    needed: int = FEWEST_SEEDS  # with fewer seeds than this, nothing is decided

    @property
    def verdict(self) -> Verdict:
        """As for one network, but undecided if there are too few seeds."""
        return super().verdict if self.seeds >= self.needed else "undecided"


CheckClaims: TypeAlias = "Callable[[Tables], list[Finding]]"
"""Checks claims on the tables of a study, and on nothing else; most are made by `claim`."""

Evidence: TypeAlias = tuple[Estimate, str]
"""What was measured, and a sentence about it with `{value}` and `{range}` where the numbers go."""


def claim(
    id_: str, text: str, bound: Bound, threshold: float, *, needed: int = FEWEST_SEEDS
) -> "Callable[[Callable[[Tables], Evidence]], CheckClaims]":
    """Make the decorated function, which measures the value of a claim, one that checks it; see `Finding`."""

    def decorate(measure: "Callable[[Tables], Evidence]") -> CheckClaims:
        def check(tables: "Tables") -> "list[Finding]":
            evidence = measure(tables) if tables.frames else (NO_ESTIMATE, "")
            return [finding(id_, text, bound, threshold, *evidence, needed)]

        return check

    return decorate


def finding(
    id_: str, text: str, bound: Bound, threshold: float, estimate: Estimate, sentence: str, needed: int = FEWEST_SEEDS
) -> Finding:
    """Return a claim with its evidence."""
    if math.isnan(estimate.value):
        sentence = "Nothing to decide it by was measured."
    else:
        span = f"{two_digits(estimate.low)} to {two_digits(estimate.high)}"
        sentence = sentence.format(value=two_digits(estimate.value), range=span)
    check = (id_, text, estimate.value, estimate.low, estimate.high, threshold, bound)
    return Finding(*check, seeds=estimate.n, sentence=sentence, needed=needed)


def two_digits(value: float) -> str:
    """Return a value with two decimals; infinity in words."""
    return "beyond all bounds" if math.isinf(value) else f"{value:.2f}"


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
