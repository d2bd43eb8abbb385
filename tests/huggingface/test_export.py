"""Exported networks: the same logits and maps after the round trip, in this process and in one without iterhead."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers")

import iterhead as ih
from helpers.messages import message
from helpers.networks import CONTEXT, FEW_OPTIONS, OPTIONS, config_of, name_of, network, random_tokens
from helpers.stored_runs import stored, untrained
from iterhead.huggingface import modeling_iterhead, register_architecture, require_transformers
from iterhead.huggingface.export import MODELING_FILE, make_tokenizer, to_huggingface
from iterhead.huggingface.language_model import LanguageModel
from iterhead.tasks import SequenceLayout, Vocabulary

LAYERS = 2
AS_GPT2 = [
    config_of(residual="pre-norm", heads=heads, positions=positions, position_width=width)
    for heads, positions, width in (
        (1, "learned", None),
        (3, "learned", 6),
        (2, "frozen", 6),
        (3, "sinusoidal", None),
        (1, "none", None),
    )
]


@pytest.fixture(scope="module", autouse=True)
def _modules_cache(tmp_path_factory):
    """transformers copies modelling files into a cache before it imports them."""
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("modules")
        patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(cache))
        patch.setattr(sys, "path", [*sys.path])
        yield


@pytest.fixture
def _restored_mappings(monkeypatch):
    """An architecture that a test registers is unknown to the next test."""
    for mapping in (transformers.CONFIG_MAPPING, transformers.MODEL_FOR_CAUSAL_LM_MAPPING):
        monkeypatch.setattr(mapping, "_extra_content", {**mapping._extra_content})


def opened(folder, **options):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, **options)


def maps_of(model, tokens):
    logits, cache = model.run_with_cache(tokens, "blocks.*.attn.hook_pattern")
    return logits, [cache[f"blocks.{layer}.attn.hook_pattern"] for layer in range(model.config.layers)]


def assert_same(hf, model, tokens, **tolerances):
    """Eager logits and maps, and sdpa's logits, are those of our network."""
    logits, maps = maps_of(model, tokens)
    hf.set_attn_implementation("eager")
    output = hf(tokens, output_attentions=True)
    torch.testing.assert_close(output.logits, logits, **tolerances)
    assert len(output.attentions) == len(maps)
    for found, expected in zip(output.attentions, maps, strict=True):
        torch.testing.assert_close(found, expected, **tolerances)
    hf.set_attn_implementation("sdpa")
    torch.testing.assert_close(hf(tokens).logits, logits, **tolerances)


@torch.no_grad()
@pytest.mark.parametrize("config", OPTIONS, ids=name_of)
def test_round_trip_of_every_option(config, tmp_path):
    model, tokens = network(config, dtype=torch.float32), random_tokens(5, CONTEXT)
    folder = ih.export(model, tmp_path / "a", task="parity")
    assert_same(opened(folder), model, tokens, atol=1e-6, rtol=0)
    assert (folder / "modeling_iterhead.py").read_bytes() == MODELING_FILE.read_bytes()


@torch.no_grad()
@pytest.mark.parametrize("config", AS_GPT2, ids=name_of)
def test_round_trip_as_gpt2(config, tmp_path):
    model, tokens = network(config, dtype=torch.float32), random_tokens(5, CONTEXT)
    folder = ih.export(model, tmp_path / "a", "gpt2", task="parity")
    hf = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert type(hf) is transformers.GPT2LMHeadModel
    assert_same(hf, model, tokens, atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("format", ["auto", "gpt2"])
def test_double_precision_is_kept(format, tmp_path):
    positions = "rotary" if format == "auto" else "sinusoidal"
    model = network(config_of(residual="pre-norm", positions=positions))
    hf = opened(ih.export(model, tmp_path / "a", format, task="parity"))
    assert hf.dtype == torch.float64
    hf.set_attn_implementation("sdpa")  # GPT-2's eager softmax is in float32
    tokens = random_tokens(3, CONTEXT)
    torch.testing.assert_close(hf(tokens).logits, model(tokens), atol=1e-13, rtol=0)


@pytest.mark.parametrize("format", ["auto", "gpt2"])
def test_generation_solves_a_mixture_from_text(format, tmp_path):
    """The hand-made network is right on every sequence, so each chain can be written down."""
    task, longest = ih.task("mix:copy,parity"), 5
    model = ih.handmade(task, longest, residual="pre-norm")
    folder = ih.export(model, tmp_path / "a", format, task=task)
    hf = opened(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    prompts = ["task 0 1 1 0 1 EoI", "task2 0 1 1 0 1 EoI", "task2 1 1 EoI"]
    chains = ["0 1 1 0 1 EoS", "0 1 0 0 1 EoS", "1 0 EoS"]
    batch = tokenizer(prompts, padding=True, return_tensors="pt")
    assert batch["input_ids"][2, :3].tolist() == [63, 63, 63]  # padding at the left
    written = hf.generate(**batch)[:, batch["input_ids"].shape[1] :]
    texts = tokenizer.batch_decode(written)
    # Shorter chains are padded with EoS.
    assert [text.partition("EoS")[0] + "EoS" for text in texts] == chains
    single = tokenizer(prompts[0], return_tensors="pt")
    expected = ih.generate(model, single["input_ids"], steps=longest + 1)
    assert hf.generate(**single)[:, single["input_ids"].shape[1] :].tolist() == expected.tolist()


@torch.no_grad()
@pytest.mark.parametrize("config", OPTIONS, ids=name_of)
def test_greedy_chain_with_a_cache(config):
    model, prompts = network(config, dtype=torch.float32), random_tokens(3, 4)
    expected = ih.generate(model, prompts, steps=CONTEXT - 4)
    written = to_huggingface(model).generate(prompts, max_new_tokens=CONTEXT - 4, do_sample=False)
    assert torch.equal(written[:, 4:], expected)


@torch.no_grad()
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("positions", ["learned", "rotary", "none"])
def test_left_padding_changes_nothing(positions, attention):
    model = network(config_of(positions=positions, heads=3), dtype=torch.float32)
    hf = to_huggingface(model)
    hf.set_attn_implementation(attention)
    tokens = random_tokens(2, 5)
    padding = torch.full((2, 3), 6)
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]]).expand(2, -1)
    padded = hf(torch.cat([padding, tokens], dim=1), attention_mask=mask)
    torch.testing.assert_close(padded.logits[:, 3:], model(tokens), atol=1e-6, rtol=0)
    torch.testing.assert_close(hf(tokens, logits_to_keep=2).logits, model(tokens)[:, -2:], atol=1e-6, rtol=0)


@torch.no_grad()
def test_streams_and_a_registered_attention_function():
    seen = {}

    def recorded(module, query, key, value, attention_mask, **options):
        seen[module.layer_idx] = (query.shape, key.shape, options["scaling"])
        return modeling_iterhead.eager_attention_forward(module, query, key, value, attention_mask, options["scaling"])

    transformers.AttentionInterface.register("recorded", recorded)
    transformers.AttentionMaskInterface.register("recorded", transformers.masking_utils.eager_mask)
    model, tokens = network(config_of(heads=3), dtype=torch.float32), random_tokens(2, 5)
    hf = to_huggingface(model)
    hf.set_attn_implementation("recorded")
    output = hf(tokens, output_hidden_states=True)
    assert seen == dict.fromkeys(range(LAYERS), ((2, 3, 5, 4), (2, 3, 5, 4), 0.5))  # heads of width 12 / 3 = 4
    logits, cache = model.run_with_cache(tokens)
    torch.testing.assert_close(output.logits, logits, atol=1e-6, rtol=0)
    names = ["blocks.0.hook_resid_pre", "blocks.0.hook_resid_post", "ln_final.hook_normalized"]
    assert len(output.hidden_states) == len(names)
    for stream, name in zip(output.hidden_states, names, strict=True):
        torch.testing.assert_close(stream, cache[name], atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("config", FEW_OPTIONS, ids=name_of)
def test_hooks_of_the_exported_network(config):
    """Every activation that both kinds of model have is the same, and a head is ablated by the same call.

    Queries and keys are compared without rotary positions only: ours are before the rotation.
    """
    model, tokens = network(config, dtype=torch.float32), random_tokens(2, 5)
    exported = LanguageModel(to_huggingface(model))
    logits, cache = exported.run_with_cache(tokens, ("*",))
    expected_logits, expected = model.run_with_cache(tokens)
    torch.testing.assert_close(logits, expected_logits, atol=1e-6, rtol=0)
    shared = expected.keys() & cache.keys()
    assert len(shared) == LAYERS * 10 + 2  # ten in each block, the embedding and the last norm
    for name in shared:
        if config.positions == "rotary" and name.endswith(("hook_q", "hook_k")):
            continue
        seen = expected[name].isfinite()  # a masked score is -inf in one, very small in the other
        torch.testing.assert_close(cache[name][seen], expected[name][seen], atol=2e-6, rtol=0)
    hooks = ih.ablate_head(layer=1, head=2)
    torch.testing.assert_close(exported(tokens, hooks=hooks), model(tokens, hooks=hooks), atol=1e-6, rtol=0)


@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.usefixtures("_restored_mappings")
def test_loading_by_name_of_a_folder(registered, tmp_path):
    """The same as for the models of others: code is run only if that is allowed."""
    model, tokens = network(config_of(), dtype=torch.float32), random_tokens(2, 5)
    folder = str(ih.export(model, tmp_path / "a", task="parity"))
    if registered:
        register_architecture()
    exported = LanguageModel.from_pretrained(folder, trust_remote_code=not registered)
    torch.testing.assert_close(exported(tokens), model(tokens), atol=1e-6, rtol=0)
    assert exported.tokenizer("task 1 EoI")["input_ids"] == [4, 1, 5]
    assert (exported.layers, exported.heads, exported.context, exported.vocabulary) == (LAYERS, 1, CONTEXT, 7)


FRESH = """
import json, socket, sys
sys.modules["iterhead"] = None
calls = []
socket.socket.connect = lambda *address: calls.append(address)
import torch, transformers
results = []
for folder, options in json.loads(sys.argv[1]):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", **options)
    with torch.no_grad():
        output = model(**tokenizer(sys.argv[2], return_tensors="pt"), output_attentions=True)
    results.append([output.logits.tolist(), [pattern.tolist() for pattern in output.attentions]])
assert not calls, calls
print(json.dumps(results))
"""


def test_fresh_process_without_iterhead(tmp_path):
    model = network(config_of(residual="pre-norm", heads=3, position_width=6), dtype=torch.float32)
    folders = [
        (str(ih.export(model, tmp_path / "auto", task="parity")), {"trust_remote_code": True}),
        (str(ih.export(model, tmp_path / "gpt2", "gpt2", task="parity")), {}),
    ]
    # Parity's values 0 and 1, then the ids from the top: EoS 6, EoI 5, task 4.
    words, tokens = "task 1 0 1 EoI 1 1 0", torch.tensor([[4, 1, 0, 1, 5, 1, 1, 0]])
    done = subprocess.run(
        [sys.executable, "-I", "-c", FRESH, json.dumps(folders), words],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HOME": str(tmp_path / "home")},
    )
    assert done.returncode == 0, done.stderr
    logits, maps = maps_of(model, tokens)
    for found_logits, found_maps in json.loads(done.stdout):
        torch.testing.assert_close(torch.tensor(found_logits), logits.detach(), atol=1e-6, rtol=0)
        for found, expected in zip(found_maps, maps, strict=True):
            torch.testing.assert_close(torch.tensor(found), expected.detach(), atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.usefixtures("_restored_mappings")
def test_registered_architecture_runs_no_code_of_the_folder(tmp_path):
    model = network(config_of(), dtype=torch.float32)
    folder = ih.export(model, tmp_path / "a", task="parity")
    (folder / "modeling_iterhead.py").write_text("raise RuntimeError('was run')")
    register_architecture()
    hf = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert type(hf) is modeling_iterhead.IterheadForCausalLM
    tokens = random_tokens(2, 5)
    torch.testing.assert_close(hf(tokens).logits, model(tokens), atol=1e-6, rtol=0)


def test_words_of_the_tokenizer():
    tokenizer = make_tokenizer(ih.task("mix:copy,polynomial(p=5)"), Vocabulary(11))
    # Values 0 .. 4; 5 and 6 are in no sequence; problem tokens 8 and 7, EoI 9, EoS 10.
    assert tokenizer("task 3 1 4 EoI")["input_ids"] == [8, 3, 1, 4, 9]
    assert tokenizer("task2  0\nEoS six 6")["input_ids"] == [7, 0, 10, 5, 6]
    assert tokenizer.decode(list(range(11))) == "0 1 2 3 4 UNK 6 task2 task EoI EoS"
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id) == (10, 10, 5)


def test_tokenizer_without_an_unused_id_raises_for_an_unknown_word():
    tokenizer = make_tokenizer(ih.task("parity"), Vocabulary(5))
    assert tokenizer("task 1 0 EoI EoS")["input_ids"] == [2, 1, 0, 3, 4]
    with pytest.raises(Exception, match="UNK"):
        tokenizer("task 2 EoI")


def test_callers_random_stream_is_untouched():
    before = torch.random.get_rng_state()
    to_huggingface(network(config_of()))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.fixture
def run(tmp_path):
    """A run of an untrained network."""
    model = {"width": 8, "vocabulary": 5}
    return stored(tmp_path / "runs" / "parity-1", untrained(4, **model), "parity", max_length=4, test_per_length=8)


def test_run_as_a_folder(run, tmp_path):
    folder = ih.export(run, tmp_path / "new" / "a")
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "modeling_iterhead.py",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    config = json.loads((folder / "config.json").read_text())
    expected = {"task": "parity", "cot": True, "min_length": 1, "max_length": 4, "run": "parity-1", "epoch": 1}
    assert config["iterhead"] == {"version": ih.__version__, **expected}
    tokens = run.tokens(4)
    torch.testing.assert_close(opened(folder)(tokens).logits, run.model(tokens), atol=1e-6, rtol=0)


def test_model_card(run, tmp_path):
    card = (ih.export(run, tmp_path / "a") / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\nlibrary_name: transformers\n")
    assert "- `parity`: F(s, x) = s+x mod 2\n" in card
    (worked,) = [line for line in card.splitlines() if line.startswith("task ")]
    inputs, states = (part.split() for part in worked.removeprefix("task ").removesuffix(" EoS").split(" EoI "))
    assert [int(state) for state in states] == [sum(map(int, inputs[:t])) % 2 for t in range(1, 5)]
    _, (layer, head) = run.scores.best_pair
    assert (
        f"| iteration head | layer {layer + 1}, head {head + 1} | `model.layers[{layer}].self_attn`, head {head} |"
        in card
    )
    assert f"| {run.scores.second_peakiness:.3f} | {run.scores.second_weight:.3f} |" in card
    assert "| `model.width` | `8` |" in card
    assert "\niterhead scan a --task parity\n" in card
    assert f"from run parity-1, epoch 1, with iterhead {ih.__version__}, torch {torch.__version__}" in card


def test_code_in_the_model_card_runs(tmp_path, monkeypatch, capsys):
    model = ih.handmade(ih.task("parity"), 5)
    folder = ih.export(model, tmp_path / "network", task="parity")
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    right = code.partition("# right is ")[2].strip()
    assert right.startswith("task ")
    assert capsys.readouterr().out.strip() == right


def test_model_card_without_scores_or_chain(tmp_path):
    model = {"width": 8, "vocabulary": 5}
    run = stored(tmp_path / "r", untrained(3, cot=False, **model), "parity", max_length=3, cot=False)
    card = (ih.export(run, tmp_path / "a") / "README.md").read_text()
    assert "| role |" not in card
    assert "writes the last state" in card
    bare = (ih.export(run.model, tmp_path / "b", task="parity") / "README.md").read_text()
    assert "## Scores" not in bare
    assert "## Settings" not in bare


@pytest.mark.parametrize(
    ("options", "format", "line"),
    [
        ({}, "gpt2", "GPT-2 has no layer that carries on the normalized stream (published): use --format auto"),
        ({}, "transformer-lens", "TransformerLens has no block that carries on the normalized stream"),
        ({"residual": "pre-norm", "norm": "rms"}, "gpt2", "GPT-2 has LayerNorm, and this network model.norm=rms"),
        ({"residual": "pre-norm", "norm": "none"}, "gpt2", "GPT-2 has LayerNorm, and this network model.norm=none"),
        (
            {"residual": "pre-norm", "positions": "rotary"},
            "gpt2",
            "GPT-2 adds positions, and those of this network are",
        ),
    ],
)
def test_networks_that_gpt2_cannot_hold(options, format, line, tmp_path):
    model = network(config_of(**options))
    text = message(lambda: ih.export(model, tmp_path / "a", format, task="parity"))
    assert text.startswith(f"--format {format}: {line}")
    assert not list(tmp_path.iterdir())


def test_bad_input(tmp_path):
    model = network(config_of(), seeds=(0, 1))
    assert message(ih.export, model, tmp_path / "a") == (
        "export of a network needs its task: expected a task or its name, e.g. task='parity'"
    )
    text = message(lambda: ih.export(model, tmp_path / "a", task="parity"))
    assert text == "2 networks: expected one; model.select([0]) is the first"
    assert message(ih.export, model, tmp_path / "a", "gpt-2") == "format='gpt-2': did you mean 'gpt2'?"
    assert not list(tmp_path.iterdir())


def test_without_transformers(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    line = "transformers is not installed: pip install 'iterhead[hf]'"
    assert message(require_transformers) == line
    assert message(ih.export, network(config_of()), tmp_path / "a") == line


def exported_logits(folder):
    return opened(folder)(torch.tensor([[2, 0, 1]])).logits


@torch.no_grad()
def test_only_an_earlier_export_is_replaced(tmp_path):
    models = [network(config_of(vocabulary=5), seeds=(seed,), dtype=torch.float32) for seed in (1, 2)]
    folder, notes = tmp_path / "a", tmp_path / "notes"
    folder.mkdir()  # empty: free
    ih.export(models[0], folder, task="parity")
    first = exported_logits(folder)
    line = f"{folder}: an earlier export: choose another folder with --to, or replace it with --force"
    assert message(lambda: ih.export(models[1], folder, task="parity")) == line
    assert torch.equal(exported_logits(folder), first)
    ih.export(models[1], folder, task="parity", force=True)
    assert not torch.equal(exported_logits(folder), first)
    notes.mkdir()
    (notes / "config.json").write_text('{"model_type": "gpt2"}')
    text = message(lambda: ih.export(models[1], notes, task="parity", force=True))
    assert text == f"{notes}: not empty, and no earlier export: choose another folder with --to"
    file = notes / "config.json"
    assert message(lambda: ih.export(models[1], file, task="parity")).startswith(f"{file}: a file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "notes"]


@torch.no_grad()
def test_full_disk_keeps_the_earlier_export(tmp_path, monkeypatch):
    model, folder = network(config_of(vocabulary=5), dtype=torch.float32), tmp_path / "a"
    ih.export(model, folder, task="parity")
    first = exported_logits(folder)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("iterhead.huggingface.export.PreTrainedTokenizerFast.save_pretrained", full)
    text = message(lambda: ih.export(network(config_of(vocabulary=5)), folder, task="parity", force=True))
    assert text == (
        f"{folder}: cannot write: No space left on device; free space there, or choose another folder with --to"
    )
    assert torch.equal(exported_logits(folder), first)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors"])
def test_an_error_of_a_library_in_rust_is_one_line(tmp_path, monkeypatch, name):
    folder, mkdir = tmp_path / "a", Path.mkdir

    def mkdir_with_an_obstacle(path, **options):
        mkdir(path, **options)
        if name == "tokenizer.json":
            (path / name).symlink_to("/dev/full")
        else:  # in the place of the file
            mkdir(path / name)

    monkeypatch.setattr(Path, "mkdir", mkdir_with_an_obstacle)
    text = message(lambda: ih.export(network(config_of(vocabulary=5)), folder, task="parity"))
    reason = "No space left on device" if name == "tokenizer.json" else "Is a directory"
    assert text.startswith(f"{folder}: cannot write: {reason}; ")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="needs permissions")
def test_whoever_may_read_one_file_may_read_all(tmp_path):
    folder = ih.export(network(config_of(vocabulary=5)), tmp_path / "a", task="parity")
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


@torch.no_grad()
def test_failed_rename_puts_the_earlier_export_back(tmp_path, monkeypatch):
    model, folder = network(config_of(vocabulary=5), dtype=torch.float32), tmp_path / "a"
    ih.export(model, folder, task="parity")
    first = exported_logits(folder)
    rename = Path.rename

    def refused(path, target):
        if path.name.endswith(".tmp"):
            raise OSError(errno.EACCES, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    text = message(lambda: ih.export(network(config_of(vocabulary=5)), folder, task="parity", force=True))
    assert text == f"{folder}: cannot write: Permission denied; choose a folder that you may write to with --to"
    assert torch.equal(exported_logits(folder), first)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@torch.no_grad()
def test_transformer_lens(tmp_path):
    bridges = pytest.importorskip("transformer_lens.model_bridge")
    model = ih.handmade(ih.task("parity"), 5, residual="pre-norm")
    folder = ih.export(model, tmp_path / "a", "transformer-lens", task="parity")
    bridge = bridges.TransformerBridge.boot_transformers(str(folder))
    bridge.cfg.default_prepend_bos = False
    words = "task 1 0 1 1 EoI 1 1 0 1"
    layout, vocabulary = SequenceLayout(4), Vocabulary()
    tokens = layout.assemble(vocabulary, np.array([[1, 0, 1, 1]]), np.array([[1, 1, 0, 1]]))[:, :-1]
    logits, cache = bridge.run_with_cache(words)
    expected, maps = maps_of(model, tokens)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
    for layer, pattern in enumerate(maps):
        torch.testing.assert_close(cache[f"blocks.{layer}.attn.hook_pattern"], pattern, atol=1e-5, rtol=0)
