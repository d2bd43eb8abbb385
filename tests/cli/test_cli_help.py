"""Help, version, the quick commands, and what may not be imported for them."""

import json
import re
import subprocess
import sys

import pytest

from iterhead.cli.options import settings
from iterhead.settings import option_names

HEAVY = {"torch", "polars", "matplotlib", "pandas", "scipy"}


def imported_by(*words: str) -> set[str]:
    """The packages that a fresh process has imported after a command, which must have said something."""
    code = f"import sys; from iterhead.cli import main; main({list(words)!r}); sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout
    return {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize("words", ["", "--help", "run --help", "show --help", "tasks", "tasks --json", "--version"])
def test_quick_commands_import_nothing_heavy(words: str):
    packages = imported_by(*words.split())
    assert "iterhead" in packages
    assert not packages & HEAVY


def test_no_settings_are_built_for_the_overview():
    assert not imported_by("--help") & {"pydantic", "numpy", "rich"}


def test_importing_the_library_brings_in_nothing():
    code = "import sys, iterhead; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {name.partition(".")[0] for name in names.split()} & (HEAVY | {"numpy", "pydantic", "rich"})


@pytest.mark.parametrize("words", ["", "-h", "--help"])
def test_no_arguments_show_the_help(call, words):
    said = call(words) if words else call()
    assert said.code == 0
    assert said.err == ""
    for name in ("run", "show", "tasks"):
        assert re.search(rf"^  {name} +\w", said.out, re.MULTILINE)
        assert f"\n  iterhead {name}" in said.out


@pytest.mark.parametrize("command", ["run", "show", "tasks"])
def test_a_command_teaches_by_examples(call, command):
    said = call(command, "--help")
    assert said.code == 0
    examples = re.findall(r"^  iterhead .*\n      \S.*", said.out, re.MULTILINE)
    assert 3 <= len(examples) <= 5
    assert said.out.index("examples:") < said.out.index("--json")


@pytest.mark.parametrize("words", ["--help", "run --help", "show --help", "tasks --help", "tasks"])
def test_output_fits_80_columns(call, words):
    assert max(map(len, call(words).out.splitlines())) <= 80


def test_help_wins_over_mistakes(call):
    assert call("run --nonsense --help").code == 0


def test_every_setting_stands_in_the_help(call):
    text = " ".join(call("run --help").out.split())
    flags = {setting.flag for setting in settings()}
    assert {name.replace("_", "-") for name in option_names()} == {flag[2:] for flag in flags}
    for setting in settings():
        assert f"{setting.flag} " in text
        assert " ".join(setting.field.description.split()) in text


@pytest.mark.parametrize(
    "shown",
    [
        "--seed N the seed of data, weights, batches and dropout [default: 0]",
        "longest number of inputs L [default: 16]",
        "four times the width unless given [default: none]",
        "[disjoint (default), iid]",
        "[true (default), false]",
        "[default: 0.001]",
        "data: which sequences a network learns from and is tested on:",
    ],
)
def test_defaults_and_choices_are_shown(call, shown):
    assert shown in " ".join(call("run --help").out.split())


def test_examples_of_the_help_are_accepted(call):
    from iterhead.cli.commands import COMMANDS
    from iterhead.cli.options import read_config

    for command in COMMANDS:
        for example, _ in command.examples:
            words = example.replace('"', "").split()[1:]
            options = next(known for known in COMMANDS if known.name == words[0]).parse(words[1:])
            if words[0] == "run" and options.config is None:
                read_config(options)


def test_version(call):
    from importlib.metadata import version

    assert call("--version").out == f"iterhead {version('iterhead')}\n"


def test_python_dash_m():
    done = subprocess.run([sys.executable, "-m", "iterhead", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("iterhead ")


def test_tasks_shows_every_kind_with_a_worked_sequence(call):
    out = call("tasks").out
    assert "--task polynomial\n" in out
    assert "F = s*x+1 mod 11      2 3 4 5 | EoI | 2 7 7 3 | EoS" in out  # 2, 2*3+1 = 7, 7*4+1 = 29 = 7, 7*5+1 = 36 = 3
    assert "mytasks:highest" in out


def test_the_task_of_ones_own_works_as_shown(call, tmp_path):
    shown = call("tasks").out
    code = re.search(r"  (from iterhead import .*?\n  \))", shown, re.DOTALL).group(1)
    (tmp_path / "mytasks.py").write_text(code.replace("\n  ", "\n"))
    spec = shown.split()[-1]
    from iterhead.tasks import task

    assert task(spec).run([2, 1, 5, 3]) == [2, 2, 5, 5]


def test_tasks_as_json(call):
    tasks = json.loads(call("tasks --json").out)["tasks"]
    parity = next(entry for entry in tasks if entry["task"] == "parity")
    assert parity["worked"] == ["0 1 1 0 | EoI | 0 1 0 0 | EoS"]
    assert parity["alphabet"] == 2
