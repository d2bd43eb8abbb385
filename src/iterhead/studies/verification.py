"""The claims about one network, checked by interventions and probes (claims 1, 3, 4, 5 and 6).

Sequences are test sequences of the headline lengths, equally many of each; intervals are over sequences.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from iterhead import criteria
from iterhead.atomic import json_bytes
from iterhead.contents import STRICT
from iterhead.errors import UserError
from iterhead.estimates import bootstrap_interval
from iterhead.figures.bars import effects_figure
from iterhead.figures.style import render
from iterhead.intervene.activations import Hooks, compose, zero
from iterhead.intervene.circuit import classify_heads, describe_circuit
from iterhead.intervene.counterfactuals import shift_follows_f, swap_follows_f
from iterhead.intervene.effects import Answers, MakeHooks, Sequences, accuracy_under, random_map_chance
from iterhead.intervene.patterns import ideal_attention, random_attention, shuffled_attention
from iterhead.intervene.probes import probe
from iterhead.measure.heads import ROLES
from iterhead.measure.records import Head, headline_lengths
from iterhead.model.handmade import handmade
from iterhead.model.hooks import pattern_hook
from iterhead.runs.run import Run
from iterhead.seeds import named_seed
from iterhead.studies.claims import Bound, Check, Verdict
from iterhead.tasks import SequenceLayout, Vocabulary

CLAIMS = "claims.json"


@dataclass(frozen=True)
class Effect:
    """The answers under one intervention."""

    __pydantic_config__ = STRICT
    name: str
    by_token: float  # mean fraction of correct states
    low: float  # of its 95% interval over sequences
    high: float
    exact: float  # fraction of sequences that are correct from the first state to EoS


@dataclass(frozen=True)
class Verification:
    """The result of `verify`."""

    circuit: str  # its kind, one sentence
    checks: list[Check]
    effects: list[Effect]  # the unchanged network comes first
    chance: float  # the best fraction of correct states that a network can have whose second head looks at random

    def as_json(self) -> dict[str, Any]:
        """Return everything by name, as `iterhead verify --json` prints it."""
        claims = [check.as_json() for check in self.checks]
        effects = [asdict(effect) for effect in self.effects]
        return {"circuit": self.circuit, "claims": claims, "effects": effects, "chance": self.chance}


def verify(run: Run, sequences: int = 64) -> Verification:
    """Check the claims about a run's network.

    Args:
        run: trained with chain of thought.
        sequences: number of test sequences of each length.

    Raises:
        UserError: for a run without chain of thought, without scores, or without two test sequences of one length.
    """
    if run.scores.best_pair is None:
        raise UserError(f"{run.folder.path}: trained without chain of thought, so there is no iteration head to verify")
    lengths = headline_lengths(list(run.config.data.lengths))
    test = run.dataset.test
    tested = {length: test[length][:sequences] for length in lengths if len(test[length]) >= criteria.VERIFY_SEQUENCES}
    if not tested:
        raise UserError(f"{run.folder.path}: expected two test sequences of one length at least (data.test_per_length)")
    return _Subject(run, tested).verification()


class _Joint(NamedTuple):
    """Answers to sequences of all lengths, one after the other: all correct, and the share of correct states."""

    exact: NDArray[np.bool_]
    by_token: NDArray[np.float64]


class _Subject:
    """A network under test: its two heads, and its test sequences."""

    def __init__(self, run: Run, sequences: Sequences):
        assert run.scores.best_pair is not None
        self.run, self.model, self.task = run, run.model, run.task
        self.first, self.second = run.scores.best_pair
        self.sequences = sequences
        self.without_mlp = zero(f"blocks.{self.first[0]}.hook_mlp_out")
        self.unchanged = self.answers(None)

    def answers(self, make_hooks: MakeHooks | None) -> _Joint:
        """Return the answers to all sequences together."""
        return _joined(accuracy_under(self.model, self.sequences, make_hooks))

    def verification(self) -> Verification:
        answers = {name: self.answers(make_hooks) for name, make_hooks in self._interventions().items()}
        chance = random_map_chance(self.task, self.sequences, Vocabulary(self.run.config.model.vocabulary))
        causes = self._causes(answers, chance)
        checks = [*self._construction(), *self._invariance(), *causes, *self._subtraction(), *self._table()]
        effects = [_effect(name, joint) for name, joint in {"as it is": self.unchanged, **answers}.items()]
        kinds = classify_heads(self.model, self.sequences)
        return Verification(describe_circuit(kinds, self.run.scores.accuracy), checks, effects, chance)

    def _interventions(self) -> dict[str, MakeHooks]:
        first, second = self.first, self.second
        return {
            "first head: ideal map": lambda layout: ideal_attention(layout, "first", *first),
            "iteration head: ideal map": lambda layout: ideal_attention(layout, "second", *second),
            "both: ideal maps": lambda layout: compose(
                ideal_attention(layout, "first", *first), ideal_attention(layout, "second", *second)
            ),
            "both: another sequence's maps": lambda _: compose(
                shuffled_attention(*first, seed=0, over="sequences"),
                shuffled_attention(*second, seed=0, over="sequences"),
            ),
            "first head: random map": lambda _: random_attention(*first, seed=0),
            "iteration head: random map": lambda _: random_attention(*second, seed=0),
            "without MLP 1": lambda _: self.without_mlp,
        }

    def _construction(self) -> list[Check]:
        """Claim 1: the same circuit with its weights set by hand solves these very sequences."""
        config = self.run.config
        built = handmade(self.task, config.data.max_length, vocabulary=config.model.vocabulary)
        exact = _joined(accuracy_under(built, self.sequences)).exact
        return [_check("1", "weights set by hand solve this task", exact, criteria.CONSTRUCTION_ACCURACY)]

    def _invariance(self) -> list[Check]:
        """Claim 3: where a head is peaked, its weight is the same for every sequence."""
        parts = (
            ("3a", "first head reads positions, not content: invariance", "first", self.first),
            ("3b", "iteration head reads positions: invariance", "second", self.second),
        )
        checks = []
        for id_, claim, role, head in parts:
            peaked = [pair for map_ in self._maps(role, head) for pair in map_.T if pair.mean() > criteria.PEAK]
            if peaked:
                checks.append(Check(id_, claim, *_invariance_interval(peaked), criteria.INVARIANCE))
        return checks

    def _causes(self, answers: dict[str, _Joint], chance: float) -> list[Check]:
        """Claim 4: how attention maps change the answers."""
        costs = [
            ("4a", "the first head's ideal map costs no accuracy", "first head: ideal map"),
            ("4b", "the iteration head's ideal map costs no accuracy", "iteration head: ideal map"),
            ("4c", "both ideal maps cost no accuracy", "both: ideal maps"),
            ("4d", "another sequence's maps cost no accuracy", "both: another sequence's maps"),
        ]
        solved = self.unchanged.exact  # a network that solves nothing has nothing to lose
        checks = [
            _check(id_, claim, ~answers[name].exact[solved], criteria.HARMLESS_COST, at_most=True)
            for id_, claim, name in costs
            if solved.any()
        ]
        bound = chance + criteria.CHANCE_MARGIN
        random = [("4e", "first", "first head: random map"), ("4f", "iteration", "iteration head: random map")]
        for id_, which, name in random if self.unchanged.by_token.mean() > bound else []:
            claim = f"a random map of the {which} head leaves chance"
            checks.append(_check(id_, claim, answers[name].by_token, bound, at_most=True))
        moved = shift_follows_f(self.model, self.task, self.sequences, *self.second).by_sequence
        if moved.size:
            checks.append(
                _check("4g", "looking one too far, it writes F(s_{t-1}, x_{t+1})", moved, criteria.SHIFT_FOLLOWED)
            )
        return checks

    def _subtraction(self) -> list[Check]:
        """Claim 5: MLP 1 subtracts. Not checked if both heads share a layer."""
        if self.first[0] == self.second[0]:
            return []
        train = {length: self.run.dataset.train[length] for length in self.sequences}
        read = probe(self.model, train, self.sequences, f"blocks.{self.second[0]}.hook_resid_pre", "t")
        right = np.arange(read.n) < round(read.accuracy * read.n)
        checks = [_check("5a", "t can be read at the iteration head's input", right, criteria.STEP_READABLE)]
        if self._peaks({}).mean() > criteria.HEAD_ABSENT:
            peaks, claim = self._peaks(self.without_mlp), "without MLP 1 the diagonal goes: peakiness"
            checks.append(_check("5b", claim, peaks, criteria.HEAD_ABSENT, at_most=True))
        return checks

    def _table(self) -> list[Check]:
        """Claim 6: given another x_t, the second layer writes F of it."""
        each = -(-criteria.SWAP_SEQUENCES // len(self.sequences))
        few = {length: tokens[:each] for length, tokens in self.sequences.items()}
        followed = swap_follows_f(self.model, self.task, few, *self.second).counts.by_sequence
        claim = "handed x' for x_t, it writes F(s_{t-1}, x')"
        return [_check("6", claim, followed, criteria.SWAP_FOLLOWED)] if followed.size else []

    @torch.no_grad()
    def _maps(self, role: str, head: Head, hooks: Hooks | None = None) -> Iterator[NDArray[np.float64]]:
        """Yield, for each length, a head's weights on its ideal keys, [sequences, queries]."""
        name = pattern_hook(head[0])
        for length, tokens in self.sequences.items():
            queries, keys = ROLES[role](SequenceLayout(length))
            _, cache = self.model.run_with_cache(torch.from_numpy(tokens[:, :-1]), (name,), hooks=hooks)
            yield cache[name][:, head[1], queries, keys].double().numpy()

    def _peaks(self, hooks: Hooks) -> NDArray[np.float64]:
        """Return the fraction of the iteration head's queries that are peaked under `hooks`, for each sequence."""
        return np.concatenate([(map_ > criteria.PEAK).mean(1) for map_ in self._maps("second", self.second, hooks)])


def _check(id_: str, claim: str, values: NDArray[Any], threshold: float, *, at_most: bool = False) -> Check:
    """Return the check of a mean over `values`, one for each sequence (in 5a, each token)."""
    low, high = bootstrap_interval(values)
    return Check(id_, claim, float(np.mean(values)), low, high, threshold, "at most" if at_most else "at least")


def _joined(answers: Mapping[int, Answers]) -> _Joint:
    exact = np.concatenate([each.exact for each in answers.values()])
    return _Joint(exact, np.concatenate([each.by_token for each in answers.values()]))


def _effect(name: str, answers: _Joint) -> Effect:
    low, high = bootstrap_interval(answers.by_token)
    return Effect(name, float(answers.by_token.mean()), low, high, float(answers.exact.mean()))


def _invariance_interval(pairs: list[NDArray[np.float64]]) -> tuple[float, float, float]:
    """Return the invariance of the weights of some pairs and its interval, resampling sequences."""
    value = 1 - float(np.mean([weights.std() for weights in pairs]))
    generator = np.random.Generator(np.random.Philox(key=named_seed(0, "invariance")))
    sizes = sorted({len(weights) for weights in pairs})
    drawn = []
    for _ in range(199):
        picks = {size: generator.integers(size, size=size) for size in sizes}
        drawn.append(1 - float(np.mean([weights[picks[len(weights)]].std() for weights in pairs])))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return value, float(min(low, value)), float(max(high, value))


def write_verification(run: Run, verification: Verification) -> None:
    """Write a verification into the run's folder: claims.json, and its figure verify.png and verify.pdf."""
    title = f"{run.config.task}, seed {run.config.seed}: what each intervention leaves"
    effects = ((e.name, e.by_token, e.low, e.high) for e in verification.effects)
    names, accuracy, low, high = zip(*effects, strict=True)
    figure = effects_figure(title, names, accuracy, low, high, verification.chance)
    with run.folder.lock():
        run.folder.write_many({CLAIMS: json_bytes(verification.as_json()), **render(figure, "verify")})


class _StoredCheck(BaseModel):
    """A check as JSON: None is infinite, or nan."""

    model_config = STRICT
    id: str
    claim: str
    value: float | None
    low: float | None
    high: float | None
    threshold: float
    bound: Bound
    verdict: Verdict


class _Stored(BaseModel):
    """What claims.json holds: `Verification.as_json`."""

    model_config = STRICT
    circuit: str
    claims: list[_StoredCheck]
    effects: list[Effect] = Field(min_length=1)
    chance: float


def read_verification(run: Run) -> Verification | None:
    """Return what `write_verification` wrote last, or None."""
    if not run.folder.has(CLAIMS):
        return None
    stored = run.folder.read_json(CLAIMS, _Stored)
    checks = [Check.from_json(dict(claim)) for claim in stored.claims]
    return Verification(stored.circuit, checks, stored.effects, stored.chance)
