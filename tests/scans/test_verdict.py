"""The verdict from made-up scores and outcomes: one case for each way to reach each word."""

import pytest

pytest.importorskip("transformers")

from iterhead.scans.causal import MEAN_ABLATION, SHIFTED, Outcome
from iterhead.scans.result import Behaviour, HeadScore
from iterhead.scans.verdict import Evidence, decide, does_task

PROMPTS = 12


def behaviour(low):
    return Behaviour(low + 0.02, (low, low + 0.04), None, None, guess=0.2, by_length={})


def head(weight, *, significant=True):
    return HeadScore(1, 2, "iteration", 0.3, 0.25, 0.35, "previous token", 0.001, weight, weight, significant)


def evidence(*, ablated=1.0, follows=0.0, place=(1, 2)):
    """Random heads change nothing: all answers stay right, and none follows."""
    changed = {MEAN_ABLATION: outcome(ablated), SHIFTED: outcome(1.0, follows)}
    return Evidence((place,), changed, {MEAN_ABLATION: outcome(1.0), SHIFTED: outcome(1.0, 0.0)})


def outcome(accuracy, follows=None):
    return Outcome([accuracy] * PROMPTS, [follows] * PROMPTS, {})


@pytest.mark.parametrize(("best", "tested", "competitors", "word", "words"), [
    (head(0.9), None, {}, "task-not-done", "does not do the task: 94% of the states are right"),
    (head(0.9), evidence(ablated=0.3), {}, "iteration-head", "layer 2, head 3 has 0.90 of its weight on x_t"),
    (head(0.9), evidence(follows=0.8), {}, "iteration-head", "80% of them follow F(s_{t-1}, x_{t+1})"),
    (head(0.9), evidence(ablated=0.97), {}, "none", "the answers hardly depend on it"),  # 0.03 < CAUSAL_MARGIN
    (head(0.4), evidence(ablated=0.3), {}, "none", "a head that helps: layer 2, head 3 has 0.40"),
    (head(0.9, significant=False), evidence(ablated=0.3), {}, "none", "no head is significant"),
    (
        head(0.1, significant=False), evidence(), {"current token": (0.8, evidence(ablated=0.2, place=(0, 1)))},
        "competing-head", "layer 1, head 2 has 0.80 of its weight on another key (current token)",
    ),
    (
        head(0.1, significant=False), evidence(), {"current token": (0.8, evidence(place=(0, 1)))},
        "none", "no head is significant",
    ),
])  # fmt: skip
def test_verdicts(best, tested, competitors, word, words):
    verdict, sentence = decide(behaviour(0.92), best, tested, competitors)
    assert verdict == word
    assert words in sentence


def test_of_several_competing_heads_the_one_that_matters_most():
    competitors = {
        "current token": (0.9, evidence(ablated=0.8, place=(0, 1))),
        "first token": (0.6, evidence(ablated=0.1, place=(0, 2))),
    }
    verdict, sentence = decide(behaviour(0.92), head(0.1, significant=False), evidence(), competitors)
    assert verdict == "competing-head"
    assert "layer 1, head 3" in sentence


@pytest.mark.parametrize(("low", "done"), [(0.26, True), (0.24, False)])  # the guess 0.2, and GUESSING_MARGIN 0.05
def test_the_task_is_done_clearly_better_than_by_guessing(low, done):
    assert does_task(behaviour(low)) is done
