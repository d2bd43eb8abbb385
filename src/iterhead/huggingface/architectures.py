"""The architectures of Hugging Face that can be trained here: their settings, and how their weights are drawn."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from iterhead.settings import ModelConfig
from iterhead.tasks import Vocabulary


def gpt2(config: ModelConfig, context: int) -> PreTrainedConfig:
    """Return GPT-2's settings: a table of positions, LayerNorm, and one matrix for embedding and unembedding."""
    return GPT2Config(
        **_shared(config, context),
        n_inner=config.hidden,
        activation_function="gelu_pytorch_tanh",  # its own gelu_new in one operation, at a third of the time
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )


def gpt_neox(config: ModelConfig, context: int) -> PreTrainedConfig:
    """Return GPT-NeoX's settings (Pythia): MLP and attention in parallel, a quarter of each head rotated."""
    return GPTNeoXConfig(**_shared(config, context), intermediate_size=config.hidden)


def llama(config: ModelConfig, context: int) -> PreTrainedConfig:
    """Return Llama's settings: RMSNorm, rotary positions, a gated MLP."""
    return LlamaConfig(**_shared(config, context), **_grouped(config))


def qwen3(config: ModelConfig, context: int) -> PreTrainedConfig:
    """Return Qwen3's settings: Llama's, with queries and keys normalized in each head."""
    return Qwen3Config(**_shared(config, context), **_grouped(config))


def mistral(config: ModelConfig, context: int) -> PreTrainedConfig:
    """Return Mistral's settings: Llama's, here without its sliding window, which is longer than these sequences."""
    return MistralConfig(**_shared(config, context), **_grouped(config), sliding_window=None)


def initial_std(config: ModelConfig) -> float:
    """Return the standard deviation of the initial weights, 1 / sqrt(width).

    The architectures' default, 0.02, is this for a width of 2,500. At width 64 it is six times smaller, and networks
    learn later (docs/log.md).
    """
    return float(config.width**-0.5)


def _shared(config: ModelConfig, context: int) -> dict[str, Any]:
    return {
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "max_position_embeddings": context,
        "initializer_range": initial_std(config),
        "bos_token_id": None,
        "eos_token_id": Vocabulary(config.vocabulary).end_of_sequence,
        "pad_token_id": None,
        "use_cache": False,
    }


def _grouped(config: ModelConfig) -> dict[str, Any]:
    return {
        "intermediate_size": config.hidden,
        "num_key_value_heads": config.key_value_heads,
        "head_dim": config.head_width,
    }


ARCHITECTURES: Mapping[str, tuple[Callable[[ModelConfig, int], PreTrainedConfig], type[PreTrainedModel]]] = {
    "gpt2": (gpt2, GPT2LMHeadModel),
    "gpt-neox": (gpt_neox, GPTNeoXForCausalLM),
    "llama": (llama, LlamaForCausalLM),
    "qwen3": (qwen3, Qwen3ForCausalLM),
    "mistral": (mistral, MistralForCausalLM),
}
"""By the name in `model.architecture`: its settings, and its model."""


def make_model(config: ModelConfig, context: int) -> PreTrainedModel:
    """Return a model of the architecture, ready for evaluation; its weights are yet to be set.

    transformers draws weights from the global generator of random numbers, which is left as it was.
    """
    make_config, kind = ARCHITECTURES[config.architecture]
    with torch.random.fork_rng(devices=[]):
        return kind._from_config(make_config(config, context), attn_implementation="eager").eval()


def draw_weight(name: str, weight: Tensor, config: ModelConfig, generator: torch.Generator) -> None:
    """Draw a weight of one network as these architectures do: matrices are normal, biases 0, norms 1.

    GPT-2 divides the standard deviation of what is added to the residual stream by the square root of the number of
    such additions, two a layer (Radford et al. 2019, section 2.3).
    """
    if weight.dim() > 1:
        is_added = config.architecture == "gpt2" and name.endswith("c_proj.weight")
        scale = (2 * config.layers) ** -0.5 if is_added else 1.0
        weight.normal_(std=scale * initial_std(config), generator=generator)
    else:
        weight.fill_(float(name.endswith("weight")))
