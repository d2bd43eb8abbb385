"""What a checked claim is."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Verdict: TypeAlias = Literal["holds", "does not hold", "undecided"]


@dataclass(frozen=True)
class Check:
    """One claim about a network, or one part of it, with its evidence.

    Attributes:
        id: number of the claim in the list of docs/claims.md, and a letter for its part.
        claim: one sentence.
        value: the figure that decides.
        low, high: its 95% interval, over sequences.
        threshold: what the claim asks of the figure.
        bound: whether the figure must be at least or at most the threshold.
    """

    id: str
    claim: str
    value: float
    low: float
    high: float
    threshold: float
    bound: Literal["at least", "at most"] = "at least"

    @property
    def verdict(self) -> Verdict:
        """Holds, or does not, if the whole interval is on one side of the threshold; else undecided."""
        if self.bound == "at least":
            holds, fails = self.low >= self.threshold, self.high < self.threshold
        else:
            holds, fails = self.high <= self.threshold, self.low > self.threshold
        return "holds" if holds else "does not hold" if fails else "undecided"

    def as_json(self) -> dict[str, Any]:
        """Return the fields and the verdict by name."""
        return {**self.__dict__, "verdict": self.verdict}
