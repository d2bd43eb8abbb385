"""Help, version, the quick commands, and what they must not import."""

import json
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

from iterhead.cli.main import commands, find
from iterhead.cli.options import read_config, settings
from iterhead.settings import option_names
from iterhead.tasks import task

HEAVY = {"torch", "polars", "matplotlib", "pandas", "scipy"}


def imported_by(code: str) -> set[str]:
    """Return the packages that a fresh process has imported after some code."""
    code = f"import sys; {code}; sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


def test_quick_commands_import_nothing_heavy():
    commands = [[], ["--help"], ["run", "--help"], ["show", "--help"], ["tasks"], ["tasks", "--json"], ["--version"]]
    packages = imported_by(f"from iterhead.cli import main; [main(words) for words in {commands}]")
    assert "iterhead" in packages
    assert not packages & HEAVY


@pytest.mark.parametrize("code", ["from iterhead.cli import main; main(['--help'])", "import iterhead"])
def test_overview_and_library_import_next_to_nothing(code):
    assert not imported_by(code) & (HEAVY | {"pydantic", "numpy", "rich"})


@pytest.mark.parametrize("words", ["", "-h", "--help"])
def test_overview(call, words):
    output = call(*words.split())
    assert output.code == 0
    assert output.err == ""
    for name in ("run", "show", "tasks"):
        assert re.search(rf"^  {name} +\w", output.out, re.MULTILINE)
        assert f"\n  iterhead {name}" in output.out


@pytest.mark.parametrize("command", ["run", "show", "tasks"])
def test_help_of_a_command_shows_examples(call, command):
    output = call(command, "--help")
    assert output.code == 0
    examples = re.findall(r"^  iterhead .*\n      \S.*", output.out, re.MULTILINE)
    assert 3 <= len(examples) <= 5
    assert output.out.index("examples:") < output.out.index("--json")


@pytest.mark.parametrize("words", ["--help", *(f"{command.name} --help" for command in commands().values()), "tasks"])
def test_output_fits_80_columns(call, words):
    assert max(map(len, call(words).out.splitlines())) <= 80


def test_help_wins_over_mistakes(call):
    assert call("run --nonsense --help").code == 0


def test_every_setting_is_in_the_help(call):
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
        "four times the width if not set [default: none]",
        "[disjoint (default), iid]",
        "[true (default), false]",
        "[default: 0.001]",
        "data: the training and test sequences (section 2 of the paper):",
    ],
)
def test_defaults_and_choices_are_shown(call, shown):
    assert shown in " ".join(call("run --help").out.split())


def test_examples_of_the_help_are_accepted(call):
    for command in commands().values():
        for example, _ in command.examples:
            words = example.replace('"', "").split()[1:]
            options = find(words[0]).parse(words[1:])
            if words[0] == "run" and options.config is None:
                read_config(options)


def test_version(call):
    assert call("--version").out == f"iterhead {version('iterhead')}\n"


def test_python_dash_m():
    done = subprocess.run([sys.executable, "-m", "iterhead", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("iterhead ")


def test_tasks_shows_every_kind_with_a_worked_sequence(call):
    out = call("tasks").out
    assert "--task polynomial\n" in out
    assert "F = s*x+1 mod 11      2 3 4 5 | EoI | 2 7 7 3 | EoS" in out  # 2, 2*3+1 = 7, 7*4+1 = 29 = 7, 7*5+1 = 36 = 3
    assert "mytasks:highest" in out


def test_example_of_an_own_task_works(call, tmp_path):
    shown = call("tasks").out
    code = re.search(r"  (from iterhead import .*?\n  \))", shown, re.DOTALL).group(1)
    (tmp_path / "mytasks.py").write_text(code.replace("\n  ", "\n"))
    spec = shown.split()[-1]
    assert task(spec).run([2, 1, 5, 3]) == [2, 2, 5, 5]


def test_tasks_as_json(call):
    tasks = json.loads(call("tasks --json").out)["tasks"]
    parity = next(entry for entry in tasks if entry["task"] == "parity")
    assert parity["worked"] == ["0 1 1 0 | EoI | 0 1 0 0 | EoS"]
    assert parity["alphabet"] == 2
