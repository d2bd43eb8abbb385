"""What a run folder keeps, gives back and refuses. Kills, locks, full disks: test_storage_kills.py."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import polars
import polars.testing
import pytest
import torch

from helpers.messages import message
from iterhead.errors import UserError
from iterhead.runs.storage import RunFolder, table_bytes, tensor_bytes

WEIGHTS = {"W": torch.arange(6.0).reshape(2, 3), "epoch": torch.tensor(12)}
TABLE = polars.DataFrame({"epoch": [0, 1], "name": ["accuracy", "peakiness"], "value": [0.25, 0.5]})
NAMES = [
    "checkpoints/epoch-00012.safetensors",
    "config.json",
    "figure.pdf",
    "figure.png",
    "measurements.parquet",
    "state.safetensors",
    "status.json",
]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with one file of each kind."""
    folder = RunFolder(tmp_path / "runs" / "abc")
    folder.write_json("config.json", {"seed": 3})
    folder.write("measurements.parquet", table_bytes(TABLE))
    folder.write("checkpoints/epoch-00012.safetensors", tensor_bytes(WEIGHTS))
    folder.write("state.safetensors", tensor_bytes(WEIGHTS, {"epoch": "12"}))
    folder.write_json("status.json", {"done": False})
    folder.write_many({"figure.png": b"\x89PNG", "figure.pdf": b"%PDF"})
    return folder


def test_what_is_written_comes_back(run: RunFolder):
    assert run.names() == NAMES
    assert run.read_json("config.json") == {"seed": 3}
    assert run.read("figure.png") == b"\x89PNG"
    polars.testing.assert_frame_equal(run.read_table("measurements.parquet"), TABLE)
    tensors, metadata = run.read_tensors("state.safetensors")
    assert metadata == {"epoch": "12"}
    assert tensors.keys() == WEIGHTS.keys()
    assert all(torch.equal(tensors[name], WEIGHTS[name]) for name in WEIGHTS)
    assert run.read_tensors("checkpoints/epoch-00012.safetensors")[1] == {}


def test_json_is_sorted_and_ends_its_line(run: RunFolder):
    run.write_json("status.json", {"b": [1], "a": "é"})
    assert run.read("status.json") == b'{\n  "a": "\\u00e9",\n  "b": [\n    1\n  ]\n}\n'


def test_json_has_no_nan_and_the_old_file_stays(run: RunFolder):
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_json("status.json", {"loss": float("nan")})
    assert run.read_json("status.json") == {"done": False}


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"no elements": torch.zeros(0, 3), "scalar": torch.tensor(2)},
        {"strided": torch.arange(6).reshape(2, 3).T, "expanded": torch.ones(1).expand(5)},
        {"all": WEIGHTS["W"], "a row of it": WEIGHTS["W"][1], "itself": WEIGHTS["W"]},
        {"generator": torch.Generator().get_state(), "flag": torch.tensor([True, False])},
        {"half": torch.ones(2, dtype=torch.bfloat16), "double": torch.ones(2, dtype=torch.float64)},
        {"parameter": torch.nn.Parameter(torch.ones(3))},
    ],
    ids=lambda tensors: ", ".join(tensors) or "none",
)
def test_any_tensors_come_back(run: RunFolder, tensors):
    run.write("state.safetensors", tensor_bytes(tensors))
    restored, metadata = run.read_tensors("state.safetensors")
    assert (restored.keys(), metadata) == (tensors.keys(), {})
    for name, tensor in tensors.items():
        assert restored[name].dtype == tensor.dtype
        assert torch.equal(restored[name], tensor)


def test_several_kinds_go_in_one_write(run: RunFolder):
    run.write_many({"measurements.parquet": table_bytes(TABLE[:1]), "state.safetensors": tensor_bytes(WEIGHTS)})
    assert run.read_table("measurements.parquet").height == 1
    assert run.read_tensors("state.safetensors")[1] == {}


def test_files_follow_the_umask(run: RunFolder):
    """Others may read a shared run: no mode 600 from a temporary file."""
    old = os.umask(0o022)
    try:
        run.write("figure.png", b"new")
    finally:
        os.umask(old)
    assert (run.path / "figure.png").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", [0, 0.5, 1])
def test_one_flipped_byte_is_told_with_both_checksums(run: RunFolder, name: str, where: float):
    path = run.path / name
    data = bytearray(path.read_bytes())
    expected = hashlib.sha256(data).hexdigest()
    data[round(where * (len(data) - 1))] ^= 1
    path.write_bytes(data)
    assert message(run.read, name) == (
        f"{path} is damaged: sha256 {hashlib.sha256(data).hexdigest()[:12]}, expected {expected[:12]}; "
        "train it again with --again, or restore the file"
    )


def test_damage_after_a_replacement_names_both_accepted_checksums(run: RunFolder):
    run.write("figure.png", b"new")
    (run.path / "figure.png").write_bytes(b"bad")
    old, new = (hashlib.sha256(data).hexdigest()[:12] for data in (b"\x89PNG", b"new"))
    assert f"expected {old} or {new};" in message(run.read, "figure.png")


def test_an_older_state_put_back_is_damage(run: RunFolder):
    """Two replacements later the first content is no longer accepted."""
    for data in (b"one", b"two", b"three"):
        run.write("figure.png", data)
    (run.path / "figure.png").write_bytes(b"one")
    assert "damaged" in message(run.read, "figure.png")


def test_a_damaged_file_can_be_replaced(run: RunFolder):
    (run.path / "figure.png").write_bytes(b"bad")
    run.write("figure.png", b"new")
    assert run.read("figure.png") == b"new"
    (run.path / "figure.png").write_bytes(b"bad")
    assert "damaged" in message(run.read, "figure.png")


def test_no_flipped_byte_of_the_checksums_goes_unseen(run: RunFolder):
    path = run.path / "checksums.json"
    with run.lock():  # so that no file may be missing any more
        pass
    sound = path.read_bytes()

    def refused(name: str) -> bool:
        try:
            run.read(name)
        except UserError:
            return True
        return False

    for place in range(len(sound)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        assert any(map(refused, NAMES)), f"byte {place}"


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "\xff", "[" * 100_000),
        *('{"config.json": "abc"}', '{"config.json": []}', '{"config.json": ["abc"]}', '{"config.json": [7]}'),
        '{"../x": ["%s"]}' % ("0" * 64),
    ],
    ids=lambda text: text[:20],
)
def test_damaged_checksums_stop_reading_and_writing(run: RunFolder, text: str):
    path = run.path / "checksums.json"
    path.write_bytes(text.encode("latin-1"))
    expected = f"{path} is damaged: expected names and their sha256 digests; "
    for call in (run.names, lambda: run.read("config.json"), lambda: run.write("figure.png", b"new")):
        assert message(call).startswith(expected)
    assert path.read_bytes() == text.encode("latin-1")
    assert (run.path / "figure.png").read_bytes() == b"\x89PNG"
    assert not list(run.path.rglob("*.tmp"))


def test_a_file_made_by_hand_has_no_checksum(run: RunFolder):
    (run.path / "notes.json").write_text("{}")
    assert "notes.json: no checksum in checksums.json" in message(run.read_json, "notes.json")
    assert run.has("notes.json")
    assert run.names() == NAMES
    (run.path / "checksums.json").unlink()
    assert "config.json: no checksum in checksums.json" in message(run.read, "config.json")


def test_a_file_that_is_not_there(run: RunFolder):
    (run.path / "figure.png").unlink()
    there = ", ".join(name for name in NAMES if name != "figure.png")
    for name in ("figure.png", "never.json"):  # with a checksum, as after an early kill, and without one
        assert message(run.read, name) == (
            f"{run.path / name}: no such file; this run has {there}; iterhead run continues it"
        )
        assert not run.has(name)
    assert "figure.png" not in run.names()


def test_no_run_here(tmp_path: Path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in (tmp_path / "none", empty):
        text = message(RunFolder(path).read, "status.json")
        assert text == f"{path}: no run here: expected a folder with config.json (iterhead run makes one)"
        assert not RunFolder(path).has("config.json")
        assert RunFolder(path).names() == []
    file = tmp_path / "file"
    file.touch()
    assert message(RunFolder(file).check).startswith(f"{file}: a file, no run: expected a folder")
    assert "a file is in the place of a folder" in message(RunFolder(file).write, "config.json", b"")
    assert "a file is in the place of a folder" in message(RunFolder(file / "x").write, "config.json", b"")


def test_a_folder_is_no_file(run: RunFolder):
    assert "checkpoints: cannot read: Is a directory" in message(run.read, "checkpoints")
    assert "checkpoints: cannot read: Is a directory" in message(run.write, "checkpoints", b"")


@pytest.mark.parametrize(
    "name", ["", ".", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", ".lock", "a/.b", "checksums.json"]
)
def test_a_name_stays_inside_and_off_the_books(run: RunFolder, name: str):
    for call in (run.has, run.read, lambda name: run.write(name, b"")):
        with pytest.raises(ValueError, match="expected a relative name") as caught:
            call(name)
        assert not isinstance(caught.value, UserError)


def test_the_lock_removes_temporary_files_only(run: RunFolder):
    left = [".state.safetensors.0123abcd.tmp", "checkpoints/.a.fedcba98.tmp", "..holder.json.00000000.tmp"]
    mine = ["notes.tmp", ".notes.tmp", ".hidden", "checkpoints/a.0123abcd.tmp"]
    for name in left + mine:
        (run.path / name).touch()
    with run.lock():
        pass
    assert not any((run.path / name).exists() for name in left)
    assert all((run.path / name).exists() for name in mine)
    assert run.names() == NAMES


def test_writing_no_files_writes_nothing(tmp_path: Path):
    RunFolder(tmp_path / "abc").write_many({})
    assert not (tmp_path / "abc").exists()


ALONE = """
import sys
import iterhead.runs.storage
print(sorted({"torch", "polars", "numpy", "safetensors"} & set(sys.modules)))
"""


def test_run_folders_need_neither_torch_nor_polars():
    result = subprocess.run([sys.executable, "-c", ALONE], stdout=subprocess.PIPE, text=True, check=True)
    assert result.stdout == "[]\n"
