"""Sites: the named places of a forward pass that can be watched or edited, under TransformerLens's names.

Two things differ from what TransformerLens users may expect. `hook_q_input`, `hook_k_input` and `hook_v_input` stand
after the norm and have no axis of heads: they are what W_Q, W_K and W_V are applied to. And in the published residual
convention the stream is normalised on its way: `hook_resid_mid` is `ln1.hook_normalized` plus `hook_attn_out`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

import torch

from iterhead.errors import UserError, nearest

Hook = Callable[[torch.Tensor], torch.Tensor]
"""Takes the activation at a site and returns the one to go on with, of the same shape."""

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
"""Sites of each block, in the order in which a forward pass meets them."""


def hook_names(layers: int) -> list[str]:
    """Return every site of a network with so many layers, in the order of the forward pass."""
    blocks = [f"blocks.{layer}.{site}" for layer in range(layers) for site in BLOCK_HOOKS]
    return ["hook_embed", "hook_pos_embed", *blocks, "ln_final.hook_normalized"]


class ActivationCache(Mapping[str, torch.Tensor]):
    """The activations that a forward pass kept, by the name of their hook."""

    def __init__(self, activations: Mapping[str, torch.Tensor]):
        self._activations = activations

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in self._activations:
            raise UserError(f"{name!r} was not cached; cached are: {', '.join(self) or 'none'}")
        return self._activations[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._activations)

    def __len__(self) -> int:
        return len(self._activations)


class HookPoints:
    """Applies hooks and keeps watched activations as a forward pass goes by.

    Args:
        layers: of the network, which decides the names that exist.
        sites: names to keep; `*` stands for any text, e.g. `blocks.*.attn.hook_pattern`.
        hooks: by exact name.
        single: hide the leading axis of networks from hooks and from what is kept.

    Raises:
        UserError: for a name that matches no site.
    """

    def __init__(self, layers: int, sites: Iterable[str], hooks: Mapping[str, Hook], single: bool):
        known = hook_names(layers)
        self._watched = {name for pattern in sites for name in _matches(pattern, known)}
        for name in hooks:
            if name not in known:
                raise UserError(f"unknown site {name!r}{nearest(name, known)}")
        self._hooks = hooks
        self._single = single
        self.kept: dict[str, torch.Tensor] = {}
        self.idle = not self._watched and not hooks

    def __call__(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """Return the activation to go on with at the site `name`."""
        edit = self._hooks.get(name)
        if edit is not None:
            value = self._apply(name, edit, value)
        if name in self._watched:
            self.kept[name] = value[0] if self._single else value
        return value

    def _apply(self, name: str, edit: Hook, value: torch.Tensor) -> torch.Tensor:
        given = value[0] if self._single else value
        edited = edit(given)
        if edited.shape != given.shape:
            raise UserError(
                f"the edit at {name} returned shape {list(edited.shape)}: expected {list(given.shape)}, as it got"
            )
        return edited.unsqueeze(0) if self._single else edited


def _matches(pattern: str, known: list[str]) -> list[str]:
    found = [name for name in known if fnmatchcase(name, pattern)]
    if not found:
        raise UserError(f"unknown site {pattern!r}{nearest(pattern, known)}")
    return found
