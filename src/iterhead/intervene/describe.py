"""A network's circuit in plain words, from the kinds of its heads; layers and heads counted from 1, as in the paper."""

from collections.abc import Sequence

from iterhead.criteria import MAIN_TARGET_WEIGHT, SHARED_ROLE_WEIGHT, SOLVED_ACCURACY
from iterhead.errors import UserError, nearest
from iterhead.intervene.circuit import PLACES, HeadKind
from iterhead.measure import Head

_SCORES = {"first": "eoi", "second": "iteration"}
"""The score that tells how much a head plays each role of `measure.ROLES`."""

_PLACES = {
    "eoi": "EoI",
    "iteration": "x_t",
    "previous": "the token before",
    "self": "itself",
    "first": "the first token",
    "offset": "a fixed distance back",
}


def role_spread(kinds: Sequence[HeadKind], role: str) -> dict[Head, float]:
    """Return the mean weight that each head puts on a role's ideal keys; their sum is the role's mass (claim 18).

    Args:
        kinds: from `classify_heads`.
        role: "first" (EoI) or "second" (x_t).

    Raises:
        UserError: for another role.
    """
    if role not in _SCORES:
        raise UserError(f"role={role!r}: expected one of {', '.join(_SCORES)}{nearest(role, _SCORES)}")
    return {(kind.layer, kind.head): kind.scores[_SCORES[role]] for kind in kinds}


def describe_circuit(kinds: Sequence[HeadKind], accuracy: float | None = None) -> str:
    """Return what kind of circuit a network has, as one sentence.

    `iteration head: layer 2, head 1; layer 1, head 1 is an EoI finder`, or, say,
    `solves the task without an iteration head: layer 1, head 1 is an EoI finder; layer 2, head 1 is strided`.

    Args:
        kinds: from `classify_heads`.
        accuracy: exact match, 0 .. 1, to say whether the task is solved (from 0.95 on); None says nothing of it.
    """
    heads = [kind for kind in kinds if kind.kind == PLACES["iteration"]]
    rest = "; ".join(_told(kind) for kind in kinds if kind not in heads)
    if heads:
        what = f"iteration head{'s' if len(heads) > 1 else ''}: {', '.join(kind.name for kind in heads)}"
    else:
        what = _without(kinds)
    if accuracy is not None and accuracy < SOLVED_ACCURACY:
        what = f"does not solve the task (accuracy {accuracy:.2f}); {what}"
    elif accuracy is not None and not heads:
        what = f"solves the task {what}"
    separator = "; " if heads else ": "
    return f"{what}{separator}{rest}" if rest else what


def _without(kinds: Sequence[HeadKind]) -> str:
    """Return `without an iteration head`, and who shares its role if most of it is played by several."""
    mass = sum(role_spread(kinds, "second").values())
    if mass <= MAIN_TARGET_WEIGHT:
        return "without an iteration head"
    sharing = [kind for kind in kinds if kind.scores["iteration"] >= SHARED_ROLE_WEIGHT]
    told = ", ".join(f"{kind.name} ({kind.scores['iteration']:.2f})" for kind in sharing)
    return f"without a single iteration head, its role (weight {mass:.2f} in all) spread over {told or 'all heads'}"


def _told(kind: HeadKind) -> str:
    """Return what one head does, e.g. `layer 1, head 1 is an EoI finder`."""
    scores = kind.scores
    match kind.kind:
        case "EoI finder":
            does = "is an EoI finder"
        case "strided":
            does = f"is strided ({(1 + scores['strided']) / 2:.0%} of its weight on every other position)"
        case "uniform":
            does = f"is uniform ({scores['keys']:.0f} keys a query)"
        case "fixed offset":
            does = f"looks back {scores['distance']:.0f} positions"
        case "other":
            place = max(_PLACES, key=lambda name: scores[name])
            does = f"is of no known kind (most weight: {scores[place]:.2f} on {_PLACES[place]})"
        case kind_of_token:
            does = f"looks at the {kind_of_token}"
    return f"{kind.name} {does}"
