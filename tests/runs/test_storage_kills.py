"""A run folder under kills, readers beside a writer, and second processes that want its lock."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from iterhead import atomic
from iterhead.errors import UserError
from iterhead.runs.storage import RunFolder

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and signals")
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "abc")
    folder.write("config.json", b"old")
    return folder


@contextmanager
def started(code: str, *args: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process with pipes, ended with the block."""
    command = [sys.executable, "-c", code, *map(str, args)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def between_steps(monkeypatch: pytest.MonkeyPatch, look: Callable[[str, Path], None]) -> None:
    """Call `look(step, path)` before each step that a writer takes; a kill falls between two of them."""
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        look("sync", Path(f"/proc/self/fd/{descriptor}").readlink())
        real_fsync(descriptor)

    def replace(source: Path, target: Path) -> None:
        look("rename", Path(target))
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)


@linux
def test_a_write_is_two_synced_renames_checksums_first(run: RunFolder, monkeypatch: pytest.MonkeyPatch):
    steps: list[tuple[str, str]] = []
    between_steps(monkeypatch, lambda step, path: steps.append((step, path.name)))
    run.write("config.json", b"new")
    staged, *rest = steps
    assert staged[1].startswith(".config.json.")
    assert rest[0][1].startswith(".checksums.json.")
    assert rest[1:] == [("rename", "checksums.json"), ("sync", "abc"), ("rename", "config.json"), ("sync", "abc")]


@linux
def test_many_files_share_one_update_and_move_in_order(run: RunFolder, monkeypatch: pytest.MonkeyPatch):
    steps: list[tuple[str, str]] = []
    between_steps(monkeypatch, lambda step, path: steps.append((step, path.name)))
    run.write_many({"z": b"1", "checkpoints/a": b"2", "config.json": b"3"})
    assert [name for step, name in steps if step == "rename"] == ["checksums.json", "z", "a", "config.json"]
    # Four files, four renames, and the new folder's own entry.
    assert sum(step == "sync" for step, _ in steps) == 4 + 4 + 1


@linux
def test_every_moment_of_a_write_leaves_an_accepted_file(run: RunFolder, monkeypatch: pytest.MonkeyPatch):
    seen = []
    between_steps(monkeypatch, lambda *_: seen.append(run.read("config.json")))
    run.write("config.json", b"new")
    assert seen == [b"old"] * 5 + [b"new"]  # the last step syncs the folder after the rename


@linux
def test_killed_twice_between_the_two_renames(run: RunFolder, monkeypatch: pytest.MonkeyPatch):
    """After the first kill checksums.json ends in a digest that no file has; the second must keep the other one."""

    class Killed(BaseException):
        pass

    def look(step: str, path: Path) -> None:
        if (step, path.name) == ("rename", "config.json"):
            raise Killed

    with monkeypatch.context() as patch:
        between_steps(patch, look)
        for data in (b"lost", b"lost too"):
            with pytest.raises(Killed):
                run.write("config.json", data)
            assert RunFolder(run.path).read("config.json") == b"old"
    run.write("config.json", b"new")
    assert run.read("config.json") == b"new"


WRITER = """
import os, signal, sys, time
from pathlib import Path
import torch
from iterhead.runs.storage import RunFolder, tensor_bytes

def say(text):
    os.write(1, (text + "\\n").encode())

def save_forever(folder):
    with folder.lock():
        n = folder.read_json("status.json")["n"] if folder.has("status.json") else 0
        while True:
            n += 1
            folder.write_json("status.json", {"n": n})
            say(f"status.json {n}")
            folder.write_many({name: f"{n:08}".encode() * 20_000 for name in ("first", "checkpoints/second")})
            say(f"checkpoints/second {n}")
            folder.write("state.safetensors", tensor_bytes({"W": torch.full((200, 200), n)}, {"n": str(n)}))
            say(f"state.safetensors {n}")

# One process imports torch, once; its children are the ones that die.
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        try:
            save_forever(RunFolder(Path(sys.argv[1])))
        except BaseException as error:
            say(f"failed {error!r}")
        os._exit(1)
    time.sleep(float(line))
    os.kill(child, signal.SIGKILL)
    say(f"ended {os.waitpid(child, 0)[1]}")
"""


def saved_numbers(folder: RunFolder) -> dict[str, int]:
    """What each file holds, once every one has proved whole."""
    numbers = {"status.json": folder.read_json("status.json")["n"]} if folder.has("status.json") else {}
    for name in ("first", "checkpoints/second"):
        if folder.has(name):
            data = folder.read(name)
            assert data == data[:8] * 20_000
            numbers[name] = int(data[:8])
    if folder.has("state.safetensors"):
        tensors, metadata = folder.read_tensors("state.safetensors")
        assert (tensors["W"] == int(metadata["n"])).all()
        numbers["state.safetensors"] = int(metadata["n"])
    return numbers


@posix
def test_25_kills_lose_nothing_that_was_saved(run: RunFolder):
    delays = random.Random(0)
    reported: dict[str, int] = {}
    hit = 0
    with started(WRITER, run.path) as writer:
        for _ in range(25):
            writer.stdin.write(f"{delays.uniform(0.02, 0.2)}\n")
            writer.stdin.flush()
            while (words := writer.stdout.readline().split())[0] != "ended":
                assert words[0] != "failed", words
                assert int(words[1]) > reported.get(words[0], 0)  # each start goes on from the last
                reported[words[0]] = int(words[1])
            assert int(words[1]) == signal.SIGKILL
            hit += any(run.path.rglob(".*.tmp"))
            numbers = saved_numbers(run)
            assert set(numbers) <= set(run.names())
            assert all(numbers[name] >= number for name, number in reported.items()), (numbers, reported)
            assert numbers.get("first", 0) >= numbers.get("checkpoints/second", 0)
    # The kills fell into writes, and between them whole rounds were saved, on a busy machine too.
    assert hit >= 3
    assert reported["state.safetensors"] >= 5


READER_BESIDE = """
import sys
from pathlib import Path
from iterhead.runs.storage import RunFolder
folder = RunFolder(Path(sys.argv[1]))
n = 0
while True:
    folder.write("config.json", str(n).encode() * 1000)
    n += 1
    if n == 2:
        print("writing", flush=True)
"""


def test_a_reader_beside_a_writer_never_sees_damage(run: RunFolder):
    with started(READER_BESIDE, run.path) as writer:
        assert writer.stdout.readline() == "writing\n"
        contents: set[bytes] = set()
        while len(contents) < 100:
            contents.add(run.read("config.json"))
            assert writer.poll() is None


HOLDER = """
import os, sys
from pathlib import Path
from iterhead.runs.storage import RunFolder
with RunFolder(Path(sys.argv[1])).lock():
    print(os.getpid(), flush=True)
    sys.stdin.read()
"""


def refusal(run: RunFolder) -> str:
    with pytest.raises(UserError) as caught, run.lock():
        pass
    return str(caught.value)


def test_a_second_process_is_told_who_works_here(run: RunFolder):
    with started(HOLDER, run.path) as holder:
        pid = int(holder.stdout.readline())
        assert refusal(run) == (
            f"{run.path}: another process (pid {pid} on host {socket.gethostname()}) is working on this run; "
            "wait for it, or choose another --out"
        )
        assert run.read("config.json") == b"old"  # reading needs no lock
        (run.path / ".holder.json").write_text("{}")  # the text only informs
        assert "another process is working on this run;" in refusal(run)
        holder.stdin.close()
        holder.wait()
    with run.lock():
        pass


def test_a_killed_holder_frees_the_lock(run: RunFolder):
    with started(HOLDER, run.path) as holder:
        pid = int(holder.stdout.readline())
        refusal(run)
        holder.kill()
        holder.wait()
    assert json.loads((run.path / ".holder.json").read_bytes())["pid"] == pid  # stale, and in nobody's way
    with run.lock():
        assert f"this very process (pid {os.getpid()} " in refusal(run)


def test_the_lock_goes_with_the_block_and_makes_its_folder(tmp_path: Path):
    run = RunFolder(tmp_path / "new" / "abc")
    with pytest.raises(KeyError), run.lock():
        raise KeyError
    with run.lock():
        assert run.names() == []
    assert not run.has("config.json")


@posix
def test_the_next_write_removes_what_a_killed_one_left_and_not_what_is_being_written(tmp_path: Path):
    path = tmp_path / "claims.json"
    left, other = tmp_path / ".claims.json.0123abcd.tmp", tmp_path / ".claims.md.0123abcd.tmp"
    for abandoned in (left, other):
        abandoned.write_bytes(b"half of it")
    with atomic.temporary(path) as living:
        atomic.write(path, b"new")
        assert living.exists()
    assert not left.exists()
    assert other.exists()
    assert path.read_bytes() == b"new"


@posix
def test_an_export_killed_between_its_two_renames_comes_back(tmp_path: Path):
    folder, new = tmp_path / "net", tmp_path / ".net.0123abcd.tmp"
    old = tmp_path / ".net.0123abcd.tmp.old"
    for path in (old, new):
        path.mkdir()
        (path / "config.json").write_text(path.name)
    atomic.sweep(folder)
    assert (folder / "config.json").read_text() == old.name
    assert list(tmp_path.iterdir()) == [folder]
    new.mkdir()
    old.mkdir()  # killed while it removed the old one
    atomic.sweep(folder)
    assert list(tmp_path.iterdir()) == [folder]


@posix
def test_a_temporary_file_that_was_swept_before_it_was_locked_is_made_again(tmp_path: Path, monkeypatch):
    path, touch, made = tmp_path / "claims.json", Path.touch, []

    def touch_and_sweep(self: Path, **options: bool) -> None:
        touch(self, **options)
        made.append(self)
        if len(made) == 1:
            atomic.sweep(path)

    monkeypatch.setattr(Path, "touch", touch_and_sweep)
    with atomic.replacing({path: b"new"}):
        assert made[1].exists()
    assert path.read_bytes() == b"new"
    assert len(made) == 2
