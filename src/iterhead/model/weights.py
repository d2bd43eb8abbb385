"""Weights from elsewhere: from a state dict, a safetensors file or another network, into a network."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from iterhead.errors import UserError, nearest
from iterhead.model.positions import POSITION_ENCODINGS
from iterhead.model.transformer import Transformer
from iterhead.settings import ModelConfig

POSITION_TABLE = "pos_embed.W_pos"
POSITION_TABLES = (POSITION_TABLE, "transformer.wpe.weight")
"""The weights whose shape depends on the context: [1, P, C], of our own architecture and of gpt2."""


def from_weights(
    weights: Mapping[str, Tensor] | str | os.PathLike[str], config: ModelConfig, context: int | None = None
) -> Transformer:
    """Return a network with the given weights, in evaluation mode and in the dtype of its embedding.

    Args:
        weights: by the names of the network's `state_dict`, each [1, ...] or without the leading axis; or the path of
            a safetensors file of these. Pickled files are refused: loading one can run any code.
        config: the network's shape.
        context: number of positions; unless given, `config.context`, or as many as the table of positions has.

    Raises:
        UserError: when the file is not safetensors, a weight is missing, unexpected or of another shape (the message
            names the first one), or the context is not known.
    """
    tensors = {name: torch.as_tensor(weight) for name, weight in _read(weights).items()}
    table = tensors.get(POSITION_TABLE, torch.empty(0))
    context = context or config.context or (table.shape[-2] if table.dim() > 1 else None)
    if context is None and POSITION_ENCODINGS[config.positions].has_weights:
        raise UserError(f"weights: {POSITION_TABLE}: missing, expected shape [positions, {config.positions_on}]")
    if context is None:
        raise UserError("context: expected the number of positions, since the weights hold no table of them")
    model = Transformer(config, context)
    embedding = tensors.get("embed.W_E")
    if embedding is not None and embedding.is_floating_point():
        model.to(embedding)
    load_weights(model, 0, tensors)
    return model.eval()


@torch.no_grad()
def load_weights(model: nn.Module, network: int, weights: Mapping[str, Tensor]) -> None:
    """Copy weights, by name and each [1, ...] or without the leading axis, into one network 0 .. M - 1 of `model`.

    Of a longer table of positions the first rows are taken; a computed one (sinusoidal) is not read.

    Raises:
        UserError: for a weight that is missing, unexpected or of another shape.
    """
    state = model.state_dict()
    for name, weight in weights.items():
        if name not in state:
            raise UserError(f"weights: {name}: unexpected, with shape {list(weight.shape)}{nearest(name, state)}")
    for name, tensor in state.items():
        if name == POSITION_TABLE and isinstance(model, Transformer) and not model.pos_embed.has_weights:
            continue
        expected = tensor.shape[1:]
        if name not in weights:
            raise UserError(f"weights: {name}: missing, expected shape {list(expected)}")
        weight = weights[name]
        if weight.dim() == tensor.dim() and len(weight) == 1:
            weight = weight[0]
        rows = weight[: expected[0]] if name in POSITION_TABLES else weight
        if rows.shape != expected:
            raise UserError(f"weights: {name}: expected shape {list(expected)}, got {list(weight.shape)}")
        tensor[network] = rows.to(tensor)


def _read(weights: Mapping[str, Tensor] | str | os.PathLike[str]) -> Mapping[str, Tensor]:
    if isinstance(weights, Mapping):
        return weights
    path = Path(weights)
    try:
        return load_file(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise UserError(
            f"{path}: not a safetensors file ({error}); pickled weights are refused, since loading them can run any "
            "code: save them with safetensors.torch.save_file"
        ) from None
