"""Path patching: by plain arithmetic on a random network, and by what it must do to the network set by hand."""

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from helpers.oracle import RESIDUALS, TELLING, alone, by_hand, inputs_of, random_network, random_tokens
from iterhead.errors import UserError
from iterhead.intervene.activations import compose, patch
from iterhead.intervene.path_patching import path_patch
from iterhead.tasks import SequenceLayout, task

TIGHT = {"rtol": 1e-9, "atol": 1e-10}
QUERIES = "blocks.1.attn.hook_q"


# By plain arithmetic


def exchanged_stream(model, tokens, donor, through_mlps):
    """The stream before layer 2, normalised, when head 1 of layer 0 alone has seen the donor; three heads of 7."""
    own, other = model.run_with_cache(tokens)[1], model.run_with_cache(donor)[1]
    x = own["blocks.0.ln1.hook_normalized"] if model.config.residual == "published" else own["blocks.0.hook_resid_pre"]
    heads = [own["blocks.0.attn.hook_z"][:, :, 0], other["blocks.0.attn.hook_z"][:, :, 1]]
    heads.append(own["blocks.0.attn.hook_z"][:, :, 2])
    attention = [torch.cat(heads, -1), own["blocks.1.attn.hook_z"].flatten(2)]
    for layer in (0, 1):
        block = model.blocks[layer]
        if layer == 1:
            normalised = block.ln1(x)
            x = normalised if model.config.residual == "published" else x
        x = x + attention[layer] @ block.attn.W_O[0]
        mlp = F.gelu(block.ln2(x) @ block.mlp.W_in[0]) @ block.mlp.W_out[0]
        x = x + (mlp if through_mlps else own[f"blocks.{layer}.hook_mlp_out"])
    return model.blocks[2].ln1(x)


@pytest.mark.parametrize("through_mlps", [True, False])
@pytest.mark.parametrize("into", ["q", "k", "v"])
@pytest.mark.parametrize("residual", RESIDUALS)
def test_what_is_patched_in_is_computed_as_documented(residual, into, through_mlps):
    model = random_network(layers=3, residual=residual)
    tokens, donor = random_tokens(2, 11), random_tokens(2, 11, seed=1)
    options = {"sender": (0, 1), "into": into, "through_mlps": through_mlps}
    name = f"blocks.2.attn.hook_{into}"
    weight = getattr(model.blocks[2].attn, f"W_{into.upper()}")[0]
    expected = (exchanged_stream(model, tokens, donor, through_mlps) @ weight).unflatten(-1, (3, 7))
    _, clean = model.run_with_cache(tokens)
    _, patched = model.run_with_cache(tokens, hooks=path_patch(model, tokens, donor, receiver=(2, None), **options))
    assert_close(patched[name], expected, **TIGHT)
    assert not torch.allclose(patched[name], clean[name])
    # The reader's other inputs, and the stream that it adds to, are as they were.
    others = [f"blocks.2.attn.hook_{name}" for name in "qkv" if name != into]
    for untouched in (*others, "blocks.2.hook_resid_pre", "blocks.1.attn.hook_z"):
        assert torch.equal(patched[untouched], clean[untouched]), untouched
    # Of one head, at one position.
    some = path_patch(model, tokens, donor, receiver=(2, 1), positions=[4], **options)
    wanted = clean[name].clone()
    wanted[:, 4, 1] = expected[:, 4, 1]
    assert_close(model.run_with_cache(tokens, hooks=some)[1][name], wanted, **TIGHT)


def test_with_all_heads_it_is_a_patch_of_the_layers_query_input():
    model, tokens, donor = random_network(), random_tokens(2, 11), random_tokens(2, 11, seed=1)
    z, stream = "blocks.0.attn.hook_z", "blocks.1.hook_q_input"
    exchanged = patch(z, model.run_with_cache(donor, [z])[1][z], head=0)
    by_input = patch(stream, model.run_with_cache(tokens, [stream], hooks=exchanged)[1][stream])
    hooks = path_patch(model, tokens, donor, sender=(0, 0), receiver=(1, None))
    assert list(hooks) == [QUERIES]
    assert_close(model(tokens, hooks=hooks), model(tokens, hooks=by_input), **TIGHT)


def test_a_donor_like_the_receiver_changes_nothing():
    model, tokens = random_network(), random_tokens(2, 11)
    hooks = path_patch(model, tokens, tokens, sender=(0, 0), receiver=(1, None))
    assert torch.equal(model(tokens, hooks=hooks), model(tokens))


def test_a_population_is_patched_as_its_networks_alone():
    model, tokens, donor = random_network(networks=2), random_tokens(2, 3, 11), random_tokens(2, 3, 11, seed=1)
    together = model(tokens, hooks=path_patch(model, tokens, donor, sender=(0, 2), receiver=(1, 0)))
    for index in range(2):
        single = alone(model, index)
        hooks = path_patch(single, tokens[index], donor[index], sender=(0, 2), receiver=(1, 0))
        assert_close(together[index], single(tokens[index], hooks=hooks), **TIGHT)


# The network set by hand

LENGTH = 5
"""EoI at 6; the query at position q writes s_t, t = q - 5, and looks at x_t."""


def donor_of(length):
    """Inputs of another length, cut or filled up with EoS to the 12 tokens of length 5."""
    donor = inputs_of(TELLING, length)
    filling = torch.full((len(donor), 12), 63)
    filling[:, : min(12, donor.shape[1])] = donor[:, :12]
    return filling


@pytest.mark.parametrize(
    ("length", "keys"),
    [
        # EoI at 7 says t = q - 6, one less; position 6 is an input there, which knows no EoI yet.
        (6, {7: 1, 8: 2, 9: 3, 10: 4, 11: 5}),
        # EoI at 5 says t = q - 4, one more; the last two queries are behind the end of a sequence of length 4.
        (4, {6: 2, 7: 3, 8: 4, 9: 5}),
        # EoI at 4 says two more. The donor's query at 7 writes EoS and asks for position 4, its EoI, which here is x_4.
        (3, {6: 3, 7: 4}),
        (LENGTH, {6: 1, 7: 2, 8: 3, 9: 4, 10: 5}),
    ],
)
@pytest.mark.parametrize("residual", RESIDUALS)
def test_a_donor_of_another_length_moves_the_second_heads_query_as_predicted(residual, length, keys):
    model, tokens, layout = by_hand(TELLING, residual), inputs_of(TELLING, LENGTH), SequenceLayout(LENGTH)
    hooks = path_patch(model, tokens, donor_of(length), sender=(0, 0), receiver=(1, 0))
    clean = model.run_with_cache(tokens)[1]
    logits, cache = model.run_with_cache(tokens, hooks=hooks)
    pattern = cache["blocks.1.attn.hook_pattern"][:, 0]
    for query, key in keys.items():
        assert_close(pattern[:, query, key], torch.ones(len(tokens)), rtol=0, atol=1e-6)
    # Only the query moved: the state written is F(s_{t-1}, x) of the x looked at.
    table = torch.from_numpy(task(TELLING).table)
    states = tokens.clone()
    states[:, layout.end_of_input] = 0  # EoI plays s_0 = 0
    for query, key in keys.items():
        expected = table[states[:, query], tokens[:, key]]
        assert torch.equal(logits[:, query].argmax(-1), expected)
    assert torch.equal(cache["blocks.0.attn.hook_pattern"], clean["blocks.0.attn.hook_pattern"])
    assert torch.equal(cache["blocks.1.hook_resid_pre"], clean["blocks.1.hook_resid_pre"])


@pytest.mark.parametrize("residual", RESIDUALS)
def test_without_the_mlp_nothing_reaches_the_query(residual):
    """It reads t, which MLP 1 writes: the head's own output, the position of EoI, is not read by the second head."""
    model, tokens = by_hand(TELLING, residual), inputs_of(TELLING, LENGTH)
    direct = path_patch(model, tokens, donor_of(6), sender=(0, 0), receiver=(1, 0), through_mlps=False)
    pattern = "blocks.1.attn.hook_pattern"
    clean = model.run_with_cache(tokens, [pattern])[1][pattern]
    assert_close(
        model.run_with_cache(tokens, [pattern], hooks=direct)[1][pattern][:, :, 6:], clean[:, :, 6:], rtol=0, atol=1e-5
    )


def test_other_parts_of_the_stream_do_not_pass():
    """The donor's own tokens differ, but its queries ask for the same step: the path of the head carries L alone."""
    model, tokens = by_hand(TELLING), inputs_of(TELLING, LENGTH)
    hooks = path_patch(model, tokens, tokens.roll(1, 0), sender=(0, 0), receiver=(1, 0))
    assert not torch.equal(tokens, tokens.roll(1, 0))
    assert_close(model(tokens, hooks=hooks)[:, 6:], model(tokens)[:, 6:], rtol=0, atol=1e-4)
    assert compose(hooks) == hooks


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"receiver": (0, 0)}, "receiver layer 0: expected a later layer than the sender's, 0"),
        ({"into": "z"}, "into='z': expected q, k or v"),
        ({"sender": (0, 3)}, "head at blocks.0.attn.hook_z: 3 does not exist: expected 0 .. 2"),
        (
            {"donor": random_tokens(2, 12)},
            "the donor for blocks.0.attn.hook_z has shape [2, 12, 3, 7]: expected [2, 11",
        ),
        ({"receiver": (2, 0)}, "unknown hook name 'blocks.2.attn.hook_q'"),
    ],
)
def test_receivers_and_shapes_that_do_not_fit_raise(options, message):
    model, tokens = random_network(), random_tokens(2, 11)
    given = {"donor": tokens, "sender": (0, 0), "receiver": (1, 0)} | options
    with pytest.raises(UserError) as caught:
        path_patch(model, tokens, given.pop("donor"), **given)
    assert str(caught.value).startswith(message)
