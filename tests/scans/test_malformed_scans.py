"""A scan whose files have a wrong content and right checksums is not read, and not continued."""

import json
import math
import shutil
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from helpers.messages import message
from helpers.planted import planted_gpt2
from helpers.tampered import contents, replace, tensors
from iterhead.huggingface.language_model import LanguageModel
from iterhead.runs.storage import RunFolder
from iterhead.scans import scan
from iterhead.tasks import task

SPEC = "polynomial:p=5"
QUICK = {"task": SPEC, "lengths": (4,), "prompts": 6}


@pytest.fixture(scope="module")
def model():
    return LanguageModel(planted_gpt2(task(SPEC), 4, layers=2, heads=2).model)


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    return Path(scan(model, out=tmp_path_factory.mktemp("scans"), **QUICK).folder)


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / whole.name)


def without(name):
    """JSON without a key, or without its last entry."""

    def change(data):
        values = json.loads(data)
        values.pop(name) if isinstance(values, dict) else values.pop()
        return json.dumps(values).encode()

    return change


def with_value(*path, value):
    """JSON with another value at a place."""

    def change(data):
        values = place = json.loads(data)
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        return json.dumps(values).encode()

    return change


BAD = [b"", b"[]", b"{}", b"3", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]

CASES = {
    "result.json": [
        *BAD,
        without("sentence"),
        with_value("folder", value=3),
        with_value("verdict", value="yes"),
        with_value("heads", 0, "p", value="0"),
        with_value("heads", 0, "layer", value=7),
        with_value("heads", value=[]),
        with_value("model", "heads", value=3),
        with_value("settings", value={}),
        with_value("answers", "none", value={}),
        with_value("behaviour", "teacher_forced", value=math.nan),
    ],
    "behaviour/4.json": [
        *BAD,
        without("guess"),
        with_value("free", value=[0.5]),
        with_value("guess", 0, value=1.5),
        with_value("teacher_forced", 0, value=math.nan),
    ],
    "heads.json": [*BAD, without(None), with_value(0, "score", value=None), with_value(0, "head", value=2)],
    "causal/mean-ablation.json": [
        *BAD,
        without("answers"),
        with_value("accuracy", value=[1.0]),
        with_value("follows", 0, value="1"),
        with_value("answers", "4", value=[1]),
        with_value("answers", value={"5": [1, 1, 1, 1, 1]}),
    ],
    "scores/4.safetensors": [
        b"",
        b"\xff" * 100,
        tensors(lambda weights: weights.pop("first.windows")),
        tensors(lambda weights: weights.update({"iteration.inputs": weights["iteration.inputs"][:1]})),
        tensors(lambda weights: weights["iteration.target"].fill_(math.nan)),
    ],
    "means.safetensors": [b"", tensors(lambda weights: weights.update(z=weights["z"][:, :1]))],
}

EVERY = [pytest.param(name, bad, id=f"{name}-{i}") for name, cases in CASES.items() for i, bad in enumerate(cases)]


@pytest.mark.parametrize(("name", "bad"), EVERY)
def test_a_malformed_file_is_named(model, folder, name, bad):
    if name != "result.json":
        with RunFolder(folder).lock():
            RunFolder(folder).remove(["result.json"])  # as if the scan had been interrupted
    replace(folder / name, bad if isinstance(bad, bytes) else bad((folder / name).read_bytes()), name)
    before = contents(folder)
    told = message(lambda: scan(model, out=folder.parent, **QUICK))
    assert told.startswith(f"{folder / name} is damaged: ")
    assert told.endswith("; remove the folder, and the same command scans again")
    assert contents(folder) == before


@pytest.mark.parametrize("name", list(CASES))
def test_right_files_are_read(model, whole, folder, name):
    if name != "result.json":
        with RunFolder(folder).lock():
            RunFolder(folder).remove(["result.json"])
    replace(folder / name, (folder / name).read_bytes(), name)
    assert scan(model, out=folder.parent, **QUICK) == scan(model, out=whole.parent, **QUICK)
