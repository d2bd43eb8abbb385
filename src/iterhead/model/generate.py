"""Greedy generation with a cache of keys and values."""

import torch
from torch import Tensor

from iterhead.errors import UserError
from iterhead.model.context import KeyValueCache
from iterhead.model.hooks import HookPoints, hook_names
from iterhead.model.population import Tokens
from iterhead.model.transformer import Transformer


@torch.no_grad()
def generate(model: Transformer, prompts: Tokens, steps: int) -> Tensor:
    """Return the tokens that the network writes after each prompt, greedily: [B, steps] or [M, B, steps].

    Args:
        model: one network, or M of them.
        prompts: ids, [B, T] or [M, B, T]; all of one length, e.g. problem, x_1 .. x_L, EoI.
        steps: at least 1; prompt and continuation but for the last token must fit the model's context.

    Raises:
        UserError: for a network of another architecture, or sequences longer than the context.
    """
    if not isinstance(model, Transformer):
        raise UserError(f"generate of {type(model).__name__}: expected a Transformer; use model.reader().generate")
    tokens = torch.as_tensor(prompts, device=model.device)
    single = tokens.dim() == 2
    tokens = tokens.unsqueeze(0) if single else tokens
    hook_points, key_values = HookPoints(hook_names(model.layers)), KeyValueCache()
    written: list[Tensor] = []
    start = 0
    for _ in range(steps):
        context = model.causal_context(hook_points, tokens.shape[-1], start=start, key_values=key_values)
        start += tokens.shape[-1]
        written.append(tokens := model.logits(tokens, context)[:, :, -1].argmax(-1, keepdim=True))
    result = torch.cat(written, dim=-1)
    return result[0] if single else result
