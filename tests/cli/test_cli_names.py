"""Commands that can be pasted."""

import shlex
import sys
from pathlib import Path

import pytest

from iterhead.cli.shell import command_line, program


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "my bin" / "iterhead"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_script_on_the_path_is_called_by_its_name(script, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.setenv("PATH", str(script.parent))
    assert program() == "iterhead"


def test_script_elsewhere_is_called_by_its_path(script, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.setenv("PATH", "/nowhere")
    assert command_line(["run", "--task", "polynomial:f=s*x"]) == f"'{script}' run --task 'polynomial:f=s*x'"


def test_module_is_called_with_its_python(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/lib/iterhead/__main__.py"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == f"{shlex.quote(sys.executable)} -m iterhead"
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert program() == "python -m iterhead"
