"""What became of a run, in plain words.

In sentences layers and heads count from 1, as in the paper, so that `layer 2, head 1` is `blocks.1`, head 0 in Python,
in JSON and in the table of measurements, which count from 0.
"""

from typing import Literal, TypeAlias

from iterhead.criteria import EMERGED_ACCURACY, EMERGED_EVALUATIONS, EMERGED_PEAKINESS, GUESSING_MARGIN
from iterhead.formatting import head_label, length_range, percent, plural
from iterhead.measure import Scores, emergence_epoch, headline_lengths, is_peaked_and_right
from iterhead.runs.run import Run

Outcome: TypeAlias = Literal[
    "interrupted", "diverged", "emerged", "not held", "solved", "another circuit", "learnt in part", "not learnt"
]
"""In one or two words. `solved`: where no iteration head is defined, without chain of thought."""


def outcome(run: Run) -> Outcome:
    """Return what became of a run, in one or two words."""
    status = run.status
    if status.state != "finished":
        return "interrupted" if status.state == "running" else "diverged"
    if status.emerged:
        return "emerged"
    scores = run.scores
    if scores.accuracy < EMERGED_ACCURACY:
        return "not learnt" if scores.accuracy < guessing(run) + GUESSING_MARGIN else "learnt in part"
    if scores.second_peakiness is None:
        return "solved"
    return "another circuit" if scores.second_peakiness < EMERGED_PEAKINESS else "not held"


def verdict(run: Run) -> str:
    """Return what became of a run, as a paragraph for a newcomer; nothing is claimed that the scores do not show."""
    return " ".join(sentences(run))


def sentences(run: Run) -> list[str]:
    """Return the sentences of `verdict`, the most important first."""
    return [sentence for sentence in _sentences(run) if sentence]


def _sentences(run: Run) -> list[str]:
    told = outcome(run)
    if told == "diverged":
        return [f"The training diverged: {run.status.message}."]
    if told == "interrupted":
        done, limit = plural(run.status.epoch, "epoch"), run.config.training.epochs
        return [f"The run is not finished: {done} of at most {limit:,} done."]
    scores = run.scores
    match told:
        case "emerged":
            return [_emergence(run), _first_head(scores), _solves(run), _one_layer(run)]
        case "not held":
            return [_not_held(), _second_head(scores), _first_head(scores), _solves(run), _one_layer(run)]
        case "another circuit":
            return [_other_circuit(run), _second_head(scores), _mass(scores), _solves(run)]
        case "solved":
            return ["The task is solved without a chain of thought.", _solves(run), _NO_CHAIN]
        case "learnt in part":
            start = "The task is learnt in part."
            return [start, _solves(run), _worst_length(scores), _no_head(scores), _lost(run)]
        case "not learnt":
            return ["The task is not learnt.", _solves(run), _guess(run), _no_head(scores), _lost(run)]


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


_NO_CHAIN = "Iteration heads are defined only with one, so there is none to look for."


def _emergence(run: Run) -> str:
    epoch, scores = emergence_epoch(run.history), run.scores
    assert scores.best_pair is not None, "a head emerges only where heads are scored"
    assert scores.second_peakiness is not None
    when = f"after {plural(epoch, 'epoch')}" if epoch else "at the end"
    what = "The iteration head" if run.config.model.layers > 1 else "A head with the pattern of an iteration head"
    return f"{what} emerged {when}: {head_label(scores.best_pair[1])} {_looks(scores.second_peakiness)}."


def _not_held() -> str:
    held = f"it has not held for {EMERGED_EVALUATIONS} evaluations in a row"
    return f"An iteration head shows at the end, but {held}, so it does not count as emerged: train longer."


def _other_circuit(run: Run) -> str:
    names = {part.name for part in run.config.iterative_task.components}
    known = ", as networks often do on parity and copy" if names <= {"parity", "copy"} else ""
    return f"The task is solved, but not by an iteration head: the network found another circuit{known}."


def _second_head(scores: Scores) -> str:
    if scores.best_pair is None or scores.second_peakiness is None:
        return ""
    head = head_label(scores.best_pair[1]).capitalize()
    return f"{head} comes nearest to one: it {_looks(scores.second_peakiness)}."


def _no_head(scores: Scores) -> str:
    """Return whether a head is there all the same, which leaves only F to be learnt."""
    second = _second_head(scores)
    there = scores.second_peakiness is not None and scores.second_peakiness >= EMERGED_PEAKINESS
    return f"{'An' if there else 'No'} iteration head is there. {second}" if second else ""


def _looks(share: float) -> str:
    return f"looks at x_t when it writes s_t in {percent(share)} of cases"


def _first_head(scores: Scores) -> str:
    if scores.best_pair is None or scores.first_peakiness is None:
        return ""
    head, share = head_label(scores.best_pair[0]), percent(scores.first_peakiness)
    return f"Before it, {head} looks at EoI, the end of the input, in {share} of cases."


def _mass(scores: Scores) -> str:
    if scores.second_mass is None:
        return ""
    return f"The weight on x_t, summed over all heads, is {scores.second_mass:.2f} (one head alone can give 1)."


def _solves(run: Run) -> str:
    """Return how many of the test sequences are right, and where these come from."""
    by_length = run.scores.accuracy_by_length
    counts = {length: len(run.dataset.test[length]) for length in by_length}
    total = sum(counts.values())
    right = sum(round(share * counts[length]) for length, share in by_length.items())
    disjoint = run.config.data.split == "disjoint"
    origin = "never seen in training" if disjoint else "drawn as the training ones were, which hold some of them"
    lengths = length_range(list(counts))
    return f"The network solves {percent(right / total)} of {total:,} test sequences {origin} ({lengths})."


def _guess(run: Run) -> str:
    lengths = headline_lengths(list(run.config.data.lengths))
    return (
        f"On {length_range(lengths)} its mean accuracy is {percent(run.scores.accuracy)}; "
        f"guessing gives {percent(guessing(run))}."
    )


def _worst_length(scores: Scores) -> str:
    by_length = scores.accuracy_by_length
    if len(by_length) == 1:
        return ""
    solved = sum(share >= EMERGED_ACCURACY for share in by_length.values())
    worst = min(by_length, key=lambda length: by_length[length])
    return (
        f"{solved} of {plural(len(by_length), 'length')} are solved; worst is {worst}, at {percent(by_length[worst])}."
    )


def _one_layer(run: Run) -> str:
    if run.config.model.layers > 1:
        return ""
    return (
        "The network has one layer, so no earlier head told this one where the input ends, as in the paper's circuit."
    )


def _lost(run: Run) -> str:
    """Return that a head had been there before the end, if so."""
    shown = [epoch for epoch, scores in run.history.items() if epoch > 0 and is_peaked_and_right(scores)]
    return f"An iteration head had shown at epoch {shown[-1]:,} and was lost." if shown else ""
