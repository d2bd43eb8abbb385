"""The library as a notebook has it: public names, tables and drawings of heads, and the cells of docs/notebook.md."""

import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.patches import Rectangle
from torch.testing import assert_close

import iterhead as ih
from helpers.oracle import LONGEST, POLYNOMIAL, by_hand, sequences
from helpers.stored_runs import stored

SPEC = "polynomial:p=5,f=s+x"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The network set by hand as a finished run of lengths up to 4."""
    model = ih.handmade(ih.task(SPEC), 4, vocabulary=16)
    return stored(tmp_path_factory.mktemp("runs") / "made", model, SPEC, max_length=4)


@pytest.fixture(autouse=True)
def no_window(monkeypatch):
    monkeypatch.setattr(mpl, "rcParams", mpl.rcParams)
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


# Public names


@pytest.mark.parametrize("name", ih.__all__)
def test_public_names_are_there(name):
    value = getattr(ih, name)
    assert name in dir(ih)
    assert name == "__version__" or (value.__module__.startswith("iterhead.") and value.__name__ == name)


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="nothing"):
        ih.nothing  # noqa: B018


def test_the_stub_is_the_list_of_names():
    stub = Path(ih.__file__).with_suffix(".pyi").read_text()
    assert sorted(re.findall(r"import (\w+) as \1$", stub, re.MULTILINE)) == sorted(ih.__all__)
    assert not {"StartConfig", "parse_config"} & set(ih.__all__)


def test_importing_imports_nothing_heavy():
    code = "import sys, iterhead; dir(iterhead); print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "numpy", "pydantic", "polars", "importlib.metadata"} & set(names.split())
