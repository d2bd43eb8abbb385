"""What every head looks at: the key of each role, and every other key that would explain why it looks there.

Letters: `P` prompts, `N` layers, `H` heads, `Q` queries, `T` tokens, `L` steps, `E` explanations, `W` windows. `B` are
the prompts of one forward pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iterhead.contents import TensorSpec
from iterhead.huggingface.language_model import LanguageModel
from iterhead.model.hooks import PATTERN_HOOKS, pattern_hook
from iterhead.prompts import PromptBatch, competing_spans, span_mask
from iterhead.prompts.geometry import token_spans
from iterhead.scans.passes import Integers, parts, tokens_of
from iterhead.scans.result import Role

FIRST_OFFSET = 2
"""Tokens back: 0 is the current token, 1 the previous one, which are explanations by these names."""


@dataclass(frozen=True, eq=False)
class RoleKeys:
    """Where the heads of a role look, and the other explanations.

    Attributes:
        queries_PQ: positions of the queries.
        target_PQ2: the tokens of the role's key, as spans [start, end).
        others: the keys of other explanations by name, as spans; [0, 0) where there is none.
    """

    queries_PQ: Integers
    target_PQ2: Integers
    others: Mapping[str, Integers]

    def of(self, rows: slice) -> "RoleKeys":
        """Return those of some prompts."""
        others = {name: spans[rows] for name, spans in self.others.items()}
        return RoleKeys(self.queries_PQ[rows], self.target_PQ2[rows], others)


def role_keys(batch: PromptBatch) -> dict[Role, RoleKeys]:
    """Return the queries and keys of both roles."""
    marker_PQ2 = np.repeat(batch.marker_spans_B2[:, None], batch.length, axis=1)
    general = token_spans(batch.tokens_BT, batch.state_ends_BL)
    return {
        "iteration": RoleKeys(batch.queries_BL, batch.input_spans_BL2, competing_spans(batch)),
        "first": RoleKeys(batch.state_ends_BL, marker_PQ2, general),
    }


def offsets_of(batch: PromptBatch) -> int:
    """Return how many fixed offsets there are: up to the first token of the test example."""
    return int((batch.state_ends_BL - batch.starts_B[:, None]).max()) - FIRST_OFFSET + 1


def explanations(batch: PromptBatch, role: Role, offsets: int) -> list[str]:
    """Return the names of the explanations, in the order of the axis E."""
    return [*role_keys(batch)[role].others, *(f"{FIRST_OFFSET + i} tokens back" for i in range(offsets))]


def measured_specs(model: LanguageModel, batch: PromptBatch, offsets: int) -> dict[str, TensorSpec]:
    """Return what `measure` returns, as names, shapes and dtypes."""
    P, N, H, L = len(batch), model.layers, model.heads, batch.length
    W = _Windows(batch, slice(None)).count
    shapes: dict[str, tuple[int, ...]] = {"iteration.inputs": (P, N, H, L, L), "first.windows": (P, N, H, W)}
    for role, keys in role_keys(batch).items():
        explained = (P, N, H, len(explanations(batch, role, offsets)))
        shapes |= {f"{role}.target": (P, N, H, keys.queries_PQ.shape[1])}
        shapes |= {f"{role}.own": explained, f"{role}.others": explained}
    may_be_nan = (".own", ".others")
    return {name: TensorSpec(shape, torch.float32, not name.endswith(may_be_nan)) for name, shape in shapes.items()}


def measure(model: LanguageModel, batch: PromptBatch, offsets: int) -> dict[str, Tensor]:
    """Return the weights of every head on the prompts of one length, in float32 on the CPU.

    Args:
        model: the model.
        batch: the prompts.
        offsets: how many fixed offsets compete, the same for all lengths.

    Returns:
        iteration.inputs: weight of the query that writes s_t on each input, [P, N, H, L, L].
        first.windows: mean weight of the queries on as many tokens in a row as end the input, from the beginning of the
            example on, [P, N, H, W]; the last window is the end of the input.
        iteration.target, first.target: weight of each query on the role's key, [P, N, H, Q].
        iteration.own, first.own: the mean of that over the queries for which an explanation has another key,
            [P, N, H, E]; nan where there is no such query.
        iteration.others, first.others: mean weight on the other key, over the same queries.
    """
    roles = role_keys(batch)
    queries_PQ = np.concatenate([keys.queries_PQ for keys in roles.values()], axis=1)
    collected: dict[str, list[Tensor]] = {}
    for rows in parts(batch, numbers_per_token=model.layers * model.heads * queries_PQ.shape[1]):
        tokens = tokens_of(batch, rows, model.device)
        with torch.no_grad():
            queries = torch.from_numpy(queries_PQ[rows]).to(model.device)
            # The logits are not needed: those of one position are the fewest.
            _, cache = model.run_with_cache(
                tokens, [PATTERN_HOOKS], output_positions=slice(0, 1), query_positions=queries
            )
        patterns = [cache[pattern_hook(layer)].float() for layer in range(model.layers)]
        del cache
        for name, weights in _weights(patterns, batch, rows, roles, offsets).items():
            collected.setdefault(name, []).append(weights)
    return {name: torch.cat(weights) for name, weights in collected.items()}


def _weights(
    patterns: list[Tensor], batch: PromptBatch, rows: slice, roles: Mapping[Role, RoleKeys], offsets: int
) -> dict[str, Tensor]:
    """Return what `measure` returns for some prompts, from the maps [B, H, Q, T] of each layer."""
    device, tokens, L = patterns[0].device, patterns[0].shape[-1], batch.length
    is_input_BLT = torch.from_numpy(span_mask(batch.input_spans_BL2[rows], tokens)).to(device).float()
    windows = _Windows(batch, rows)
    layers: dict[str, list[Tensor]] = {}
    for pattern in patterns:
        by_role = {"iteration": pattern[:, :, :L], "first": pattern[:, :, L:]}
        found = {"iteration.inputs": torch.einsum("bhqt,blt->bhql", by_role["iteration"], is_input_BLT)}
        found["first.windows"] = windows.weights(by_role["first"].mean(2))
        for role, keys in roles.items():
            compared = compare(by_role[role], keys.of(rows), offsets)
            found |= {f"{role}.{name}": weights for name, weights in compared.items()}
        for name, weights in found.items():
            layers.setdefault(name, []).append(weights.cpu())
    return {name: torch.stack(weights, dim=1) for name, weights in layers.items()}


def compare(pattern_BHQT: Tensor, keys: RoleKeys, offsets: int) -> dict[str, Tensor]:
    """Return the weights on a role's key and on those of the other explanations: `target`, `own` and `others`.

    A query counts for an explanation if its key is not within the role's key; if it has no such key, with weight 0.
    """
    tokens, device = pattern_BHQT.shape[-1], pattern_BHQT.device
    target_BQT = span_mask(keys.target_PQ2, tokens)
    own_BHQ = torch.einsum("bhqt,bqt->bhq", pattern_BHQT, torch.from_numpy(target_BQT).to(device).float())
    differs, weights = [], []
    for spans in keys.others.values():
        mask_BQT = span_mask(spans, tokens)
        differs.append(np.asarray(~(mask_BQT & target_BQT).any(-1)))
        mask = torch.from_numpy(mask_BQT & differs[-1][..., None]).to(device).float()
        weights.append(torch.einsum("bhqt,bqt->bh", pattern_BHQT, mask))
    at_BQO = keys.queries_PQ[..., None] - FIRST_OFFSET - np.arange(offsets)
    is_target_BQO = np.take_along_axis(target_BQT, np.maximum(at_BQO, 0), axis=-1) & (at_BQO >= 0)
    index = torch.from_numpy(np.maximum(at_BQO, 0)).to(device)[:, None].expand(-1, pattern_BHQT.shape[1], -1, -1)
    counts = torch.from_numpy((at_BQO >= 0) & ~is_target_BQO).to(device)[:, None]
    by_offset_BHO = (pattern_BHQT.gather(-1, index) * counts).sum(2)

    differs_BQE = np.concatenate([np.stack(differs, axis=-1), ~is_target_BQO], axis=-1)
    queries_B1E = torch.from_numpy(differs_BQE.sum(1, keepdims=True)).to(device)  # 0 / 0 is nan
    own_BHE = torch.einsum("bhq,bqe->bhe", own_BHQ, torch.from_numpy(differs_BQE).to(device).float())
    others_BHE = torch.cat([torch.stack(weights, dim=-1), by_offset_BHO], dim=-1)
    return {"target": own_BHQ, "own": own_BHE / queries_B1E, "others": others_BHE / queries_B1E}


class _Windows:
    """As many tokens in a row as end the input, at every place from the beginning of the example to the marker."""

    def __init__(self, batch: PromptBatch, rows: slice):
        markers = batch.marker_spans_B2
        self._size = int((markers[:, 1] - markers[:, 0]).min())
        # The example begins at different places. All prompts get as many windows, counted from the marker back.
        self.count = int((markers[:, 1] - self._size - batch.starts_B).min()) + 1
        self._starts: NDArray[np.int64] = markers[rows, 1:] - self._size - np.arange(self.count)[::-1]

    def weights(self, mean_BHT: Tensor) -> Tensor:
        """Return the sums over each window, [B, H, W], of maps that are averaged over queries, [B, H, T]."""
        starts = torch.from_numpy(self._starts).to(mean_BHT.device)[:, None].expand(-1, mean_BHT.shape[1], -1)
        return torch.stack([mean_BHT.gather(-1, starts + i) for i in range(self._size)]).sum(0)
