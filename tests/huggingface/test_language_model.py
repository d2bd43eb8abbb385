"""`LanguageModel` against transformers' own eager attention, and its hooks against hooks on the projections."""

import pytest

pytest.importorskip("transformers")

import torch

import iterhead as ih
from helpers.tiny_models import ARCHITECTURES, HEADS, LAYERS, VOCABULARY, tiny_model
from iterhead.errors import UserError
from iterhead.huggingface import attention as attention_function
from iterhead.huggingface.language_model import LanguageModel

B, T = 3, 13
OUTPUT_PROJECTIONS = ("c_proj", "dense", "o_proj")

every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)


def tokens(seed=0, rows=B, columns=T):
    return torch.randint(VOCABULARY, (rows, columns), generator=torch.Generator().manual_seed(seed))


def pattern(layer):
    return f"blocks.{layer}.attn.hook_pattern"


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


@every_architecture
@pytest.mark.parametrize("queries", [
    None, slice(4, 9), [12, 0, 7], torch.tensor([[3, 4], [12, 5], [0, 11]])
])  # fmt: skip
def test_maps_and_logits_are_those_of_eager_attention(architecture, queries):
    eager = tiny_model(architecture)(tokens(), output_attentions=True)
    model = LanguageModel(tiny_model(architecture))
    logits, cache = model.run_with_cache(tokens(), "*.hook_pattern", query_positions=queries)
    assert torch.allclose(logits, eager.logits, atol=2e-5)
    assert len(cache) == LAYERS
    for layer, expected in enumerate(eager.attentions):
        if isinstance(queries, torch.Tensor):
            expected = torch.stack([row[:, index] for row, index in zip(expected, queries, strict=True)])
        elif queries is not None:
            expected = expected[:, :, queries]
        assert cache[pattern(layer)].shape == expected.shape
        assert torch.allclose(cache[pattern(layer)], expected, atol=2e-6)


@every_architecture
def test_bfloat16_maps_are_near_those_of_eager_attention_and_float32(architecture):
    eager = tiny_model(architecture, dtype=torch.bfloat16)(tokens(), output_attentions=True)
    model = LanguageModel(tiny_model(architecture, dtype=torch.bfloat16))
    _, cache = model.run_with_cache(tokens(), "*.hook_pattern")
    first = cache[pattern(0)]
    assert first.dtype == torch.float32
    assert torch.allclose(first, eager.attentions[0].float(), atol=0.02)  # later layers read rounded streams
    assert torch.allclose(first.sum(-1), torch.ones(B, HEADS, T), atol=1e-5)


@every_architecture
def test_padding_on_the_left_changes_nothing(architecture):
    model = LanguageModel(tiny_model(architecture))
    padding = 4
    padded = torch.cat([torch.full((B, padding), 5), tokens()], dim=1)
    mask = (torch.arange(padding + T) >= padding).long().expand(B, -1)
    expected, maps = model.run_with_cache(tokens(), pattern(1))
    logits, padded_maps = model.run_with_cache(padded, pattern(1), attention_mask=mask)
    assert torch.allclose(logits[:, padding:], expected, atol=2e-5)
    kept = padded_maps[pattern(1)][:, :, padding:]
    assert torch.allclose(kept[..., padding:], maps[pattern(1)], atol=2e-6)
    assert not kept[..., :padding].any()


@every_architecture
def test_a_replaced_map_mixes_the_values_of_its_group(architecture):
    """The plain twin: z by hand from the values, put in by a hook on the output projection of transformers' model."""
    layer, head = 1, 2
    model = LanguageModel(tiny_model(architecture))
    queries = [6, 11]
    values = model.run_with_cache(tokens(), f"blocks.{layer}.attn.hook_v")[1][f"blocks.{layer}.attn.hook_v"]
    new = torch.zeros(B, len(queries), T)
    new[:, 0, 3], new[:, 1, 2], new[:, 1, 10] = 1.0, 0.25, 0.75
    group = head // (HEADS // values.shape[2])  # heads 0 and 1 share the first of two key-value heads
    z = torch.stack([values[:, 3, group], 0.25 * values[:, 2, group] + 0.75 * values[:, 10, group]], dim=1)

    hooks = ih.replace(pattern(layer), lambda maps: new[:, None].expand_as(maps), head=head)
    logits, cache = model.run_with_cache(tokens(), "*hook_z", hooks, query_positions=queries)
    unchanged = model.run_with_cache(tokens(), "*hook_z")[1][f"blocks.{layer}.attn.hook_z"]
    expected_z = unchanged.clone()
    expected_z[:, queries, head] = z
    assert torch.allclose(cache[f"blocks.{layer}.attn.hook_z"], expected_z, atol=1e-5)

    hf = tiny_model(architecture)
    edit_projection(hf, layer, lambda _: expected_z.flatten(2))
    assert torch.allclose(logits, hf(tokens()).logits, atol=5e-5)


@every_architecture
def test_ablating_a_head_is_zeroing_its_slice_of_the_projections_input(architecture):
    layer, head = 2, 1
    logits = LanguageModel(tiny_model(architecture))(tokens(), hooks=ih.ablate_head(layer, head))
    hf = tiny_model(architecture)

    def without_head(x):
        width = x.shape[-1] // HEADS
        return torch.cat([x[..., : head * width], torch.zeros_like(x[..., :width]), x[..., (head + 1) * width :]], -1)

    intact = hf(tokens()).logits
    edit_projection(hf, layer, without_head)
    assert torch.allclose(logits, hf(tokens()).logits, atol=2e-5)
    assert not torch.allclose(logits, intact, atol=0.05)


def edit_projection(hf, layer, change):
    """Change the input of the output projection of an attention layer."""
    (attention,) = (module for module in hf.modules() if getattr(module, "layer_idx", None) == layer
                    and hasattr(module, "scaling"))  # fmt: skip
    (projection,) = (getattr(attention, name) for name in OUTPUT_PROJECTIONS if hasattr(attention, name))
    projection.register_forward_pre_hook(lambda _, arguments: (change(arguments[0]),))


@every_architecture
def test_residual_streams_are_transformers_hidden_states(architecture):
    hidden = tiny_model(architecture)(tokens(), output_hidden_states=True).hidden_states
    model = LanguageModel(tiny_model(architecture))
    _, cache = model.run_with_cache(tokens())
    assert list(cache) == model.hook_names  # all of them, in the order of the forward pass
    for layer in range(LAYERS):
        assert torch.allclose(cache[f"blocks.{layer}.hook_resid_pre"], hidden[layer], atol=2e-5)
    for layer in range(LAYERS - 1):  # transformers gives the last one after the final norm
        assert torch.allclose(cache[f"blocks.{layer}.hook_resid_post"], hidden[layer + 1], atol=2e-5)
    assert torch.allclose(cache["ln_final.hook_normalized"], hidden[-1], atol=2e-5)


@every_architecture
def test_patching_the_whole_stream_gives_the_other_inputs_logits(architecture):
    model = LanguageModel(tiny_model(architecture))
    name = "blocks.1.hook_resid_pre"
    others = tokens(seed=1)
    donor = model.run_with_cache(others, name)[1][name]
    expected = model(others)
    assert not torch.allclose(model(tokens()), expected, atol=0.05)
    assert torch.allclose(model(tokens(), hooks=ih.patch(name, donor)), expected, atol=2e-5)


def test_logits_only_where_they_are_asked_for():
    model = LanguageModel(tiny_model("gemma2", final_logit_softcapping=3.0))  # a step after the output layer
    every = model(tokens())
    assert torch.allclose(model(tokens(), output_positions=slice(5, 8)), every[:, 5:8], atol=1e-5)
    index = torch.tensor([[1, 12], [0, 3], [7, 7]])
    expected = torch.stack([row[columns] for row, columns in zip(every, index, strict=True)])
    logits, cache = model.run_with_cache(tokens(), "ln_final*", output_positions=index)
    assert torch.allclose(logits, expected, atol=1e-5)
    assert cache["ln_final.hook_normalized"].shape[:2] == (B, T)


def test_the_last_layer_writes_maps_at_the_output_positions_only():
    _, cache = LanguageModel(tiny_model("llama")).run_with_cache(tokens(), "*pattern", output_positions=slice(9, 13))
    assert [cache[pattern(layer)].shape[2] for layer in range(LAYERS)] == [T, T, 4]


@pytest.mark.parametrize("architecture", ["gpt2", "mistral-sliding", "gemma2"])
def test_generation_is_the_most_likely_token_again_and_again(architecture):
    model = LanguageModel(tiny_model(architecture))
    model.hf.generation_config.update(do_sample=True, temperature=9.0)  # a model's own defaults do not matter
    sequence = tokens()
    for _ in range(6):
        sequence = torch.cat([sequence, model(sequence)[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(model.generate(tokens(), 6), sequence[:, T:])


def test_mean_ablation_and_probes_take_a_language_model():
    model = LanguageModel(tiny_model("qwen3"))
    name = "blocks.1.hook_mlp_out"
    means = ih.hook_means(model, tokens(), [name])
    ablated = model.run_with_cache(tokens(), name, ih.mean_ablation(name, means[name]))[1][name]
    expected = model.run_with_cache(tokens(), name)[1][name].mean(0)
    assert torch.allclose(ablated, expected.expand(B, -1, -1), atol=1e-5)


def test_a_model_that_runs_elsewhere_meanwhile_is_not_captured():
    other = tiny_model("llama", attention="iterhead")
    LanguageModel(tiny_model("llama", seed=1))
    expected = tiny_model("llama")(tokens()).logits
    assert torch.allclose(other(tokens()).logits, expected, atol=2e-5)


@pytest.mark.parametrize(("name", "error"), [
    ("blocks.9.attn.hook_pattern", "unknown hook name 'blocks.9.attn.hook_pattern': did you mean"),
    ("blocks.0.hook_resid_mid", "unknown hook name 'blocks.0.hook_resid_mid': did you mean"),
])  # fmt: skip
def test_unknown_hook_names(name, error):
    with pytest.raises(UserError, match=error):
        LanguageModel(tiny_model("gpt2")).run_with_cache(tokens(), name)


def test_more_tokens_than_positions():
    with pytest.raises(UserError, match="sequences of 129 tokens: expected at most 128, the model's context"):
        LanguageModel(tiny_model("gpt2"))(tokens(columns=129))


@pytest.mark.parametrize(("architecture", "error"), [
    ("mamba", "MambaForCausalLM has no softmax attention"),
    ("bert", "BertForMaskedLM"),
    ("t5", "T5ForConditionalGeneration has an encoder and a decoder: expected a causal language model"),
])  # fmt: skip
def test_models_without_causal_attention(architecture, error):
    with pytest.raises(UserError, match=error):
        LanguageModel(tiny_model(architecture))


def test_maps_that_differ_from_eagers_are_an_error(monkeypatch):
    """A mistake of real tools: queries are given to the wrong key-value heads."""
    right = attention_function._scores

    def wrong(query, key, *rest):
        return right(query, key.flip(1), *rest)

    monkeypatch.setattr(attention_function, "_scores", wrong)
    with pytest.raises(UserError, match="the attention maps of layer 0 differ from the model's own eager attention by"):
        LanguageModel(tiny_model("llama"))


def test_attention_sinks_are_an_error():
    from transformers import GptOssConfig, GptOssForCausalLM

    config = GptOssConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        head_dim=8, intermediate_size=16, num_local_experts=2, num_experts_per_tok=1, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    with pytest.raises(UserError, match="GptOssAttention: attention with sinks or position biases is not supported"):
        LanguageModel(GptOssForCausalLM(config))
