"""The claims about one network, checked by interventions and probes (claims 1, 3, 4, 5 and 6).

Sequences are test sequences of the headline lengths, as many of each; intervals are over sequences.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iterhead.atomic import json_bytes
from iterhead.criteria import CHANCE_MARGIN, HEAD_ABSENT, PEAK, SWAP_SEQUENCES, VERIFY_SEQUENCES
from iterhead.errors import UserError
from iterhead.figures.bars import effects_figure
from iterhead.figures.style import render
from iterhead.intervene import (
    Answers,
    Hooks,
    accuracy_under,
    bootstrap_interval,
    chance_levels,
    classify_heads,
    compose,
    describe_circuit,
    ideal_attention,
    probe,
    random_attention,
    shift_follows_f,
    shuffled_attention,
    swap_follows_f,
    zero,
)
from iterhead.intervene.effects import MakeHooks, Sequences
from iterhead.measure import ROLES, Head, headline_lengths
from iterhead.model import Transformer, pattern_hook
from iterhead.model.handmade import handmade
from iterhead.runs.run import Run
from iterhead.seeds import named_seed
from iterhead.studies.claims import Check
from iterhead.tasks import SequenceLayout, Vocabulary

CLAIMS = "claims.json"


@dataclass(frozen=True)
class Effect:
    """What one intervention does to the answers.

    Attributes:
        name: of the intervention, in words.
        by_token: mean fraction of right states, 0 .. 1.
        low, high: its 95% interval over sequences.
        exact: fraction of sequences that are right from the first state to EoS.
    """

    name: str
    by_token: float
    low: float
    high: float
    exact: float


@dataclass(frozen=True)
class Verification:
    """Everything that `verify` found.

    Attributes:
        circuit: what kind of circuit it is, one sentence.
        checks: the claims.
        effects: accuracy under each intervention, the network as it is first.
        chance: the fraction of states that a network gets right at best whose second head looks anywhere.
    """

    circuit: str
    checks: list[Check]
    effects: list[Effect]
    chance: float

    def as_json(self) -> dict[str, Any]:
        """Return everything by name, as `iterhead verify --json` prints it."""
        claims = [check.as_json() for check in self.checks]
        effects = [asdict(effect) for effect in self.effects]
        return {"circuit": self.circuit, "claims": claims, "effects": effects, "chance": self.chance}


def verify(run: Run, sequences: int = 64) -> Verification:
    """Return the claims about a run's network, checked.

    Args:
        run: trained with chain of thought.
        sequences: test sequences of each length to use.

    Raises:
        UserError: for a run without chain of thought, without scores, or without two test sequences of one length.
    """
    if run.scores.best_pair is None:
        raise UserError(f"{run.folder.path}: trained without chain of thought, so there is no iteration head to verify")
    lengths = headline_lengths(list(run.config.data.lengths))
    test = run.dataset.test
    tested = {length: test[length][:sequences] for length in lengths if len(test[length]) >= VERIFY_SEQUENCES}
    if not tested:
        raise UserError(f"{run.folder.path}: expected two test sequences of one length at least (data.test_per_length)")
    return _Subject(run, tested).verification()


@dataclass(frozen=True)
class _Joint:
    """Answers to sequences of all lengths, one after the other: right to the end, and the share of right states."""

    exact: NDArray[np.bool_]
    by_token: NDArray[np.float64]


class _Subject:
    """A network under test: its two heads, and the sequences it is tested on."""

    def __init__(self, run: Run, sequences: Sequences):
        assert run.scores.best_pair is not None
        self.run = run
        self.model = run.model
        self.task = run.config.iterative_task
        self.first, self.second = run.scores.best_pair
        self.sequences = sequences
        self.untouched = self.answers(None)

    def answers(self, make_hooks: MakeHooks | None) -> _Joint:
        """Return the answers to all sequences together, per-token fractions first averaged within a sequence."""
        return _joined(accuracy_under(self.model, self.sequences, make_hooks))

    def verification(self) -> Verification:
        interventions = self._interventions()
        answers = {name: self.answers(make_hooks) for name, make_hooks in interventions.items()}
        chance = self._chance()
        checks = [
            *self._construction(),
            *self._invariance(),
            *self._causes(answers, chance),
            *self._subtraction(),
            *self._table(),
        ]
        effects = [_effect("as it is", self.untouched), *(_effect(name, found) for name, found in answers.items())]
        kinds = classify_heads(self.model, self.sequences)
        return Verification(describe_circuit(kinds, self.run.scores.accuracy), checks, effects, chance)

    def _interventions(self) -> dict[str, MakeHooks]:
        def ideal(layout: SequenceLayout, role: str, head: Head) -> Hooks:
            return ideal_attention(layout, role, *head)

        first, second = self.first, self.second
        return {
            "first head: ideal map": lambda layout: ideal(layout, "first", first),
            "iteration head: ideal map": lambda layout: ideal(layout, "second", second),
            "both: ideal maps": lambda layout: compose(ideal(layout, "first", first), ideal(layout, "second", second)),
            "both: another sequence's maps": lambda _: compose(
                shuffled_attention(*first, seed=0, over="sequences"),
                shuffled_attention(*second, seed=0, over="sequences"),
            ),
            "first head: random map": lambda _: random_attention(*first, seed=0),
            "iteration head: random map": lambda _: random_attention(*second, seed=0),
            "without MLP 1": lambda _: zero(f"blocks.{first[0]}.hook_mlp_out"),
        }

    def _chance(self) -> float:
        vocabulary = Vocabulary(self.run.config.model.vocabulary)
        levels = chance_levels(self.task, self.sequences, vocabulary).values()
        return float(np.mean([level.random_map.by_token for level in levels if level.random_map is not None]))

    def _construction(self) -> list[Check]:
        """Claim 1: the same circuit with its weights set by hand solves these very sequences."""
        config = self.run.config
        built = handmade(self.task, config.data.max_length, vocabulary=config.model.vocabulary)
        exact = _joined(accuracy_under(built, self.sequences)).exact
        return [_check("1", "weights set by hand solve this task", exact, 0.99)]

    def _invariance(self) -> list[Check]:
        """Claim 3: where a head is peaked, its weight is the same whatever the sequence."""
        parts = [
            ("3a", "first head reads positions, not content: invariance", "first", self.first),
            ("3b", "iteration head reads positions: invariance", "second", self.second),
        ]
        found = [
            (id_, claim, _peaked_weights(self.model, self.sequences, role, head)) for id_, claim, role, head in parts
        ]
        return [self._invariance_of(id_, claim, cells) for id_, claim, cells in found if cells]

    def _invariance_of(self, id_: str, claim: str, cells: list[NDArray[np.float64]]) -> Check:
        value = 1 - float(np.mean([weights.std() for weights in cells]))
        generator = np.random.Generator(np.random.Philox(key=named_seed(0, "invariance")))
        sizes = {len(weights) for weights in cells}
        drawn = []
        for _ in range(199):
            picks = {size: generator.integers(size, size=size) for size in sorted(sizes)}
            drawn.append(1 - float(np.mean([weights[picks[len(weights)]].std() for weights in cells])))
        low, high = np.quantile(drawn, [0.025, 0.975])
        return Check(id_, claim, value, float(min(low, value)), float(max(high, value)), 0.9)

    def _causes(self, answers: dict[str, _Joint], chance: float) -> list[Check]:
        """Claim 4: what the maps do to the answers."""
        costs = [
            ("4a", "the first head's ideal map costs no accuracy", "first head: ideal map"),
            ("4b", "the iteration head's ideal map costs no accuracy", "iteration head: ideal map"),
            ("4c", "both ideal maps cost no accuracy", "both: ideal maps"),
            ("4d", "another sequence's maps cost no accuracy", "both: another sequence's maps"),
        ]
        solved = self.untouched.exact  # a network that solves nothing has nothing to lose, and shows nothing
        lost = {name: ~answers[name].exact[solved] for _, _, name in costs if solved.any()}
        checks = [_check(id_, claim, lost[name], 0.02, at_most=True) for id_, claim, name in costs if name in lost]
        bound = chance + CHANCE_MARGIN
        random = [("4e", "first", "first head: random map"), ("4f", "iteration", "iteration head: random map")]
        for id_, which, name in random if self.untouched.by_token.mean() > bound else []:
            claim = f"a random map of the {which} head leaves chance"
            checks.append(_check(id_, claim, answers[name].by_token, bound, at_most=True))
        moved = shift_follows_f(self.model, self.task, self.sequences, *self.second).by_sequence
        if moved.size:
            checks.append(_check("4g", "looking one too far, it writes F(s_{t-1}, x_{t+1})", moved, 0.9))
        return checks

    def _subtraction(self) -> list[Check]:
        """Claim 5: MLP 1 subtracts. Nothing to check where the two heads share a layer."""
        if self.first[0] == self.second[0]:
            return []
        train = {length: self.run.dataset.train[length] for length in self.sequences}
        site = f"blocks.{self.second[0]}.hook_resid_pre"
        read = probe(self.model, train, self.sequences, site, "t")
        right = np.zeros(read.n, dtype=bool)
        right[: round(read.accuracy * read.n)] = True
        checks = [_check("5a", "t can be read at the iteration head's input", right, 0.99)]
        if _peaks(self.model, self.sequences, self.second, {}).mean() > HEAD_ABSENT:
            peaks = _peaks(self.model, self.sequences, self.second, zero(f"blocks.{self.first[0]}.hook_mlp_out"))
            checks.append(_check("5b", "without MLP 1 the diagonal goes: peakiness", peaks, HEAD_ABSENT, at_most=True))
        return checks

    def _table(self) -> list[Check]:
        """Claim 6: handed another x_t, the second layer writes F of it."""
        each = -(-SWAP_SEQUENCES // len(self.sequences))
        few = {length: tokens[:each] for length, tokens in self.sequences.items()}
        followed = swap_follows_f(self.model, self.task, few, *self.second).counts.by_sequence
        return [_check("6", "handed x' for x_t, it writes F(s_{t-1}, x')", followed, 0.95)] if followed.size else []


def _check(id_: str, claim: str, values: NDArray[Any], threshold: float, *, at_most: bool = False) -> Check:
    """Return the check of a mean over `values`, one for each sequence (in 5a, each token)."""
    low, high = bootstrap_interval(values)
    return Check(id_, claim, float(np.mean(values)), low, high, threshold, "at most" if at_most else "at least")


def _joined(answers: Mapping[int, Answers]) -> _Joint:
    exact = np.concatenate([found.exact for found in answers.values()])
    return _Joint(exact, np.concatenate([found.by_token for found in answers.values()]))


def _effect(name: str, answers: _Joint) -> Effect:
    low, high = bootstrap_interval(answers.by_token)
    return Effect(name, float(answers.by_token.mean()), low, high, float(answers.exact.mean()))


@torch.no_grad()
def _maps(
    model: Transformer, sequences: Sequences, role: str, head: Head, hooks: Hooks | None = None
) -> Iterator[NDArray[np.float64]]:
    """Yield, for each length, a head's weights on its ideal keys, [sequences, queries]."""
    site = pattern_hook(head[0])
    for length, tokens in sequences.items():
        queries, keys = ROLES[role](SequenceLayout(length))
        _, cache = model.run_with_cache(torch.from_numpy(tokens[:, :-1]), (site,), hooks=hooks)
        yield cache[site][:, head[1], queries, keys].double().numpy()


def _peaked_weights(model: Transformer, sequences: Sequences, role: str, head: Head) -> list[NDArray[np.float64]]:
    """Return the weights over sequences of every cell where the head is peaked on average."""
    weights = [cell for map_ in _maps(model, sequences, role, head) for cell in map_.T]
    return [cell for cell in weights if cell.mean() > PEAK]


def _peaks(model: Transformer, sequences: Sequences, head: Head, hooks: Hooks) -> NDArray[np.float64]:
    """Return the fraction of an iteration head's queries that are peaked under `hooks`, for each sequence."""
    return np.concatenate([(map_ > PEAK).mean(1) for map_ in _maps(model, sequences, "second", head, hooks)])


def write_verification(run: Run, verification: Verification) -> None:
    """Write what was found into the run's folder: claims.json, and its figure verify.png and verify.pdf."""
    effects = verification.effects
    figure = effects_figure(
        f"{run.config.task}, seed {run.config.seed}: what each intervention leaves",
        [effect.name for effect in effects],
        [effect.by_token for effect in effects],
        [effect.low for effect in effects],
        [effect.high for effect in effects],
        verification.chance,
    )
    with run.folder.lock():
        run.folder.write_many({CLAIMS: json_bytes(verification.as_json()), **render(figure, "verify")})


def read_verification(run: Run) -> Verification | None:
    """Return what `write_verification` wrote last, or None where nothing was."""
    if not run.folder.has(CLAIMS):
        return None
    found = run.folder.read_json(CLAIMS)
    checks = [Check(**{name: value for name, value in claim.items() if name != "verdict"}) for claim in found["claims"]]
    return Verification(found["circuit"], checks, [Effect(**effect) for effect in found["effects"]], found["chance"])
