"""Every option of every command, given nasty values: one line and exit code 2, or a sane success, at once.

The options are read from the parsers, so new ones are covered as they come.
"""

import time

import pytest

from iterhead.cli import main
from iterhead.cli.main import commands
from iterhead.errors import UserError

LONGEST_LINE = 2000

NEEDED = {
    "transfer": ["--from", "nothing", "--task", "parity"],
    "report": ["nothing"],
    "verify": ["nothing"],
    "scan": ["./nothing"],
    "export": ["nothing", "--to", "folder"],
}
"""Words that a command needs besides the option under test; without one of its own, its run or model is missing."""

VALUES = {
    "empty": "",
    "space": " ",
    "dash": "-",
    "two dashes": "--",
    "a dash first": "-x",
    "negative": "-1",
    "zero": "0",
    "not a number": "nan",
    "infinity": "-inf",
    "float beyond": "1e400",
    "2^31": str(2**31),
    "2^63": str(2**63),
    "10^9": str(10**9),
    "10^18": "9" * 18,
    "10^30": str(10**30),
    "5,000 digits": "9" * 5000,
    "300 characters": "x" * 300,
    "5,000 characters": "x" * 5000,
    "70,000 characters": "x" * 70_000,
    "deep path": "x/" * 1000,
    "long list": "1," * 30_000 + "1",
    "many ranges": ",".join(f"{n}0000..{n}9999" for n in range(1, 300)),
    "nested": "(" * 3000,
    "lone surrogate": "a\ud800b",
    "not UTF-8": "a\udcffb",
    "null character": "a\0b",
    "line break": "a\nb",
    "terminal": "\x1b[31mred\x07",
    "arabic digits": "٣٤",
    "file": "/dev/null",
    "endless file": "/dev/zero",
    "folder": "/proc",
    "percent": "%(prog)s %s {0}",
}


def cases():
    for command in commands().values():
        for action in command._parser()._actions:
            flag = action.option_strings[-1] if action.option_strings else ""
            if flag != "--help":
                yield pytest.param(command.name, flag, action.nargs, id=f"{command.name} {flag or action.dest}")


def spellings(command, flag, nargs, value):
    """Return the ways in which a value may be typed, each as words."""
    needed = NEEDED.get(command, [])
    if not flag:
        options = needed[1:] if needed and not needed[0].startswith("-") else needed
        return [[command, value, *options]]
    joined = [command, *needed, f"{flag}={value}"]
    return [joined] if nargs == 0 else [joined, [command, *needed, flag, value]]


@pytest.fixture
def nothing_heavy(monkeypatch):
    """Every command ends where training, measuring or the network would begin."""
    pytest.importorskip("transformers")

    def stop(*_args, **_keywords):
        raise UserError("stopped here")

    monkeypatch.setattr("iterhead.runs.training.Trainer", stop)
    monkeypatch.setattr("iterhead.runs.worker_pool.WorkerPool", stop)
    monkeypatch.setattr("iterhead.model.handmade.handmade", stop)
    monkeypatch.setattr("iterhead.studies.cost._measure", stop)
    monkeypatch.setattr("iterhead.bench.timing.describe_machine", stop)
    monkeypatch.setattr("iterhead.huggingface.loading._hub_is_known", lambda: False)
    monkeypatch.setattr("webbrowser.open", lambda _url: True)


@pytest.mark.parametrize(("command", "flag", "nargs"), list(cases()))
def test_a_nasty_value_gives_one_line_at_once(capsys, tmp_path, monkeypatch, nothing_heavy, command, flag, nargs):
    monkeypatch.chdir(tmp_path)
    wrong = []
    for name, value in VALUES.items():
        for words in spellings(command, flag, nargs, value):
            start = time.process_time()
            try:
                code = main(words)
            except Exception as error:
                code = f"{type(error).__name__}: {error}"
            seconds, err = time.process_time() - start, capsys.readouterr().err
            lines = 1 if code == 2 else 0
            if code not in (0, 2) or err.count("\n") != lines or len(err) > LONGEST_LINE or seconds > 1:
                wrong.append((name, str(code)[:300], f"{seconds:.1f} s", len(err), err[:300]))
    assert not wrong
