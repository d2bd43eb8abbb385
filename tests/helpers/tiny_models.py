"""Small random models of transformers, one for each architecture: made from a config in milliseconds, no download.

Their weights are large, so that attention maps are far from uniform, and their norms and biases differ by coordinate,
so that code which forgets one gives another result.
"""

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

VOCABULARY = 97
LAYERS = 3
HEADS = 4
KEY_VALUE_HEADS = 2
HEAD_WIDTH = 8
WIDTH = HEADS * HEAD_WIDTH
SLIDING_WINDOW = 5
"""Shorter than the prompts of the tests."""

_COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "tie_word_embeddings": False,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": VOCABULARY - 1,
}
_GROUPED = _COMMON | {"num_key_value_heads": KEY_VALUE_HEADS}
_WIDE_HEADS = _GROUPED | {"head_dim": 12}  # 4 * 12 = 48: the heads together are wider than the model
_GEMMA = _WIDE_HEADS | {"query_pre_attn_scalar": 10, "sliding_window": SLIDING_WINDOW}
_ALTERNATING = ["sliding_attention", "full_attention", "sliding_attention"]
_GPT2 = {
    "vocab_size": VOCABULARY,
    "n_embd": WIDTH,
    "n_layer": LAYERS,
    "n_head": HEADS,
    "n_positions": 128,
    "initializer_range": 0.3,
    "bos_token_id": None,
    "eos_token_id": VOCABULARY - 1,
}

ARCHITECTURES = {
    "gpt2": ("gpt2", _GPT2),
    "gpt-neox": ("gpt_neox", _COMMON),
    "llama": ("llama", _GROUPED),
    "mistral": ("mistral", _GROUPED | {"sliding_window": None}),
    "mistral-sliding": ("mistral", _GROUPED | {"sliding_window": SLIDING_WINDOW}),
    "qwen2": ("qwen2", _GROUPED),
    "qwen3": ("qwen3", _WIDE_HEADS),
    "gemma2": ("gemma2", _GEMMA | {"layer_types": _ALTERNATING, "attn_logit_softcapping": 5.0}),
    "gemma3": ("gemma3_text", _GEMMA | {"layer_types": _ALTERNATING}),
    "phi3": ("phi3", _GROUPED),
    "olmo2": ("olmo2", _GROUPED),
}
"""Decoders with softmax attention: transformers' model type, and the settings of its config."""

NOT_DECODERS = {
    "mamba": ("mamba", {"vocab_size": VOCABULARY, "hidden_size": WIDTH, "num_hidden_layers": 2, "state_size": 4}),
    "bert": ("bert", _COMMON | {"pad_token_id": 0}),
    "t5": ("t5", {"vocab_size": VOCABULARY, "d_model": WIDTH, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}),
}
"""Models without causal softmax attention: a state-space model, an encoder, an encoder-decoder."""


def tiny_model(architecture, seed=0, *, dtype=torch.float32, attention="eager", **changes):
    """A random model in eval mode, the same for the same arguments; `changes` are settings of its config.

    Width 32, 3 layers, 4 heads, 2 key-value heads where the architecture has them, 97 tokens.
    """
    model_type, settings = (ARCHITECTURES | NOT_DECODERS)[architecture]
    config = AutoConfig.for_model(model_type, **settings | changes)
    classes = {"bert": AutoModelForMaskedLM, "t5": AutoModelForSeq2SeqLM}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = classes.get(model_type, AutoModelForCausalLM).from_config(config, attn_implementation=attention)
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:  # norms and biases, which begin as ones and zeros
                parameter += 0.3 * torch.randn(parameter.shape)
            if "q_norm" in name:  # normed queries and keys make flat maps
                parameter += 2
    return model.to(dtype).eval()
