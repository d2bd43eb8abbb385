"""Greedy generation with a cache of keys and values."""

import torch
from torch import Tensor

from iterhead.model.hooks import HookPoints
from iterhead.model.transformer import ForwardContext, Transformer


@torch.no_grad()
def generate(model: Transformer, prompts: Tensor, steps: int) -> Tensor:
    """Return the `steps` tokens that the network writes after each prompt, one at a time, the likeliest each time.

    Args:
        model: one network, or M of them.
        prompts: ids, [B, T] or [M, B, T]; all of one length, e.g. problem, x_1 .. x_L, EoI.
        steps: at least 1; prompt and continuation but for the last token must fit the positions known.

    Returns:
        Token ids, [B, steps] or [M, B, steps].
    """
    single = prompts.dim() == 2
    tokens = prompts.unsqueeze(0) if single else prompts
    hook_points = HookPoints(model.config.layers, (), {}, single)
    given = ForwardContext(torch.empty(0), torch.empty(0), hook_points, cache={})
    written: list[Tensor] = []
    start = 0
    for _ in range(steps):
        end = start + tokens.shape[-1]
        given.positions = torch.arange(start, end, device=tokens.device)
        given.mask = torch.ones(end, end, dtype=torch.bool, device=tokens.device).tril()[start:]
        tokens = model.run(tokens, given)[:, :, -1].argmax(-1, keepdim=True)
        written.append(tokens)
        start = end
    result = torch.cat(written, dim=-1)
    return result[0] if single else result
