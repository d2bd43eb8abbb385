"""What a scan finds, as a value that is stored and read back: `result.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from iterhead.contents import STRICT

Verdict = Literal["iteration-head", "competing-head", "none", "task-not-done"]
Role = Literal["iteration", "first"]
"""iteration: from the token that writes s_t to x_t. first: from the written states to the end of the input."""

ROLES: tuple[Role, ...] = ("iteration", "first")

Interval = tuple[float, float]


@dataclass(frozen=True)
class Behaviour:
    """How well the model does the task.

    Attributes:
        teacher_forced: share of states whose tokens are all the most likely ones, given the right text before.
        teacher_forced_interval: 95%, over prompts.
        free: share of right states when the model writes the whole chain; None in forms with text between the states.
        free_interval: 95%, over prompts.
        guess: the share that the best guess gets which knows s_{t-1} but not x_t.
        by_length: teacher_forced and free for each length.
    """

    __pydantic_config__ = STRICT
    teacher_forced: float
    teacher_forced_interval: Interval
    free: float | None
    free_interval: Interval | None
    guess: float
    by_length: Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class HeadScore:
    """How well one head plays one role.

    Attributes:
        layer, head: counted from 0.
        role: which role.
        score: mean weight on the role's key less that on the best competing key, -1 .. 1; at most 0 if the prompts
            cannot tell the two apart.
        low, high: its 95% interval over prompts.
        competing: the best competing key, e.g. `previous token`.
        p: the larger of two p-values, each by a maximum statistic over all heads of the model: that the pairing of
            queries and keys does not matter, and that the score is at most 0.
        weight: mean weight on the role's key.
        peakiness: share of queries that give it more than half their weight.
        significant: whether p is small and `low` above 0.
    """

    __pydantic_config__ = STRICT
    layer: int
    head: int
    role: Role
    score: float
    low: float
    high: float
    competing: str
    p: float
    weight: float
    peakiness: float
    significant: bool

    @property
    def place(self) -> tuple[int, int]:
        """Layer and head."""
        return self.layer, self.head


@dataclass(frozen=True)
class CausalRow:
    """What the model answers under an intervention.

    Attributes:
        intervention: in words.
        heads: the heads (layer, head) that it changes; empty for edits of the text, and for random heads, which differ
            from draw to draw.
        accuracy: share of steps whose first token is still the right one.
        follows: share of steps whose first token is that of the counterfactual answer, among those where it differs
            from the right one; None where there is no such answer.
        low, high: 95% interval over prompts of `follows`, or of `accuracy` where that is None.
    """

    __pydantic_config__ = STRICT
    intervention: str
    heads: tuple[tuple[int, int], ...]
    accuracy: float
    follows: float | None
    low: float
    high: float


@dataclass(frozen=True)
class ScanResult:
    """The result of a scan.

    Attributes:
        verdict: one of four words.
        sentence: the verdict in words, with its evidence.
        behaviour: how well the model does the task.
        heads: every head in both roles, best score first.
        causal: the interventions.
        model: name, class, layers, heads, and a digest of the weights.
        settings: as `ScanConfig`, with lengths and tokens resolved.
        notes: what the reader should know about the method in this case.
        answers: the first tokens that the model answers under each intervention, on the first prompt of each length.
        folder: where all of it is stored; not part of the JSON.
    """

    __pydantic_config__ = STRICT
    verdict: Verdict
    sentence: str
    behaviour: Behaviour
    heads: tuple[HeadScore, ...]
    causal: tuple[CausalRow, ...]
    model: Mapping[str, Any]
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    answers: Mapping[str, Mapping[str, list[int]]] = field(default_factory=dict)
    folder: str = field(default="", compare=False)

    def best(self, role: Role) -> HeadScore:
        """Return the head with the highest score in a role."""
        return next(score for score in self.heads if score.role == role)

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        values = asdict(self)
        del values["folder"]
        return values
