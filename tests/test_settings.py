"""Settings: strict and frozen, with errors of one line, and named by a hash of every value."""

import hashlib
import json
import pickle
import subprocess
import sys

import pytest
from pydantic import ValidationError

from iterhead.errors import UserError
from iterhead.settings import DataConfig, ModelConfig, RunConfig, TrainingConfig, option_names, parse_config
from iterhead.tasks import SequenceLayout
from iterhead.values import read_toml

OTHER = {
    "task": "parity",
    "seed": 1,
    "data.min_length": 2,
    "data.max_length": 15,
    "data.train_per_length": 1023,
    "data.test_per_length": 1023,
    "data.split": "iid",
    "data.cot": False,
    "model.architecture": "gpt2",
    "model.width": 63,
    "model.layers": 3,
    "model.heads": 2,
    "model.kv_heads": 1,
    "model.mlp_width": 255,
    "model.residual": "pre-norm",
    "model.norm": "rms",
    "model.positions": "frozen",
    "model.position_width": 63,
    "model.context": 36,
    "model.dropout": 0.0,
    "model.vocabulary": 63,
    "training.optimizer": "sgd",
    "training.lr": 1.1e-3,
    "training.weight_decay": 0.1,
    "training.momentum": 0.9,
    "training.beta1": 0.91,
    "training.beta2": 0.99,
    "training.schedule": "cosine",
    "training.warmup_steps": 1,
    "training.clip": 1.0,
    "training.batch_size": 63,
    "training.epochs": 101,
    "training.evaluate_every": 2,
    "training.evaluation_per_length": 63,
    "training.early_stop": False,
    "training.short_epochs": 5,
    "training.short_lengths": 2,
    "training.precision": "float64",
    "training.train": "last-mlp",
    "start.run": "parity-0123456789",
    "start.epoch": 5,
}
"""Of every setting a value that is not the default."""


def nested(name, value):
    """`data.cot`, False -> {"data": {"cot": False}}; an epoch to start from needs a run, key-value heads need llama."""
    if name == "start.epoch":
        return {"start": {"run": OTHER["start.run"], "epoch": value}}
    if name == "model.kv_heads":
        return {"model": {"architecture": "llama", "heads": 2, "kv_heads": value}}
    for part in reversed(name.split(".")):
        value = {part: value}
    return value


def refusal(values):
    with pytest.raises(UserError) as caught:
        parse_config(values)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Hash


def test_the_table_above_has_every_setting():
    assert list(OTHER) == option_names()


def test_every_setting_changes_the_hash():
    digests = {name: parse_config(nested(name, value)).digest for name, value in OTHER.items()}
    digests["default"] = RunConfig().digest
    assert len(set(digests.values())) == len(OTHER) + 1


def test_a_run_is_named_as_before_there_were_starts_and_architectures():
    content = RunConfig().model_dump()
    assert (content.pop("start"), content["training"].pop("train")) == (None, "all")
    assert (content["model"].pop("architecture"), content["model"].pop("kv_heads")) == ("iterhead", None)
    expected = hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()[:10]
    assert RunConfig().digest == expected


def test_a_hash_is_ten_hex_digits():
    digest = RunConfig().digest
    assert len(digest) == 10
    assert set(digest) <= set("0123456789abcdef")


def test_equal_settings_have_equal_hashes_however_they_are_written(tmp_path):
    expected = RunConfig(
        task="parity", seed=3, data=DataConfig(max_length=9), training=TrainingConfig(lr=1.0, batch_size=32)
    )
    (tmp_path / "run.toml").write_text(
        'seed = 3\ntask = "parity"\n[training]\nbatch_size = 32\nlr = 1\n[data]\nmax_length = 9\n', encoding="utf-8"
    )
    written = [
        # Another order of keys, an integer for a float, a default spelled out.
        {"training": {"batch_size": 32, "lr": 1}, "data": {"max_length": 9}, "task": "parity", "seed": 3},
        {
            "seed": 3,
            "task": "parity",
            "data": {"max_length": 9, "cot": True},
            "training": {"lr": 1.0, "batch_size": 32},
        },
        read_toml(tmp_path / "run.toml"),
        json.loads(expected.model_dump_json()),
    ]
    for values in written:
        assert parse_config(values) == expected
        assert parse_config(values).digest == expected.digest


@pytest.mark.parametrize(
    ("spec", "canonical"),
    [
        ("polynomial:p=11", "polynomial"),
        (" polynomial: f = s * x + 1 , start=first-input", "polynomial"),
        ("polynomial:zero=true,f=s**2+x, p=5", "polynomial:p=5,f=s^2+x,zero=true"),
        ("mix: copy, parity:weights=0.5,0.5", "mix:copy,parity"),
    ],
)
def test_a_task_is_kept_in_its_canonical_spelling(spec, canonical):
    config = parse_config({"task": spec})
    assert config.task == config.iterative_task.name == canonical
    assert config.digest == parse_config({"task": canonical}).digest


def test_another_process_gives_the_same_hash_and_needs_no_torch():
    code = "import sys; from iterhead.settings import *; print(RunConfig().digest, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [RunConfig().digest, "False"]


# Tasks of one's own

OWN = "from iterhead.tasks import IterativeTask\nown = IterativeTask('own', 3, lambda s, x: {step}, init=0)\n"


def digest_of_own_task(monkeypatch, folder, module, spec, step):
    """Write a module with that F, and return the hash of the settings that name it."""
    path = folder.joinpath(*module.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True)
    path.write_text(OWN.format(step=step), encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    parts = module.split(".")
    for name in [".".join(parts[: n + 1]) for n in range(len(parts))]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    digest = parse_config({"task": spec}).digest
    for name in [".".join(parts[: n + 1]) for n in range(len(parts))]:
        monkeypatch.delitem(sys.modules, name)
    return digest


@pytest.mark.parametrize(
    ("module", "spec"),
    [
        ("lonely_module", "lonely_module:own"),
        ("own_package.module", "own_package.module:own"),
        ("mixed_module", "mix:copy,mixed_module(own)"),
    ],
)
def test_the_hash_tells_what_ones_own_task_does(module, spec, tmp_path, monkeypatch):
    # The name is the same in all; the second is the same F in other words, the third is another F.
    steps = {"first": "(s + x) % 3", "same": "(x + s + 3) % 3", "other": "(s + 2 * x) % 3"}
    digests = {
        name: digest_of_own_task(monkeypatch, tmp_path / name, module, spec, step) for name, step in steps.items()
    }
    assert digests["same"] == digests["first"]
    assert digests["other"] != digests["first"]


def test_settings_with_ones_own_task_travel_to_another_process(tmp_path, monkeypatch):
    (tmp_path / "travelling.py").write_text(OWN.format(step="max(s, x)"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    config = parse_config({"task": "travelling:own"})
    copy = pickle.loads(pickle.dumps(config))
    assert copy == config
    assert copy.digest == config.digest
    assert copy.iterative_task.run([1, 0, 2, 1]) == [1, 1, 2, 2]


def test_a_copy_with_another_task_does_not_keep_the_old_one():
    assert RunConfig().model_copy(update={"task": "parity"}).iterative_task.name == "parity"


# What is refused


def test_settings_are_frozen():
    config = RunConfig()
    for part, name in ((config, "seed"), (config.data, "cot"), (config.model, "width"), (config.training, "lr")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, name, getattr(part, name))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        # Unknown keys.
        ({"data": {"max_lenght": 4}}, "unknown setting 'data.max_lenght': did you mean 'data.max_length'?"),
        ({"sead": 4}, "unknown setting 'sead': did you mean 'seed'?"),
        ({"zzz": 4}, "unknown setting 'zzz' (iterhead run --help lists the settings)"),
        # Wrong types: nothing is converted in silence.
        ({"seed": "3"}, "seed='3': expected a whole number"),
        ({"seed": True}, "seed=True: expected a whole number"),
        ({"data": {"cot": 1}}, "data.cot=1: expected true or false"),
        ({"model": {"width": 64.0}}, "model.width=64.0: expected a whole number"),
        ({"training": {"lr": "fast"}}, "training.lr='fast': expected a number"),
        ({"task": 3}, "task=3: expected text"),
        ({"data": 5}, "data=5: expected a table of settings"),
        # repr('x' * 70) has 72 characters; 57 of them and three points are shown.
        ({"data": "x" * 70}, f"data='{'x' * 56}...: expected a table of settings"),
        # Outside the bounds.
        ({"seed": -1}, "seed=-1: expected at least 0"),
        ({"data": {"min_length": 0}}, "data.min_length=0: expected at least 1"),
        ({"data": {"split": "random"}}, "data.split='random': expected 'disjoint' or 'iid'"),
        ({"model": {"norm": "batch"}}, "model.norm='batch': expected 'layer', 'rms' or 'none'"),
        ({"model": {"dropout": 1.0}}, "model.dropout=1.0: expected less than 1"),
        ({"training": {"lr": float("nan")}}, "training.lr=nan: expected a finite number"),
        ({"training": {"lr": 0.0}}, "training.lr=0.0: expected more than 0"),
        ({"training": {"clip": 0.0}}, "training.clip=0.0: expected more than 0"),
        ({"training": {"beta2": 1.0}}, "training.beta2=1.0: expected less than 1"),
        # Tasks.
        ({"task": "pariti"}, "unknown task 'pariti': did you mean 'parity'? (iterhead tasks lists them)"),
        ({"task": "polynomial:p=12"}, "polynomial:p=12: p must be prime (next: 13)"),
        # Settings that contradict each other.
        ({"data": {"min_length": 5, "max_length": 4}}, "data.max_length=4: expected at least min_length=5"),
        ({"model": {"heads": 3}}, "model.heads=3: expected a divisor of width=64"),
        ({"model": {"position_width": 65}}, "model.position_width=65: expected at most width=64"),
        (
            # Six coordinates in two heads are three in each: a pair and a half.
            {"model": {"positions": "rotary", "width": 6, "heads": 2}},
            "model.position_width=6: rotary positions turn pairs of coordinates in each head: expected a multiple of 4",
        ),
        (
            {"model": {"positions": "rotary", "position_width": 7}},
            "model.position_width=7: rotary positions turn pairs of coordinates in each head: expected a multiple of 2",
        ),
        (
            # Length 5 with chain of thought: problem + 5 + EoI + 5 + EoS = 13.
            {"data": {"max_length": 5}, "model": {"context": 12}},
            "data.max_length=5: its sequences have 13 tokens, but model.context=12 positions: expected at least 13",
        ),
        (
            # Without: problem + 5 + EoI + 1 + EoS = 9.
            {"data": {"max_length": 5, "cot": False}, "model": {"context": 8}},
            "data.max_length=5: its sequences have 9 tokens, but model.context=8 positions: expected at least 9",
        ),
        (
            # Lengths 3 .. 9 are seven.
            {"data": {"min_length": 3, "max_length": 9}, "training": {"batch_size": 6}},
            "training.batch_size=6: a batch holds equal numbers of each of the 7 lengths: expected at least 7",
        ),
        (
            # 11 values + the problem token + EoI + EoS = 14.
            {"model": {"vocabulary": 13}},
            "model.vocabulary=13: 11 values, 1 problem token(s), EoI and EoS need 14 ids; "
            "set --model.vocabulary 14 or more",
        ),
        (
            # max(2, 5) values + two problem tokens + EoI + EoS = 9.
            {"task": "mix:copy,polynomial(p=5)", "model": {"vocabulary": 8}},
            "model.vocabulary=8: 5 values, 2 problem token(s), EoI and EoS need 9 ids; "
            "set --model.vocabulary 9 or more",
        ),
        # Another run to start from.
        ({"start": "parity-1"}, "start='parity-1': expected a table of settings"),
        ({"start": {"epoch": 3}}, "start.run is missing: expected a value for it"),
        ({"start": {"run": ""}}, "start.run='': expected the name of a run's folder, without a path"),
        ({"start": {"run": "../x"}}, "start.run='../x': expected the name of a run's folder, without a path"),
        ({"start": {"run": ".x"}}, "start.run='.x': expected the name of a run's folder, without a path"),
        ({"start": {"run": "x", "epoch": -1}}, "start.epoch=-1: expected at least 0"),
        ({"start": {"run": "x", "epohc": 1}}, "unknown setting 'start.epohc': did you mean 'start.epoch'?"),
        ({"training": {"train": "mlp"}}, "training.train='mlp': expected 'all', 'last-mlp' or 'not-attention'"),
    ],
)
def test_refusals_name_the_value_and_what_was_expected(values, message):
    assert refusal(values) == message


@pytest.mark.parametrize(
    "values",
    [
        {"data": {"max_length": 5}, "model": {"context": 13}},
        {"data": {"max_length": 5, "cot": False}, "model": {"context": 9}},
        {"data": {"min_length": 3, "max_length": 9}, "training": {"batch_size": 7}},
        {"data": {"min_length": 5, "max_length": 5}},
        {"model": {"vocabulary": 14}},
        {"task": "mix:copy,polynomial(p=5)", "model": {"vocabulary": 9}},
        {"model": {"positions": "rotary", "width": 6, "heads": 2, "position_width": 4}},
        {"model": {"width": 6, "heads": 2}},
        {"model": {"position_width": 64, "dropout": 0.0}},
    ],
)
def test_the_least_that_is_allowed_is_accepted(values):
    parse_config(values)


# What settings say about themselves


def test_defaults_that_follow_from_other_settings():
    # Length 7: 1 + 7 + 1 + 7 + 1 = 17 tokens, without chain of thought 1 + 7 + 1 + 1 + 1 = 11.
    assert parse_config({"data": {"max_length": 7}}).context == 17
    assert parse_config({"data": {"max_length": 7, "cot": False}}).context == 11
    assert parse_config({"data": {"max_length": 7}, "model": {"context": 19}}).context == 19
    model = ModelConfig(width=21, heads=3)
    assert (model.hidden, model.positions_on, model.head_width) == (84, 21, 7)
    given = ModelConfig(width=21, mlp_width=5, position_width=2)
    assert (given.hidden, given.positions_on) == (5, 2)


def test_lengths_and_layouts():
    data = DataConfig(min_length=3, max_length=5, cot=False)
    assert list(data.lengths) == [3, 4, 5]
    assert data.layout(4) == SequenceLayout(4, cot=False)


# Files


def test_files_that_cannot_be_read_are_told_by_name(tmp_path):
    missing, broken, binary = tmp_path / "missing.toml", tmp_path / "broken.toml", tmp_path / "binary.toml"
    broken.write_text("seed = = 3", encoding="utf-8")
    binary.write_bytes(b"seed = '\xff'")
    with pytest.raises(UserError) as caught:
        read_toml(missing)
    assert str(caught.value) == f"{missing}: cannot be read: No such file or directory"
    with pytest.raises(UserError, match=r"broken\.toml: not TOML: Invalid value \(at line 1, column 8"):
        read_toml(broken)
    with pytest.raises(UserError, match=r"binary\.toml: cannot be read: 'utf-8' codec"):
        read_toml(binary)


@pytest.mark.parametrize("precision", ["auto", "float32", "float64", "bfloat16"])
def test_precisions(precision):
    assert parse_config({"training": {"precision": precision}}).training.precision == precision


def test_a_precision_that_is_none_is_told_in_one_line():
    with pytest.raises(
        UserError, match=r"^training\.precision='float16': expected 'auto', 'float32', 'float64' or 'bf"
    ):
        parse_config({"training": {"precision": "float16"}})


def test_the_precision_is_that_of_the_machine_unless_given_and_part_of_the_name():
    assert RunConfig().training.precision == "auto"
    names = {parse_config({"training": {"precision": name}}).digest for name in ("auto", "float32", "bfloat16")}
    assert len(names) == 3
