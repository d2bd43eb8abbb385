"""Hooks: what an activation cache shows, and what a hook does."""

import pytest
import torch
from torch.testing import assert_close

from helpers.networks import FEW_OPTIONS, RESIDUALS, alone, config_of, name_of, network, random_tokens
from iterhead.errors import UserError
from iterhead.model.hooks import PATTERN_HOOKS, hook_names, pattern_hook

TIGHT = {"rtol": 1e-10, "atol": 1e-12}

NAMES_OF_ONE_LAYER = [
    "hook_embed",
    "hook_pos_embed",
    "blocks.0.hook_resid_pre",
    "blocks.0.ln1.hook_normalized",
    "blocks.0.hook_q_input",
    "blocks.0.hook_k_input",
    "blocks.0.hook_v_input",
    "blocks.0.attn.hook_q",
    "blocks.0.attn.hook_k",
    "blocks.0.attn.hook_v",
    "blocks.0.attn.hook_attn_scores",
    "blocks.0.attn.hook_pattern",
    "blocks.0.attn.hook_z",
    "blocks.0.hook_attn_out",
    "blocks.0.hook_resid_mid",
    "blocks.0.ln2.hook_normalized",
    "blocks.0.mlp.hook_pre",
    "blocks.0.mlp.hook_post",
    "blocks.0.hook_mlp_out",
    "blocks.0.hook_resid_post",
    "ln_final.hook_normalized",
]
"""TransformerLens's names, in the order in which a forward pass meets them."""

some_options = pytest.mark.parametrize("config", FEW_OPTIONS, ids=name_of)


def names_met(config):
    """The hook names that a forward pass meets: nothing is added at hook_pos_embed where no table of positions is."""
    names = hook_names(config.layers)
    return [name for name in names if name != "hook_pos_embed" or config.positions not in ("rotary", "none")]


# Names and shapes


def test_hook_names_are_those_of_transformer_lens():
    assert hook_names(1) == NAMES_OF_ONE_LAYER
    of_two = hook_names(2)
    assert len(of_two) == 2 + 2 * 18 + 1
    assert of_two[:20] == NAMES_OF_ONE_LAYER[:20]
    assert of_two[20:38] == [name.replace("0", "1") for name in NAMES_OF_ONE_LAYER[2:20]]


@some_options
def test_a_cache_has_the_hook_names_that_a_forward_pass_meets(config):
    model = network(config)
    tokens = random_tokens(2, 5)
    logits, cache = model.run_with_cache(tokens)
    assert list(cache) == names_met(config)
    assert torch.equal(logits, model(tokens))


# B = 2 sequences, T = 5 tokens, H = 3 heads of 7 coordinates each: D = 21; 11 hidden, V = 13, M = 17 networks.
SHAPES = {
    "embed": (2, 5, 21),
    "hook_pos_embed": (2, 5, 21),
    "resid": (2, 5, 21),
    "normalized": (2, 5, 21),
    "input": (2, 5, 21),
    "hook_q": (2, 5, 3, 7),
    "hook_k": (2, 5, 3, 7),
    "hook_v": (2, 5, 3, 7),
    "hook_z": (2, 5, 3, 7),
    "attn_scores": (2, 3, 5, 5),
    "pattern": (2, 3, 5, 5),
    "out": (2, 5, 21),
    "mlp.hook_pre": (2, 5, 11),
    "mlp.hook_post": (2, 5, 11),
}


def shape_of(name):
    [shape] = {
        SHAPES[part]
        for part in SHAPES
        if name.endswith(part) or (part in ("embed", "resid") and f"hook_{part}" in name)
    }
    return shape


@pytest.mark.parametrize("networks", [None, 17])
def test_activations_have_the_expected_shapes_in_caches_and_in_hooks(networks):
    config = config_of(width=21, heads=3, mlp_width=11, vocabulary=13)
    model = network(config, seeds=range(networks or 1))
    leading = () if networks is None else (networks,)
    tokens = random_tokens(*leading, 2, 5, vocabulary=13)
    seen = {}

    def see(name):
        def hook(x):
            seen[name] = tuple(x.shape)
            return x

        return hook

    logits, cache = model.run_with_cache(tokens, hooks={name: see(name) for name in hook_names(2)})
    assert logits.shape == (*leading, 2, 5, 13)
    for name in hook_names(2):
        assert seen[name] == cache[name].shape == (*leading, *shape_of(name)), name


def test_a_population_shows_what_each_network_shows_alone():
    model = network(config_of(heads=3), seeds=(5, 2))
    tokens = random_tokens(2, 3, 5)
    _, cache = model.run_with_cache(tokens)
    for index in range(2):
        for name, found in alone(model, index).run_with_cache(tokens[index])[1].items():
            assert_close(cache[name][index], found, **TIGHT)


# Which hook names


def test_patterns_choose_hook_names():
    model = network(config_of(layers=3))
    tokens = random_tokens(2, 5)
    assert list(model.run_with_cache(tokens, ["blocks.*.attn.hook_pattern"])[1]) == [
        "blocks.0.attn.hook_pattern",
        "blocks.1.attn.hook_pattern",
        "blocks.2.attn.hook_pattern",
    ]
    assert set(model.run_with_cache(tokens, ["blocks.1.hook_*_out", "hook_embed"])[1]) == {
        "hook_embed",
        "blocks.1.hook_attn_out",
        "blocks.1.hook_mlp_out",
    }
    assert len(model.run_with_cache(tokens, ["*"])[1]) == 2 + 3 * 18 + 1
    assert list(model.run_with_cache(tokens, PATTERN_HOOKS)[1]) == [pattern_hook(layer) for layer in range(3)]
    assert list(model.run_with_cache(tokens, "blocks.2.hook_resid_pre")[1]) == ["blocks.2.hook_resid_pre"]
    assert model.run_with_cache(tokens, [])[1] == {}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("blocks.1.hook_atn_out", "unknown hook name 'blocks.1.hook_atn_out': did you mean 'blocks.1.hook_attn_out'?"),
        (
            "blocks.2.hook_attn_out",
            "unknown hook name 'blocks.2.hook_attn_out': did you mean 'blocks.1.hook_attn_out'?",
        ),
        ("hook_emded", "unknown hook name 'hook_emded': did you mean 'hook_embed'?"),
        ("zzz", "unknown hook name 'zzz'"),
    ],
)
def test_unknown_hook_names_are_errors_with_the_nearest(asked, message):
    model, tokens = network(config_of()), random_tokens(2, 5)
    with pytest.raises(UserError) as watched:
        model.run_with_cache(tokens, [asked])[1]
    with pytest.raises(UserError) as edited:
        model(tokens, {asked: torch.zeros_like})
    assert str(watched.value) == str(edited.value) == message


def test_hooks_go_by_exact_name():
    with pytest.raises(UserError, match="unknown hook name 'blocks"):
        network(config_of())(random_tokens(2, 5), hooks={"blocks.*.hook_attn_out": torch.zeros_like})


def test_what_was_not_cached_is_an_error():
    _, cache = network(config_of()).run_with_cache(random_tokens(2, 5), ["hook_embed", "hook_pos_embed"])
    with pytest.raises(UserError) as caught:
        cache["ln_final.hook_normalized"]
    assert str(caught.value) == ("'ln_final.hook_normalized' was not cached; cached are: hook_embed, hook_pos_embed")
    with pytest.raises(UserError, match="cached are: none"):
        network(config_of()).run_with_cache(random_tokens(2, 5), ())[1]["hook_embed"]


def test_a_cache_shows_names_and_shapes_and_no_values():
    _, cache = network(config_of(heads=3)).run_with_cache(random_tokens(2, 5), ["hook_embed", "blocks.1.attn.hook_z"])
    assert repr(cache) == (
        "ActivationCache: 2 activations\n  hook_embed            [2, 5, 12]\n  blocks.1.attn.hook_z  [2, 5, 3, 4]"
    )
    assert repr(network(config_of()).run_with_cache(random_tokens(2, 5), ())[1]) == "ActivationCache: 0 activations"
    assert cache._repr_html_() == (
        "<table><thead><tr><th>hook name</th><th>shape</th></tr></thead><tbody>"
        "<tr><td>hook_embed</td><td>[2, 5, 12]</td></tr>"
        "<tr><td>blocks.1.attn.hook_z</td><td>[2, 5, 3, 4]</td></tr></tbody></table>"
    )


def test_tokens_may_be_a_numpy_array():
    model, tokens = network(config_of(heads=3)), random_tokens(2, 5)
    assert torch.equal(model(tokens.numpy()), model(tokens))
    assert torch.equal(
        model.run_with_hooks(tokens.numpy(), {"hook_embed": torch.neg}), model(tokens, {"hook_embed": torch.neg})
    )


@some_options
def test_logits_and_maps_can_be_asked_for_at_some_positions_only(config):
    model, tokens = network(config), random_tokens(2, 5)
    logits, cache = model.run_with_cache(tokens)
    some_logits, some = model.run_with_cache(tokens, output_positions=slice(2, 4))
    assert_close(some_logits, logits[:, 2:4], **TIGHT)
    # The last layer is computed for these queries, the layer before it for all.
    assert_close(some[pattern_hook(0)], cache[pattern_hook(0)], **TIGHT)
    assert_close(some[pattern_hook(1)], cache[pattern_hook(1)][:, :, 2:4], **TIGHT)
    assert some["blocks.1.hook_resid_post"].shape == (2, 2, 12)


# How the activations hang together


@some_options
def test_activations_hang_together(config):
    model = network(config)
    logits, cache = model.run_with_cache(random_tokens(2, 5))
    for layer in range(2):
        block = model.blocks[layer]

        def at(name, layer=layer):
            return cache[f"blocks.{layer}.{name}"]

        normalized = block.ln1(at("hook_resid_pre"))
        assert_close(at("ln1.hook_normalized"), normalized, **TIGHT)
        for name, weight in (("q", block.attn.W_Q), ("k", block.attn.W_K), ("v", block.attn.W_V)):
            assert_close(at(f"hook_{name}_input"), normalized, **TIGHT)
            assert_close(at(f"attn.hook_{name}").flatten(2), normalized @ weight[0], **TIGHT)
        pattern = at("attn.hook_pattern")
        assert_close(pattern, at("attn.hook_attn_scores").softmax(-1), **TIGHT)
        assert_close(at("attn.hook_z"), torch.einsum("bhqk,bkhd->bqhd", pattern, at("attn.hook_v")), **TIGHT)
        assert_close(at("hook_attn_out"), at("attn.hook_z").flatten(2) @ block.attn.W_O[0], **TIGHT)
        carried = normalized if config.residual == "published" else at("hook_resid_pre")
        assert_close(at("hook_resid_mid"), carried + at("hook_attn_out"), **TIGHT)
        assert_close(at("ln2.hook_normalized"), block.ln2(at("hook_resid_mid")), **TIGHT)
        assert_close(at("mlp.hook_pre"), at("ln2.hook_normalized") @ block.mlp.W_in[0], **TIGHT)
        assert_close(at("mlp.hook_post"), torch.nn.GELU()(at("mlp.hook_pre")), **TIGHT)
        assert_close(at("hook_mlp_out"), at("mlp.hook_post") @ block.mlp.W_out[0], **TIGHT)
        assert_close(at("hook_resid_post"), at("hook_resid_mid") + at("hook_mlp_out"), **TIGHT)
    assert_close(cache["blocks.1.hook_resid_pre"], cache["blocks.0.hook_resid_post"], **TIGHT)
    assert_close(cache["ln_final.hook_normalized"], model.ln_final(cache["blocks.1.hook_resid_post"]), **TIGHT)
    assert_close(logits, cache["ln_final.hook_normalized"] @ model.unembed.W_U[0], **TIGHT)


@some_options
def test_attention_maps_are_causal_and_their_rows_sum_to_one(config):
    _, cache = network(config).run_with_cache(random_tokens(2, 5), ["blocks.*.attn.hook_*"])
    for layer in range(2):
        pattern = cache[f"blocks.{layer}.attn.hook_pattern"]
        assert_close(pattern.sum(-1), torch.ones(2, 3, 5, dtype=torch.float64), **TIGHT)
        assert (pattern.triu(1) == 0).all()
        assert pattern.tril().count_nonzero() == 2 * 3 * (5 + 4 + 3 + 2 + 1)
        assert (cache[f"blocks.{layer}.attn.hook_attn_scores"].isinf().sum()) == 2 * 3 * (4 + 3 + 2 + 1)


# Hooks


@some_options
def test_a_hook_that_changes_nothing_changes_no_bit(config):
    model = network(config, dtype=torch.float32)
    tokens = random_tokens(2, 5)
    before = model(tokens)
    for name in hook_names(2):
        assert torch.equal(model(tokens, hooks={name: torch.clone}), before), name


def test_a_hook_that_changes_nothing_changes_no_bit_of_a_population():
    model = network(config_of(heads=3), seeds=(5, 2), dtype=torch.float32)
    tokens = random_tokens(2, 2, 5)
    before = model(tokens)
    for name in hook_names(2):
        assert torch.equal(model(tokens, hooks={name: torch.clone}), before), name


@some_options
def test_a_hook_at_any_name_reaches_the_logits(config):
    model = network(config)
    tokens = random_tokens(2, 5)
    before = model(tokens)
    generator = torch.Generator().manual_seed(2)

    def disturb(x):
        # Each number on its own: a common shift of all scores, or of a whole vector before LayerNorm, is undone.
        return x + torch.randn(x.shape, generator=generator, dtype=x.dtype)

    for name in hook_names(2):
        after = model(tokens, hooks={name: disturb})
        # Where no table of positions is added, hook_pos_embed is not met and a hook there cannot do anything.
        assert torch.equal(after, before) is (name not in names_met(config)), name


def test_what_softmax_undoes_or_the_mask_has_hidden_cannot_reach_the_logits():
    model = network(config_of())
    tokens = random_tokens(2, 5)
    before = model(tokens)
    shifts = {
        # The same for all keys of a query; and only where a score is minus infinity.
        "blocks.1.attn.hook_attn_scores": lambda scores: scores + 3,
        "blocks.0.attn.hook_attn_scores": lambda scores: scores + 3 * torch.ones(5, 5).triu(1),
        # The same vector added to all keys: q . (k + c) = q . k + q . c.
        "blocks.0.attn.hook_k": lambda k: k + 3,
        # LayerNorm takes away the mean of the last stream.
        "blocks.1.hook_resid_post": lambda stream: stream + 3,
    }
    for name, shift in shifts.items():
        assert_close(model(tokens, hooks={name: shift}), before, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("hooked", "changed"), [("q", "q"), ("k", "k"), ("v", "v")])
def test_the_three_inputs_of_attention_have_hooks_of_their_own(hooked, changed):
    model = network(config_of())
    tokens = random_tokens(2, 5)
    _, before = model.run_with_cache(tokens)
    _, after = model.run_with_cache(tokens, hooks={f"blocks.0.hook_{hooked}_input": lambda x: -x})
    for name in "qkv":
        hook_name = f"blocks.0.attn.hook_{name}"
        assert torch.equal(before[hook_name], after[hook_name]) is (name != changed)
    # The stream itself has no hook here: it carries what it carried.
    carried = [cache["blocks.0.hook_resid_mid"] - cache["blocks.0.hook_attn_out"] for cache in (before, after)]
    assert_close(*carried, **TIGHT)


def test_a_cache_has_what_a_hook_returned():
    model = network(config_of())
    _, cache = model.run_with_cache(
        random_tokens(2, 5), hooks={"blocks.0.hook_mlp_out": lambda x: torch.full_like(x, 3)}
    )
    assert (cache["blocks.0.hook_mlp_out"] == 3).all()
    assert_close(cache["blocks.0.hook_resid_post"], cache["blocks.0.hook_resid_mid"] + 3, **TIGHT)


def test_several_hooks_all_run():
    model = network(config_of())
    names = ["blocks.0.hook_attn_out", "blocks.1.hook_attn_out", "blocks.1.mlp.hook_post"]
    _, cache = model.run_with_cache(random_tokens(2, 5), names, hooks=dict.fromkeys(names, torch.zeros_like))
    assert all((cache[name] == 0).all() for name in names)


def test_run_with_hooks_gives_the_logits_of_the_forward_pass_with_hooks():
    model, tokens = network(config_of(heads=3)), random_tokens(2, 5)
    hooks = {"blocks.0.attn.hook_z": torch.zeros_like}
    found = model.run_with_hooks(tokens, hooks)
    assert torch.equal(found, model(tokens, hooks))
    assert not torch.allclose(found, model(tokens))


def test_a_hook_of_a_population_may_treat_its_networks_differently():
    model = network(config_of(), seeds=(5, 2))
    tokens = random_tokens(2, 3, 5)

    def zero_the_second(x):
        return x * torch.tensor([1, 0], dtype=x.dtype).view(2, 1, 1, 1)

    before, after = model(tokens), model(tokens, hooks={"blocks.0.hook_mlp_out": zero_the_second})
    assert torch.equal(after[0], before[0])
    expected = alone(model, 1)(tokens[1], hooks={"blocks.0.hook_mlp_out": torch.zeros_like})
    assert_close(after[1], expected, **TIGHT)


@pytest.mark.parametrize(
    ("name", "hook", "message"),
    [
        ("hook_embed", lambda x: x[:1], "the hook at hook_embed returned shape [1, 5, 12]: expected [2, 5, 12]"),
        (
            "blocks.1.attn.hook_pattern",
            lambda x: x[..., :1],
            "the hook at blocks.1.attn.hook_pattern returned shape [2, 1, 5, 1]: expected [2, 1, 5, 5]",
        ),
        (
            "ln_final.hook_normalized",
            lambda x: x.mean(-1),
            "the hook at ln_final.hook_normalized returned shape [2, 5]: expected [2, 5, 12]",
        ),
    ],
)
def test_a_hook_that_returns_another_shape_is_refused(name, hook, message):
    with pytest.raises(UserError) as caught:
        network(config_of())(random_tokens(2, 5), hooks={name: hook})
    assert str(caught.value).startswith(f"{message}, ")


@pytest.mark.parametrize("residual", RESIDUALS)
def test_without_attention_and_mlps_the_embedding_is_left(residual):
    model = network(config_of(residual=residual, layers=3))
    tokens = random_tokens(2, 5)
    outputs = [name for name in hook_names(3) if name.endswith("_out")]
    assert len(outputs) == 6
    _, cache = model.run_with_cache(tokens, hooks=dict.fromkeys(outputs, torch.zeros_like))
    x = model.embed.W_E[0][tokens] + model.pos_embed.W_pos[0, :5]
    if residual == "published":
        # The published convention normalizes the stream itself in each layer.
        for block in model.blocks:
            mean, variance = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
            x = (x - mean) / (variance + 1e-5).sqrt() * block.ln1.w[0]
    assert_close(cache["blocks.2.hook_resid_post"], x, **TIGHT)
