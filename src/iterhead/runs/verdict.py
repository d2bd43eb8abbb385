"""What became of a run, in plain words.

In sentences layers and heads count from 1, as in the paper, so that `layer 2, head 1` is `blocks.1`, head 0 in Python,
in JSON and in the table of measurements, which count from 0.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from iterhead.measure import HELD_FOR, Scores, has_emerged, headline_lengths, is_peaked_and_right
from iterhead.measure.emergence import EMERGED_ACCURACY, EMERGED_PEAKINESS
from iterhead.measure.records import Head
from iterhead.runs.run import Run

Outcome: TypeAlias = Literal[
    "interrupted", "diverged", "emerged", "not held", "solved", "another circuit", "learnt in part", "not learnt"
]
"""In one or two words. `solved`: where no iteration head is defined, without chain of thought."""

NEAR_GUESSING = 0.05
"""A mean accuracy that is higher than guessing by less than this counts as nothing learnt."""


def outcome(run: Run) -> Outcome:
    """Return what became of a run, in one or two words."""
    state = run.status.state
    if state != "finished":
        return "interrupted" if state == "running" else "diverged"
    scores = run.scores
    if scores.accuracy < EMERGED_ACCURACY:
        return "not learnt" if scores.accuracy < guessing(run) + NEAR_GUESSING else "learnt in part"
    if scores.second_peakiness is None:
        return "solved"
    if scores.second_peakiness < EMERGED_PEAKINESS:
        return "another circuit"
    return "emerged" if run.status.emerged else "not held"


def verdict(run: Run) -> str:
    """Return what became of a run, as a paragraph for a newcomer; nothing is claimed that the scores do not show."""
    told = outcome(run)
    if told == "diverged":
        return f"The training diverged: {run.status.message}."
    if told == "interrupted":
        limit = run.config.training.epochs
        return f"The run is not finished: {counted(run.status.epoch, 'epoch')} of at most {limit:,} are done."
    scores = run.scores
    sentences = {
        "emerged": [_emergence(run), _first_head(scores), _solved(run)],
        "not held": [_not_held(), _second_head(scores), _first_head(scores), _solved(run)],
        "another circuit": [_other_circuit(run), _second_head(scores), _mass(scores), _solved(run)],
        "solved": [_solved(run), _no_chain(run)],
        "learnt in part": [_in_part(run), _by_length(scores), _second_head(scores), _no_chain(run), _lost(run)],
        "not learnt": [_nothing_learnt(run), _second_head(scores), _no_chain(run), _lost(run)],
    }[told]
    return " ".join(filter(None, [*sentences, _one_layer(run)]))


def emergence_epoch(run: Run) -> int | None:
    """Return the first epoch whose evaluation and the next ones showed the head; None if it never held so long."""
    trained = [(epoch, scores) for epoch, scores in run.history.items() if epoch > 0]
    for end in range(HELD_FOR, len(trained) + 1):
        if has_emerged([scores for _, scores in trained[:end]]):
            return trained[end - HELD_FOR][0]
    return None


def guessing(run: Run) -> float:
    """Return the accuracy of values drawn at random, as a mean over the headline lengths."""
    data, task = run.config.data, run.config.iterative_task
    lengths = headline_lengths(list(data.lengths))
    shares = [
        weight * float(part.alphabet) ** -data.layout(length).written
        for length in lengths
        for part, weight in zip(task.components, task.weights, strict=True)
    ]
    return sum(shares) / len(lengths)


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal, rounded down: 100% means all, 0% none."""
    if share in (0, 1):
        return f"{share:.0%}"
    tenths = int(share * 1000)
    return f"{tenths / 10:.1f}%" if tenths else "under 0.1%"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in the right form, e.g. `1 epoch`, `1,024 epochs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def named(head: Head) -> str:
    """Return the words for a head, counted from 1."""
    layer, index = head
    return f"layer {layer + 1}, head {index + 1}"


def _emergence(run: Run) -> str:
    epoch = emergence_epoch(run)
    # It had emerged by now, but an evaluation in between may have been missed by the three that must hold.
    when = f"after {counted(epoch, 'epoch')}" if epoch else "at the end"
    first, *rest = _second_head(run.scores)
    return f"The iteration head emerged {when}: {first.lower()}{''.join(rest)}"


def _not_held() -> str:
    return (
        f"An iteration head shows at the end, but it has not held for {HELD_FOR} evaluations in a row, "
        "so it does not count as emerged yet: train longer."
    )


def _other_circuit(run: Run) -> str:
    names = {part.name for part in run.config.iterative_task.components}
    known = ", as networks often do on parity and copy" if names <= {"parity", "copy"} else ""
    return f"The task is solved, but not by an iteration head: the network found another circuit{known}."


def _in_part(run: Run) -> str:
    return f"The task is learnt in part: {_score_sentence(run)}"


def _nothing_learnt(run: Run) -> str:
    return (
        f"The task is not learnt: {_score_sentence(run)} Guessing would reach {percent(guessing(run))} on average over "
        "the lengths that count."
    )


def _second_head(scores: Scores) -> str:
    if scores.best_pair is None or scores.second_peakiness is None:
        return ""
    head = named(scores.best_pair[1])
    share = percent(scores.second_peakiness)
    return f"{head.capitalize()} looks at x_t when it writes s_t in {share} of cases (second peakiness)."


def _first_head(scores: Scores) -> str:
    if scores.best_pair is None or scores.first_peakiness is None:
        return ""
    head = named(scores.best_pair[0])
    return f"{head.capitalize()} finds the end of the input in {percent(scores.first_peakiness)} (first peakiness)."


def _mass(scores: Scores) -> str:
    if scores.second_mass is None:
        return ""
    return f"All heads together put {scores.second_mass:.2f} of an attention on x_t, where 1 would be all of one head."


def _solved(run: Run) -> str:
    return _score_sentence(run, start="The network")


def _score_sentence(run: Run, start: str = "the network") -> str:
    """Return how many of all test sequences are right, and where these come from."""
    scores = run.scores
    counts = {length: len(run.dataset.test[length]) for length in scores.accuracy_by_length}
    total = sum(counts.values())
    right = sum(round(share * counts[length]) for length, share in scores.accuracy_by_length.items())
    origin = "never seen in training" if run.config.data.split == "disjoint" else "drawn like those of the training"
    return (
        f"{start} solves {percent(right / total)} of {total:,} test sequences {origin} "
        f"({lengths_text(list(counts))})."
    )


def lengths_text(lengths: Sequence[int]) -> str:
    """Return e.g. `lengths 1 to 16`, or `length 8`."""
    return f"length {lengths[0]}" if len(lengths) == 1 else f"lengths {lengths[0]} to {lengths[-1]}"


def _by_length(scores: Scores) -> str:
    """Return which lengths are solved, and which is the worst."""
    by_length: Mapping[int, float] = scores.accuracy_by_length
    if len(by_length) == 1:
        return ""
    solved = [length for length, share in by_length.items() if share >= EMERGED_ACCURACY]
    worst = min(by_length, key=lambda length: by_length[length])
    good = f"{len(solved)} of {len(by_length)} lengths are solved" if solved else "No length is solved"
    return f"{good}; the worst is {worst}, at {percent(by_length[worst])}."


def _no_chain(run: Run) -> str:
    return "" if run.config.data.cot else "Without a chain of thought there is no iteration head to look for."


def _one_layer(run: Run) -> str:
    if run.config.model.layers > 1 or not run.config.data.cot:
        return ""
    return (
        "The network has one layer, so no earlier head can tell this one where the input ends: "
        "it is no iteration head in the paper's sense."
    )


def _lost(run: Run) -> str:
    """Return that a head had been there before the end, if so."""
    shown = [epoch for epoch, scores in run.history.items() if epoch > 0 and is_peaked_and_right(scores)]
    return f"An iteration head had shown at epoch {shown[-1]:,} and was lost." if shown else ""
