"""The packed pass of training against the one with hooks, forward and backward; networks taken from a population."""

import dataclasses

import pytest
import torch
from torch.testing import assert_close

from helpers.networks import CONTEXT, POSITIONS, config_of, network, random_tokens
from helpers.pairwise import pairwise
from iterhead.data.batches import make_packing
from iterhead.model.context import HookedContext, packed_context
from iterhead.model.hooks import HookPoints, hook_names
from iterhead.model.transformer import Transformer
from iterhead.settings import DataConfig

TIGHT = {"rtol": 1e-10, "atol": 1e-12}
EVERY_POSITION = slice(None)

PASSES = pairwise(
    residual=("published", "pre-norm"),
    positions=("learned", "rotary"),
    heads=(1, 2),
    layers=(1, 2),
    networks=(1, 2),
    all_positions=(False, True),
)

passes = pytest.mark.parametrize("options", PASSES, ids=lambda options: "-".join(map(str, options.values())))


def hooked_context(packing, config):
    """The same tokens, with every attention map written out and logits at every position."""
    mask = packing.mask_RTT.unsqueeze(1)  # for all heads
    return HookedContext(positions=packing.positions_RT, mask=mask, hook_points=HookPoints(hook_names(config.layers)))


def both_passes(networks, all_positions, **settings):
    """Networks on packed rows of lengths 1..3: (model, logits of the packed pass, logits of the pass with hooks)."""
    config = config_of(**settings)
    packing = make_packing(DataConfig(max_length=3), per_length=2)
    model = network(config, seeds=(5, 2)[:networks])
    tokens = random_tokens(networks, *packing.slot_RT.shape)
    context = packed_context(packing, config, torch.float64, networks)
    if all_positions:
        context = dataclasses.replace(context, output_positions=EVERY_POSITION)
    hooked = model.logits(tokens, hooked_context(packing, config))
    return model, model.logits(tokens, context), hooked[:, :, context.output_positions]


@passes
def test_merged_products_give_the_logits_of_the_pass_with_hooks(options):
    _, packed, hooked = both_passes(**options)
    assert_close(packed, hooked, **TIGHT)


@passes
def test_merged_products_give_the_gradients_of_the_pass_with_hooks(options):
    model, packed, hooked = both_passes(**options)
    weigh = torch.randn(packed.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parameters = dict(model.named_parameters())
    found, expected = (torch.autograd.grad((x * weigh).sum(), list(parameters.values())) for x in (packed, hooked))
    for name, a, b in zip(parameters, found, expected, strict=True):
        assert a.abs().max() > 1e-6, name
        assert_close(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", ["W_Q", "W_K", "W_V", "W_O"])
def test_every_weight_of_a_single_head_has_a_say_in_each_layer(name, layer):
    """Merging must leave none out: changing one changes both paths, and they still agree."""
    config = config_of(heads=1)
    packing = make_packing(DataConfig(max_length=3), per_length=1)
    model = network(config, seeds=(5, 2))
    tokens = random_tokens(2, *packing.slot_RT.shape)
    context = packed_context(packing, config, torch.float64, networks=2)
    before = model.logits(tokens, context)
    with torch.no_grad():
        getattr(model.block(layer).attn, name)[1, 3, 2] += 0.5
    after = model.logits(tokens, context)
    assert torch.equal(after[0], before[0])
    assert (after[1] - before[1]).abs().max() > 1e-6
    hooked = model.logits(tokens, hooked_context(packing, config))[:, :, : packing.outputs_per_row]
    assert_close(after, hooked, **TIGHT)


def test_activations_have_the_format_of_the_pass_and_weights_keep_theirs():
    config = config_of()
    packing = make_packing(DataConfig(max_length=3), per_length=1)
    model = network(config, seeds=(5, 2), dtype=torch.float32)
    context = packed_context(packing, config, torch.bfloat16, networks=2)
    assert model.logits(random_tokens(2, *packing.slot_RT.shape), context).dtype == torch.bfloat16
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("name", ["positions", "output_positions", "attention_bias", "dropout", "mask"])
def test_contexts_are_immutable(name):
    config = config_of()
    packing = make_packing(DataConfig(max_length=3), per_length=1)
    for context in (packed_context(packing, config, torch.float64), hooked_context(packing, config)):
        with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
            setattr(context, name, None)


def test_a_step_with_dropout_leaves_the_context_of_other_steps_alone():
    config = config_of()
    packing = make_packing(DataConfig(max_length=3), per_length=1)
    model = network(config)
    tokens = random_tokens(1, *packing.slot_RT.shape)
    context = packed_context(packing, config, torch.float64)
    before = model.logits(tokens, context)
    doubled = torch.full((1, *packing.slot_RT.shape, config.width), 2.0, dtype=torch.float64)
    dropped = model.logits(tokens, dataclasses.replace(context, dropout=doubled))
    assert not torch.allclose(dropped, before)
    assert torch.equal(model.logits(tokens, context), before)
    model.embed.W_E.data *= 2
    model.pos_embed.W_pos.data *= 2
    assert_close(model.logits(tokens, context), dropped, **TIGHT)


# Networks taken from a population


@pytest.mark.parametrize("positions", POSITIONS)
def test_selected_networks_give_what_they_gave_and_in_the_order_asked_for(positions):
    population = network(config_of(positions=positions, position_width=6 if positions != "none" else None), (5, 2, 7))
    tokens = random_tokens(3, 2, CONTEXT)
    chosen = population.select([2, 0])
    assert chosen.networks == 2
    assert type(chosen) is Transformer
    assert chosen.config == population.config
    assert_close(chosen(tokens[[2, 0]]), population(tokens)[[2, 0]], **TIGHT)
    for name, tensor in population.state_dict().items():
        assert torch.equal(chosen.state_dict()[name], tensor[[2, 0]]), name
    assert_close(population.select([1])(tokens[1]), population(tokens)[1], **TIGHT)
    names = [name for name, _ in population.named_parameters()]
    assert [name for name, _ in chosen.named_parameters()] == names
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in chosen.parameters())


@pytest.mark.parametrize("positions", ["learned", "frozen"])
@pytest.mark.parametrize("networks", [[0, 1], [0], [1]])
def test_selected_networks_are_copies(positions, networks):
    population = network(config_of(positions=positions), seeds=(5, 2))
    before = {name: tensor.clone() for name, tensor in population.state_dict().items()}
    chosen = population.select(networks)
    theirs = {name: tensor.clone() for name, tensor in chosen.state_dict().items()}
    for tensor in chosen.state_dict().values():
        tensor.fill_(9)
    assert all(torch.equal(tensor, before[name]) for name, tensor in population.state_dict().items())
    again = population.select(networks)
    for tensor in population.state_dict().values():
        tensor.fill_(8)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in again.state_dict().items())
