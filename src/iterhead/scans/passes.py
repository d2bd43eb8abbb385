"""Forward passes over the prompts of a batch, in parts of bounded size.

Letters: `B` prompts of a part, `T` tokens of its longest, `L` steps, `K` tokens of a value, `V` values.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iterhead.huggingface.language_model import LanguageModel
from iterhead.model.hooks import Hook
from iterhead.prompts import PromptBatch

TOKENS_AT_ONCE = 2**13
"""Most tokens of a forward pass."""

NUMBERS_AT_ONCE = 2**26
"""Most attention weights that a forward pass keeps: 256 MB."""

Integers = NDArray[np.int64]

MakeHooks = Callable[[slice, int], Mapping[str, Hook]]
"""Returns the hooks for some rows of a batch, whose tokens are cut to a number."""


def parts(batch: PromptBatch, numbers_per_token: int = 0) -> Iterator[slice]:
    """Return the rows of each forward pass over a batch; `numbers_per_token` are kept for each token."""
    tokens = batch.tokens_BT.shape[1]
    most = TOKENS_AT_ONCE // tokens
    if numbers_per_token:
        most = min(most, NUMBERS_AT_ONCE // (tokens * numbers_per_token))
    for start in range(0, len(batch), max(1, most)):
        yield slice(start, min(start + max(1, most), len(batch)))


def tokens_of(batch: PromptBatch, rows: slice, device: torch.device) -> Tensor:
    """Return the tokens of some prompts, [B, T], cut to the longest of them."""
    return torch.from_numpy(batch.tokens_BT[rows, : batch.sizes_B[rows].max()]).to(device)


def value_table(batch: PromptBatch) -> Integers:
    """Return the token ids of each value, [V, K]; -1 after the last one."""
    table = np.full((len(batch.value_ids), max(map(len, batch.value_ids))), -1)
    for row, ids in zip(table, batch.value_ids, strict=True):
        row[: len(ids)] = ids
    return table


@torch.no_grad()
def first_answers(
    model: LanguageModel, batch: PromptBatch, make_hooks: MakeHooks | None = None, *, only: slice | None = None
) -> Integers:
    """Return the most likely first token of each state, teacher-forced and under hooks, [prompts, L].

    `only` chooses some prompts, for one forward pass.
    """
    answers = []
    for rows in parts(batch) if only is None else [only]:
        tokens = tokens_of(batch, rows, model.device)
        queries = torch.from_numpy(batch.queries_BL[rows]).to(model.device)
        hooks = {} if make_hooks is None else make_hooks(rows, tokens.shape[1])
        logits = model(tokens, hooks, output_positions=queries, query_positions=queries)
        answers.append(logits.argmax(-1).cpu())
    return np.asarray(torch.cat(answers))
