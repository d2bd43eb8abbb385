"""Loading models from folders, and the one line for each thing that can be wrong with them."""

import json
from contextlib import suppress

import pytest

pytest.importorskip("transformers")

import torch

from helpers.tiny_models import VOCABULARY, tiny_model
from iterhead.errors import UserError
from iterhead.huggingface.language_model import LanguageModel
from iterhead.huggingface.loading import load_pretrained


@pytest.fixture
def folder(tmp_path):
    tiny_model("llama").save_pretrained(tmp_path / "llama")
    return tmp_path / "llama"


def test_a_folder_gives_the_model_that_was_saved(folder):
    model = LanguageModel.from_pretrained(str(folder))
    tokens = torch.arange(26).view(2, 13)
    with torch.no_grad():
        assert torch.allclose(model(tokens), tiny_model("llama")(tokens).logits, atol=2e-5)
    assert (model.layers, model.heads, model.vocabulary, model.context) == (3, 4, VOCABULARY, 128)
    assert model.tokenizer is None
    assert (model.dtype, model.device.type) == (torch.float32, "cpu")


@pytest.mark.parametrize(("dtype", "expected"), [
    ("auto", torch.bfloat16), ("float32", torch.float32), ("bfloat16", torch.bfloat16)
])  # fmt: skip
def test_dtypes(tmp_path, dtype, expected):
    tiny_model("gpt2", dtype=torch.bfloat16).save_pretrained(tmp_path)
    assert LanguageModel.from_pretrained(str(tmp_path), dtype=dtype).dtype == expected


def test_pickled_weights_are_loaded_only_when_allowed(folder):
    weights = tiny_model("llama").state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"its weights are pickled \(pytorch_model.bin\), and .* with --allow-pickle"):
        load_pretrained(str(folder))
    hf, _ = load_pretrained(str(folder), allow_pickle=True)
    assert torch.equal(hf.get_input_embeddings().weight, weights["model.embed_tokens.weight"])


@pytest.mark.parametrize("name", ["_attn_implementation", "attn_implementation"])
def test_a_kernel_that_a_config_names_is_not_fetched(folder, name):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, name: "kernels-community/flash-attn2"}))
    hf, _ = load_pretrained(str(folder))
    assert hf.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("known", [True, False])
def test_code_in_a_folder_is_not_run(folder, tmp_path, known):
    """Neither that of an architecture that transformers knows, nor of another, nor the tokenizer's."""
    ran = tmp_path / "ran"
    (folder / "evil.py").write_text(f"from pathlib import Path\nPath({str(ran)!r}).touch()\n")
    config = json.loads((folder / "config.json").read_text()) | ({} if known else {"model_type": "evil"})
    code = dict.fromkeys(("AutoConfig", "AutoModelForCausalLM"), "evil.Evil")
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": code}))
    tokenizer = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    which = "its tokenizer cannot be read: it needs" if known else "needs"
    with pytest.raises(UserError, match=f"{which} code that comes with it.*--trust-remote-code"):
        load_pretrained(str(folder))
    assert not ran.exists()
    with suppress(Exception):
        load_pretrained(str(folder), trust_remote_code=True)
    assert ran.exists(), "the code is in the right place"


def remove_weights(folder):
    (folder / "model.safetensors").unlink()


def remove_config(folder):
    (folder / "config.json").unlink()


def damage_config(folder):
    (folder / "config.json").write_text("{")


def truncate_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:500])


def damage_tokenizer(folder):
    (folder / "tokenizer.json").write_text('{"version": "1.0"')


def change_config(**values):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


@pytest.mark.parametrize(("damage", "error"), [
    (remove_weights, "no weights here: expected model.safetensors"),
    (remove_config, "no config.json here: expected the folder of a Hugging Face model"),
    (damage_config, "config.json"),
    (change_config(model_type="no-such-model"), "model type `no-such-model` but Transformers does not know it"),
    (change_config(model_type="t5", architectures=["T5Model"]), "not a causal language model"),
    (change_config(num_hidden_layers=4), "the weight model.layers.3.input_layernorm.weight is missing"),
    (change_config(hidden_size=48), "the weight"),
    (truncate_weights, "its weights cannot be read"),
    (change_config(tie_word_embeddings="p"), "'tie_word_embeddings' expected bool, got str"),
    (change_config(num_attention_heads="3"), "'num_attention_heads' expected int, got str"),
    (change_config(id2label="p"), "it cannot be loaded: AttributeError: 'str' object has no attribute 'items'"),
    (damage_tokenizer, "its tokenizer cannot be read"),
    (
        change_config(model_type="odd", auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}),
        "it needs code that comes with it: if you trust its source, allow it with --trust-remote-code",
    ),
])  # fmt: skip
def test_what_is_wrong_with_a_folder_in_one_line(folder, damage, error):
    (folder / "evil.py").write_text("raise SystemExit('this code must not run')")
    damage(folder)
    with pytest.raises(UserError) as raised:
        load_pretrained(str(folder))
    message = str(raised.value)
    assert message.startswith(f"{folder}: ")
    assert error in message
    assert "\n" not in message
    assert len(message) < len(str(folder)) + 250


@pytest.mark.parametrize(("name", "error"), [
    ("./no-such-folder", "./no-such-folder: no such folder; expected a folder with config.json, or a name on the hub"),
    ("no/such/folder", "no/such/folder: no such folder"),
    ("nobody/no-such-model", "nobody/no-such-model: no such folder, and the hub cannot be reached"),
])  # fmt: skip
def test_names_of_nothing(monkeypatch, name, error):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError) as raised:
        load_pretrained(name)
    assert str(raised.value).startswith(error)


def test_unknown_dtype(folder):
    with pytest.raises(UserError, match=r"dtype=float61: expected one of auto, float32, .*did you mean 'float16'"):
        load_pretrained(str(folder), dtype="float61")
