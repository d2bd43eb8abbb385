"""Whether a Hugging Face model can be looked into: its attention modules, and a comparison with its own eager maps."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from iterhead.errors import UserError
from iterhead.huggingface.attention import NAME, Capture, capturing
from iterhead.model.hooks import PATTERN_HOOKS, HookPoints, pattern_hook

SEQUENCES, TOKENS, PADDING = 2, 12, 3
"""The batch of the check: sequences, tokens of each (or the context, if shorter), padding on the left of the first."""

TOLERANCES = {torch.float64: 1e-8, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 0.1}
"""How far a layer's maps may be from eager's, by the dtype of the weights: as the mean share of a query's weight that
lies elsewhere, and for logits as the mean difference over their mean size. Rounding in 16 bits adds up over layers; an
error in masks or heads gives 0.3 and more."""

CAUSAL = 1e-3
"""Largest change of the logits before a token that is changed, over the change at the token."""


def attention_modules(hf: PreTrainedModel) -> list[nn.Module]:
    """Return the attention module of each layer.

    Raises:
        UserError: unless every layer of the model has softmax attention over the tokens so far.
    """
    kind = type(hf).__name__
    if getattr(hf.config, "is_encoder_decoder", False):
        raise UserError(f"{kind} has an encoder and a decoder: expected a causal language model")
    if hf.get_output_embeddings() is None:
        raise UserError(f"{kind} gives no logits: expected a causal language model")
    layers = int(getattr(hf.config.get_text_config(), "num_hidden_layers", 0))
    modules = {
        module.layer_idx: module
        for name, module in hf.named_modules()
        if isinstance(getattr(module, "layer_idx", None), int) and hasattr(module, "scaling") and name
    }
    if not modules:
        raise UserError(f"{kind} has no softmax attention that can be read: expected a model with attention heads")
    if sorted(modules) != list(range(layers)):
        raise UserError(
            f"{kind} has softmax attention in {len(modules)} of its {layers} layers: expected it in every layer"
        )
    return [modules[layer] for layer in range(layers)]


@torch.no_grad()
def check_attention(hf: PreTrainedModel) -> None:
    """Compare maps and logits with the model's own eager attention on one short batch, with padding on the left.

    Raises:
        UserError: if they differ, or if a token changes the logits before it. Then no score would mean anything.
    """
    kind, config = type(hf).__name__, hf.config.get_text_config()
    layers, length = int(config.num_hidden_layers), min(TOKENS, getattr(config, "max_position_embeddings", TOKENS))
    embedding = hf.get_input_embeddings().weight
    tokens = torch.randint(len(embedding), (SEQUENCES, length), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(tokens)
    mask[0, :PADDING] = 0
    tokens, mask = tokens.to(embedding.device), mask.to(embedding.device)
    inputs: dict[str, Any] = {
        "input_ids": tokens,
        "attention_mask": mask,
        "position_ids": (mask.cumsum(-1) - 1).clamp(min=0),
    }
    inputs["use_cache"] = False
    with _implementation(hf, "eager"):
        expected = hf(**inputs, output_attentions=True)
    hook_points = HookPoints([pattern_hook(layer) for layer in range(layers)], PATTERN_HOOKS)
    every = torch.arange(length, device=tokens.device)
    with _implementation(hf, NAME):
        with capturing(Capture(hook_points, every, every, layers - 1)):
            logits = hf(**inputs).logits
        changed = tokens.clone()
        changed[:, -1] = (changed[:, -1] + 1) % len(embedding)
        change = (hf(**{**inputs, "input_ids": changed}).logits - logits).abs()[-1]
    if not expected.attentions or len(hook_points.activations) < layers:
        raise UserError(f"{kind}: its attention does not go through transformers' attention interface")
    if not change[:-1].max() <= CAUSAL * change[-1].max():
        raise UserError(f"{kind}: a token changes the logits before it: expected a causal language model")
    tolerance, real = TOLERANCES.get(embedding.dtype, TOLERANCES[torch.float32]), mask.bool()
    for layer, theirs in enumerate(expected.attentions):
        ours = hook_points.activations[pattern_hook(layer)]
        if ours.shape != theirs.shape:
            raise UserError(f"{kind}: maps have shape {list(ours.shape)}, the model's own {list(theirs.shape)}")
        elsewhere = (ours.cpu().double() - theirs.cpu().double()).abs().sum(-1).mean(1)[real.cpu()].mean() / 2
        _check(f"{kind}: the attention maps of layer {layer}", float(elsewhere), tolerance)
    ours, theirs = logits[real].cpu().double(), expected.logits[real].cpu().double()
    difference = (ours - theirs).abs().mean() / theirs.abs().mean()
    _check(f"{kind}: the logits", float(difference), tolerance)


def _check(what: str, difference: float, tolerance: float) -> None:
    if not difference <= tolerance:  # also for nan
        raise UserError(
            f"{what} differ from the model's own eager attention by {difference:.2g}: expected at most {tolerance:g}; "
            "this architecture is not supported, since its scores would be wrong"
        )


@contextmanager
def _implementation(hf: PreTrainedModel, name: str) -> Iterator[None]:
    """Use another attention implementation within the block."""
    before = hf.config._attn_implementation
    hf.set_attn_implementation(name)
    try:
        yield
    finally:
        hf.set_attn_implementation(before)
