"""From scores and interventions to one word and one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iterhead.criteria import CAUSAL_MARGIN, GUESSING_MARGIN, MAIN_TARGET_WEIGHT
from iterhead.estimates import bootstrap_interval
from iterhead.formatting import head_label, percent
from iterhead.measure.records import Head
from iterhead.scans.causal import MEAN_ABLATION, SHIFTED, Outcome
from iterhead.scans.result import Behaviour, HeadScore, Verdict


@dataclass(frozen=True)
class Evidence:
    """The interventions on some heads, each with what it does to random heads.

    Attributes:
        heads: that are changed together.
        changed: the outcomes by intervention.
        controls: the same for random heads of the same layers, as means over draws; for the model as it is where the
            layers have no other heads.
    """

    heads: tuple[Head, ...]
    changed: Mapping[str, Outcome]
    controls: Mapping[str, Outcome]

    @property
    def is_needed(self) -> bool:
        """Whether removing the heads costs more right answers than removing random ones."""
        changed, control = self.changed[MEAN_ABLATION], self.controls[MEAN_ABLATION]
        return _exceeds(np.subtract(control.accuracy, changed.accuracy).tolist())

    @property
    def is_followed(self) -> bool:
        """Whether the answers follow the heads to another input, more than they follow random heads."""
        if SHIFTED not in self.changed:
            return False
        pairs = zip(self.changed[SHIFTED].follows, self.controls[SHIFTED].follows, strict=True)
        return _exceeds([a - b for a, b in pairs if a is not None and b is not None])

    def __str__(self) -> str:
        """Return what the interventions showed."""
        accuracy = float(np.mean(self.changed[MEAN_ABLATION].accuracy))
        without = float(np.mean(self.controls[MEAN_ABLATION].accuracy))
        output = "its output" if len(self.heads) == 1 else f"the output of the {len(self.heads)} best heads"
        texts = [
            f"with the mean in place of {output} {percent(accuracy)} of the answers are right, not {percent(without)}"
        ]
        shifted = self.changed[SHIFTED].follows if SHIFTED in self.changed else []
        if follows := [share for share in shifted if share is not None]:
            texts.append(
                f"pointed at x_{{t+1}}, {percent(float(np.mean(follows)))} of them follow F(s_{{t-1}}, x_{{t+1}})"
            )
        return "; ".join(texts)


def _exceeds(differences: Sequence[float]) -> bool:
    return bool(differences) and bootstrap_interval(differences)[0] > CAUSAL_MARGIN


def does_task(behaviour: Behaviour) -> bool:
    """Return whether the model does the task clearly better than by guessing without x_t."""
    return behaviour.teacher_forced_interval[0] > behaviour.guess + GUESSING_MARGIN


def is_iteration_head(best: HeadScore, tested: Evidence) -> bool:
    """Return whether the best head looks mainly at x_t, more than by chance, and the answers depend on it."""
    is_main = best.weight > MAIN_TARGET_WEIGHT
    return best.significant and is_main and (tested.is_needed or tested.is_followed)


def decide(
    behaviour: Behaviour,
    best: HeadScore,
    tested: Evidence | None,
    competitors: Mapping[str, tuple[float, Evidence]],
) -> tuple[Verdict, str]:
    """Return the verdict and its sentence.

    Args:
        behaviour: how well the model does the task.
        best: the head with the highest score in the iteration role.
        tested: the interventions on the significant heads or, without any, on the best one; None if the task is not
            done.
        competitors: for each competing key the head with the most weight on it, if that is enough: the weight, and the
            interventions on it.
    """
    right = f"{percent(behaviour.teacher_forced)} of the states are right"
    if tested is None:
        guess = f"the best guess without x_t gets {percent(behaviour.guess)}"
        return "task-not-done", f"The model does not do the task: {right}, and {guess}."
    where = head_label(best.place)
    looks = (
        f"{where} has {best.weight:.2f} of its weight on x_t, {best.score:.2f} more than on the best competing key "
        f"({best.competing}; p = {best.p:.3f})"
    )
    if is_iteration_head(best, tested):
        return "iteration-head", f"Iteration head: {looks}; {tested}."
    mattering = {key: found for key, found in competitors.items() if found[1].is_needed}
    if mattering:
        key, (weight, evidence) = max(mattering.items(), key=lambda item: _cost(item[1][1]))
        label = head_label(evidence.heads[0])
        return (
            "competing-head",
            f"A competing head: {right}, but {label} has {weight:.2f} of its weight on another key ({key}) than x_t, "
            f"and {evidence}. No head shows itself as an iteration head.",
        )
    if best.significant and (tested.is_needed or tested.is_followed):
        return "none", f"No iteration head, but a head that helps: {looks}, which is less than half; {tested}."
    if best.significant:
        return "none", f"No iteration head: {looks}, but the answers hardly depend on it: {tested}."
    return "none", f"No iteration head: {right}, and no head is significant; the best, {looks}."


def _cost(evidence: Evidence) -> float:
    return float(np.mean(evidence.controls[MEAN_ABLATION].accuracy) - np.mean(evidence.changed[MEAN_ABLATION].accuracy))
