"""Where a head may look when s_t is written for another reason than that x_t is its input.

A head that attends to x_t may be an iteration head; or it attends to the previous token, to the first one, or to what
followed the same token earlier (an induction head), which happens to be x_t. Scores compare x_t with each of these.

Letters: `B` prompts, `L` steps, `T` tokens; a last `2` is a span [start, end). Where there is no such key the span is
[0, 0), so that its last token, `spans[..., 1] - 1`, is -1 and its mask is empty.
"""

import numpy as np
from numpy.typing import NDArray

from iterhead.prompts.batch import PromptBatch

Integers = NDArray[np.int64]


def span_mask(spans: Integers, tokens: int) -> NDArray[np.bool_]:
    """Return which of `tokens` positions are in each span: [..., tokens] from spans [..., 2]."""
    positions = np.arange(tokens)
    return (spans[..., :1] <= positions) & (positions < spans[..., 1:])


def competing_spans(batch: PromptBatch) -> dict[str, Integers]:
    """Return the keys of every other explanation for the query that writes s_t, as spans [B, L, 2].

    They may coincide with x_t: in the form `interleaved` x_t is the current token, in `labelled` it comes after the
    same two tokens (`3:`). Then the prompts cannot tell the explanations apart.

    Returns:
        current token: the query itself.
        previous token: the one before it.
        first token: of the prompt, which gets the attention that a head does not use.
        same token: the last earlier place of the query's token.
        after same token: the token after that place, to which an induction head attends.
        after same two tokens: the same where the token before is equal too.
        previous input, next input: x_{t-1} and x_{t+1}, one step off; none where it is not before the query.
    """
    return {
        **token_spans(batch.tokens_BT, batch.queries_BL),
        "previous input": _neighbour(batch, -1),
        "next input": _neighbour(batch, 1),
    }


def token_spans(tokens_BT: Integers, queries_BL: Integers) -> dict[str, Integers]:
    """Return the keys of the explanations that hold for any query, as in `competing_spans`: spans [B, L, 2]."""
    same, same_two = (last_repeat(tokens_BT, queries_BL, size) for size in (1, 2))
    return {
        "current token": _token_spans(queries_BL),
        "previous token": _token_spans(queries_BL - 1),
        "first token": _token_spans(np.zeros_like(queries_BL)),
        "same token": _token_spans(same),
        "after same token": _token_spans(np.where(same < 0, -1, same + 1)),
        "after same two tokens": _token_spans(np.where(same_two < 0, -1, same_two + 1)),
    }


def last_repeat(tokens_BT: Integers, queries_BL: Integers, size: int = 1) -> Integers:
    """Return the last place before each query where the `size` tokens that end at the query occur, [B, L].

    The place is that of the last of the tokens; -1 if there is none.
    """
    count, tokens = tokens_BT.shape
    rows, positions = np.arange(count)[:, None], np.arange(tokens)
    matches_BLT = positions < queries_BL[..., None]
    for back in range(size):
        shifted_BT = np.full_like(tokens_BT, -1)
        shifted_BT[:, back:] = tokens_BT[:, : tokens - back]
        matches_BLT &= shifted_BT[:, None, :] == shifted_BT[rows, queries_BL][..., None]
    last = tokens - 1 - np.argmax(matches_BLT[..., ::-1], axis=-1)
    return np.where(matches_BLT.any(-1), last, -1)


def _token_spans(positions_BL: Integers) -> Integers:
    """Return the spans of single tokens; [0, 0) for a negative position."""
    ends = np.maximum(positions_BL + 1, 0)
    return np.stack([np.maximum(positions_BL, 0), ends], axis=-1)


def _neighbour(batch: PromptBatch, step: int) -> Integers:
    """Return the spans of x_{t+step}."""
    spans = np.zeros_like(batch.input_spans_BL2)
    here, there = slice(max(0, -step), batch.length - max(0, step)), slice(max(0, step), batch.length - max(0, -step))
    spans[:, here] = batch.input_spans_BL2[:, there]
    spans[spans[..., 1] > batch.queries_BL + 1] = 0
    return spans
