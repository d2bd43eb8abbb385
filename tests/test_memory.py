"""What does not fit into the memory is named in one line before it is built; the estimate against measured peaks."""

import json
import platform
import resource
import shutil
import subprocess
import sys
import time

import pytest

from helpers.stored_runs import stored, untrained
from iterhead import memory
from iterhead.errors import UserError
from iterhead.memory import Memory
from iterhead.model.handmade import handmade
from iterhead.model.size import parameters
from iterhead.runs.export import export
from iterhead.runs.run import load
from iterhead.runs.training import train
from iterhead.runs.transfer import transfer
from iterhead.settings import RunConfig, parse_config
from iterhead.tasks import task
from iterhead.training.memory import training_bytes

HUGE = {"width": 8192, "layers": 96}
ARCHITECTURES = ("iterhead", "gpt2", "gpt-neox", "llama", "qwen3", "mistral")


def config_of(architecture: str, **model) -> RunConfig:
    if architecture != "iterhead":
        pytest.importorskip("transformers")
    return parse_config({"model": {"architecture": architecture, "width": 32, "heads": 4, **model}})


# What is counted


@pytest.mark.parametrize("options", [{}, {"mlp_width": 29, "layers": 3, "vocabulary": 17, "context": 41}])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_are_counted_exactly(architecture, options):
    config = config_of(architecture, **options)
    from iterhead.huggingface.network import make_network

    network = make_network(config.model, config.context)
    assert parameters(config.model, config.context) == sum(weight.numel() for weight in network.parameters())


def test_shared_keys_and_values_are_counted_once():
    config = config_of("llama", kv_heads=2)
    # Two layers; keys and values of 2 heads of width 8 instead of 4: 2 * 2 * 32 * 16 weights fewer.
    fewer = parameters(config_of("llama").model, 35) - parameters(config.model, 35)
    assert fewer == 2 * 2 * 32 * 16


SMALL = {
    "data": {"max_length": 4, "train_per_length": 16, "test_per_length": 4},
    "training": {"epochs": 1, "batch_size": 16, "short_epochs": 0, "precision": "float32"},
}

MEASURED = {
    "weights": {"model": {"width": 512}},
    "weights and SGD": {"model": {"width": 640}, "training": {"optimizer": "sgd"}},
    "weights of llama": {"model": {"width": 384, "architecture": "llama"}},
    "activations": {"data": {"max_length": 16}, "model": {"width": 128, "heads": 8}, "training": {"batch_size": 512}},
    "logits": {"model": {"vocabulary": 16384}, "training": {"batch_size": 512}},
    "training sequences": {"data": {"max_length": 16, "train_per_length": 40_000}},
    "test sequences": {"data": {"max_length": 16, "test_per_length": 60_000}},
}
"""What each of these is mostly made of, in addition to `SMALL`; half a gigabyte at most."""

PROGRAM = """
import ctypes, gc, json, sys
from iterhead.runs import training
from iterhead.settings import parse_config
from iterhead.training.trainer import Trainer

def status(name):
    (line,) = (line for line in open("/proc/self/status") if line.startswith(name))
    return 1024 * int(line.split()[1])

training.keep_freed_memory = lambda: None  # or a case would find what the one before it left
out, small, measured = sys.argv[1], *map(json.loads, sys.argv[2:])
for architecture in ("iterhead", "llama"):  # loads and draws what every run does
    training.train(parse_config({**small, "model": {"width": 8, "architecture": architecture}}), out=out, threads=1)
for name, values in measured.items():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = status("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")  # the peak starts from here
    config = parse_config(values)
    if "sequences" in name:
        Trainer([config])  # an epoch of all of them would take long
    else:
        training.train(config, out=out, threads=1)
    print(json.dumps([name, status("VmHWM") - before]))
"""
"""Prints the memory that each case takes at its peak, after small runs have loaded what every run loads."""


def with_small(values):
    merged = {part: SMALL.get(part, {}) | values.get(part, {}) for part in SMALL | values}
    return {"task": "polynomial", **merged}


@pytest.fixture(scope="module")
def peaks(tmp_path_factory):
    """The measured bytes of each case."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("peaks are measured on Linux, with glibc")
    pytest.importorskip("transformers")
    cases = {name: with_small(values) for name, values in MEASURED.items()}
    out = tmp_path_factory.mktemp("measured")
    words = [sys.executable, "-c", PROGRAM, out, json.dumps(with_small({})), json.dumps(cases)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    shutil.rmtree(out)
    return dict(map(json.loads, done.stdout.splitlines()))


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURED)
def test_estimate_is_within_a_factor_of_two_of_the_measured_peak(peaks, name):
    config = parse_config(with_small(MEASURED[name]))
    estimated = training_bytes(config, 1, "float32").total()
    assert peaks[name] / 2 < estimated < 2 * peaks[name]
    assert estimated > 4 * parameters(config.model, config.context)


def test_networks_trained_together_take_so_many_times_as_much():
    config = parse_config(with_small({}))
    assert training_bytes(config, 3, "float32").total() == 3 * training_bytes(config, 1, "float32").total()


@pytest.mark.parametrize(
    ("values", "largest"),
    [
        ({"model": {"width": 1024}}, "model.width=1024"),
        ({"model": {"width": 64, "mlp_width": 32768}}, "model.mlp_width=32768"),
        ({"model": {"vocabulary": 262144}}, "model.vocabulary=262144"),
        ({"model": {"context": 65536}}, "model.context=65536"),
        ({"training": {"batch_size": 65536}}, "training.batch_size=65536"),
        # A batch of 16 lengths has no fewer than 16 sequences.
        ({"data": {"min_length": 1000, "max_length": 1015}}, "data.max_length=1015"),
        ({"data": {"max_length": 16, "train_per_length": 10**6}}, "data.train_per_length=1000000"),
        ({"data": {"max_length": 16, "test_per_length": 10**6}}, "data.test_per_length=1000000"),
    ],
)
def test_the_setting_to_lower_is_the_one_that_takes_most(values, largest):
    needs = training_bytes(parse_config(with_small(values)), 1, "float32")
    assert max(needs, key=needs.__getitem__) == largest


# What there is


def test_the_least_of_all_limits_counts(monkeypatch):
    limits = [Memory(3, "this machine has"), Memory(2, "this container has"), Memory(5, "the limit leaves")]
    monkeypatch.setattr(memory, "_limits", lambda: iter(limits))
    assert memory.available() == limits[1]


def test_ulimit_leaves_what_is_not_in_use(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (10**12, resource.RLIM_INFINITY))
    (left,) = (limit.bytes for limit in memory._limits() if "ulimit" in limit.place)
    assert 0 < left < 10**12


@pytest.mark.parametrize(
    ("line", "files", "limits"),
    [
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "700", "memory.max": "900"}, [700, 900]),
        ("0::/elsewhere", {"memory.max": "800"}, [800]),
        ("5:cpu,memory:/a", {"memory/a/memory.limit_in_bytes": "600", "memory.max": "1"}, [600]),
        ("5:cpu:/a", {"memory/a/memory.limit_in_bytes": "600"}, []),
    ],
)
def test_limits_of_control_groups(tmp_path, line, files, limits):
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text)
    (tmp_path / "cgroup").write_text(f"{line}\n")
    assert list(memory._cgroup_limits(tmp_path / "cgroup", tmp_path / "fs")) == limits
    assert list(memory._cgroup_limits(tmp_path / "nothing", tmp_path / "fs")) == []


# Every way in


@pytest.fixture
def little(monkeypatch):
    """A machine with little memory."""
    return lambda size: monkeypatch.setattr(memory, "available", lambda *_: Memory(size, "this machine has"))


@pytest.mark.parametrize("architecture", ["iterhead", "llama"])
def test_training_a_network_that_is_too_large(architecture, tmp_path):
    if architecture != "iterhead":
        pytest.importorskip("transformers")
    start = time.process_time()
    with pytest.raises(
        UserError, match=r"^model\.width=8192: training needs about \d\.\d+ TB of memory, but .*: lower"
    ):
        train(parse_config({"model": {**HUGE, "architecture": architecture}}), out=tmp_path)
    assert time.process_time() - start < 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_too_large_to_load(tmp_path, little):
    run = stored(tmp_path / "run", untrained(3, width=64), "parity", max_length=3)
    little(200_000)
    with pytest.raises(UserError, match=r"^model\.width=64: this network needs about .* has only 0\.0002 GB"):
        _ = load(run.folder.path).model
    little(100)
    with pytest.raises(UserError, match=r"drawing the sequences needs"):
        _ = load(run.folder.path).dataset


def test_a_transfer_and_an_export_that_are_too_large(tmp_path, little):
    pytest.importorskip("transformers")
    run = stored(tmp_path / "run", untrained(3, width=64), "parity", max_length=3)
    little(10**6)
    assert sum(weight.numel() for weight in load(run.folder.path).model.parameters()) * 4 < 500_000
    with pytest.raises(UserError, match=r"^model\.width=64: training needs about"):
        transfer(run, task="copy")
    with pytest.raises(UserError, match=r"^model\.width=64: this network needs about"):
        export(run, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


def test_weights_by_hand_that_are_too_large(little):
    little(10**6)
    with pytest.raises(UserError, match=r"^model\.mlp_width=\d+: this network needs about"):
        handmade(task("parity"), 64)
    with pytest.raises(UserError, match=r"^max_length=1000000: expected 1 to 254"):
        handmade(task("parity"), 10**6)
