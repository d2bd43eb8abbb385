"""Our networks as models of transformers, and as folders that `from_pretrained` opens.

Letters: `P` positions, `C` coordinates that carry positions, `D` width, `V` vocabulary.
"""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn import functional as F
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerFast

from iterhead import atomic
from iterhead.contents import MOST_JSON_BYTES, ContentError, parse_json
from iterhead.errors import UserError, nearest
from iterhead.explain import explained
from iterhead.huggingface import modeling_iterhead
from iterhead.huggingface.loading import quiet
from iterhead.huggingface.modeling_iterhead import IterheadConfig, IterheadForCausalLM
from iterhead.huggingface.network import ArchitectureNetwork, Network
from iterhead.model.layers import NORM_EPSILON
from iterhead.model.transformer import Transformer
from iterhead.tasks import Task, Vocabulary

Format = Literal["auto", "gpt2", "transformer-lens"]
"""auto: a modelling file comes with the weights, so any network fits. The others are plain GPT-2 checkpoints."""

MODELING_FILE = Path(modeling_iterhead.__file__)

ORIGIN = "iterhead"
"""The entry of config.json that says what was exported. Only a folder with it is replaced."""

_OWN_NAMES = {
    "ln1.w": "input_layernorm",
    "attn.W_Q": "self_attn.q_proj",
    "attn.W_K": "self_attn.k_proj",
    "attn.W_V": "self_attn.v_proj",
    "attn.W_O": "self_attn.o_proj",
    "ln2.w": "post_attention_layernorm",
    "mlp.W_in": "mlp.up_proj",
    "mlp.W_out": "mlp.down_proj",
}
_GPT2_NAMES = {
    "ln1.w": "ln_1",
    "attn.W_O": "attn.c_proj",
    "ln2.w": "ln_2",
    "mlp.W_in": "mlp.c_fc",
    "mlp.W_out": "mlp.c_proj",
}
"""A layer's weights, by their names here. GPT-2 has the weights of queries, keys and values in one, `attn.c_attn`."""


def check_format(format: str) -> Format:
    """Return the format; UserError unless it is one."""
    formats = get_args(Format)
    if format not in formats:
        hint = nearest(format, formats) or f": expected {', '.join(formats)}"
        raise UserError(f"format={format!r}{hint}")
    return cast(Format, format)


def to_huggingface(model: Network, format: Format = "auto") -> PreTrainedModel:
    """Return a network as a model of transformers, in evaluation mode and in the dtype of its weights.

    A network of an architecture that transformers has is copied as it is, with format `auto`.

    Raises:
        UserError: for several networks, or for one that GPT-2's architecture cannot hold.
    """
    if model.networks > 1:
        raise UserError(f"{model.networks} networks: expected one; model.select([0]) is the first")
    if isinstance(model, ArchitectureNetwork):
        if format != "auto":
            raise UserError(
                f"--format {format}: only for architecture=iterhead: {model.config.architecture} needs auto"
            )
        return model.hf()
    state = {name: tensor[0].detach() for name, tensor in model.state_dict().items()}
    # Random numbers are drawn for the weights, which are then replaced: the caller's stream must not notice.
    with torch.random.fork_rng(devices=[]):
        if format == "auto":
            hf, weights = IterheadForCausalLM(_own_config(model)), _own_weights(model, state)
        else:
            hf, weights = GPT2LMHeadModel(_gpt2_config(model, format)), _gpt2_weights(model, state)
    hf.to(model.dtype).load_state_dict(weights)
    return hf.eval()


def _own_config(model: Transformer) -> IterheadConfig:
    config = model.config
    return IterheadConfig(
        vocab_size=config.vocabulary,
        hidden_size=config.width,
        intermediate_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        max_position_embeddings=model.context,
        residual=config.residual,
        norm=config.norm,
        positions=config.positions,
        rotary_width=config.positions_on // config.heads if model.pos_embed.is_rotary else 0,
    )


def _own_weights(model: Transformer, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of IterheadForCausalLM. A linear layer of PyTorch has the transpose of ours."""
    weights = {"model.embed_tokens.weight": state["embed.W_E"], "lm_head.weight": state["unembed.W_U"].t()}
    if model.pos_embed.is_added:
        weights["model.embed_positions.weight"] = _position_table(model, state)
    if model.pos_embed.is_rotary:
        angles = model.pos_embed.get_buffer("table")
        weights |= {"model.rotary.cosines": angles.cos(), "model.rotary.sines": angles.sin()}
    for layer in range(model.config.layers):
        for name, new in _OWN_NAMES.items():
            if f"blocks.{layer}.{name}" in state:
                weights[f"model.layers.{layer}.{new}.weight"] = state[f"blocks.{layer}.{name}"].t()
    if "ln_final.w" in state:
        weights["model.norm.weight"] = state["ln_final.w"]
    return weights


def _position_table(model: Transformer, state: dict[str, Tensor]) -> Tensor:
    """Return the table [P, D] that is added: zero beyond the first C coordinates, and everywhere without positions."""
    if not model.pos_embed.is_added:
        return state["embed.W_E"].new_zeros(model.context, model.config.width)
    return F.pad(state["pos_embed.W_pos"], (0, model.config.width - model.config.positions_on))


def _gpt2_config(model: Transformer, format: Format) -> GPT2Config:
    """Return GPT-2's settings; UserError if its architecture lacks something that the network has."""
    config = model.config
    other = "use --format auto"
    if config.residual == "published":
        lacking = "TransformerLens has no block" if format == "transformer-lens" else "GPT-2 has no layer"
        raise UserError(f"--format {format}: {lacking} that carries on the normalized stream (published): {other}")
    if config.norm != "layer":
        raise UserError(f"--format {format}: GPT-2 has LayerNorm, and this network model.norm={config.norm}: {other}")
    if model.pos_embed.is_rotary:
        raise UserError(f"--format {format}: GPT-2 adds positions, and those of this network are rotary: {other}")
    return GPT2Config(
        vocab_size=config.vocabulary,
        n_positions=model.context,
        n_embd=config.width,
        n_layer=config.layers,
        n_head=config.heads,
        n_inner=config.hidden,
        activation_function="gelu",  # the exact one; GPT-2's own is an approximation
        layer_norm_epsilon=NORM_EPSILON,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
    )


def _gpt2_weights(model: Transformer, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of GPT2LMHeadModel, whose linear layers have ours as they are; its biases are zero."""
    parts = {"ln_f": state["ln_final.w"]}
    for layer in range(model.config.layers):
        block, new_block = f"blocks.{layer}", f"h.{layer}"
        parts |= {f"{new_block}.{new}": state[f"{block}.{name}"] for name, new in _GPT2_NAMES.items()}
        parts[f"{new_block}.attn.c_attn"] = torch.cat([state[f"{block}.attn.W_{part}"] for part in "QKV"], dim=1)
    return {
        "transformer.wte.weight": state["embed.W_E"],
        "transformer.wpe.weight": _position_table(model, state),
        "lm_head.weight": state["unembed.W_U"].t(),
        **{f"transformer.{name}.weight": weight for name, weight in parts.items()},
        **{f"transformer.{name}.bias": weight.new_zeros(weight.shape[-1]) for name, weight in parts.items()},
    }


def make_tokenizer(task: Task, vocabulary: Vocabulary) -> PreTrainedTokenizerFast:
    """Return a tokenizer of words between spaces: `task 3 1 4 EoI` gives the ids of a prompt.

    The problem tokens are `task`, `task2`, ..., one for each component of a mixture. Of the ids that no sequence has,
    the first is `UNK`, for words that the tokenizer does not know (without such an id, they raise an error), and the
    others are numbers. Padding is EoS, at the left, so that `generate` continues the prompt.
    """
    names = [vocabulary.name(token) for token in range(vocabulary.size)]
    for index in range(len(task.components)):
        names[vocabulary.problem(index)] = f"task{index + 1}" if index else "task"
    has_unused = task.alphabet < vocabulary.problem(len(task.components) - 1)
    if has_unused:
        names[task.alphabet] = "UNK"
    unknown = "UNK" if has_unused else None
    words = {name: token for token, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    end = vocabulary.name(vocabulary.end_of_sequence)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=unknown,
        eos_token=end,
        pad_token=end,
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
    )


def check_destination(folder: Path, *, force: bool = False) -> None:
    """Raise UserError unless an export may be written to this place: new, empty, or with `force` an earlier export."""
    with explained("write", folder, option="--to"):
        if not folder.exists():
            return
        if not folder.is_dir():
            raise UserError(f"{folder}: a file: expected the name of a new folder")
        if not any(folder.iterdir()):
            return
    if not _is_export(folder):
        raise UserError(f"{folder}: not empty, and no earlier export: choose another folder with --to")
    if not force:
        raise UserError(f"{folder}: an earlier export: choose another folder with --to, or replace it with --force")


def _is_export(folder: Path) -> bool:
    with suppress(UserError, ContentError):
        data = atomic.read(folder / "config.json", MOST_JSON_BYTES)
        return ORIGIN in parse_json(data or b"", dict[str, Any])
    return False


def write_folder(
    hf: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    *,
    origin: dict[str, Any],
    card: str,
    force: bool = False,
) -> None:
    """Write a model, its tokenizer and its model card into a folder, all of it or nothing.

    Args:
        hf: from `to_huggingface`, or any model of transformers; its configs get the ids of the end and of padding.
        tokenizer: from `make_tokenizer`.
        folder: its parents are made.
        origin: what was exported, as JSON values, for config.json.
        card: the text of README.md.
        force: replace an earlier export.

    Raises:
        UserError: the place is taken, or cannot be written to.
    """
    folder = folder.resolve()
    atomic.sweep(folder)
    check_destination(folder, force=force)
    end = tokenizer.eos_token_id
    hf.config.eos_token_id = hf.config.pad_token_id = end
    setattr(hf.config, ORIGIN, origin)
    hf.generation_config = GenerationConfig(
        eos_token_id=end, pad_token_id=end, max_length=hf.config.max_position_embeddings
    )
    is_own = isinstance(hf, IterheadForCausalLM)
    if is_own:
        hf.config.auto_map = {
            "AutoConfig": f"{MODELING_FILE.stem}.{IterheadConfig.__name__}",
            "AutoModelForCausalLM": f"{MODELING_FILE.stem}.{IterheadForCausalLM.__name__}",
        }
    with explained("write", folder, option="--to"):
        atomic.make_folder(folder.parent)
        with atomic.temporary(folder, is_folder=True) as temporary:
            try:
                with quiet():
                    hf.save_pretrained(temporary)
                tokenizer.save_pretrained(temporary)
                (temporary / "README.md").write_text(card, encoding="utf-8")
                if is_own:
                    shutil.copyfile(MODELING_FILE, temporary / MODELING_FILE.name)
                for path in temporary.iterdir():  # safetensors makes files that only their owner may read
                    shutil.copymode(temporary / "README.md", path)
                atomic.replace_folder(folder, temporary)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
