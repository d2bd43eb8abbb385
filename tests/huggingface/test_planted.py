"""The planted models are the ground truth they claim to be: right everywhere, by their two heads and no other."""

from functools import cache

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

from helpers.planted import planted_gpt2, planted_llama
from helpers.tiny_models import ARCHITECTURES, NOT_DECODERS, SLIDING_WINDOW, VOCABULARY, tiny_model
from iterhead.tasks import SequenceLayout, Vocabulary, task

MAKERS = {"gpt2": planted_gpt2, "llama": planted_llama}
SPECS = ("polynomial:p=5", "polynomial:p=7,f=s-x,start=init", "parity")
LONGEST = 10
SEEDS = range(4)


@cache
def planted(maker, spec=SPECS[0], seed=0):
    made = MAKERS[maker](task(spec), LONGEST, seed=seed)
    made.model.set_attn_implementation("eager")
    return made


def sequences(spec, length, rows=31):
    inputs = np.random.default_rng(length).choice(task(spec).symbols, size=(rows, length))
    whole = SequenceLayout(length).assemble(Vocabulary(64), inputs, task(spec).states(inputs))
    return torch.from_numpy(whole)


@torch.no_grad()
def accuracy(model, spec, length):
    whole, layout = sequences(spec, length), SequenceLayout(length)
    written = model(whole[:, :-1]).logits[:, layout.output_positions].argmax(-1)
    return (written == whole[:, layout.targets]).double().mean().item()


@torch.no_grad()
def weights(model, spec, length, role):
    """The attention on the ideal keys of a role [layers, heads, rows x queries]."""
    layout = SequenceLayout(length)
    queries, keys = layout.first_pairs if role == "first" else layout.second_pairs
    maps = model(sequences(spec, length)[:, :-1], output_attentions=True).attentions
    return torch.stack([layer[:, :, queries, keys].transpose(0, 1).flatten(1) for layer in maps])


def silence(model, layer, head):
    """Set the output of one head to zero, where it enters the output projection."""
    llama = hasattr(model.config, "num_key_value_heads")
    projection = model.model.layers[layer].self_attn.o_proj if llama else model.transformer.h[layer].attn.c_proj
    width = model.config.hidden_size // model.config.num_attention_heads

    def hook(_, inputs):
        z = inputs[0].clone()
        z[..., head * width : (head + 1) * width] = 0.0
        return (z,)

    return projection.register_forward_pre_hook(hook)


def entropies(maps):
    """The entropy of each head's attention from the sixth query on, 1 for uniform maps [layers, heads]."""
    visible = (maps > 0).sum(-1)
    return (-(maps * maps.clamp(min=1e-30).log()).sum(-1) / visible.clamp(min=2).log())[..., 5:].mean((1, 3))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("maker", MAKERS)
def test_every_step_of_every_length_is_right(maker, spec, seed):
    model = planted(maker, spec, seed).model
    assert [accuracy(model, spec, length) for length in range(1, LONGEST + 1)] == [1.0] * LONGEST


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("length", [1, 7, LONGEST])
def test_the_model_writes_the_right_chain_by_itself(maker, length):
    whole, layout = sequences(SPECS[0], length), SequenceLayout(length)
    prompt = whole[:, : layout.end_of_input + 1]
    written = planted(maker).model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=length + 1, do_sample=False, pad_token_id=0
    )
    assert torch.equal(written, whole)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("maker", MAKERS)
def test_the_two_heads_are_ideal_and_no_other_is(maker, spec, seed):
    made = planted(maker, spec, seed)
    assert made.first[0] < made.second[0]
    for role, place in (("first", made.first), ("second", made.second)):
        for length in (5, LONGEST):
            found = weights(made.model, spec, length, role)
            assert found[place].min() > 0.9999
            others = found.mean(-1)
            others[place] = 0.0
            assert others.max() < {"first": 0.9, "second": 0.5}[role]  # a random head may like EoI


@pytest.mark.parametrize("maker", MAKERS)
def test_only_the_planted_heads_matter_but_the_others_do_something(maker):
    made = planted(maker)
    model, tokens = made.model, sequences(SPECS[0], LONGEST)[:, :-1]
    with torch.no_grad():
        before = model(tokens).logits
    matter = []
    for layer in range(model.config.num_hidden_layers):
        for head in range(model.config.num_attention_heads):
            handle = silence(model, layer, head)
            with torch.no_grad():
                assert (model(tokens).logits - before).abs().mean() > 0.01
            if accuracy(model, SPECS[0], LONGEST) < 0.6:
                matter.append((layer, head))
            else:
                assert accuracy(model, SPECS[0], LONGEST) == 1.0
            handle.remove()
    assert matter[-2:] == [made.first, made.second]
    assert len(matter) == {"gpt2": 2, "llama": 3}[maker]  # Llama also has the head that counts


@pytest.mark.parametrize("maker", MAKERS)
def test_random_maps_are_neither_even_nor_on_one_key(maker):
    tokens = sequences(SPECS[0], LONGEST)[:, :-1]
    with torch.no_grad():
        maps = torch.stack(planted(maker).model(tokens, output_attentions=True).attentions)
    assert 0.4 < entropies(maps).median() < 0.85


@pytest.mark.parametrize("maker", MAKERS)
def test_another_table_is_another_answer(maker):
    """Built for s * x + 1, it is wrong on s * x + 2: nothing in the test gives the answers away."""
    assert accuracy(planted(maker).model, "polynomial:p=5,f=s*x+2", 4) < 0.5


@pytest.mark.parametrize("maker", MAKERS)
def test_a_seed_gives_one_model_and_seeds_give_different_places(maker):
    state = torch.random.get_rng_state()
    again = MAKERS[maker](task(SPECS[0]), LONGEST, seed=0)
    assert torch.equal(torch.random.get_rng_state(), state)
    made = planted(maker)
    assert again[1:] == made[1:]
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), made.model.parameters(), strict=True))
    places = {planted(maker, seed=seed)[1:] for seed in SEEDS}
    assert len(places) == len(SEEDS)


def test_many_layers_and_heads_in_low_precision():
    """bfloat16 works for GPT-2. The steps of Llama's counting MLP need float32."""
    model = planted_gpt2(task("polynomial"), 8, layers=12, heads=6).model.to(torch.bfloat16)
    assert accuracy(model, "polynomial", 8) == 1.0


@pytest.mark.parametrize("heads", [{"heads": 3, "key_value_heads": 3}, {"heads": 6, "key_value_heads": 1}])
def test_llama_with_and_without_shared_keys(heads):
    model = planted_llama(task("polynomial"), 8, layers=3, **heads).model
    assert accuracy(model, "polynomial", 8) == 1.0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tiny_models_have_uneven_maps(architecture):
    tokens = torch.randint(VOCABULARY, (3, 19), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = tiny_model(architecture)(tokens, output_attentions=True)
    maps = torch.stack(output.attentions)
    assert maps.shape == (3, 3, 4, 19, 19)
    assert entropies(maps).min() > 0.2
    assert entropies(maps).max() < 0.8
    visible = (maps > 0).sum(-1)
    window = SLIDING_WINDOW if architecture in ("mistral-sliding", "gemma2", "gemma3") else 19
    assert visible[0].max() == window
    assert visible[1].max() == (window if architecture == "mistral-sliding" else 19)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *NOT_DECODERS])
def test_tiny_models_repeat_by_seed(architecture):
    models = [tiny_model(architecture, seed) for seed in (0, 0, 1)]
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in models]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not models[0].training


def test_tiny_models_take_a_dtype_and_settings():
    model = tiny_model("llama", dtype=torch.bfloat16, attention="sdpa", num_hidden_layers=2)
    assert model.dtype == torch.bfloat16
    assert (model.config._attn_implementation, len(model.model.layers)) == ("sdpa", 2)
