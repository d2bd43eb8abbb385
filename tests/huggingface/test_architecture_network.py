"""Networks of other architectures: their weights, populations of them, and what measurements and hooks see."""

import math

import pytest

pytest.importorskip("transformers")

import torch

from iterhead.errors import UserError
from iterhead.huggingface.architectures import ARCHITECTURES, make_model
from iterhead.huggingface.language_model import LanguageModel
from iterhead.huggingface.network import ArchitectureNetwork, make_network
from iterhead.measure.evaluate import evaluate, evaluate_population
from iterhead.model.transformer import Transformer
from iterhead.settings import ModelConfig
from iterhead.tasks import SequenceLayout, task

CONTEXT = 11

CONFIGS = [
    ModelConfig(architecture=name, width=32, heads=heads, kv_heads=kv, mlp_width=29, vocabulary=17)
    for name, heads, kv in (
        *(("gpt2", 2, None), ("gpt-neox", 2, None), ("qwen3", 4, None), ("mistral", 4, 1)),
        *(("llama", 1, None), ("llama", 4, 2)),
    )
]


def name_of(config):
    return f"{config.architecture}-{config.heads}-{config.key_value_heads}"


every_config = pytest.mark.parametrize("config", CONFIGS, ids=name_of)


def network(config, seeds=(0,)):
    """A network whose norms and biases are not all one and zero, so that mixing them up shows."""
    model = ArchitectureNetwork(config, CONTEXT, seeds)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.2)
    return model.eval()


def random_tokens(*shape):
    return torch.randint(17, shape, generator=torch.Generator().manual_seed(2))


def test_the_default_is_our_own_architecture():
    assert isinstance(make_network(ModelConfig(width=8), CONTEXT), Transformer)
    assert isinstance(make_network(CONFIGS[0], CONTEXT), ArchitectureNetwork)


@every_config
def test_weights_have_the_names_and_shapes_of_transformers(config):
    model = ArchitectureNetwork(config, CONTEXT, (3, 5, 7))
    theirs = dict(make_model(config, CONTEXT).named_parameters())
    ours = dict(model.named_parameters())
    assert list(ours) == list(theirs)
    assert all(list(weights.shape) == [3, *theirs[name].shape] for name, weights in ours.items())
    assert set(model.state_dict()) == set(ours)
    assert (model.networks, model.layers, model.heads, model.vocabulary) == (3, 2, config.heads, 17)


@every_config
def test_weights_are_drawn_as_transformers_draws_them(config):
    """Its own draws differ only by their random numbers: the same constants, the same standard deviations."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = make_model(config, CONTEXT).requires_grad_(False)
    for name, weights in ArchitectureNetwork(config, CONTEXT).requires_grad_(False).named_parameters():
        expected = theirs.get_parameter(name)
        if expected.std() == 0:  # a bias or a norm
            assert torch.equal(weights[0], expected)
        else:
            # The standard deviation of n normal numbers is off by its share 1 / sqrt(2 n), about: six of those.
            room = 6 / math.sqrt(2 * expected.numel())
            assert float(weights.std() / expected.std()) == pytest.approx(1, abs=2 * room), name
            assert abs(float(weights.mean())) < 6 * float(expected.std()) / math.sqrt(expected.numel())
    assert theirs.config.initializer_range == config.width**-0.5


def test_a_seed_gives_the_same_weights_alone_and_in_a_population_and_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    population = ArchitectureNetwork(CONFIGS[0], CONTEXT, (3, 5))
    assert torch.equal(torch.rand(3), expected)
    single = ArchitectureNetwork(CONFIGS[0], CONTEXT, (5,))
    other = population.select([1])
    for name, weight in single.named_parameters():
        assert torch.equal(weight, other.get_parameter(name))
    embedding = population.get_parameter("transformer.wte.weight")
    assert not torch.equal(embedding[0], embedding[1])


def test_mistral_without_its_window_is_llama():
    mistral, llama = (
        ArchitectureNetwork(ModelConfig(architecture=name, width=16, heads=2, kv_heads=1), CONTEXT)
        for name in ("mistral", "llama")
    )
    tokens = random_tokens(2, CONTEXT)
    assert torch.equal(mistral(tokens), llama(tokens))


@every_config
def test_logits_and_maps_are_those_of_transformers(config):
    model = network(config)
    hf = model.hf()
    hf.set_attn_implementation("eager")
    tokens = random_tokens(3, CONTEXT)
    with torch.no_grad():
        theirs = hf(tokens, output_attentions=True, use_cache=False)
        logits, cache = model.run_with_cache(tokens)
    assert torch.allclose(logits, theirs.logits, atol=1e-5)
    for layer, maps in enumerate(theirs.attentions):
        assert torch.allclose(cache[f"blocks.{layer}.attn.hook_pattern"], maps, atol=1e-5)


@every_config
def test_a_population_is_its_networks_one_after_another(config):
    model = network(config, (3, 5, 7))
    tokens = random_tokens(3, 2, CONTEXT)
    outputs = slice(4, 9)
    with torch.no_grad():
        logits, cache = model.run_with_cache(tokens, ["blocks.*.attn.hook_pattern"], output_positions=outputs)
        for index in range(3):
            alone = model.select([index])
            own, kept = alone.run_with_cache(tokens[index], ["blocks.*.attn.hook_pattern"], output_positions=outputs)
            assert torch.allclose(logits[index], own, atol=1e-6)
            for name, maps in kept.items():
                assert torch.allclose(cache[name][index], maps, atol=1e-6)
    # The last layer's maps begin at the first output position.
    assert cache["blocks.0.attn.hook_pattern"].shape == (3, 2, config.heads, CONTEXT, CONTEXT)
    assert cache["blocks.1.attn.hook_pattern"].shape == (3, 2, config.heads, 5, CONTEXT)


def test_populations_are_scored_as_their_networks_are():
    layout, iterative = SequenceLayout(4), task("polynomial:p=7")
    model = network(CONFIGS[1], (3, 5))
    sequences = [{4: random_tokens(13, layout.size).roll(shift, 0).numpy()} for shift in (0, 1)]
    together = evaluate_population(model, [iterative] * 2, sequences)
    for index, records in enumerate(together):
        alone = evaluate(model.select([index]), iterative, sequences[index])
        assert [record["name"] for record in records] == [record["name"] for record in alone]
        assert [r["value"] for r in records] == pytest.approx([r["value"] for r in alone], abs=1e-6)


def test_hooks_see_one_network_with_or_without_the_axis_of_networks():
    model, tokens, name = network(CONFIGS[4]), random_tokens(2, CONTEXT), "blocks.1.attn.hook_z"
    shapes = []

    def remove(z):
        shapes.append(list(z.shape))
        return torch.zeros_like(z)

    with torch.no_grad():
        single = model(tokens, hooks={name: remove})
        stacked = model(tokens[None], hooks={name: remove})
    assert shapes == [[2, CONTEXT, 1, 32], [1, 2, CONTEXT, 1, 32]]
    assert torch.equal(stacked[0], single)
    assert not torch.allclose(single, model(tokens), atol=1e-3)
    assert torch.equal(model.run_with_hooks(tokens, {name: remove}), single)


def test_a_reader_follows_the_weights():
    """They move when an optimizer takes them, and change with every step."""
    model, tokens = network(CONFIGS[0]), random_tokens(2, CONTEXT)
    before = model(tokens)
    with torch.no_grad():
        for weight in model.parameters():
            weight.data = weight.data.clone()
            weight.mul_(1.5)
        after = model(tokens)
        assert not torch.allclose(before, after, atol=1e-2)
        assert torch.allclose(after, LanguageModel(model.hf())(tokens), atol=1e-6)


def test_a_network_is_saved_and_loaded_by_transformers(tmp_path):
    for config in CONFIGS:
        model, tokens = network(config), random_tokens(2, CONTEXT)
        model.hf().save_pretrained(tmp_path / name_of(config))
        loaded = LanguageModel.from_pretrained(str(tmp_path / name_of(config)))
        with torch.no_grad():
            assert torch.allclose(loaded(tokens), model(tokens), atol=1e-6)


@pytest.mark.parametrize(("call", "message"), [
    (lambda model: model(random_tokens(2, 5)), "2 networks: expected one here"),
    (lambda model: model(random_tokens(2, 2, 5), hooks={"blocks.0.hook_mlp_out": torch.zeros_like}), "2 networks: exp"),
    (lambda model: model(random_tokens(2, 2, 13)), "sequences of 13 tokens: expected at most 11"),
    (lambda model: model.run_with_cache(random_tokens(2, 2, 5), ["blocks.0.attn.hook_q_input"]), "unknown hook name"),
])  # fmt: skip
def test_what_a_population_cannot_do(call, message):
    with pytest.raises(UserError, match=message):
        call(network(CONFIGS[0], (3, 5)))


def test_every_architecture_of_the_settings_has_a_model():
    names = ModelConfig.model_fields["architecture"].annotation.__args__
    assert {"iterhead", *ARCHITECTURES} == set(names)
