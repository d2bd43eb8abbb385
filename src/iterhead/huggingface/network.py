"""Networks of another architecture, as a population that is trained, measured and stored like our own.

Letters: `M` networks, `B` sequences (rows, when packed), `T` tokens of each, `Q` output positions, `D` width, `V`
vocabulary.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from iterhead.errors import UserError
from iterhead.huggingface import require_transformers
from iterhead.model.context import EVERY_POSITION, PackedContext
from iterhead.model.hooks import ActivationCache, Hook
from iterhead.model.population import Population, Tokens
from iterhead.model.transformer import Transformer
from iterhead.seeds import torch_generator
from iterhead.settings import ModelConfig
from iterhead.settings.configs import OWN

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from iterhead.huggingface.language_model import LanguageModel


class ArchitectureNetwork(Population):
    """M networks of an architecture of Hugging Face, behind the calls of `Transformer`.

    The weights have the architecture's own names and a leading axis of networks. A forward pass lends those of one
    network after another to one model of transformers, so that a population takes as long as its networks alone.

    Args:
        config: settings of each network.
        context: number of positions.
        seeds: one for the weights of each network.

    Raises:
        UserError: transformers is not installed, or the networks do not fit into the memory.
    """

    def __init__(self, config: ModelConfig, context: int, seeds: Sequence[int] = (0,)):
        super().__init__(config, context, len(seeds))
        require_transformers()
        from iterhead.huggingface.architectures import make_model

        model = make_model(config, context)
        # In a tuple, since a submodule's weights would be stored and trained.
        self._lent = (model,)
        self._readers: dict[int, LanguageModel] = {}
        embedding = model.get_input_embeddings().weight
        for name, weight in model.named_parameters():
            _add_parameter(self, name, weight.new_zeros(len(seeds), *weight.shape))
            if weight is embedding:
                self._embedding = name
        self._by_name = dict(self.named_parameters())  # collecting them takes a millisecond, in every step
        self.reset_parameters(seeds)

    @property
    def embeddings(self) -> Tensor:
        """The weights of the token embedding, [M, V, D]."""
        return self._by_name[self._embedding]

    def select(self, networks: Sequence[int]) -> "ArchitectureNetwork":
        """Return some of the networks, by index and in this order, as a new population with copies of their weights."""
        index = torch.tensor(networks, device=self.device)
        memo: dict[int, Any] = {id(p): nn.Parameter(p.detach()[index], p.requires_grad) for p in self.parameters()}
        memo |= {id(self._lent): self._lent, id(self._readers): {}}
        return copy.deepcopy(self, memo)

    @torch.no_grad()
    def reset_parameters(self, seeds: Sequence[int]) -> None:
        """Draw each network's weights from its own seed, as `draw_weight` says."""
        from iterhead.huggingface.architectures import draw_weight

        for network, seed in enumerate(seeds):
            generator = torch_generator(seed, "weights")
            for name, weights in self.named_parameters():
                draw_weight(name, weights[network], self.config, generator)

    def logits(self, tokens: Tensor, context: PackedContext) -> Tensor:
        """Return the logits [M, B, Q, V] of packed rows of tokens [M, B, T], for training.

        Dropout is that of the token embedding, before positions are added in an architecture that adds them.
        """
        if len(tokens) != self.networks or tokens.dim() != 3:
            raise ValueError(f"tokens {list(tokens.shape)}: expected [M, B, T] for M = {self.networks} networks")
        (model,) = self._lent
        if model.device != self.device:
            model.to(self.device)
        M, B, T = tokens.shape
        outputs = torch.arange(T, device=self.device)[context.output_positions]
        biases = context.attention_bias.view(M, B, self.heads, T, T)[:, :, :1]
        logits = []
        for network, parts in enumerate(zip(*(weights.unbind() for weights in self._by_name.values()), strict=True)):
            weights = dict(zip(self._by_name, parts, strict=True))
            x = F.embedding(tokens[network], weights[self._embedding])
            x = x if context.dropout is None else x * context.dropout[network]
            arguments = {
                "inputs_embeds": x.to(context.dtype),
                "attention_mask": biases[network],
                "position_ids": context.positions.expand(B, T),
                "logits_to_keep": outputs,
                "use_cache": False,
            }
            lent = {name: weight.to(context.dtype) for name, weight in weights.items()}
            logits.append(functional_call(model, lent, (), arguments).logits)
        return torch.stack(logits)

    def run_with_cache(
        self,
        tokens: Tokens,
        names: str | Iterable[str] = ("*",),
        hooks: Mapping[str, Hook] | None = None,
        *,
        output_positions: slice = EVERY_POSITION,
    ) -> tuple[Tensor, ActivationCache]:
        """Return logits and activations, with the hook names of `LanguageModel`.

        Args:
            tokens: ids, [B, T] for one network, or [M, B, T].
            names: hook names whose activations to keep, all by default; `*` matches any text.
            hooks: by hook name, only with one network. Hooks and cache have no axis of networks for tokens [B, T].
            output_positions: positions to return logits for, and the queries of the last layer's maps.

        Raises:
            UserError: for an unknown hook name, a hook that changes the shape, more tokens than positions, or hooks
                with several networks.
        """
        tokens = torch.as_tensor(tokens, device=self.device)
        single = tokens.dim() == 2
        if (single or hooks) and self.networks != 1:
            raise UserError(f"{self.networks} networks: expected one here; choose it with model.select([0])")
        if not single and hooks:
            hooks = {name: _with_networks(hook) for name, hook in hooks.items()}
        passes = [
            self.reader(network).run_with_cache(part, names, hooks, output_positions=output_positions)
            for network, part in enumerate(tokens[None] if single else tokens)
        ]
        if single:
            return passes[0]
        every_logits, caches = zip(*passes, strict=True)
        kept = {name: torch.stack([cache[name] for cache in caches]) for name in caches[0]}
        return torch.stack(every_logits), ActivationCache(kept)

    def reader(self, network: int = 0) -> "LanguageModel":
        """Return one network as a `LanguageModel` that shares its weights."""
        from iterhead.huggingface.language_model import LanguageModel

        if network not in self._readers:
            self._readers[network] = LanguageModel(self.hf(network))
        reader = self._readers[network]
        for name, weight in reader.hf.named_parameters():
            weight.data = self.get_parameter(name).data[network]  # they move when an optimizer or a device takes them
        return reader

    def hf(self, network: int = 0) -> "PreTrainedModel":
        """Return a model of transformers with a copy of one network's weights."""
        from iterhead.huggingface.architectures import make_model

        model = make_model(self.config, self.context).to(self.device, self.dtype)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight.copy_(self.get_parameter(name)[network])
        return model.requires_grad_(False)


Network = Transformer | ArchitectureNetwork


def make_network(config: ModelConfig, context: int, seeds: Sequence[int] = (0,)) -> Network:
    """Return networks of the architecture in `config`, one for each seed of weights.

    Raises:
        UserError: the architecture needs transformers, which is not installed.
    """
    kind = Transformer if config.architecture == OWN else ArchitectureNetwork
    return kind(config, context, seeds)


def _add_parameter(root: nn.Module, name: str, weight: Tensor) -> None:
    """Add a parameter under a dotted name, in modules that only hold parameters."""
    *path, last = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.register_parameter(last, nn.Parameter(weight))


def _with_networks(hook: Hook) -> Hook:
    """Return a hook for activations without the axis of networks from one that expects it."""
    return lambda activation: hook(activation[None])[0]
