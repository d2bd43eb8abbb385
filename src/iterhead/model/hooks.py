"""Hook names, hooks and the activation cache, in TransformerLens's words.

Two things differ from TransformerLens. `hook_q_input`, `hook_k_input` and `hook_v_input` are taken after the norm and
have no axis of heads: they are what W_Q, W_K and W_V are applied to. And in the published residual convention the
stream itself is normalized: `hook_resid_mid` is `ln1.hook_normalized` plus `hook_attn_out`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from html import escape
from itertools import chain
from typing import Protocol

import torch
from torch import Tensor

from iterhead.errors import UserError, nearest

Hook = Callable[[Tensor], Tensor]
"""Takes the activation at a hook name and returns its replacement, of the same shape."""

BLOCK_HOOKS = (
    "hook_resid_pre",
    "ln1.hook_normalized",
    "hook_q_input",
    "hook_k_input",
    "hook_v_input",
    "attn.hook_q",
    "attn.hook_k",
    "attn.hook_v",
    "attn.hook_attn_scores",
    "attn.hook_pattern",
    "attn.hook_z",
    "hook_attn_out",
    "hook_resid_mid",
    "ln2.hook_normalized",
    "mlp.hook_pre",
    "mlp.hook_post",
    "hook_mlp_out",
    "hook_resid_post",
)
"""The hook names of a block, without `blocks.{layer}.`, in the order of the forward pass."""

PATTERN_HOOKS = "blocks.*.attn.hook_pattern"
"""Matches the attention maps of every layer, each [B, H, Q, T] with rows that sum to 1."""


def pattern_hook(layer: int) -> str:
    """Return the hook name of a layer's attention maps."""
    return f"blocks.{layer}.attn.hook_pattern"


def hook_names(layers: int) -> list[str]:
    """Return every hook name of a network with `layers` layers, in the order of the forward pass."""
    blocks = [f"blocks.{layer}.{name}" for layer in range(layers) for name in BLOCK_HOOKS]
    return ["hook_embed", "hook_pos_embed", *blocks, "ln_final.hook_normalized"]


class ActivationCache(Mapping[str, Tensor]):
    """The activations that a forward pass kept, by hook name. Shown as a table of names and shapes."""

    def __init__(self, activations: Mapping[str, Tensor]):
        self._activations = activations

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._activations:
            raise UserError(f"{name!r} was not cached; cached are: {', '.join(self) or 'none'}")
        return self._activations[name]

    def __contains__(self, name: object) -> bool:
        return name in self._activations

    def __iter__(self) -> Iterator[str]:
        return iter(self._activations)

    def __len__(self) -> int:
        return len(self._activations)

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        rows = [f"\n  {name:{width}}  {list(activation.shape)}" for name, activation in self.items()]
        return f"ActivationCache: {len(self)} activations{''.join(rows)}"

    def _repr_html_(self) -> str:
        rows = [f"<tr><td>{escape(name)}</td><td>{list(x.shape)}</td></tr>" for name, x in self.items()]
        return f"<table><thead><tr><th>hook name</th><th>shape</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"


class HookedModel(Protocol):
    """What measurements and interventions ask of a model: `Transformer` has it, and `huggingface.LanguageModel`.

    Attributes:
        layers, heads: number of layers, and of attention heads in each.
        vocabulary: number of token ids.
        device: where the tokens must be.
        dtype: of the weights.
    """

    @property
    def layers(self) -> int: ...  # noqa: D102
    @property
    def heads(self) -> int: ...  # noqa: D102
    @property
    def vocabulary(self) -> int: ...  # noqa: D102
    @property
    def device(self) -> torch.device: ...  # noqa: D102
    @property
    def dtype(self) -> torch.dtype: ...  # noqa: D102

    def __call__(self, tokens: Tensor, hooks: Mapping[str, Hook] | None = None) -> Tensor:
        """Return the logits of every position."""
        ...

    def run_with_cache(
        self,
        tokens: Tensor,
        names: str | Iterable[str] = ("*",),
        hooks: Mapping[str, Hook] | None = None,
        *,
        output_positions: slice = slice(None),
    ) -> tuple[Tensor, ActivationCache]:
        """Return logits and activations, as `Transformer.run_with_cache` does."""
        ...


class HookPoints:
    """Applies hooks and keeps activations during a forward pass.

    Args:
        existing: the hook names of the network.
        names: hook names to cache; `*` matches any text.
        hooks: by exact hook name.
        single: hide the leading axis of networks from hooks and from `activations`, which are kept by hook name.

    Raises:
        UserError: for a name that matches no hook name.
    """

    def __init__(
        self,
        existing: Collection[str],
        names: str | Iterable[str] = (),
        hooks: Mapping[str, Hook] | None = None,
        *,
        single: bool = False,
    ):
        self._hooks = hooks or {}
        patterns = [names] if isinstance(names, str) else names
        matches = {pattern: [name for name in existing if fnmatchcase(name, pattern)] for pattern in patterns}
        self._cached = set(chain.from_iterable(matches.values()))
        unknown = [pattern for pattern in matches if not matches[pattern]]
        unknown += [name for name in self._hooks if name not in existing]
        if unknown:
            raise UserError(f"unknown hook name {unknown[0]!r}{nearest(unknown[0], existing)}")
        self._single = single
        self.activations: dict[str, Tensor] = {}

    def __contains__(self, name: str) -> bool:
        """Whether the activation at `name` is cached or has a hook."""
        return name in self._cached or name in self._hooks

    def is_changed(self, name: str) -> bool:
        """Whether a hook may change the activation at `name`."""
        return name in self._hooks

    def __call__(self, name: str, activation: Tensor) -> Tensor:
        """Return what the hook at `name` returns, or `activation` if there is none."""
        if name not in self:
            return activation
        before = activation[0] if self._single else activation
        after = self._hooks[name](before) if name in self._hooks else before
        if after.shape != before.shape:
            raise UserError(
                f"the hook at {name} returned shape {list(after.shape)}: expected {list(before.shape)}, as it got"
            )
        if name in self._cached:
            self.activations[name] = after
        return after.unsqueeze(0) if self._single else after
