"""How judges tell what they found."""

import math

from iterhead.estimates import Estimate
from iterhead.studies.claims import Bound, Finding
from iterhead.studies.tables import Tables


def found(
    tables: Tables,
    id_: str,
    claim: str,
    estimate: Estimate,
    threshold: float,
    sentence: str,
    *,
    bound: Bound = "at least",
    needed: int | None = None,
) -> Finding:
    """Return a finding.

    Args:
        tables: that it was found in.
        id_: of the claim.
        claim: as the paper has it.
        estimate: what was found.
        threshold: what is asked of it.
        sentence: what the figure is, with `{value}` and `{range}` where they are to stand; they are told only where
            there is a figure.
        bound: which side of the threshold.
        needed: seeds, unless the usual number.
    """
    told = (
        "Nothing to decide it by was measured."
        if math.isnan(estimate.value)
        else sentence.format(value=number(estimate.value), range=f"{number(estimate.low)} to {number(estimate.high)}")
    )
    extra = {} if needed is None else {"needed": needed}
    return Finding(
        id_,
        claim,
        estimate.value,
        estimate.low,
        estimate.high,
        threshold,
        bound,
        figure=tables.study,
        seeds=estimate.n,
        sentence=told,
        **extra,
    )


def number(value: float) -> str:
    """Return a figure with two digits behind the point; infinity in words."""
    return "beyond all bounds" if math.isinf(value) else f"{value:.2f}"
