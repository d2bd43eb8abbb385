"""A causal language model of the Hugging Face library, behind the calls of `Transformer`.

Letters: `B` sequences, `T` tokens, `Q` queries, `H` heads, `D` width, `V` vocabulary.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from iterhead.errors import UserError
from iterhead.huggingface.attention import NAME, Capture, capturing
from iterhead.model.context import EVERY_POSITION
from iterhead.model.hooks import ActivationCache, Hook, HookPoints
from iterhead.model.population import Tokens

Positions = slice | Sequence[int] | Tensor
"""Positions in a sequence: a slice, [Q], or [B, Q] where they differ between sequences."""

BLOCK_HOOKS = (
    "hook_resid_pre",
    "attn.hook_q",
    "attn.hook_k",
    "attn.hook_v",
    "attn.hook_attn_scores",
    "attn.hook_pattern",
    "attn.hook_z",
    "hook_attn_out",
    "hook_mlp_out",
    "hook_resid_post",
)
"""The hook names of a block, without `blocks.{layer}.`, in the order of most architectures' forward pass."""


class LanguageModel:
    """A causal language model whose attention can be read and changed, with TransformerLens's hook names.

    The model keeps its fast attention: maps are computed only for the queries that are asked for. Three names differ
    from TransformerLens: `attn.hook_q` and `attn.hook_k` are taken after the rotation, as the scores see them;
    `attn.hook_k` and `attn.hook_v` have the key-value heads; `hook_attn_out` and `hook_mlp_out` are what the modules
    return, before any norm that the architecture puts after them.

    Args:
        hf: the model. Its attention function is replaced, and it is put into evaluation mode.
        tokenizer: for prompts as text; None if there is none.

    Attributes:
        hf, tokenizer: as given.
        hook_names: every hook name, in order.

    Raises:
        UserError: for a model without softmax attention in every layer, or whose attention this class does not
            reproduce: see `check_attention`.
    """

    def __init__(self, hf: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None = None):
        from iterhead.huggingface.checks import attention_modules, check_attention

        self.hf = hf.eval()
        self.tokenizer = tokenizer
        attention = attention_modules(hf)
        check_attention(hf)
        hf.set_attn_implementation(NAME)
        modules = dict(hf.named_modules())
        names = {module: name for name, module in modules.items()}
        blocks = [names[module].rpartition(".")[0] for module in attention]
        self._sites: dict[str, tuple[nn.Module, bool]] = {}  # by hook name: a module, and whether its input is meant
        self._sites["hook_embed"] = (hf.get_input_embeddings(), False)
        for layer, (module, block) in enumerate(zip(attention, blocks, strict=True)):
            prefix = f"blocks.{layer}"
            self._sites[f"{prefix}.hook_resid_pre"] = (modules[block], True)
            self._sites[f"{prefix}.hook_attn_out"] = (module, False)
            if f"{block}.mlp" in modules:
                self._sites[f"{prefix}.hook_mlp_out"] = (modules[f"{block}.mlp"], False)
            self._sites[f"{prefix}.hook_resid_post"] = (modules[block], False)
        self._head = hf.get_output_embeddings()
        self._sites["ln_final.hook_normalized"] = (self._head, True)
        in_blocks = [f"blocks.{layer}.{name}" for layer in range(len(blocks)) for name in BLOCK_HOOKS]
        in_blocks = [name for name in in_blocks if ".attn." in name or name in self._sites]
        self.hook_names = ["hook_embed", *in_blocks, "ln_final.hook_normalized"]

    @classmethod
    def from_pretrained(cls, name: str, **options: Any) -> "LanguageModel":
        """Load a model and its tokenizer from a folder or a hub; arguments and errors as of `load_pretrained`."""
        from iterhead.huggingface.loading import load_pretrained

        return cls(*load_pretrained(name, **options))

    @property
    def layers(self) -> int:
        """Number of layers."""
        return int(self.hf.config.get_text_config().num_hidden_layers)

    @property
    def heads(self) -> int:
        """H, the number of attention heads (of queries) in each layer."""
        return int(self.hf.config.get_text_config().num_attention_heads)

    @property
    def vocabulary(self) -> int:
        """V, the number of token ids that the embedding has."""
        return len(self._weight)

    @property
    def context(self) -> int | None:
        """The number of positions that the model was made for; None if its settings do not say."""
        positions = getattr(self.hf.config.get_text_config(), "max_position_embeddings", None)
        return None if positions is None else int(positions)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights."""
        return self._weight.dtype

    @property
    def _weight(self) -> Tensor:
        weight: Tensor = self.hf.get_input_embeddings().weight
        return weight

    def __call__(self, tokens: Tokens, hooks: Mapping[str, Hook] | None = None, **options: Any) -> Tensor:
        """Return the logits; arguments and errors as of `run_with_cache`."""
        return self.run_with_cache(tokens, (), hooks, **options)[0]

    def run_with_hooks(self, tokens: Tokens, hooks: Mapping[str, Hook], **options: Any) -> Tensor:
        """Return the logits with hooks applied; arguments and errors as of `run_with_cache`."""
        return self.run_with_cache(tokens, (), hooks, **options)[0]

    def run_with_cache(
        self,
        tokens: Tokens,
        names: str | Iterable[str] = ("*",),
        hooks: Mapping[str, Hook] | None = None,
        *,
        output_positions: Positions = EVERY_POSITION,
        query_positions: Positions | None = None,
        attention_mask: Tensor | None = None,
    ) -> tuple[Tensor, ActivationCache]:
        """Return logits [B, Q, V] and activations.

        Args:
            tokens: ids, [B, T]. Sequences of different lengths are padded: on the right with any id, or on the left
                with an `attention_mask`.
            names: hook names whose activations to keep, all by default; `*` matches any text.
            hooks: by hook name; what they return is cached. At `attn.hook_pattern` they get [B, H, Q, T].
            output_positions: positions to return logits for.
            query_positions: queries whose maps are written out, in every layer. By default all, but in the last layer
                only the output positions, if these are a slice.
            attention_mask: 1 for tokens and 0 for padding, [B, T].

        Raises:
            UserError: for an unknown hook name, a hook that changes the shape, or more tokens than positions.
        """
        tokens = torch.as_tensor(tokens, device=self.device)
        T = tokens.shape[1]
        if self.context is not None and self.context < T:
            raise UserError(f"sequences of {T} tokens: expected at most {self.context}, the model's context")
        hook_points = HookPoints(self.hook_names, names, hooks)
        queries = last = self._indices(EVERY_POSITION if query_positions is None else query_positions, T)
        if query_positions is None and isinstance(output_positions, slice):
            last = self._indices(output_positions, T)
        inputs: dict[str, Any] = {"input_ids": tokens, "use_cache": False}
        if attention_mask is not None:
            mask = attention_mask.to(self.device)
            inputs |= {"attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
        with ExitStack() as stack:
            stack.enter_context(capturing(Capture(hook_points, queries, last, self.layers - 1)))
            stack.enter_context(self._module_hooks(hook_points))
            stack.enter_context(self._gathered(self._indices(output_positions, T), T))
            logits: Tensor = self.hf(**inputs).logits
        return logits, ActivationCache(hook_points.activations)

    @torch.no_grad()
    def generate(self, prompts: Tokens, steps: int, attention_mask: Tensor | None = None) -> Tensor:
        """Return the tokens [B, steps] that the model writes after each prompt [B, T], greedily.

        Prompts of different lengths are padded on the left, with an `attention_mask` [B, T].
        """
        tokens = torch.as_tensor(prompts, device=self.device)
        mask = torch.ones_like(tokens) if attention_mask is None else attention_mask.to(self.device)
        # All of it, since the model's own defaults may sample, penalize repetitions or stop early: an end that is None
        # would be the model's own, and with a least number of tokens the model could not write it.
        longest = tokens.shape[1] + steps  # not `max_new_tokens`, which warns of a `max_length` that the model has
        greedy = GenerationConfig(do_sample=False, max_length=longest, eos_token_id=self.vocabulary, pad_token_id=0)
        written: Tensor = self.hf.generate(tokens, attention_mask=mask, generation_config=greedy)
        return written[:, tokens.shape[1] :]

    def _indices(self, positions: Positions, tokens: int) -> Tensor:
        """Return positions as a tensor, [Q] or [B, Q]."""
        if isinstance(positions, slice):
            return torch.arange(tokens, device=self.device)[positions]
        return torch.as_tensor(positions, device=self.device)

    @contextmanager
    def _module_hooks(self, hook_points: HookPoints) -> Iterator[None]:
        """Run the hooks at the inputs and outputs of modules within the block."""
        handles = []
        for name, (module, is_input) in self._sites.items():
            if name in hook_points:
                register = _hook_input if is_input else _hook_output
                handles.append(register(module, partial(hook_points, name)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def _gathered(self, positions: Tensor, tokens: int) -> Iterator[None]:
        """Compute logits only at some positions within the block, after the hook at `ln_final.hook_normalized`."""
        if positions.dim() == 1 and len(positions) == tokens:
            yield
            return

        def gather(x: Tensor) -> Tensor:
            if positions.dim() == 1:
                return x[:, positions]
            return x.gather(1, positions[..., None].expand(-1, -1, x.shape[-1]))

        handle = _hook_input(self._head, gather)
        try:
            yield
        finally:
            handle.remove()


def _hook_input(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Any:
    """Change a module's first argument, the hidden states; return the handle that ends it."""

    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (change(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

    return module.register_forward_pre_hook(hook, with_kwargs=True)


def _hook_output(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Any:
    """Change a module's output, or the first of several; return the handle that ends it."""

    def hook(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    return module.register_forward_hook(hook)
