"""The tidy table, and the headline scores that are read from it, by hand."""

import re

import polars as pl
import pytest

from iterhead.measure.records import Scores, best_pair, head_means, headline, headline_lengths, table


def test_the_table_has_its_columns_whatever_rows_leave_out():
    rows = [
        {"epoch": 1, "split": "test", "length": 4, "name": "accuracy", "value": 0.5},
        {"epoch": 1, "split": "test", "length": 4, "layer": 0, "name": "first_mass", "value": 1.0},
        {"epoch": 1, "split": "test", "length": 4, "layer": 0, "head": 2, "name": "first_weight", "value": 0.25},
        {"epoch": 1, "split": "train", "name": "loss", "value": 2.5},
    ]
    frame = table(rows)
    assert frame.columns == ["epoch", "split", "length", "layer", "head", "name", "value"]
    assert frame.rows() == [
        (1, "test", 4, None, None, "accuracy", 0.5),
        (1, "test", 4, 0, None, "first_mass", 1.0),
        (1, "test", 4, 0, 2, "first_weight", 0.25),
        (1, "train", None, None, None, "loss", 2.5),
    ]
    assert table([]).schema == frame.schema
    assert frame.schema["value"] == pl.Float64


@pytest.mark.parametrize(
    ("lengths", "counted"),
    [([3, 4, 5], [4, 5]), ([1, 2, 3], [1, 2, 3]), ([4], [4]), ([2, 16], [16]), (list(range(1, 7)), [4, 5, 6])],
)
def test_headline_scores_count_lengths_from_four_on_if_there_are_any(lengths, counted):
    assert headline_lengths(lengths) == counted


def evaluation(values):
    """A table from {(length, layer, head, name): value}, the last row first: their order must not matter."""
    rows = [
        {"epoch": 1, "split": "test", "length": length, "layer": layer, "head": head, "name": name, "value": value}
        for (length, layer, head, name), value in values.items()
    ]
    return table(rows[::-1])


def test_headline_scores_by_hand():
    values = {}
    # Length 3 does not count. Accuracy (0.5 + 0.75) / 2 = 0.625, grammar (1 + 0.5) / 2 = 0.75,
    # masses (1.5 + 1.25) / 2 = 1.375 and (0.25 + 0.5) / 2 = 0.375.
    of_network = {
        "accuracy": (0.125, 0.5, 0.75),
        "grammar": (0.0, 1.0, 0.5),
        "first_mass": (9.0, 1.5, 1.25),
        "second_mass": (9.0, 0.25, 0.5),
    }
    for name, by_length in of_network.items():
        for length, value in zip((3, 4, 5), by_length, strict=True):
            values[length, None, None, name] = value
    # The best pair is (0, 0) and (1, 0), with the means below of lengths 4 and 5; the heads of the other layer, and
    # length 3 of all of them, have other values.
    of_pair = {
        (0, "first_peakiness"): (0.75, 1.0),  # 0.875
        (0, "first_weight"): (0.5, 1.0),  # 0.75
        (0, "first_invariance"): (0.75, 0.5),  # 0.625
        (1, "second_peakiness"): (0.5, 0.5),  # 0.5
        (1, "second_weight"): (0.25, 0.5),  # 0.375
        (1, "second_invariance"): (1.0, 0.75),  # 0.875
    }
    for layer in (0, 1):
        for role in ("first", "second"):
            values[4, layer, None, f"{role}_mass"] = values[5, layer, None, f"{role}_mass"] = 7.0
            for score in ("peakiness", "weight", "invariance"):
                name = f"{role}_{score}"
                four, five = of_pair.get((layer, name), (0.125, 0.0))
                values |= {(3, layer, 0, name): 0.0625, (4, layer, 0, name): four, (5, layer, 0, name): five}
    assert headline(evaluation(values)) == Scores(
        accuracy=0.625,
        accuracy_by_length={3: 0.125, 4: 0.5, 5: 0.75},
        grammar=0.75,
        best_pair=((0, 0), (1, 0)),
        first_peakiness=0.875,
        second_peakiness=0.5,
        first_weight=0.75,
        second_weight=0.375,
        first_invariance=0.625,
        second_invariance=0.875,
        first_mass=1.375,
        second_mass=0.375,
    )


def test_headline_scores_without_chain_of_thought_and_of_short_lengths():
    # All lengths are below 4, so all count: (0.25 + 0.5 + 0.75) / 3 = 0.5, (1 + 0.5 + 0) / 3 = 0.5.
    rows = {(length, None, None, "accuracy"): length / 4 for length in (1, 2, 3)}
    rows |= {(length, None, None, "grammar"): (3 - length) / 2 for length in (1, 2, 3)}
    scores = headline(evaluation(rows))
    assert scores == Scores(0.5, {1: 0.25, 2: 0.5, 3: 0.75}, 0.5)
    assert list(scores.accuracy_by_length) == [1, 2, 3]
    assert scores.best_pair is scores.first_peakiness is scores.second_mass is None


# The best pair


def means(first, second, first_weight=None, second_weight=None):
    """Means of heads from {(layer, head): value}; weights are 0 unless given."""
    tables = {
        "first_peakiness": first,
        "second_peakiness": second,
        "first_weight": dict.fromkeys(first, 0.0) | (first_weight or {}),
        "second_weight": dict.fromkeys(second, 0.0) | (second_weight or {}),
    }
    scores = {(name, *head): value for name, by_head in tables.items() for head, value in by_head.items()}
    return scores | {("accuracy", None, None): 1.0, ("first_mass", 0, None): 9.0, ("first_mass", None, None): 9.0}


def best(*args, **weights):
    """The best pair, whatever the order of the heads."""
    scores = means(*args, **weights)
    pair = best_pair(scores)
    assert best_pair(dict(reversed(scores.items()))) == pair
    return pair


def test_the_second_head_stands_in_a_later_layer():
    # Without that, (1, 0) and (0, 0) would be best, with 0.95 + 0.99.
    first = {(0, 0): 0.2, (0, 1): 0.9, (1, 0): 0.95, (1, 1): 0.0}
    second = {(0, 0): 0.99, (0, 1): 0.0, (1, 0): 0.1, (1, 1): 0.8}
    assert best(first, second) == ((0, 1), (1, 1))


def test_heads_of_the_same_layer_are_no_pair_where_there_are_several_layers():
    first = {(0, 0): 0.0, (1, 0): 0.9, (1, 1): 0.0}
    second = {(0, 0): 0.0, (1, 0): 0.0, (1, 1): 0.9}
    assert best(first, second) == ((0, 0), (1, 1))


def test_the_best_pair_has_the_largest_sum():
    # 0.5 + 0.8 = 1.3 is more than 0.9 + 0.3 = 1.2 and 0.5 + 0.3 = 0.8.
    first = {(0, 0): 0.5, (1, 0): 0.9, (2, 0): 0.0}
    second = {(0, 0): 0.0, (1, 0): 0.8, (2, 0): 0.3}
    assert best(first, second) == ((0, 0), (1, 0))
    # 0.5 + 0.8 = 1.3 is less than 0.9 + 0.5 = 1.4.
    assert best(first, second | {(2, 0): 0.5}) == ((1, 0), (2, 0))


def test_among_equal_peaks_mean_weights_decide():
    heads = [(layer, head) for layer in (0, 1) for head in (0, 1)]
    peaks = dict.fromkeys(heads, 0.5)
    assert best(peaks, peaks, first_weight={(0, 1): 0.3}, second_weight={(1, 0): 0.2}) == ((0, 1), (1, 0))
    # A difference by rounding is none: 0.1 + 0.2 is 0.30000000000000004.
    rounded = {(0, 0): 0.1 + 0.2, (0, 1): 0.3, (1, 0): 0.0, (1, 1): 0.0}
    assert best(rounded, dict.fromkeys(heads, 0.0), first_weight={(0, 1): 0.1}) == ((0, 1), (1, 0))


def test_among_equals_the_first_layers_and_heads_are_taken():
    heads = [(layer, head) for layer in (0, 1, 2) for head in (0, 1)]
    peaks = dict.fromkeys(heads, 0.0)
    assert best(peaks, peaks) == ((0, 0), (1, 0))


def test_in_one_layer_one_head_may_play_both_roles():
    assert best({(0, 0): 0.5}, {(0, 0): 0.5}) == ((0, 0), (0, 0))
    assert best({(0, 0): 0.5, (0, 1): 0.9}, {(0, 0): 0.1, (0, 1): 0.7}) == ((0, 1), (0, 1))
    assert best({(0, 0): 0.5, (0, 1): 0.9}, {(0, 0): 0.8, (0, 1): 0.7}) == ((0, 1), (0, 0))


def test_no_scored_head_no_pair():
    assert best_pair({("accuracy", None, None): 1.0, ("grammar", None, None): 1.0}) is None


def test_means_of_heads_are_over_the_headline_lengths():
    rows = [
        {
            "epoch": epoch,
            "split": "test",
            "length": length,
            "layer": 1,
            "head": head,
            "name": "first_weight",
            "value": mean,
        }
        for epoch, length, head, mean in [
            (0, 3, 0, 9.0),
            (0, 4, 0, 1.0),
            (0, 5, 0, 2.0),
            (0, 5, 1, 5.0),
            (7, 4, 0, 3.0),
        ]
    ]
    accuracy = {"epoch": 0, "split": "test", "length": 4, "name": "accuracy", "value": 1.0}
    means = head_means(table([*rows, accuracy]))
    assert means.columns == ["epoch", "split", "layer", "head", "name", "value"]
    # Head 0 at epoch 0: (1 + 2) / 2; length 3 is too short to count.
    assert means.select("epoch", "head", "value").rows() == [(0, 0, 1.5), (0, 1, 5.0), (7, 0, 3.0)]


def test_scores_show_themselves_as_a_table_in_a_notebook():
    full = Scores(0.625, {3: 0.125, 4: 1.0}, 0.75, ((0, 0), (1, 2)), *[0.5] * 7, second_mass=1.375)
    rows = re.findall(r"<tr><th>(.*?)</th><td>(.*?)</td></tr>", full._repr_html_())
    assert rows[:3] == [("accuracy", "62.5%"), ("by length", "3: 12.5%, 4: 100%"), ("grammar", "75%")]
    assert rows[8:] == [
        ("second head", "layer 2, head 3"),
        ("second peakiness", "0.500"),
        ("second weight", "0.500"),
        ("second invariance", "0.500"),
        ("second mass", "1.375"),
    ]
    without_heads = Scores(0.5, {1: 0.5}, 1.0)._repr_html_()
    assert "head" not in without_heads
