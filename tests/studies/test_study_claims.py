"""Claims on hand-made tables: every verdict can be reached, and each figure is what the arithmetic says."""

import math
from statistics import stdev

import polars as pl
import pytest

from helpers.made_tables import runs_table
from iterhead.studies.collect import disagreeing
from iterhead.studies.published.inside_networks import attention_replacement
from iterhead.studies.registry import STUDIES
from iterhead.studies.speed_ups import common_sign, median_speed_up, speed_ups
from iterhead.studies.tables import Tables

SEEDS = range(3)

TWO, WITHOUT = "two layers", "two layers, no chain of thought"


def check(study, tables, *ids):
    """These claims of a study, checked on tables; all of them by default."""
    findings = {finding.id: finding for finding in STUDIES[study]("laptop").check(tables)}
    return [findings[id_] for id_ in ids or findings]


def grid(score, network=TWO, widths=(4, 8, 16), lengths=(4, 12), **others):
    """Rows of a grid over three seeds; `score(width, longest, seed)` gives some of the columns."""
    return [
        {"network": network, "width": w, "longest": n, "seed": s, **score(w, n, s), **others}
        for w in widths
        for n in lengths
        for s in SEEDS
    ]


def without_chain(rows):
    (finding,) = check("figure-7", runs_table(rows), "7a")
    return finding


@pytest.mark.parametrize(("best", "verdict"), [
    ((0.12, 0.13, 0.14), "holds"), ((0.12, 0.3, 0.14), "undecided"), ((0.25, 0.27, 0.29), "does not hold"),
])  # fmt: skip
def test_the_best_cell_of_each_seed_decides(best, verdict):
    # At length 12 width 16 is best; what other networks, and shorter lengths, get does not count.
    rows = grid(lambda w, n, s: {"accuracy": best[s] if w == 16 else 0.05}, WITHOUT, lengths=(12,))
    rows += grid(lambda w, n, s: {"accuracy": 1.0}, WITHOUT, lengths=(4,)) + grid(lambda w, n, s: {"accuracy": 1.0})
    finding = without_chain(rows)
    assert finding.verdict == verdict
    assert finding.value == pytest.approx(sum(best) / 3)
    half = 4.30265 * stdev(best) / 3**0.5  # Student's t, two degrees of freedom
    assert (finding.low, finding.high) == pytest.approx((max(0, finding.value - half), finding.value + half), abs=1e-5)
    assert "the best of 3 cells" in finding.sentence


def test_two_seeds_decide_nothing():
    rows = [{"network": WITHOUT, "width": 8, "longest": 8, "seed": s, "accuracy": 0.1} for s in (0, 1)]
    assert without_chain(rows).verdict == "undecided"
    assert without_chain([*rows, {**rows[0], "seed": 2}]).verdict == "holds"


def test_nothing_measured_is_undecided_and_says_so():
    findings = [without_chain(grid(lambda w, n, s: {}, WITHOUT, lengths=(4,)))]
    findings += [finding for study in STUDIES for finding in check(study, Tables(study))]
    assert len({finding.id for finding in findings}) == 30 + 16
    for finding in findings:
        assert (finding.verdict, finding.seeds) == ("undecided", 0)
        assert finding.sentence == "Nothing to decide it by was measured."
        assert finding.as_json()["value"] is None


@pytest.mark.parametrize(("first", "verdict"), [(0.8, "holds"), (0.3, "does not hold")])
def test_the_first_head_where_the_second_is_broken(first, verdict):
    def score(w, n, s):
        # Broken (0.1) at width 4: first peakiness as given; elsewhere it is 0 and must not count.
        return {"second_peakiness": 0.1 if w == 4 else 0.9, "first_peakiness": first + 0.01 * s if w == 4 else 0.0}

    (finding,) = check("figure-8", runs_table(grid(score)), "9a")
    assert finding.value == pytest.approx(first + 0.01)
    assert finding.verdict == verdict


@pytest.mark.parametrize(("needed", "value", "verdict"), [
    ({4: 4, 12: 16}, 4.0, "holds"),
    ({4: 8, 12: 8}, 1.0, "does not hold"),
    ({4: 16, 12: 4}, 0.25, "does not hold"),
    ({4: 8, 12: 99}, math.nan, "undecided"),  # no width measured is enough for 12
])  # fmt: skip
def test_the_width_that_grows_with_length(needed, value, verdict):
    rows = grid(lambda w, n, s: {"second_peakiness": 0.9 if w >= needed[n] else 0.1, "first_peakiness": 0.5})
    (finding,) = check("figure-8", runs_table(rows), "9b")
    assert finding.value == pytest.approx(value, nan_ok=True)
    assert finding.verdict == verdict


@pytest.mark.parametrize(("sign", "verdict"), [(1, "holds"), (-1, "does not hold"), (0, "undecided")])
def test_accuracy_with_peakiness(sign, verdict):
    rows = grid(lambda w, n, s: {"accuracy": w / 16, "second_peakiness": 0.5 + sign * (w + n / 100) / 40})
    (finding,) = check("figure-8", runs_table(rows), "10")
    assert finding.verdict == verdict


def test_exceptions_to_it_are_counted():
    rows = grid(
        lambda w, n, s: {"accuracy": 1.0 if w == 16 and s == 0 else w / 16, "second_peakiness": w / 16 - n / 16}
    )
    runs = runs_table(rows)
    tables = runs_table(rows, exceptions=disagreeing(runs.runs()))
    (finding,) = check("figure-8", tables, "10")
    assert "in 9 of 18 networks" in finding.sentence  # at length 12, three widths and three seeds


def test_networks_that_disagree_are_listed_the_farthest_first():
    scores = ((4, 1.0, 0.6), (8, 0.9, 0.8), (16, 0.0, 1.0))
    rows = [{"width": width, "accuracy": a, "second_peakiness": p} for width, a, p in scores]
    assert disagreeing(runs_table(rows).runs())["width"].to_list() == [16, 4]


@pytest.mark.parametrize(("solved", "others", "verdict"), [
    (5, 1, "holds"), (19, 0, "undecided"), (20, 0, "does not hold"), (0, 0, "undecided"),
])  # fmt: skip
def test_other_circuits(solved, others, verdict):
    rows = [{"seed": s, "accuracy": 0.96, "second_peakiness": 0.9} for s in range(solved)] or [{"accuracy": 0.5}]
    tables = runs_table(rows, circuits=pl.DataFrame([{"kind": "strided"}] * others))
    (finding,) = check("figure-11", tables)
    assert finding.verdict == verdict
    assert ("1 strided" in finding.sentence) == bool(others)


@pytest.mark.parametrize(("frozen", "value", "verdict"), [
    (16, 2.0, "holds"), (8, 1.0, "does not hold"), (99, math.nan, "undecided"),
])  # fmt: skip
def test_frozen_positions(frozen, value, verdict):
    rows = [
        {"positions": p, "width": w, "longest": 12, "seed": s, "accuracy": 0.95 if w >= least else 0.4}
        for p, least in (("learned", 8), ("frozen", frozen))
        for w in (4, 8, 16)
        for s in SEEDS
    ]
    (finding,) = check("figure-14", runs_table(rows))
    assert finding.value == pytest.approx(value, nan_ok=True)
    assert finding.verdict == verdict


@pytest.mark.parametrize(("least", "value", "verdict"), [
    (16, 16, "holds"), (30, 30, "does not hold"), (99, 33, "does not hold"),
])  # fmt: skip
def test_room_for_positions(least, value, verdict):
    rows = [
        {"positions": "learned", "position_width": p, "seed": s, "accuracy": 0.95 if p >= least else 0.4}
        for p in (8, 16, 30)
        for s in SEEDS
    ]
    (finding,) = check("figure-16", runs_table(rows))
    assert (finding.value, finding.verdict) == (value, verdict)


def curve(name, values, score="accuracy", **others):
    return [{"trained": name, "seed": s, score: value, **others} for s, value in enumerate(values)]


@pytest.mark.parametrize(("accuracy", "verdict"), [
    ([0.99] * 10, "holds"), ([0.99] * 9, "undecided"), ([0.5] * 10, "does not hold"),
    ([0.99] * 8 + [0.5] * 8, "undecided"),
])  # fmt: skip
def test_heads_emerge_in_the_median_of_ten(accuracy, verdict):
    tables = runs_table(curve("polynomial", accuracy, second_peakiness=0.95))
    findings = check("figure-9", tables, "2a", "2b")
    assert findings[0].verdict == verdict
    assert findings[1].verdict == ("holds" if len(accuracy) >= 10 else "undecided")


@pytest.mark.parametrize(("parity", "verdicts"), [
    ([0.2, 0.5, 0.8, 0.35], ["holds", "holds"]),
    ([0.9, 0.92, 0.91, 0.93], ["undecided", "undecided"]),
    ([0.97, 0.975, 0.97, 0.975], ["does not hold", "does not hold"]),
])  # fmt: skip
def test_parity_is_lower_and_varies_more(parity, verdicts):
    rows = curve("polynomial", [0.90, 0.93, 0.91, 0.92], "second_peakiness")
    rows += curve("parity", parity, "second_peakiness")
    assert [finding.verdict for finding in check("figure-9", runs_table(rows), "12a", "12b")] == verdicts


@pytest.mark.parametrize(("epochs", "verdict"), [
    ([3, 3, 4, 6, 9], "holds"), ([9, 6, 4, 3, 3], "does not hold"), ([3, 3, 4, None, None], "holds"),
])  # fmt: skip
def test_longer_lengths_come_later(epochs, verdict):
    # Lengths below 7 are learnt last here, and must not count.
    lengths = [{"task": "parity", "seed": s, "length": n, "epochs_to_90": 99.0} for s in SEEDS for n in range(1, 7)]
    lengths += [
        {"task": "parity", "seed": s, "length": 7 + i, "epochs_to_90": None if e is None else float(e + s)}
        for s in SEEDS
        for i, e in enumerate(epochs)
    ]
    frame = pl.DataFrame(lengths, schema_overrides={"epochs_to_90": pl.Float64})
    (finding,) = check("figure-6", Tables("s", {"lengths": frame}))
    assert finding.verdict == verdict


@pytest.mark.parametrize(("adam", "sgd", "value", "verdict"), [
    (3, 1, 0.5, "holds"), (2, 2, 0.0, "does not hold"), (1, 2, -0.25, "does not hold"),
])  # fmt: skip
def test_adam_has_more_room(adam, sgd, value, verdict):
    rows = [
        {"optimizer": o, "lr": lr, "batch": 16, "seed": s, "accuracy": 0.95 if lr < good else 0.2}
        for o, good in (("adam", adam), ("sgd", sgd))
        for lr in range(4)
        for s in SEEDS
    ]
    (finding,) = check("figure-12", runs_table(rows))
    assert (finding.value, finding.verdict) == (value, verdict)
    assert f"{adam / 4:.0%} of the cells" in finding.sentence


@pytest.mark.parametrize(("best", "mass", "verdicts"), [
    (0.5, 0.95, ["holds", "holds"]), (0.99, 0.99, ["does not hold", "holds"]), (0.3, 0.4, ["holds", "does not hold"]),
])  # fmt: skip
def test_the_role_is_spread(best, mass, verdicts):
    tables = runs_table(curve("deep", [best] * 3, "best_second_weight", second_mass=mass))
    assert [finding.verdict for finding in check("figure-13", tables)] == verdicts


AFTER = "parity after polynomial"


def learned(name, epochs, below=None):
    """Rows of one cell: epochs to 0.9 by seed, and the evaluation before."""
    befores = [max(0, (e or 100) - 1) for e in epochs] if below is None else below
    return [
        {"trained": name, "seed": s, "epochs_to_90": e, "epochs_below_90": b}
        for s, (e, b) in enumerate(zip(epochs, befores, strict=True))
    ]


def transfers(parity, after, first=(20, 20, 20)):
    rows = learned("parity", parity) + learned(AFTER, after)
    rows += [{"trained": "polynomial", "seed": s, "full_epochs": float(e)} for s, e in enumerate(first)]
    return check("figure-9", runs_table(rows), "13a", "13b", "13z")


@pytest.mark.parametrize(("parity", "after", "value", "verdict"), [
    ([40, 44, 60], [2, 4, 3], 20.0, "holds"),  # 20, 11, 20; at least 39/2, 43/4, 59/3
    ([40, 44, 60], [10, 11, 12], 4.0, "does not hold"),  # at most 40/9, 44/10, 60/11
    ([7, 8, 9], [1, 1, 1], 8.0, "undecided"),  # 0.9 was passed somewhere within the first epoch: perhaps much sooner
    ([10, 10, 10], [1, 1, 1], 10.0, "undecided"),  # from scratch it may have been there soon after epoch 9
    ([None, None, None], [20, 20, 20], 5.0, "undecided"),  # from scratch it had 100 epochs and was not there
    ([None, None, None], [5, 5, 5], 20.0, "holds"),
    ([40, 44, 60], [None, None, None], 0.44, "does not hold"),
    ([None, None, None], [None, None, None], math.nan, "undecided"),
])  # fmt: skip
def test_how_much_sooner(parity, after, value, verdict):
    finding = transfers(parity, after)[0]
    assert finding.value == pytest.approx(value, nan_ok=True)
    assert finding.verdict == verdict


def test_the_controls_of_transfer():
    first, control, compute = transfers([40, 44, 60], [2, 4, 3])
    assert (first.id, control.id, compute.id) == ("13a", "13b", "13z")
    assert (control.verdict, control.seeds) == ("undecided", 0)  # there is no copy here
    # 40 / (20 + 2), 44 / (20 + 4), 60 / (20 + 3): the middle one is 44 / 24.
    assert compute.value == pytest.approx(44 / 24)
    assert compute.verdict == "holds"
    assert transfers([40, 44, 60], [2, 4, 3], first=(200, 200, 200))[2].verdict == "does not hold"


def test_the_sign_of_most():
    rows = runs_table(learned("parity", [None, None, 50]) + learned("after", [5, 5, 5]))
    each = speed_ups(rows.runs({"trained": "parity"}), rows.runs({"trained": "after"}))
    assert [speed_up.sign for speed_up in each] == ["\u2265", "\u2265", ""]
    assert common_sign(each) == "\u2265"
    assert common_sign(each[1:]) == ""  # half is not most


def test_what_is_known_before_training_is_learned_infinitely_sooner():
    rows = runs_table(learned("parity", [40, 40, 40]) + learned("after", [0, 0, 0]))
    each = speed_ups(rows.runs({"trained": "parity"}), rows.runs({"trained": "after"}))
    assert median_speed_up(each).value == math.inf


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.95, "holds"), (0.5, "does not hold")])
def test_the_last_mlp_alone(accuracy, verdict):
    last_mlp = "parity after polynomial, last MLP only"
    rows = curve(last_mlp, [accuracy] * 2 + [0.1]) + curve("polynomial", [0.95, 1.0, 0.4])
    (finding,) = check("figure-9", runs_table(rows), "14")
    assert finding.verdict == "undecided"  # the third seed pulls it down, as it should
    assert f"Of the 2 whose first network had learnt its task it is {accuracy:.2f}" in finding.sentence
    (finding,) = check("figure-9", runs_table(curve(last_mlp, [accuracy] * 3)), "14")
    assert finding.verdict == verdict


@pytest.mark.parametrize(("textbook", "verdict"), [([40, 41, 50], "holds"), ([5, 6, 7], "does not hold")])
def test_the_residual_convention(textbook, verdict):
    rows = runs_table(learned("polynomial", [10, 11, 12]) + learned("polynomial, pre-norm", textbook))
    (finding,) = check("figure-9", rows, "R")
    assert finding.verdict == verdict
    assert "3 of 3 runs reach it, 3 of 3 as published" in finding.sentence


def test_the_residual_convention_is_compared_on_the_seeds_that_both_have():
    rows = runs_table(learned("polynomial", [10, 11, 12, None]) + learned("polynomial, pre-norm", [40, 41, 50]))
    (finding,) = check("figure-9", rows, "R")
    assert "3 of 3 runs reach it, 3 of 3 as published" in finding.sentence


def test_checks_of_networks_together():
    checks = pl.DataFrame([
        {"task": "polynomial", "seed": s, "id": id_, "claim": f"claim {id_}", "value": value, "threshold": 0.02,
         "bound": "at most", "verdict": "holds" if value < 0.02 else "does not hold"}
        for id_, values in (("4a", (0.7, 0.8, 0.9)), ("4b", (0.0, 0.0, 0.01)))
        for s, value in enumerate(values)
    ])  # fmt: skip
    tables = runs_table([{"seed": s} for s in range(4)], checks=checks)
    first, second = attention_replacement("laptop").check(tables)
    assert (first.id, first.verdict, first.seeds) == ("4a", "does not hold", 3)
    assert first.value == pytest.approx(0.8)
    assert "in 0 of the 3 of 4 networks" in first.sentence
    assert (second.id, second.verdict) == ("4b", "holds")
    assert attention_replacement("laptop").check(runs_table([{}])) == []
