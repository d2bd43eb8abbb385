"""Probes: on the network set by hand it is known what stands where, and what a linear map can make of it."""

import math
from functools import cache

import numpy as np
import polars as pl
import pytest

from helpers.oracle import LONGEST, RESIDUALS, VOCABULARY, by_hand, dataset
from iterhead.errors import UserError
from iterhead.intervene.probes import (
    LABELS,
    ProbeScore,
    probe,
    probe_checkpoints,
    probe_data,
    probe_labels,
    probe_table,
)
from iterhead.model.transformer import Transformer
from iterhead.settings import ModelConfig
from iterhead.tasks import SequenceLayout, task

SPEC = "polynomial"
"""s * x + 1 mod 11: x_t is one of ten."""

EMBEDDED, BEFORE_MLP_1, AFTER_MLP_1 = (
    "blocks.0.hook_resid_pre",
    "blocks.0.hook_resid_mid",
    "blocks.1.hook_resid_pre",
)
HEADS = ("blocks.0.attn.hook_z", "blocks.1.attn.hook_z", "blocks.1.attn.hook_q", "blocks.1.hook_q_input")
BROUGHT, ANSWER = "blocks.1.hook_resid_mid", "blocks.1.hook_resid_post"

FROM_POSITION = 24 / 45
"""What t can be guessed with from position and token alone, of 45 pairs (L, t). EoI says t = 1: nine pairs. Written
states stand at q = L + t, t >= 2: positions 4 .. 18, and of the pairs at each one is guessed right: fifteen more."""

residuals = pytest.mark.parametrize("residual", RESIDUALS)


def read(model, name, label, **options):
    data = dataset(SPEC)
    return probe(model, data.train, data.test, name, label, **options)


@cache
def accuracies(residual):
    """The accuracy of every label at the names below, on the network set by hand."""
    data = dataset(SPEC)
    names = (EMBEDDED, BEFORE_MLP_1, AFTER_MLP_1, BROUGHT, ANSWER, "hook_embed", "ln_final.hook_normalized")
    table = probe_table(by_hand(SPEC, residual), data.train, data.test, [*names, *HEADS], tokens=2000)
    return {(name, label): accuracy for name, label, accuracy in table.select("name", "label", "accuracy").rows()}


def untrained():
    return Transformer(ModelConfig(width=64), SequenceLayout(LONGEST).size, [7])


# Labels and tokens


def test_labels_by_hand():
    # 2 3 4 -> 2, 2*3+1 = 7, 7*4+1 = 29 = 7; EoI is 62.
    inputs = np.array([[2, 3, 4], [10, 10, 10]])
    tokens = SequenceLayout(3).assemble(VOCABULARY, inputs, task(SPEC).states(inputs))
    labels = probe_labels(SequenceLayout(3), tokens)
    assert {label: values.tolist() for label, values in labels.items()} == {
        "t": [[1, 2, 3], [1, 2, 3]],
        "L": [[3, 3, 3], [3, 3, 3]],
        "x_t": [[2, 3, 4], [10, 10, 10]],
        "s_{t-1}": [[62, 2, 7], [62, 10, 2]],
        "s_t": [[2, 7, 7], [10, 2, 10]],
    }
    assert tuple(labels) == LABELS


def test_tokens_are_all_steps_of_equally_many_sequences_of_each_length():
    # 3 * 45 = 135 tokens of 150 asked for.
    data = probe_data(by_hand(SPEC), dataset(SPEC).test, [EMBEDDED, "blocks.0.attn.hook_z"], 150)
    assert list(data.features) == [EMBEDDED, "blocks.0.attn.hook_z"]
    assert {len(values) for values in (*data.features.values(), *data.labels.values())} == {135}
    pairs = list(zip(data.labels["L"].tolist(), data.labels["t"].tolist(), strict=True))
    assert sorted(pairs) == sorted((L, t) for L in range(1, LONGEST + 1) for t in range(1, L + 1) for _ in range(3))
    # Features stand beside their labels: the position embedding's one-hot is first, at q = L + t.
    assert [int(row[:21].argmax()) for row in data.features[EMBEDDED]] == [L + t for L, t in pairs]


# What stands where


@residuals
@pytest.mark.parametrize(
    ("label", "readable"),
    [
        ("t", [AFTER_MLP_1, "blocks.1.hook_q_input", "blocks.1.attn.hook_q", BROUGHT, ANSWER]),
        ("L", [BEFORE_MLP_1, "blocks.0.attn.hook_z", AFTER_MLP_1]),
        ("x_t", [BROUGHT, "blocks.1.attn.hook_z", ANSWER]),
        ("s_{t-1}", ["hook_embed", EMBEDDED, AFTER_MLP_1, ANSWER]),
        ("s_t", [ANSWER, "ln_final.hook_normalized"]),
    ],
)
def test_what_the_circuit_holds_is_read_without_error(residual, label, readable):
    assert {name: accuracies(residual)[name, label] for name in readable} == dict.fromkeys(readable, 1.0)


@residuals
def test_t_is_not_read_before_it_is_computed(residual):
    """The claim is about MLP 1: before it, own position and EoI's stand side by side, and ridge cannot subtract."""
    noise = 3 * math.sqrt(0.25 / 1980)
    assert accuracies(residual)[EMBEDDED, "t"] < FROM_POSITION + noise
    assert FROM_POSITION < accuracies(residual)[BEFORE_MLP_1, "t"] < 0.8


@residuals
def test_logistic_regression_subtracts_by_itself(residual):
    """Its logits may be 2 t' (q - e + 1) - t'^2, linear in two one-hots: it finds t before any MLP has."""
    model = by_hand(SPEC, residual)
    assert read(model, BEFORE_MLP_1, "t", method="logistic", tokens=2000).accuracy > 0.99
    assert read(model, EMBEDDED, "t", method="logistic", tokens=2000).accuracy < FROM_POSITION + 0.05


@residuals
@pytest.mark.parametrize(
    ("label", "names", "most"),
    [
        # One of ten inputs, which nothing has brought yet.
        ("x_t", [EMBEDDED, BEFORE_MLP_1, AFTER_MLP_1], 0.17),
        # Ten values or so; at t = 2 and after s = 0 some are likelier.
        ("s_t", [EMBEDDED, AFTER_MLP_1], 0.3),
        # Both factors are there, but not their product.
        ("s_t", [BROUGHT], 0.5),
        ("L", [EMBEDDED], 0.6),
    ],
)
def test_what_has_not_been_brought_or_computed_is_not_read(residual, label, names, most):
    assert max(accuracies(residual)[name, label] for name in names) < most


# Controls


@pytest.mark.parametrize(("label", "name"), [("t", AFTER_MLP_1), ("x_t", BROUGHT), ("s_t", ANSWER)])
def test_shuffled_labels_are_read_by_chance(label, name):
    score = read(by_hand(SPEC), name, label, tokens=2000)
    assert score.control_shuffled < score.chance + 0.1
    assert score.control_shuffled < 0.3


def test_an_untrained_network_holds_none_of_it():
    """Positions and tokens are there by their embedding, and so is what follows from them; the rest is not."""
    data = dataset(SPEC)
    table = probe_table(untrained(), data.train, data.test, [AFTER_MLP_1, ANSWER], tokens=2000)
    scores = {label: rows["accuracy"].max() for (label,), rows in table.group_by("label")}
    assert scores["s_{t-1}"] > 0.99
    assert scores["t"] < 0.75
    assert scores["L"] < 0.75
    assert scores["x_t"] < 0.5
    assert scores["s_t"] < 0.5


def test_chance_is_the_commonest_label():
    # Of 45 pairs nine have t = 1, and nine have L = 9.
    for label in ("t", "L"):
        score = read(by_hand(SPEC), AFTER_MLP_1, label, tokens=900)
        assert (score.chance, score.n) == (0.2, 900)


# The table


def test_a_score_is_a_row():
    data, model = dataset(SPEC), by_hand(SPEC)
    table = probe_table(model, data.train, data.test, ["blocks.*.hook_resid_mid"], ["t", "L"], tokens=450)
    assert table.columns == ["name", "label", "accuracy", "control_shuffled", "chance", "n"]
    assert table.select("name", "label").rows() == [
        (BEFORE_MLP_1, "t"),
        (BEFORE_MLP_1, "L"),
        (BROUGHT, "t"),
        (BROUGHT, "L"),
    ]
    single = read(model, BROUGHT, "L", tokens=450)
    assert isinstance(single, ProbeScore)
    assert table.row(3) == (single.name, single.label, *table.row(3)[2:5], 450)
    assert table.row(3)[2] == single.accuracy
    again = probe_table(model, data.train, data.test, ["blocks.*.hook_resid_mid"], ["t", "L"], tokens=450)
    assert again.equals(table)
    other = probe_table(model, data.train, data.test, ["blocks.*.hook_resid_mid"], ["t", "L"], tokens=450, seed=1)
    assert other.drop("control_shuffled").equals(table.drop("control_shuffled"))
    assert not other.equals(table)


def test_checkpoints_stand_below_each_other():
    data = dataset(SPEC)
    models = ((epoch, model) for epoch, model in ((0, untrained()), (30, by_hand(SPEC))))
    table = probe_checkpoints(models, data.train, data.test, [AFTER_MLP_1], labels=["t"], tokens=900)
    assert table.columns[:3] == ["epoch", "name", "label"]
    assert table["epoch"].to_list() == [0, 30]
    early, late = table["accuracy"]
    assert early < 0.75
    assert late == 1.0
    assert table.schema["epoch"] == pl.Int32


def test_one_class_is_read_without_a_probe():
    data = dataset(SPEC)
    train, test = ({4: part[4]} for part in (data.train, data.test))
    score = probe(by_hand(SPEC), train, test, EMBEDDED, "L")
    assert (score.accuracy, score.control_shuffled, score.chance) == (1.0, 1.0, 1.0)


def test_a_score_reads_as_a_sentence():
    score = ProbeScore("hook_embed", "s_t", 0.91666, 0.25, 0.5, 45)
    assert repr(score) == "ProbeScore(s_t at hook_embed: 0.917; shuffled 0.250, chance 0.500; 45 tokens)"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (
            ([EMBEDDED], ["s_t-1"]),
            {},
            "label 's_t-1': expected one of t, L, x_t, s_{t-1}, s_t: did you mean 's_{t-1}'?",
        ),
        (([EMBEDDED], ["t"]), {"method": "svm"}, "method='svm': expected ridge or logistic"),
        (([EMBEDDED], ["t"]), {"tokens": 44}, "tokens=44: expected at least 45, one sequence of each length"),
        ((["blocks.1.attn.hook_pattern"], ["t"]), {}, "blocks.1.attn.hook_pattern holds attention maps: a probe needs"),
        ((["blocks.1.hook_resid_pr"], ["t"]), {}, "unknown hook name 'blocks.1.hook_resid_pr'"),
    ],
)
def test_mistakes_raise_one_line(arguments, options, message):
    data = dataset(SPEC)
    with pytest.raises(UserError) as caught:
        probe_table(by_hand(SPEC), data.train, data.test, *arguments, **options)
    assert str(caught.value).startswith(message)


def test_there_is_nothing_to_probe_without_chain_of_thought():
    with pytest.raises(UserError, match="only with a chain of thought"):
        probe_labels(SequenceLayout(3, cot=False), np.zeros((1, 7), dtype=np.int64))
