"""The transformer, its hooks, greedy generation, hand-set weights, and weights from elsewhere."""

from iterhead.model.context import PackedContext, packed_context
from iterhead.model.generate import generate
from iterhead.model.hooks import PATTERN_HOOKS, ActivationCache, Hook, hook_names, pattern_hook
from iterhead.model.transformer import Transformer

__all__ = [
    "PATTERN_HOOKS",
    "ActivationCache",
    "Hook",
    "PackedContext",
    "Transformer",
    "generate",
    "hook_names",
    "packed_context",
    "pattern_hook",
]
