"""Prompts for the page of a scan: their tokens as text, where every head looks, and the answers under interventions.

The page cannot run the model, so all that it shows is computed here, for the first prompt of each batch.

Letters: `B` prompts, `T` tokens, `L` steps, `A` all heads of the model (layers times heads), `R` rows (the queries
whose attention is kept); a last `2` is a span of tokens [start, end).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iterhead.huggingface.language_model import LanguageModel
from iterhead.model.hooks import PATTERN_HOOKS, pattern_hook
from iterhead.prompts import PromptBatch
from iterhead.prompts.sequences import TokenRenderer
from iterhead.scans.passes import Integers, first_answers, tokens_of
from iterhead.scans.result import Role
from iterhead.scans.scores import RoleKeys, role_keys

Names = Callable[[Iterable[int]], list[str]]
"""Returns tokens as text."""

NO_VALUE = -1
"""In `Intervention.predicted_BL`: F predicts nothing for this step."""

METASPACE = "\u2581"

FIRST = slice(0, 1)
"""The row of a batch that the page shows."""

_FULL = 255  # a weight of 1, as a byte


@dataclass(frozen=True, eq=False)
class Intervention:
    """What is changed in the model or in a prompt, to see what the model answers then.

    Attributes:
        answers: the first tokens that the model answers on the first prompt, L of them, if they are known already; None
            to run the model.
        batch: the edited prompts, if the text is changed; None for the batch itself.
        predicted_BL: the states that F predicts under this intervention, as values; `NO_VALUE` where it is silent.
        about: what is changed, in a sentence.
    """

    answers: Sequence[int] | None = None
    batch: PromptBatch | None = None
    predicted_BL: Integers | None = None
    about: str = ""


MakeInterventions = Callable[[PromptBatch], Mapping[str, Intervention]]
"""Returns the interventions on a batch by their names, in the order in which the page offers them."""


@dataclass(frozen=True)
class Answers:
    """The most likely first tokens of the states under one intervention, the right text before each.

    Attributes:
        name: of the intervention; empty for none.
        about: what is changed, in a sentence.
        answers: tokens as text, L of them.
        right: which are the first token of the right state.
        predicted: the first tokens that F predicts under the intervention, as text; None where it predicts nothing.
        follows: which are that token; None where it is the right one too, so that they cannot be told apart.
        edited: tokens of the prompt that are replaced, by position; empty if the edit changes the number of tokens.
    """

    name: str
    about: str
    answers: Sequence[str]
    right: Sequence[bool]
    predicted: Sequence[str | None]
    follows: Sequence[bool | None]
    edited: Mapping[int, str]


@dataclass(frozen=True, eq=False)
class PageExample:
    """One prompt with all that the page shows of it.

    Attributes:
        length: L, the steps of its last example.
        tokens: T tokens as text.
        inputs, states: the tokens of x_t and of the written s_t, [L, 2].
        marker: the tokens that end the input.
        start: the first token of the last example.
        right: the first token of the right s_t as text, L of them.
        keys: where heads look, by role; its arrays are those of the whole batch, of which the page shows the first row.
        rows: the positions of the queries whose attention is kept, [R].
        maps: their attention, a byte for each weight, [A, R, T].
        answers: without an intervention first.
        note: what is unusual about this prompt, in a sentence.
    """

    length: int
    tokens: Sequence[str]
    inputs: Integers
    states: Integers
    marker: Sequence[int]
    start: int
    right: Sequence[str]
    keys: Mapping[Role, RoleKeys]
    rows: Integers
    maps: NDArray[np.uint8]
    answers: Sequence[Answers]
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return JSON values of all but the maps."""
        return {
            **{name: getattr(self, name) for name in ("length", "start", "note")},
            **{name: list(getattr(self, name)) for name in ("tokens", "marker", "right")},
            **{name: getattr(self, name).tolist() for name in ("inputs", "states", "rows")},
            "keys": {role: _keys_json(keys) for role, keys in self.keys.items()},
            "answers": [vars(answers) for answers in self.answers],
        }


def page_examples(
    model: LanguageModel, batches: Sequence[PromptBatch], interventions: MakeInterventions | None = None
) -> list[PageExample]:
    """Return the first prompt of each batch with the attention of every head, and the answers under interventions.

    Args:
        model: the model; it runs once for each batch and intervention.
        batches: of several lengths, for example.
        interventions: on a batch; None for none.
    """
    return [_example(model, batch, {} if interventions is None else interventions(batch)) for batch in batches]


def _example(model: LanguageModel, batch: PromptBatch, interventions: Mapping[str, Intervention]) -> PageExample:
    keys = role_keys(batch)
    rows = np.unique(np.concatenate([of_role.queries_PQ[0] for of_role in keys.values()]))
    name = _namer(model, batch)
    size, (start, end) = int(batch.sizes_B[0]), batch.marker_spans_B2[0].tolist()
    all_interventions = {"": Intervention(), **interventions}
    return PageExample(
        length=batch.length,
        tokens=name(batch.tokens_BT[0, :size]),
        inputs=batch.input_spans_BL2[0],
        states=batch.state_spans_BL2[0],
        marker=(start, end),
        start=int(batch.starts_B[0]),
        right=name(_first_ids(batch, batch.next_states_BL[0])),
        keys=keys,
        rows=rows,
        maps=_maps(model, batch, rows),
        answers=[_answers(model, batch, *item, name) for item in all_interventions.items()],
        note=_note(batch),
    )


def _keys_json(keys: RoleKeys) -> dict[str, Any]:
    """Return where heads look in the first prompt."""
    competing = {name: spans_PQ2[0].tolist() for name, spans_PQ2 in keys.others.items()}
    return {"queries": keys.queries_PQ[0].tolist(), "ideal": keys.target_PQ2[0].tolist(), "competing": competing}


@torch.no_grad()
def _maps(model: LanguageModel, batch: PromptBatch, rows: Integers) -> NDArray[np.uint8]:
    """Return the attention of the first prompt at some queries as bytes, [A, R, T]."""
    tokens = tokens_of(batch, FIRST, model.device)
    queries = torch.from_numpy(rows).to(model.device)
    _, cache = model.run_with_cache(tokens, [PATTERN_HOOKS], output_positions=slice(0, 1), query_positions=queries)
    maps = torch.cat([cache[pattern_hook(layer)][0].float().cpu() for layer in range(model.layers)])
    return np.asarray((maps * _FULL).round().to(torch.uint8))


def _answers(
    model: LanguageModel, original: PromptBatch, label: str, intervention: Intervention, name: Names
) -> Answers:
    """Return what the model answers on the first prompt under an intervention."""
    batch = intervention.batch or original
    answers = intervention.answers
    if answers is None:
        answers = first_answers(model, batch, only=FIRST)[0].tolist()
    right = _first_ids(batch, original.next_states_BL[0])
    predicted: list[int] = [NO_VALUE] * batch.length
    if intervention.predicted_BL is not None:
        predicted = _first_ids(batch, intervention.predicted_BL[0])
    known = [prediction != NO_VALUE for prediction in predicted]
    tells = [
        is_known and prediction != truth for is_known, prediction, truth in zip(known, predicted, right, strict=True)
    ]
    return Answers(
        name=label,
        about=intervention.about,
        answers=name(answers),
        right=[answer == truth for answer, truth in zip(answers, right, strict=True)],
        predicted=[name([p])[0] if is_known else None for p, is_known in zip(predicted, known, strict=True)],
        follows=[a == p if told else None for a, p, told in zip(answers, predicted, tells, strict=True)],
        edited=_edited(original, batch, name),
    )


def _first_ids(batch: PromptBatch, values: Integers) -> list[int]:
    """Return the first token of each value; `NO_VALUE` stays."""
    return [NO_VALUE if value == NO_VALUE else batch.value_ids[value][0] for value in values.tolist()]


def _edited(original: PromptBatch, batch: PromptBatch, name: Names) -> dict[int, str]:
    """Return the tokens of the first prompt that an edit replaced, if the others stayed in their places."""
    size = int(original.sizes_B[0])
    if int(batch.sizes_B[0]) != size:
        return {}
    places = np.flatnonzero(original.tokens_BT[0, :size] != batch.tokens_BT[0, :size]).tolist()
    return {place: name([int(batch.tokens_BT[0, place])])[0] for place in places}


def _note(batch: PromptBatch) -> str:
    if batch.edited_steps_B is None:
        return ""
    what = "One state of this prompt" if batch.form == "corrupted" else "One input of this prompt"
    return f"{what} was replaced, at step t = {batch.edited_steps_B[0]}."


def _namer(model: LanguageModel, batch: PromptBatch) -> Names:
    """Return the function that gives each token's text: decoded one by one, so that spaces and parts of words show.

    A token of some bytes of a character has no text; then it is its name in the tokenizer, or its id if that has none.
    """
    if isinstance(batch.renderer, TokenRenderer):
        vocabulary = batch.renderer.vocabulary
        problem = vocabulary.problem()
        return lambda ids: ["task" if token == problem else vocabulary.name(int(token)) for token in ids]
    tokenizer: Any = model.tokenizer

    def name(token: int) -> str:
        written = str(tokenizer.convert_ids_to_tokens(token) or f"token {token}")
        if written.startswith(METASPACE):  # sentencepiece's space, which decoding drops where it comes first
            return written.replace(METASPACE, " ")
        text = str(tokenizer.decode([token], clean_up_tokenization_spaces=False))
        return text if text and "\ufffd" not in text else written

    return lambda ids: [name(int(token)) for token in ids]
