"""Claims on networks of which we know whether they hold: the one set by hand, and ones that cannot have a circuit."""

import json

import numpy as np
import pytest

from helpers.stored_runs import settings, stored, untrained
from iterhead.data.splits import Dataset, make_dataset
from iterhead.errors import UserError
from iterhead.model.handmade import handmade
from iterhead.studies.verification import read_verification, verify, write_verification
from iterhead.tasks import SequenceLayout, task
from iterhead.training import trainer as training_loop
from iterhead.training.trainer import Trainer

ORACLES = {"parity": 12, "polynomial:p=5": 9, "polynomial": 9}
"""Longest lengths, such that there are 380 test sequences: as few as let 100% right tell 0.99 (380 / 383.84)."""

EFFECTS = [
    "as it is",
    "first head: ideal map",
    "iteration head: ideal map",
    "both: ideal maps",
    "both: another sequence's maps",
    "first head: random map",
    "iteration head: random map",
    "without MLP 1",
]


@pytest.fixture(scope="module")
def oracle_of(tmp_path_factory):
    """Make a run and its verification of a network set by hand, each once."""
    verifications = {}

    def made(spec="parity", residual="published"):
        if (spec, residual) not in verifications:
            longest = ORACLES[spec]
            model = handmade(task(spec), longest, residual=residual)
            path = tmp_path_factory.mktemp("oracle") / "run"
            run = stored(path, model, spec, max_length=longest, train_per_length=64, test_per_length=64)
            verifications[spec, residual] = run, verify(run)
        return verifications[spec, residual]

    return made


@pytest.fixture(params=[(spec, residual) for spec in ORACLES for residual in ("published", "pre-norm")], ids=str)
def oracle(request, oracle_of):
    return oracle_of(*request.param)


def values(verification) -> dict[str, float]:
    return {check.id: check.value for check in verification.checks}


def verdicts(verification) -> dict[str, str]:
    return {check.id: check.verdict for check in verification.checks}


# The network set by hand


def test_every_claim_holds_of_the_network_set_by_hand(oracle):
    _, verification = oracle
    assert list(verdicts(verification)) == ["1", "3a", "3b", "4a", "4b", "4c", "4d", "4e", "4f", "4g", "5a", "5b", "6"]
    assert set(verdicts(verification).values()) == {"holds"}


def test_its_numbers_are_what_its_weights_dictate(oracle):
    """All but 4e and 4f, where the draw of the random map has a part."""
    _, verification = oracle
    known = {name: value for name, value in values(verification).items() if name not in ("4e", "4f")}
    assert known == pytest.approx(
        {
            **{"1": 1, "3a": 1, "3b": 1},  # one map for all sequences
            **{"4a": 0, "4b": 0, "4c": 0, "4d": 0, "4g": 1},  # its maps are the ideal ones
            **{"5a": 1, "5b": 0, "6": 1},  # t as a one-hot vector; no t, no peak; MLP 2 is F's table
        },
        abs=1e-6,
    )
    assert verification.circuit.startswith("iteration head: layer 2, head 1; layer 1, head 1 is an EoI finder")


def test_effects_on_it(oracle):
    _, verification = oracle
    assert [effect.name for effect in verification.effects] == EFFECTS
    exact = [effect.exact for effect in verification.effects]
    assert exact[:5] == [1.0] * 5
    assert max(exact[5:]) < 0.2
    for effect in verification.effects:
        assert 0 <= effect.low <= effect.by_token <= effect.high <= 1


def test_intervals_hold_the_value_and_are_wider_than_a_point(oracle):
    _, verification = oracle
    for check in verification.checks:
        assert 0 <= check.low <= check.value + 1e-9
        assert check.value <= check.high + 1e-9
        if check.id not in ("3a", "3b"):  # a standard deviation that is zero stays so in every resample
            assert check.low < check.high


def test_chance_by_hand(oracle_of):
    """Parity from its state alone: half. With a map at random, the query at q sees x_t once in q + 1 times.

    Length 4, first step: q = e = 5, luck 1/6, so 1/6 + 5/6 * 1/2 = 7/12.
    """
    _, verification = oracle_of("parity")
    by_length = [np.mean([0.5 + 0.5 / (length + t + 1) for t in range(1, length + 1)]) for length in range(4, 13)]
    assert verification.chance == pytest.approx(np.mean(by_length))
    thresholds = {check.id: check.threshold for check in verification.checks}
    assert thresholds["4e"] == thresholds["4f"] == pytest.approx(verification.chance + 0.05)


# Networks that cannot have the circuit


def test_an_untrained_network_fails(tmp_path):
    run = stored(
        tmp_path / "run", untrained(9, width=32), "polynomial", max_length=9, train_per_length=64, test_per_length=64
    )
    verdict_of = verdicts(verify(run))
    assert verdict_of["1"] == "holds"  # which is about the network set by hand
    for name in ("4g", "5a", "6"):
        assert verdict_of[name] == "does not hold", name
    # It solves nothing, has no peak and no diagonal: where there is nothing to lose, no claim is made.
    assert not {"3a", "3b", "4a", "4b", "4c", "4d", "4e", "4f", "5b"} & set(verdict_of)


def with_states_of_others(data: Dataset) -> Dataset:
    """The same training inputs, each followed by the states of another sequence of its length."""
    rng = np.random.default_rng(0)
    train = {}
    for length, tokens in data.train.items():
        states = SequenceLayout(length).states
        train[length] = tokens.copy()
        train[length][:, states] = tokens[rng.permutation(len(tokens)), states]
    return Dataset(train, data.test)


def test_a_network_trained_on_the_states_of_other_sequences_fails(tmp_path, monkeypatch):
    """It learns what a sequence looks like, and when to stop, but no F."""
    monkeypatch.setattr(training_loop, "make_dataset", lambda *args: with_states_of_others(make_dataset(*args)))
    data = {"max_length": 5, "train_per_length": 256, "test_per_length": 64}
    trainer = Trainer([settings("polynomial:p=5", {"width": 16, "dropout": 0.0}, **data)])
    losses = [loss for _ in range(24) for loss in trainer.train_epoch()]
    assert losses[-1] < 0.75 * losses[0]
    verdict_of = verdicts(verify(stored(tmp_path / "run", trainer.model.eval(), "polynomial:p=5", **data)))
    assert verdict_of["4g"] == verdict_of["6"] == "does not hold"


# What is written


def test_what_is_written_is_read_again(oracle_of):
    run, verification = oracle_of("parity")
    assert read_verification(run) is None
    write_verification(run, verification)
    assert read_verification(run) == verification
    assert {"claims.json", "verify.png", "verify.pdf"} <= set(run.folder.names())


def test_the_json_has_every_field_and_no_nan(oracle_of):
    _, verification = oracle_of("polynomial")
    text = json.dumps(verification.as_json(), allow_nan=False)
    claims = json.loads(text)["claims"]
    assert len(claims) == 13
    for claim in claims:
        assert set(claim) == {"id", "claim", "value", "low", "high", "threshold", "bound", "verdict"}


def test_the_same_again_is_the_same(oracle_of):
    run, verification = oracle_of("parity")
    assert verify(run) == verification


# Networks and runs that are not as usual


def test_one_layer_has_no_subtraction_to_check(tmp_path):
    run = stored(
        tmp_path / "run",
        untrained(5, width=8, layers=1),
        "parity",
        max_length=5,
        train_per_length=16,
        test_per_length=16,
    )
    verdict_of = verdicts(verify(run, sequences=8))
    assert not {"5a", "5b"} & set(verdict_of)
    assert verdict_of["6"] == "does not hold"


@pytest.mark.parametrize("residual", ["published", "pre-norm"])
def test_a_mixture(tmp_path, residual):
    spec = "mix:copy,polynomial(p=5)"
    model = handmade(task(spec), 8, residual=residual)
    run = stored(tmp_path / "run", model, spec, max_length=8, train_per_length=128, test_per_length=128)
    assert set(verdicts(verify(run, sequences=128)).values()) == {"holds"}


def test_fewer_sequences_than_asked(tmp_path):
    """Parity has 16 sequences of length 4, of which a half is for testing; 64 of length 6 likewise."""
    run = stored(tmp_path / "run", handmade(task("parity"), 6), "parity", max_length=6)
    assert {length: len(tokens) for length, tokens in run.dataset.test.items() if length >= 4} == {4: 8, 5: 16, 6: 32}
    verification = verify(run, sequences=1000)
    # 8 + 16 + 32 = 56 sequences, all right: 56 / (56 + 3.84) = 0.936, not enough to tell 0.99.
    (first,) = (check for check in verification.checks if check.id == "1")
    assert first.low == pytest.approx(56 / 59.8415, abs=1e-4)
    assert first.verdict == "undecided"
    assert "does not hold" not in verdicts(verification).values()


def test_more_sequences_narrow_the_intervals(oracle_of):
    run, verification = oracle_of("polynomial")
    few = {check.id: check for check in verify(run, sequences=8).checks}
    many = {check.id: check for check in verification.checks}
    assert few["4e"].high - few["4e"].low > 1.5 * (many["4e"].high - many["4e"].low)


def test_short_lengths_alone(tmp_path):
    """Of length 1 parity has one sequence to train on and one to test on, which has no other's map to take."""
    run = stored(tmp_path / "run", handmade(task("parity"), 3), "parity", max_length=3)
    verdict_of = verdicts(verify(run))
    assert "does not hold" not in verdict_of.values()
    assert "4d" in verdict_of


def test_a_single_test_sequence_is_refused(tmp_path):
    data = {"max_length": 5, "test_per_length": 1}
    run = stored(tmp_path / "run", handmade(task("parity"), 5), "parity", **data)
    with pytest.raises(UserError, match="expected two test sequences of one length at least"):
        verify(run)


def test_inputs_that_cannot_tell_are_not_asked(tmp_path):
    """With the single length 1 nothing stands one place further than x_1."""
    data = {"max_length": 1, "train_per_length": 4, "test_per_length": 4}
    run = stored(tmp_path / "run", handmade(task("polynomial"), 1), "polynomial", **data)
    assert "4g" not in verdicts(verify(run))


def test_without_chain_of_thought_it_is_refused(tmp_path):
    run = stored(tmp_path / "run", untrained(4, cot=False, width=8), "parity", max_length=4, cot=False)
    with pytest.raises(UserError, match="trained without chain of thought"):
        verify(run)
