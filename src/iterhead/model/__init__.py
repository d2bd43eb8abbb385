"""The network: a decoder whose every parameter has a leading axis of networks, its sites, and greedy generation.

A forward pass returns logits; asked for sites, a `Trace`; given edits at sites, it applies them.
"""

from iterhead.model.generate import generate
from iterhead.model.sites import Edit, Taps, Trace, site_names
from iterhead.model.transformer import Pass, Transformer

__all__ = ["Edit", "Pass", "Taps", "Trace", "Transformer", "generate", "site_names"]
