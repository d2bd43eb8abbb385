"""Interventions: do the answers depend on the heads, and on what the heads look at?

Every row changes something, and looks at the first token of every state, teacher-forced. Heads are compared with as
many random heads of the same layers.

Letters: `P` prompts, `B` those of one forward pass, `L` steps, `Q` queries (one for each step), `T` tokens, `H` heads,
`D` width of a head.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iterhead.contents import STRICT, Share
from iterhead.estimates import bootstrap_interval
from iterhead.huggingface.language_model import LanguageModel
from iterhead.intervene.activations import ablate_head, compose, replace
from iterhead.intervene.patterns import attend_to
from iterhead.measure.records import Head
from iterhead.model.hooks import Hook, pattern_hook
from iterhead.prompts import PromptBatch, span_mask
from iterhead.scans.heads import grouped
from iterhead.scans.passes import Integers, first_answers, value_table
from iterhead.scans.result import CausalRow
from iterhead.seeds import IntegerStream
from iterhead.tasks import next_states, states_before

EDITS = 4
"""Edits of each prompt: one step is looked at in each."""

SHIFTED = "looking at x_{t+1}"
RANDOM = "looking at a random input"
MEAN_ABLATION = "mean ablation"


@dataclass(frozen=True)
class Outcome:
    """What one intervention did, for each prompt.

    Attributes:
        accuracy: share of the steps looked at whose first token is the right one.
        follows: share of first tokens that are the counterfactual answer's; None in a prompt without such a step.
        answers: first tokens of the first prompt of each length.
    """

    __pydantic_config__ = STRICT
    accuracy: list[Share]
    follows: list[Share | None]
    answers: dict[str, list[int]]


def average(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the mean of outcomes on the same prompts, with the first one's answers."""
    accuracy = np.mean([outcome.accuracy for outcome in outcomes], axis=0).tolist()
    each_prompt = zip(*(outcome.follows for outcome in outcomes), strict=True)
    follows = [None if None in shares else float(np.mean(shares)) for shares in each_prompt]
    return Outcome(accuracy, follows, outcomes[0].answers)


def as_row(intervention: str, heads: Iterable[Head], outcome: Outcome) -> CausalRow:
    """Return the means over prompts."""
    following = [share for share in outcome.follows if share is not None]
    low, high = bootstrap_interval(following or outcome.accuracy)
    follows = float(np.mean(following)) if following else None
    return CausalRow(intervention, tuple(heads), float(np.mean(outcome.accuracy)), follows, low, high)


class Experiment:
    """Interventions on the heads of a model, over the prompts of all lengths.

    Args:
        model: the model.
        batches: the prompts by length.
        means: mean output of every head over all tokens, [layers, H, D].
        inputs: weights of every head on the inputs by length, [P, layers, H, L, L], as `scores.measure` returns them.
        seed: of every draw.
    """

    def __init__(
        self,
        model: LanguageModel,
        batches: Mapping[int, PromptBatch],
        means: Tensor,
        inputs: Mapping[int, Tensor],
        seed: int,
    ):
        self.model, self.batches, self.inputs, self.seed = model, batches, inputs, seed
        self.means = means.to(model.device)
        self._choices: dict[str, Callable[[PromptBatch], Integers]] = {
            SHIFTED: next_inputs,
            RANDOM: partial(random_inputs, seed=seed),
            "looking at x_t": own_inputs,
        }
        self._on_heads: dict[str, Callable[[Sequence[Head]], Outcome]] = {
            MEAN_ABLATION: lambda heads: self._ablate(heads, self.means),
            "zero ablation": lambda heads: self._ablate(heads, torch.zeros_like(self.means)),
            **{name: partial(self._redirect, choose=choose) for name, choose in self._choices.items()},
            "another prompt's map": self._exchange,
        }
        self._on_text: dict[str, Callable[[], Outcome]] = {
            "a written state replaced": lambda: self._edit("state"),
            "an input replaced": lambda: self._edit("input"),
        }

    @property
    def on_heads(self) -> tuple[str, ...]:
        """The interventions on heads, in the order of the table: those for which there is another input to look at."""
        missing = [
            name
            for name, choose in self._choices.items()
            if all((choose(batch) < 0).all() for batch in self.batches.values())
        ]
        return tuple(name for name in self._on_heads if name not in missing)

    @property
    def on_text(self) -> tuple[str, ...]:
        """The interventions on the text."""
        return tuple(self._on_text)

    def change_heads(self, intervention: str, heads: Sequence[Head]) -> Outcome:
        """Run an intervention on some heads together."""
        return self._on_heads[intervention](heads)

    def change_text(self, intervention: str) -> Outcome:
        """Run an intervention on the text."""
        return self._on_text[intervention]()

    def unchanged(self) -> Outcome:
        """Run the model as it is."""
        return self._outcome(lambda batch: first_answers(self.model, batch))

    def _outcome(
        self,
        answers_of: Callable[[PromptBatch], Integers],
        counterfactual: Callable[[PromptBatch], Integers] | None = None,
    ) -> Outcome:
        """Collect the answers of all lengths; `counterfactual` returns values [P, L], or -1 where there is none."""
        accuracy: list[float] = []
        follows: list[float | None] = []
        examples: dict[str, list[int]] = {}
        for length, batch in self.batches.items():
            answers_PL, first_V = answers_of(batch), value_table(batch)[:, 0]
            right_PL = first_V[batch.next_states_BL]
            accuracy += (answers_PL == right_PL).mean(-1).tolist()
            other_PL = np.full_like(right_PL, -1) if counterfactual is None else counterfactual(batch)
            follows += shares_following(answers_PL, right_PL, np.where(other_PL < 0, -1, first_V[other_PL]))
            examples[str(length)] = answers_PL[0].tolist()
        return Outcome(accuracy, follows, examples)

    def _ablate(self, heads: Sequence[Head], means: Tensor) -> Outcome:
        """Replace the output of heads everywhere by a constant."""

        def make_hooks(_rows: slice, tokens: int) -> Mapping[str, Hook]:
            return compose(
                *(
                    ablate_head(layer, chosen, mean=means[layer].expand(tokens, -1, -1))
                    for layer, chosen in grouped(heads)
                )
            )

        return self._outcome(lambda batch: first_answers(self.model, batch, make_hooks))

    def _redirect(self, heads: Sequence[Head], choose: Callable[[PromptBatch], Integers]) -> Outcome:
        """Make heads look at one input, all with all their weight; `choose` returns its number [P, L] from 0, or -1."""

        def answers_of(batch: PromptBatch) -> Integers:
            chosen_PL = choose(batch)

            def make_hooks(rows: slice, tokens: int) -> Mapping[str, Hook]:
                weights = input_weights(batch.input_spans_BL2[rows], chosen_PL[rows], tokens)
                return compose(*(attend_to(weights.to(self.model.device), *place) for place in grouped(heads)))

            return first_answers(self.model, batch, make_hooks)

        return self._outcome(answers_of, lambda batch: states_after(batch, choose(batch)))

    def _exchange(self, heads: Sequence[Head]) -> Outcome:
        """Give heads the weights on the inputs that they have in the prompt before, of the same length.

        Tokens may be at other places there. So what the head has on each input is exchanged, spread evenly over its
        tokens, and the rest of the weight stays where it was.
        """

        def answers_of(batch: PromptBatch) -> Integers:
            def make_hooks(rows: slice, tokens: int) -> Mapping[str, Hook]:
                spans = torch.from_numpy(span_mask(batch.input_spans_BL2[rows], tokens)).to(self.model.device).float()
                donors = self.inputs[batch.length].roll(1, 0)[rows].to(self.model.device)
                return compose(
                    *(
                        replace(pattern_hook(layer), _exchanged(spans, donors[:, layer, head]), head=head)
                        for layer, head in heads
                    )
                )

            return first_answers(self.model, batch, make_hooks)

        return self._outcome(answers_of)

    def _edit(self, kind: str) -> Outcome:
        """Replace a state or an input of every prompt in the text, and look at the answer that it changes.

        Accuracy is the share of answers that are right for the text before the edit.
        """
        accuracy: list[float] = []
        follows: list[float | None] = []
        for batch in self.batches.values():
            edits = [edited_answers(self.model, batch, kind, self.seed, draw) for draw in range(EDITS)]
            answers, right, other = (np.stack(column, axis=1) for column in zip(*edits, strict=True))
            accuracy += (answers == right).mean(-1).tolist()
            follows += shares_following(answers, right, other)
        return Outcome(accuracy, follows, {})


def shares_following(answers_PL: Integers, right_PL: Integers, other_PL: Integers) -> list[float | None]:
    """Return for each prompt the share of answers that are the other one, where it exists and is not the right one."""
    counted = (other_PL >= 0) & (other_PL != right_PL)
    pairs = zip((answers_PL == other_PL) & counted, counted, strict=True)
    return [float(same.sum() / asked.sum()) if asked.any() else None for same, asked in pairs]


def edited_answers(
    model: LanguageModel, batch: PromptBatch, kind: str, seed: int, draw: int
) -> tuple[Integers, Integers, Integers]:
    """Return the first token of an answer after an edit, that of the right one before it, and that of F after it: [P].

    A replaced s_t changes the answer s_{t+1}; a replaced x_t changes s_t. All else stays as it is written.
    """
    P, everyone = len(batch), np.arange(len(batch))
    stream = IntegerStream(seed, "scan", kind, batch.length, draw)
    if kind == "state":
        step = stream.integers(batch.length - 1, (P,))  # t - 1
        states = stream.others(batch.states_BL[everyone, step], range(batch.task.alphabet))
        edited = batch.with_state(step + 1, states)
        asked = step + 1
    else:
        asked = stream.integers(batch.length, (P,))
        inputs = stream.others(batch.inputs_BL[everyone, asked], batch.task.symbols)
        edited = batch.with_input(asked + 1, inputs, follow=False)
    first_V = value_table(batch)[:, 0]
    answers = first_answers(model, edited)[everyone, asked]
    return answers, first_V[batch.next_states_BL[everyone, asked]], first_V[edited.next_states_BL[everyone, asked]]


def visible_inputs(batch: PromptBatch) -> NDArray[np.bool_]:
    """Return which inputs come before each query, [P, L, L]."""
    return np.asarray(batch.input_spans_BL2[:, None, :, 1] <= batch.queries_BL[..., None] + 1)


def own_inputs(batch: PromptBatch) -> Integers:
    """Return the number of x_t, from 0, for every step [P, L]."""
    return np.tile(np.arange(batch.length), (len(batch), 1))


def next_inputs(batch: PromptBatch) -> Integers:
    """Return the number of x_{t+1} for every step [P, L]; -1 where there is none or the query does not see it."""
    following = own_inputs(batch) + 1
    sees = np.take_along_axis(visible_inputs(batch), np.minimum(following, batch.length - 1)[..., None], axis=-1)[
        ..., 0
    ]
    return np.where((following < batch.length) & sees, following, -1)


def random_inputs(batch: PromptBatch, seed: int) -> Integers:
    """Return for every step another input than x_t that its query sees, [P, L]; -1 where there is none."""
    P, L = batch.queries_BL.shape
    ranks = IntegerStream(seed, "scan", "random inputs", L).uniform(P * L * L).reshape(P, L, L)
    ranks[~visible_inputs(batch) | np.eye(L, dtype=bool)] = -1
    return np.where(ranks.max(-1) < 0, -1, ranks.argmax(-1))


def states_after(batch: PromptBatch, chosen_PL: Integers) -> Integers:
    """Return F(s_{t-1}, x_j) for the input j that is chosen at every step, [P, L]; -1 where none is."""
    inputs_PL = np.take_along_axis(batch.inputs_BL, np.maximum(chosen_PL, 0), axis=1)
    table = next_states(batch.task)[0]
    return np.where(chosen_PL < 0, -1, table[states_before(batch.task, batch.states_BL), inputs_PL])


def input_weights(spans_BL2: Integers, chosen_BL: Integers, tokens: int) -> Tensor:
    """Return rows [B, L, T] with the weight spread evenly over the tokens of one input; zeros where none is chosen."""
    chosen_BL2 = np.take_along_axis(spans_BL2, np.maximum(chosen_BL, 0)[..., None], axis=1)
    rows = span_mask(chosen_BL2, tokens) & (chosen_BL >= 0)[..., None]
    return torch.from_numpy(rows / np.maximum(rows.sum(-1, keepdims=True), 1)).float()


def _exchanged(spans_BLT: Tensor, donor_BQL: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a function that gives maps [B, H, Q, T] the donor's weights on the inputs."""

    def new(pattern: Tensor) -> Tensor:
        on_inputs = torch.einsum("bql,blt->bqt", donor_BQL, spans_BLT / spans_BLT.sum(-1, keepdim=True))[:, None]
        rest = pattern * (1 - spans_BLT.sum(1))[:, None, None]
        scale = (1 - donor_BQL.sum(-1))[:, None, :, None] / rest.sum(-1, keepdim=True).clamp(min=1e-9)
        return (on_inputs + rest * scale).to(pattern)

    return new
