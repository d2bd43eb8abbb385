"""Hooks by name, head and position: exactly what was chosen changes, and nothing else in that activation."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from helpers.oracle import alone, random_network, random_tokens
from iterhead.errors import UserError
from iterhead.intervene import activations
from iterhead.intervene.activations import (
    Hooks,
    ablate_head,
    compose,
    hook_means,
    mean_ablation,
    patch,
    replace,
    zero,
)
from iterhead.model.hooks import hook_names
from iterhead.tasks import SequenceLayout

Z, PATTERN, MLP = "blocks.1.attn.hook_z", "blocks.0.attn.hook_pattern", "blocks.0.hook_mlp_out"
TIGHT = {"rtol": 1e-10, "atol": 1e-12}
NETWORKS = pytest.mark.parametrize("networks", [None, 2])


def given(networks, rows=2, tokens=11):
    """A network or a population, and tokens for it."""
    leading = () if networks is None else (networks,)
    return random_network(networks=networks), random_tokens(*leading, rows, tokens)


@NETWORKS
@pytest.mark.parametrize(
    ("name", "arguments", "chosen"),
    [
        (Z, {"head": 1}, np.s_[..., :, 1, :]),
        (Z, {"head": [0, 2], "positions": [3, 5]}, np.s_[..., [[3], [5]], [0, 2], :]),
        (Z, {"positions": slice(8, 11)}, np.s_[..., 8:11, :, :]),
        # In attention maps heads come before queries, and positions are those of queries.
        (PATTERN, {"head": 2}, np.s_[..., 2, :, :]),
        (PATTERN, {"head": np.int64(2), "positions": np.array([4, 7])}, np.s_[..., 2, [4, 7], :]),
        (PATTERN, {"positions": slice(None, 5, 2)}, np.s_[..., :, [0, 2, 4], :]),
        (MLP, {}, np.s_[...]),
        (MLP, {"positions": [10, 0]}, np.s_[..., [0, 10], :]),
        ("hook_embed", {"positions": SequenceLayout(3).inputs}, np.s_[..., [1, 2, 3], :]),
    ],
)
def test_only_the_named_heads_and_positions_change(networks, name, arguments, chosen):
    model, tokens = given(networks)
    before = model.run_with_cache(tokens, [name])[1][name]
    after = model.run_with_cache(tokens, [name], hooks=zero(name, **arguments))[1][name]
    expected = before.clone()
    expected[chosen] = 0
    assert not torch.equal(expected, before)
    assert torch.equal(after, expected)


def test_hooks_are_a_mapping_from_name_to_function():
    hooks: Hooks = zero(MLP)
    assert list(hooks) == [MLP]
    assert hooks[MLP](torch.ones(2, 3, 5)).tolist() == torch.zeros(2, 3, 5).tolist()


def test_hooks_of_one_name_are_applied_in_order_and_others_kept():
    first, second = replace(MLP, lambda x: x + 3), replace(MLP, lambda x: x * 2)
    x = torch.full((1, 1, 2), 5.0)
    # (5 + 3) * 2 = 16, 5 * 2 + 3 = 13.
    assert compose(first, second)[MLP](x).tolist() == [[[16, 16]]]
    assert compose(second, first)[MLP](x).tolist() == [[[13, 13]]]
    assert compose(first, second, first)[MLP](x).tolist() == [[[19, 19]]]
    together = compose(first, zero(Z), second)
    assert list(together) == [MLP, Z]
    assert first[MLP](x).tolist() == [[[8, 8]]]
    assert compose() == {}


def test_composed_hooks_of_two_heads_are_those_of_both():
    model, tokens = given(None)
    both = model(tokens, hooks=zero(Z, head=[0, 2]))
    assert torch.equal(model(tokens, hooks=compose(zero(Z, head=0), zero(Z, head=2))), both)
    assert not torch.equal(model(tokens, hooks=zero(Z, head=0)), both)


# Means


@NETWORKS
def test_means_are_over_sequences_whatever_the_chunks(networks, monkeypatch):
    monkeypatch.setattr(activations, "CHUNK", 2)
    model, tokens = given(networks, rows=5)
    means = hook_means(model, tokens)
    assert list(means) == hook_names(2)
    _, cache = model.run_with_cache(tokens)
    axis = 0 if networks is None else 1
    for name, mean in means.items():
        assert mean.dtype == torch.float64
        assert_close(mean, cache[name].mean(axis), **TIGHT)


def test_means_can_be_asked_for_by_name():
    model, tokens = given(None)
    assert set(hook_means(model, tokens, ["blocks.*.hook_mlp_out"])) == {MLP, "blocks.1.hook_mlp_out"}


@NETWORKS
@pytest.mark.parametrize("name", [Z, PATTERN, MLP])
def test_mean_ablation_gives_every_sequence_the_mean(networks, name):
    model, tokens = given(networks, rows=3)
    before = model.run_with_cache(tokens, [name])[1][name]
    mean = hook_means(model, tokens, [name])[name]
    after = model.run_with_cache(tokens, [name], hooks=mean_ablation(name, mean, positions=[4]))[1][name]
    expected = before.clone()
    rows = np.s_[..., 4, :, :] if name == Z else np.s_[..., 4, :]
    axis = 0 if networks is None else 1
    expected[rows] = before.mean(axis, keepdim=True).expand_as(before)[rows]
    assert not torch.allclose(before, expected)
    assert_close(after, expected, **TIGHT)


def test_a_mean_by_hand():
    # Two sequences, two positions, one coordinate: (1, 2) and (3, 8); position 1 gets (2 + 8) / 2.
    x = torch.tensor([[[1.0], [2.0]], [[3.0], [8.0]]])
    mean = torch.tensor([[2.0], [5.0]])
    assert mean_ablation(MLP, mean, positions=[1])[MLP](x).flatten().tolist() == [1, 5, 3, 5]


# Patches


@NETWORKS
def test_a_patch_puts_the_donors_activation(networks):
    model, tokens = given(networks)
    donor = model.run_with_cache(random_tokens(*tokens.shape, seed=1), [Z])[1][Z]
    before = model.run_with_cache(tokens, [Z])[1][Z]
    after = model.run_with_cache(tokens, [Z], hooks=patch(Z, donor, head=1, positions=[6, 7]))[1][Z]
    expected = before.clone()
    expected[..., [6, 7], 1, :] = donor[..., [6, 7], 1, :]
    assert not torch.equal(before, expected)
    assert torch.equal(after, expected)


def test_patching_the_whole_stream_gives_the_donors_logits():
    model, tokens = given(None)
    donor_logits, donor = model.run_with_cache(random_tokens(2, 11, seed=1), ["blocks.1.hook_resid_pre"])
    hooks = patch("blocks.1.hook_resid_pre", donor["blocks.1.hook_resid_pre"])
    assert_close(model(tokens, hooks=hooks), donor_logits, **TIGHT)


def test_a_population_is_edited_as_its_networks_alone():
    model, tokens = given(2)
    donor = model.run_with_cache(random_tokens(*tokens.shape, seed=1), [MLP])[1][MLP]
    means = hook_means(model, tokens, [Z])[Z]
    together = model(tokens, hooks=compose(patch(MLP, donor, positions=[2]), mean_ablation(Z, means, head=0)))
    for index in range(2):
        made = compose(patch(MLP, donor[index], positions=[2]), mean_ablation(Z, means[index], head=0))
        assert_close(together[index], alone(model, index)(tokens[index], hooks=made), **TIGHT)


# Refusals


@pytest.mark.parametrize(
    ("hooks", "message"),
    [
        (zero(Z, head=3), f"head at {Z}: 3 does not exist: expected 0 .. 2"),
        (zero(PATTERN, head=[0, -1]), f"head at {PATTERN}: -1 does not exist: expected 0 .. 2"),
        (zero(Z, positions=[2, 11]), f"position at {Z}: 11 does not exist: expected 0 .. 10"),
        (zero(PATTERN, positions=slice(3, 12)), f"position at {PATTERN}: 11 does not exist: expected 0 .. 10"),
        (zero(MLP, positions=[-2]), f"position at {MLP}: -2 does not exist: expected 0 .. 10"),
        (zero(MLP, head=0), f"head=0: {MLP} has no axis of heads: leave head out, or use a hook in attn."),
        (
            patch(MLP, torch.zeros(2, 12, 21)),
            f"the donor for {MLP} has shape [2, 12, 21]: expected [2, 11, 21], as the activation has",
        ),
        (
            patch(Z, torch.zeros(1, 11, 3, 7), head=1),
            f"the donor for {Z} has shape [1, 11, 3, 7]: expected [2, 11, 3, 7], as the activation has",
        ),
        (
            mean_ablation(PATTERN, torch.zeros(2, 3, 11, 11)),
            f"the mean for {PATTERN} has shape [2, 3, 11, 11]: expected [3, 11, 11], as the activation has",
        ),
    ],
)
def test_heads_positions_and_shapes_that_do_not_fit_raise(hooks, message):
    model, tokens = given(None)
    with pytest.raises(UserError) as caught:
        model(tokens, hooks=hooks)
    assert str(caught.value) == message


def test_an_unknown_name_raises():
    model, tokens = given(None)
    with pytest.raises(UserError, match=r"^unknown .*'blocks.2.hook_mlp_out'"):
        model(tokens, hooks=zero("blocks.2.hook_mlp_out"))


# Heads


@pytest.mark.parametrize("head", [1, [0, 2], None])
def test_an_ablated_head_adds_nothing_or_its_mean(head):
    model, tokens = given(None, rows=3)
    mean = hook_means(model, tokens, [Z])[Z]
    assert torch.equal(model(tokens, hooks=ablate_head(1, head)), model(tokens, hooks=zero(Z, head=head)))
    by_mean = model(tokens, hooks=ablate_head(1, head, mean=mean))
    assert torch.equal(by_mean, model(tokens, hooks=mean_ablation(Z, mean, head=head)))
    assert not torch.allclose(by_mean, model(tokens, hooks=ablate_head(1, head)))
