"""What is said of a run, for every way that it can end."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from iterhead.formatting import percent
from iterhead.measure.accuracy import guessing
from iterhead.measure.records import Scores
from iterhead.report.summary import describe_outcome, emergence_epoch, outcome
from iterhead.runs.notes import Status
from iterhead.settings import DataConfig, ModelConfig, RunConfig
from iterhead.tasks import task

FINISHED = Status("finished", 8, False, 1, 1.0, 2.0)
CONFIG = RunConfig(data=DataConfig(max_length=5))


def scores(accuracy: float, second: float | None, **changes) -> Scores:
    """Lengths 1 to 5 with 100 test sequences each; the headline is the mean of lengths 4 and 5."""
    by_length = dict.fromkeys((1, 2, 3, 4), 1.0) | {5: 2 * accuracy - 1}
    heads = {} if second is None else {"first_peakiness": 0.871, "second_peakiness": second, "second_mass": 1.25}
    pair = None if second is None else ((0, 2), (1, 0))
    return replace(Scores(accuracy, by_length, 1.0, pair, **heads), **changes)


def run(final: Scores, past: list[Scores] = (), config: RunConfig = CONFIG, **status) -> SimpleNamespace:
    return SimpleNamespace(
        provenance=None,
        config=config,
        task=config.iterative_task,
        status=replace(FINISHED, **status),
        scores=final,
        history=dict(enumerate([scores(0.5, 0.0), *past])),
        dataset=SimpleNamespace(provenance=None, test={length: range(100) for length in final.accuracy_by_length}),
    )


NO, YES = scores(0.9, 0.5), scores(1.0, 0.96)


def test_emerged():
    found = run(scores(1.0, 0.9967), [NO, NO, YES, YES, YES], emerged=True)
    assert outcome(found) == "emerged"
    assert describe_outcome(found) == (
        "The iteration head emerged after 3 epochs: layer 2, head 1 looks at x_t when it writes s_t in 99.6% of cases. "
        "Before it, layer 1, head 3 looks at EoI, the end of the input, in 87.1% of cases. "
        "The network solves 100% of 500 test sequences never seen in training (lengths 1 to 5)."
    )


def test_emergence_needs_three_in_a_row():
    assert emergence_epoch(run(YES, [YES, YES, NO, YES, YES]).history) is None
    assert emergence_epoch(run(YES, [YES, YES, NO, YES, YES, YES, NO]).history) == 4


def test_the_untrained_network_does_not_count():
    found = run(YES, [YES, YES])
    found.history[0] = YES
    assert emergence_epoch(found.history) is None


def test_not_stable():
    found = run(YES, [NO, YES, YES])
    assert outcome(found) == "not held"
    assert "not yet in 3 evaluations in a row" in describe_outcome(found)
    assert "emerged after" not in describe_outcome(found)


@pytest.mark.parametrize(("task", "known"), [("parity", True), ("copy", True), ("polynomial", False)])
def test_another_circuit(task, known):
    found = run(scores(1.0, 0.21), config=CONFIG.model_copy(update={"task": task}))
    assert outcome(found) == "another circuit"
    text = describe_outcome(found)
    assert text.startswith("The task is solved, but not by an iteration head: the network found another circuit")
    assert "layer 2, head 1".capitalize() + " comes closest to one: it looks at x_t when it writes s_t in 21%" in text
    assert "summed over all heads, is 1.25" in text
    assert ("as networks often do on parity and copy" in text) is known


def test_partly_learned():
    # by length 1, 1, 1, 1 and 0.5: headline 0.75, and 450 of 500 sequences
    found = run(scores(0.75, 0.6), [NO, YES, NO])
    assert outcome(found) == "learnt in part"
    text = describe_outcome(found)
    assert "solves 90% of 500" in text
    assert "4 of 5 lengths are solved; the worst is 5, at 50%." in text
    assert "There is no iteration head." in text
    assert text.endswith("There was an iteration head at epoch 2, but it was lost.")


def test_a_head_without_the_function():
    assert "There is an iteration head. Layer 2, head 1" in describe_outcome(run(scores(0.75, 0.97)))


def test_not_learned():
    nothing = dict.fromkeys(range(1, 6), 0.0)
    found = run(scores(0.0, 0.1, accuracy_by_length=nothing))
    assert outcome(found) == "not learnt"
    assert "solves 0% of 500" in describe_outcome(found)
    assert "On lengths 4 to 5 its mean accuracy is 0%; guessing gives under 0.1%." in describe_outcome(found)


def test_guessing():
    assert guessing(task("parity"), DataConfig(max_length=5)) == pytest.approx((1 / 16 + 1 / 32) / 2)
    assert guessing(task("parity"), DataConfig(max_length=5, cot=False)) == 0.5
    mixed = task("mix:copy,polynomial(p=5):weights=0.25,0.75")
    assert guessing(mixed, DataConfig(max_length=1)) == pytest.approx(0.25 / 2 + 0.75 / 5)


def test_no_better_than_guessing_is_not_learned():
    without = RunConfig(task="parity", data=DataConfig(max_length=5, cot=False))
    assert outcome(run(scores(0.53, None), config=without)) == "not learnt"
    assert outcome(run(scores(0.56, None), config=without)) == "learnt in part"


def test_without_chain_of_thought():
    without = RunConfig(data=DataConfig(max_length=5, cot=False))
    found = run(scores(1.0, None), config=without)
    assert outcome(found) == "solved"
    assert describe_outcome(found).startswith("The task is solved without a chain of thought.")
    assert "head" not in describe_outcome(run(scores(0.75, None), config=without))


def test_one_layer():
    one = RunConfig(data=DataConfig(max_length=5), model=ModelConfig(layers=1))
    final = scores(1.0, 0.97, best_pair=((0, 0), (0, 0)))
    found = run(final, [YES, YES, YES], config=one, emerged=True)
    assert describe_outcome(found).startswith(
        "A head with the pattern of an iteration head emerged after 1 epoch: layer 1, head 1"
    )
    assert describe_outcome(found).endswith("no earlier head finds the end of the input.")


def test_independent_test_sequences_are_not_called_unseen():
    published = RunConfig(data=DataConfig(max_length=5, split="iid"))
    text = describe_outcome(run(YES, config=published))
    assert "never seen" not in text
    assert "drawn like the training sequences" in text


def test_interrupted_and_diverged():
    found = run(NO, state="running", epoch=1)
    assert outcome(found) == "interrupted"
    assert describe_outcome(found) == "The run is not finished: 1 epoch of at most 100 done."
    found = run(NO, state="diverged", message="the loss is not finite (nan) in epoch 3")
    assert outcome(found) == "diverged"
    assert describe_outcome(found) == "The training diverged: the loss is not finite (nan) in epoch 3."


def test_percentages_never_round_up_to_all():
    shares = [1.0, 16383 / 16384, 0.9967, 0.99, 0.29, 0.0004, 0.0]
    assert [percent(share) for share in shares] == ["100%", "99.9%", "99.6%", "99%", "29%", "under 0.1%", "0%"]
