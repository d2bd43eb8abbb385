"""What the model writes: states given the right text before them, and whole chains by itself.

Letters: `B` prompts, `L` steps, `K` tokens of a value.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel

from iterhead.contents import STRICT, Share
from iterhead.estimates import bootstrap_interval
from iterhead.huggingface.language_model import LanguageModel
from iterhead.intervene.effects import best_guess_from_state
from iterhead.prompts import FORMS, PromptBatch
from iterhead.prompts.forms import after_input
from iterhead.scans.passes import Integers, parts, tokens_of, value_table
from iterhead.scans.result import Behaviour
from iterhead.tasks import states_before


class Shares(BaseModel):
    """For each prompt of one length, the share of its states that is right."""

    model_config = STRICT
    teacher_forced: list[Share]
    free: list[Share] | None
    guess: list[Share]  # as expected

    def are_of(self, prompts: int) -> bool:
        """Whether there is one for each prompt."""
        return all(len(shares) == prompts for _, shares in self if shares is not None)


def measure(model: LanguageModel, batch: PromptBatch) -> Shares:
    """Return the shares of right states of the prompts of one length."""
    free = free_states(model, batch)
    guess = best_guess_from_state(batch.task)[0][states_before(batch.task, batch.states_BL)]
    return Shares(
        teacher_forced=right_states(model, batch).mean(-1).tolist(),
        free=None if free is None else free.mean(-1).tolist(),
        guess=guess.mean(-1).tolist(),
    )


def summarize(by_length: Mapping[int, Shares]) -> Behaviour:
    """Return the means over prompts, with intervals."""
    pooled = {
        name: [share for shares in by_length.values() for share in getattr(shares, name) or ()]
        for name in ("teacher_forced", "free", "guess")
    }
    lengths = {
        str(length): {name: _mean(getattr(shares, name)) for name in ("teacher_forced", "free")}
        for length, shares in by_length.items()
    }
    forced, free = pooled["teacher_forced"], pooled["free"]
    return Behaviour(
        teacher_forced=float(np.mean(forced)),
        teacher_forced_interval=bootstrap_interval(forced),
        free=_mean(free),
        free_interval=bootstrap_interval(free) if free else None,
        guess=float(np.mean(pooled["guess"])),
        by_length=lengths,
    )


def _mean(shares: Sequence[float] | None) -> float | None:
    return float(np.mean(shares)) if shares else None


@torch.no_grad()
def right_states(model: LanguageModel, batch: PromptBatch) -> NDArray[np.bool_]:
    """Return which states are right, [B, L]: all their tokens are the most likely ones, given the text before.

    In an edited prompt the right state is what follows from the text. Where that is not the state which is written,
    its tokens are compared up to the first that differs, since the text goes on differently from there.
    """
    table = value_table(batch)
    K = table.shape[1]
    positions_BLK = np.minimum(batch.queries_BL[..., None] + np.arange(K), batch.sizes_B[:, None, None] - 1)
    written_BLK, right_BLK = table[batch.states_BL], table[batch.next_states_BL]
    agree_BLK = np.cumprod(written_BLK == right_BLK, axis=-1, dtype=bool)
    is_asked_BLK = (right_BLK >= 0) & np.concatenate([np.ones_like(agree_BLK[..., :1]), agree_BLK[..., :-1]], axis=-1)
    answers = []
    for rows in parts(batch):
        tokens = tokens_of(batch, rows, model.device)
        positions = torch.from_numpy(positions_BLK[rows].reshape(len(tokens), -1)).to(model.device)
        answers.append(model(tokens, output_positions=positions).argmax(-1).cpu())
    answers_BLK = np.asarray(torch.cat(answers)).reshape(right_BLK.shape)
    return np.asarray(((answers_BLK == right_BLK) | ~is_asked_BLK).all(-1))


@torch.no_grad()
def free_states(model: LanguageModel, batch: PromptBatch) -> NDArray[np.bool_] | None:
    """Return which states of the chain are right that the model writes greedily after the input, [B, L].

    None in forms with other text between the states, or with the states in random order.
    """
    if FORMS[batch.form].write is not after_input:
        return None
    separator = tuple(batch.tokens_BT[0, batch.state_spans_BL2[0, 0, 1] : batch.state_spans_BL2[0, 1, 0]].tolist())
    starts_B = batch.state_spans_BL2[:, 0, 0]
    steps = batch.length * (value_table(batch).shape[1] + len(separator))
    if model.context is not None:
        steps = min(steps, model.context - int(starts_B.max()))
    chains = []
    for rows in parts(batch):
        starts = starts_B[rows]
        prompts = np.zeros((len(starts), starts.max()), dtype=np.int64)
        mask = np.zeros_like(prompts)
        for prompt, real, tokens, start in zip(prompts, mask, batch.tokens_BT[rows], starts, strict=True):
            prompt[-start:], real[-start:] = tokens[:start], 1
        written = model.generate(torch.from_numpy(prompts), steps, torch.from_numpy(mask)).tolist()
        chains += [read_values(chain, batch.value_ids, separator, batch.length) for chain in written]
    right: Integers = batch.task.states(batch.inputs_BL)
    return np.asarray(np.array(chains) == right)


def read_values(
    tokens: Sequence[int], value_ids: Sequence[Sequence[int]], separator: Sequence[int], count: int
) -> list[int]:
    """Return the first `count` values that are written in `tokens`; -1 from the first place on where none is.

    Where several values fit, it is the longest one: `1 0` is 10, not 1.
    """
    values: list[int] = []
    rest = list(tokens)
    by_length = sorted(range(len(value_ids)), key=lambda value: -len(value_ids[value]))
    while len(values) < count:
        if values and separator and rest[: len(separator)] == list(separator):
            rest = rest[len(separator) :]
        value = next((v for v in by_length if rest[: len(value_ids[v])] == list(value_ids[v])), None)
        if value is None:
            break
        values.append(value)
        rest = rest[len(value_ids[value]) :]
    return values + [-1] * (count - len(values))
