"""What is read off the machine: cores within a container's quota, devices, number formats, threads."""

import os
import sys
from types import SimpleNamespace

import pytest
import torch

from iterhead import machine
from iterhead.errors import UserError
from iterhead.machine import (
    check_compiler,
    find_device,
    find_precision,
    free_cores,
    has_fast_bfloat16,
    keep_freed_memory,
    torch_threads,
    weights_dtype,
)

# Cores


def test_free_cores_are_those_that_the_process_is_bound_to(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 2, 5}, raising=False)
    assert free_cores() <= 3  # a container may grant less
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert free_cores() == 1


# Threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


def test_threads_are_as_before_after_an_error(two_threads):
    used = []

    def fail():
        with torch_threads(1) as count:
            used.append((count, torch.get_num_threads()))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert used == [(1, 1)]
    assert torch.get_num_threads() == two_threads
    with torch_threads(1):
        pass
    assert torch.get_num_threads() == two_threads


@pytest.mark.parametrize("count", [0, -3])
def test_fewer_than_one_thread_is_refused(two_threads, count):
    with pytest.raises(UserError, match=f"^threads={count}: expected 1 to 1,024$"), torch_threads(count):
        pass
    assert torch.get_num_threads() == two_threads


# Devices


def pretend(monkeypatch, *, cuda, mps):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "device"),
    [(False, False, "cpu"), (True, False, "cuda"), (False, True, "mps"), (True, True, "cuda")],
)
def test_auto_takes_a_gpu_where_there_is_one(monkeypatch, cuda, mps, device):
    pretend(monkeypatch, cuda=cuda, mps=mps)
    assert find_device("auto") == device
    assert find_device("cpu") == "cpu"
    assert find_device(device) == device


@pytest.mark.parametrize("name", ["gpu", "CUDA", "", "cuda:0"])
def test_what_is_no_device_is_told_in_one_line(name):
    with pytest.raises(UserError) as error:
        find_device(name)
    assert str(error.value) == f"device={name}: expected one of auto, cpu, cuda, mps"


@pytest.mark.parametrize(("name", "mps", "there"), [("cuda", True, "auto, cpu, mps"), ("mps", False, "auto, cpu")])
def test_a_device_that_is_not_there_is_told_in_one_line(monkeypatch, name, mps, there):
    pretend(monkeypatch, cuda=False, mps=mps)
    with pytest.raises(UserError) as error:
        find_device(name)
    assert str(error.value) == f"device={name}: PyTorch finds none here: expected one of {there}"


# Number formats


@pytest.mark.parametrize(
    ("fast", "width", "auto"), [(True, 64, "bfloat16"), (True, 63, "float32"), (False, 64, "float32")]
)
@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_auto_is_bfloat16_where_that_is_fast_and_the_network_wide(monkeypatch, fast, width, auto, device):
    monkeypatch.setattr(machine, "has_fast_bfloat16", lambda name: fast and name == device)
    assert find_precision("auto", device, width) == auto
    for wanted in ("float32", "float64", "bfloat16"):
        assert find_precision(wanted, device, width) == wanted


@pytest.mark.parametrize("there", [True, False])
def test_bfloat16_is_fast_on_a_processor_that_multiplies_it(monkeypatch, there):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": there, "avx2": True}, raising=False)
    assert has_fast_bfloat16("cpu") is there


def test_bfloat16_is_not_fast_where_nothing_tells_so(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"neon": True}, raising=False)
    assert not has_fast_bfloat16("cpu")
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not has_fast_bfloat16("cpu")
    assert not has_fast_bfloat16("mps")


@pytest.mark.parametrize("there", [True, False])
def test_bfloat16_on_a_gpu_must_not_be_emulated(monkeypatch, there):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **given: asked.append(given) or there)
    assert has_fast_bfloat16("cuda") is there
    assert asked == [{"including_emulation": False}]


def test_weights_are_never_in_bfloat16():
    formats = [weights_dtype(precision) for precision in ("float32", "bfloat16", "float64")]
    assert formats == [torch.float32, torch.float32, torch.float64]


# Compilers


@pytest.mark.parametrize("compiler", ["c++", "g++", "clang++"])
def test_any_of_three_compilers_will_do(monkeypatch, compiler):
    monkeypatch.setattr(machine.shutil, "which", lambda name: "/usr/bin/" + name if name == compiler else None)
    check_compiler("cpu")


def test_no_compiler_is_told_in_one_line_where_one_is_needed(monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    check_compiler("cuda")
    with pytest.raises(UserError) as error:
        check_compiler("cpu")
    assert str(error.value) == "compiled=True: no C++ compiler found: expected one of c++, g++, clang++ on the PATH"


# Memory


def test_freed_memory_is_kept_by_glibc_alone(monkeypatch):
    calls = []
    library = SimpleNamespace(mallopt=lambda *given: calls.append(given))
    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(sys, "platform", "linux")
    keep_freed_memory()
    # glibc's malloc.h: M_TRIM_THRESHOLD -1, M_MMAP_THRESHOLD -3; a C int holds at most 2**31 - 1.
    assert calls == [(-1, 2**31 - 1), (-3, 2**30)]
    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: SimpleNamespace())  # musl has no mallopt
    keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: library)
    keep_freed_memory()
    assert len(calls) == 2
