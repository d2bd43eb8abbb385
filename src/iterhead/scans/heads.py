"""Which heads are changed: random ones to compare with, and the mean output that takes the place of theirs.

Letters: `B` prompts of one forward pass, `T` tokens, `H` heads, `D` width of a head.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from iterhead.huggingface.language_model import LanguageModel
from iterhead.measure.records import Head
from iterhead.prompts import PromptBatch
from iterhead.scans.passes import parts, tokens_of
from iterhead.seeds import IntegerStream

DRAWS = 3
"""Sets of random heads, whose results are averaged."""


def grouped(heads: Sequence[Head]) -> list[tuple[int, list[int]]]:
    """Return each layer with its heads."""
    return [(layer, [h for at, h in heads if at == layer]) for layer in dict.fromkeys(at for at, _ in heads)]


def random_heads(heads: Sequence[Head], per_layer: int, avoid: Sequence[Head], seed: int) -> list[list[Head]]:
    """Return up to `DRAWS` different sets of random heads: for each head another one of its layer, none to `avoid`.

    Sets have fewer heads than given, or are missing, where a layer has too few others.
    """
    sets: list[list[Head]] = []
    for draw in range(DRAWS):
        drawn: list[Head] = []
        for layer, chosen in grouped(heads):
            others = [head for head in range(per_layer) if (layer, head) not in avoid]
            order = IntegerStream(seed, "scan", "random heads", layer).permutation(len(others))
            taken = np.roll(order, -draw * len(chosen))[: len(chosen)]
            drawn += [(layer, others[place]) for place in sorted(taken.tolist())]
        if drawn and drawn not in sets:
            sets.append(drawn)
    return sets


@torch.no_grad()
def head_width(model: LanguageModel) -> int:
    """Return D: configurations have it under many names, so one token goes through the model."""
    name = "blocks.0.attn.hook_z"
    return int(model.run_with_cache(np.zeros((1, 1), dtype=np.int64), [name])[1][name].shape[-1])


@torch.no_grad()
def head_means(model: LanguageModel, batches: Iterable[PromptBatch]) -> Tensor:
    """Return the mean output of every head, [layers, H, D], over all tokens of all prompts.

    Prompts have different lengths and words at different places, so a mean for each position would be one of unlike
    tokens.
    """
    names = [f"blocks.{layer}.attn.hook_z" for layer in range(model.layers)]
    total, count = torch.zeros(()), 0
    for batch in batches:
        for rows in parts(batch):
            tokens = tokens_of(batch, rows, model.device)
            _, cache = model.run_with_cache(tokens, names, output_positions=slice(0, 1), query_positions=[0])
            sizes = torch.from_numpy(batch.sizes_B[rows])
            is_real = torch.arange(tokens.shape[1]) < sizes[:, None]
            sums = [torch.einsum("bthd,bt->hd", cache[name].cpu().double(), is_real.double()) for name in names]
            total = total + torch.stack(sums)
            count += int(sizes.sum())
    return (total / count).float()
