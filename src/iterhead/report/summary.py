"""The outcome of a run in words.

Sentences count layers and heads from 1, as in the paper: `layer 2, head 1` is layer 1, head 0 in Python, in JSON and in
the table of measurements.
"""

from typing import Literal, TypeAlias

from iterhead.criteria import EMERGED_ACCURACY, EMERGED_EVALUATIONS, EMERGED_PEAKINESS, GUESSING_MARGIN
from iterhead.formatting import head_label, length_range, percent, plural
from iterhead.measure.accuracy import guessing
from iterhead.measure.emergence import emergence_epoch, is_peaked_and_right
from iterhead.measure.records import Scores, headline_lengths
from iterhead.runs.run import Run
from iterhead.tasks.catalogue import NotImportedError

Outcome: TypeAlias = Literal[
    "interrupted", "diverged", "emerged", "not held", "solved", "another circuit", "learnt in part", "not learnt"
]
"""`solved` is for runs without chain of thought, where no iteration head is defined. Scripts read these values."""


def outcome(run: Run) -> Outcome:
    """Return the outcome of a run in one or two words."""
    status = run.status
    if status.state != "finished":
        return "interrupted" if status.state == "running" else "diverged"
    if status.emerged:
        return "emerged"
    scores = run.scores
    if scores.accuracy < EMERGED_ACCURACY:
        return "not learnt" if scores.accuracy < _guessing(run) + GUESSING_MARGIN else "learnt in part"
    if scores.second_peakiness is None:
        return "solved"
    return "another circuit" if scores.second_peakiness < EMERGED_PEAKINESS else "not held"


def describe_outcome(run: Run) -> str:
    """Return the outcome of a run as a paragraph for a newcomer."""
    return " ".join(sentences(run))


def sentences(run: Run) -> list[str]:
    """Return the sentences of `describe_outcome`, the most important first."""
    result = outcome(run)
    if result == "diverged":
        return [f"The training diverged: {run.status.message}."]
    if result == "interrupted":
        done, limit = plural(run.status.epoch, "epoch"), run.config.training.epochs
        return [f"The run is not finished: {done} of at most {limit:,} done."]
    scores, solves = run.scores, _solves(run)
    match result:
        case "emerged":
            parts = [_emergence(run), _first_head(scores), solves, _one_layer(run)]
        case "not held":
            parts = [_NOT_STABLE, _second_head(scores), _first_head(scores), solves, _one_layer(run)]
        case "another circuit":
            mass = f"The weight on x_t, summed over all heads, is {scores.second_mass:.2f} (one head alone can give 1)."
            parts = [_other_circuit(run), _second_head(scores), mass, solves]
        case "solved":
            none = "Iteration heads are defined only with one, so there is none to look for."
            parts = ["The task is solved without a chain of thought.", solves, none]
        case "learnt in part":
            worst, lost = _worst_length(scores), _lost(run)
            parts = ["The task is partly learned.", solves, worst, _no_head(scores), lost]
        case "not learnt":
            parts = ["The task is not learned.", solves, _guess(run), _no_head(scores), _lost(run)]
    return [part for part in parts if part]


def _guessing(run: Run) -> float:
    """Return the accuracy of random values; NotImportedError for an old run with a user's own task."""
    noted = run.provenance.guessing if run.provenance else None
    return guessing(run.task, run.config.data) if noted is None else noted


_NOT_STABLE = (
    f"There is an iteration head at the end, but not yet in {EMERGED_EVALUATIONS} evaluations in a row, so it does not "
    "count as emerged: train longer."
)


def _emergence(run: Run) -> str:
    epoch, scores = emergence_epoch(run.history), run.scores
    assert scores.best_pair is not None, "a head emerges only where heads are scored"
    assert scores.second_peakiness is not None
    when = f"after {plural(epoch, 'epoch')}" if epoch else "at the end"
    what = "The iteration head" if run.config.model.layers > 1 else "A head with the pattern of an iteration head"
    return f"{what} emerged {when}: {head_label(scores.best_pair[1])} {_looks(scores.second_peakiness)}."


def _other_circuit(run: Run) -> str:
    try:
        names = {part.name for part in run.task.components}
    except NotImportedError:
        names = {run.config.task}
    hint = ", as networks often do on parity and copy" if names <= {"parity", "copy"} else ""
    return f"The task is solved, but not by an iteration head: the network found another circuit{hint}."


def _second_head(scores: Scores) -> str:
    if scores.best_pair is None or scores.second_peakiness is None:
        return ""
    head = head_label(scores.best_pair[1]).capitalize()
    return f"{head} comes closest to one: it {_looks(scores.second_peakiness)}."


def _no_head(scores: Scores) -> str:
    """Return whether there is an iteration head anyway, so that only F is left to learn."""
    second = _second_head(scores)
    exists = scores.second_peakiness is not None and scores.second_peakiness >= EMERGED_PEAKINESS
    return f"There is {'an' if exists else 'no'} iteration head. {second}" if second else ""


def _looks(share: float) -> str:
    return f"looks at x_t when it writes s_t in {percent(share)} of cases"


def _first_head(scores: Scores) -> str:
    if scores.best_pair is None or scores.first_peakiness is None:
        return ""
    head, share = head_label(scores.best_pair[0]), percent(scores.first_peakiness)
    return f"Before it, {head} looks at EoI, the end of the input, in {share} of cases."


def _solves(run: Run) -> str:
    """Return how many test sequences are right, and whether they were in the training data."""
    by_length = run.scores.accuracy_by_length
    try:
        test = run.dataset.test
    except NotImportedError:
        lengths = length_range(headline_lengths(list(by_length)))
        return f"Its mean accuracy is {percent(run.scores.accuracy)} ({lengths})."
    counts = {length: len(test[length]) for length in by_length}
    total = sum(counts.values())
    right = sum(round(share * counts[length]) for length, share in by_length.items())
    disjoint = run.config.data.split == "disjoint"
    origin = "never seen in training" if disjoint else "drawn like the training sequences, which include some of them"
    lengths = length_range(list(counts))
    return f"The network solves {percent(right / total)} of {total:,} test sequences {origin} ({lengths})."


def _worst_length(scores: Scores) -> str:
    by_length = scores.accuracy_by_length
    if len(by_length) == 1:
        return ""
    solved = sum(share >= EMERGED_ACCURACY for share in by_length.values())
    worst = min(by_length, key=lambda length: by_length[length])
    share = percent(by_length[worst])
    return f"{solved} of {plural(len(by_length), 'length')} are solved; the worst is {worst}, at {share}."


def _one_layer(run: Run) -> str:
    if run.config.model.layers > 1:
        return ""
    return "The network has one layer, so unlike in the paper's circuit no earlier head finds the end of the input."


def _guess(run: Run) -> str:
    lengths, accuracy = headline_lengths(list(run.config.data.lengths)), percent(run.scores.accuracy)
    return f"On {length_range(lengths)} its mean accuracy is {accuracy}; guessing gives {percent(_guessing(run))}."


def _lost(run: Run) -> str:
    """Return when an iteration head was last seen, if it was."""
    shown = [epoch for epoch, scores in run.history.items() if epoch > 0 and is_peaked_and_right(scores)]
    return f"There was an iteration head at epoch {shown[-1]:,}, but it was lost." if shown else ""
