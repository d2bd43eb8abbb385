"""Weights from elsewhere: a state dict or a safetensors file becomes a network, or an error names the first weight."""

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from helpers.networks import CONTEXT, POSITIONS, config_of, network, random_tokens
from iterhead.errors import UserError
from iterhead.model.weights import from_weights

CONFIG = config_of(width=21, heads=3, mlp_width=11, vocabulary=13)  # positions 8: all dimensions differ


def weights_of(config, **changes):
    """The weights of a network, some of them changed; those changed to None are left out."""
    weights = {**network(config).state_dict(), **changes}
    return {name: tensor for name, tensor in weights.items() if tensor is not None}


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("form", ["with the axis of networks", "without", "numpy", "file"])
def test_a_network_comes_back_from_its_weights(positions, form, tmp_path):
    config = config_of(positions=positions, heads=3)
    original = network(config)
    weights = original.state_dict()
    if form == "without":
        weights = {name: tensor[0] for name, tensor in weights.items()}
    if form == "numpy":
        weights = {name: tensor.numpy() for name, tensor in weights.items()}
    if form == "file":
        save_file(weights, tmp_path / "weights.safetensors")
        weights = tmp_path / "weights.safetensors"
    copied = from_weights(weights, config, None if positions in ("learned", "frozen") else CONTEXT)
    tokens = random_tokens(2, 5)
    assert torch.equal(copied(tokens), original(tokens))
    assert copied.context == CONTEXT
    assert not copied.training
    original.embed.W_E.data.fill_(9)
    assert not torch.equal(copied.embed.W_E, original.embed.W_E)


def test_the_number_format_is_that_of_the_embedding():
    weights = {name: tensor.float() for name, tensor in weights_of(CONFIG).items()}
    assert {tensor.dtype for tensor in from_weights(weights, CONFIG).state_dict().values()} == {torch.float32}
    assert from_weights(weights_of(CONFIG), CONFIG).embed.W_E.dtype == torch.float64


def test_a_smaller_context_takes_the_first_positions():
    weights = weights_of(CONFIG)
    assert torch.equal(from_weights(weights, CONFIG, 5).pos_embed.W_pos, weights["pos_embed.W_pos"][:, :5])
    shorter = CONFIG.model_copy(update={"context": 7})
    assert from_weights(weights, shorter).context == 7


def test_the_context_of_a_computed_table_is_that_of_the_table():
    config = config_of(positions="sinusoidal")
    assert from_weights(weights_of(config), config).context == CONTEXT
    without = {name: tensor for name, tensor in weights_of(config).items() if name != "pos_embed.W_pos"}
    assert torch.equal(from_weights(without, config, 5).pos_embed.W_pos, network(config).pos_embed.W_pos[:, :5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed.W_E": None}, "embed.W_E: missing, expected shape [13, 21]"),
        ({"blocks.1.mlp.W_in": None}, "blocks.1.mlp.W_in: missing, expected shape [21, 11]"),
        ({"pos_embed.W_pos": None}, "pos_embed.W_pos: missing, expected shape [positions, 21]"),
        ({"pos_embed.W_pos": torch.zeros(1, 8, 5)}, "pos_embed.W_pos: expected shape [8, 21], got [8, 5]"),
        ({"ln_final.w": torch.zeros(22)}, "ln_final.w: expected shape [21], got [22]"),
        ({"unembed.W_U": torch.zeros(2, 21, 13)}, "unembed.W_U: expected shape [21, 13], got [2, 21, 13]"),
        (
            {"unembed.b_U": torch.zeros(1, 13)},
            "unembed.b_U: unexpected, with shape [1, 13]: did you mean 'unembed.W_U'?",
        ),
    ],
    ids=["missing-embedding", "missing", "missing-table", "narrow-table", "longer", "two-networks", "unexpected"],
)
def test_the_first_weight_that_does_not_fit_is_named_with_both_shapes(changes, message):
    with pytest.raises(UserError) as caught:
        from_weights(weights_of(CONFIG, **changes), CONFIG)
    assert str(caught.value) == f"weights: {message}"


def test_a_table_shorter_than_the_context_is_refused():
    with pytest.raises(UserError, match=r"pos_embed.W_pos: expected shape \[9, 21\], got \[8, 21\]"):
        from_weights(weights_of(CONFIG), CONFIG, 9)


@pytest.mark.parametrize("positions", ["rotary", "none"])
def test_without_a_table_the_context_must_be_given(positions):
    config = config_of(positions=positions)
    with pytest.raises(UserError, match=r"^context: expected the number of positions"):
        from_weights(weights_of(config), config)
    assert from_weights(weights_of(config), config.model_copy(update={"context": 6})).context == 6


class Bomb:
    """Unpickling it would be noticed."""

    def __reduce__(self):
        return exec, ("raise SystemExit",)


@pytest.mark.parametrize("kind", ["torch", "pickle", "empty", "numpy"])
def test_files_that_are_not_safetensors_are_refused_unopened(kind, tmp_path):
    path = tmp_path / "weights.pt"
    path.touch()
    if kind == "torch":
        torch.save({"embed.W_E": Bomb()}, path)
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    if kind == "numpy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    with pytest.raises(UserError, match=r"weights.pt: not a safetensors file .*pickled weights are refused"):
        from_weights(path, CONFIG)


def test_a_file_that_is_not_there_is_an_error_of_one_line(tmp_path):
    with pytest.raises(UserError, match=r"^.*nothing.safetensors: cannot be read: [^\n]*$"):
        from_weights(tmp_path / "nothing.safetensors", CONFIG)
