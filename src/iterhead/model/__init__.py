"""The network: a decoder whose every parameter has a leading axis of networks, its sites, and greedy generation.

A forward pass returns logits; asked for sites, a `ActivationCache`; given hooks at sites, it applies them.
"""

from iterhead.model.generate import generate
from iterhead.model.hooks import ActivationCache, Hook, HookPoints, hook_names
from iterhead.model.transformer import ForwardContext, Transformer

__all__ = ["ActivationCache", "ForwardContext", "Hook", "HookPoints", "Transformer", "generate", "hook_names"]
