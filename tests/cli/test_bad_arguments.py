"""Every option of every command, given nasty values: one line and exit code 2, or a sane success, at once.

The options are read from the parsers, so new ones are covered as they come.
"""

import time

import pytest

from iterhead.cli import main
from iterhead.cli.main import commands
from iterhead.cli.options import settings
from iterhead.errors import UserError
from iterhead.settings import parse_config

LONGEST_LINE = 1100

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


@pytest.fixture(name="nothing_heavy")
def _nothing_heavy(monkeypatch):
    """Every command ends where training, measuring or the network would begin."""
    pytest.importorskip("transformers")

    def stop(*_args, **_keywords):
        raise UserError("stopped here")

    monkeypatch.setattr("iterhead.runs.training.Trainer", stop)
    monkeypatch.setattr("iterhead.runs.worker_pool.WorkerPool", stop)
    monkeypatch.setattr("iterhead.model.handmade.Stream", stop)
    monkeypatch.setattr("iterhead.studies.cost._measure", stop)
    monkeypatch.setattr("iterhead.bench.timing.describe_machine", stop)
    monkeypatch.setattr("iterhead.huggingface.loading._hub_is_known", lambda: False)
    monkeypatch.setattr("webbrowser.open", lambda _url: True)


@pytest.mark.parametrize(("command", "flag", "nargs"), list(cases()))
@pytest.mark.usefixtures("nothing_heavy")
def test_a_nasty_value_gives_one_line_at_once(capsys, tmp_path, monkeypatch, command, flag, nargs):
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


FILES = {
    "tables nested 900 deep": ("a = " + "[" * 900 + "]" * 900, "tables and lists nested more than 100 deep"),
    "tables nested 150 deep": ("a = " + "[" * 150 + "]" * 150, "tables and lists nested more than 100 deep"),
    "key of 100,000 parts": ("a" + ".a" * 99_999 + " = 1", "more than 65,536 bytes"),
    "key of 20,000 parts": ("a" + ".a" * 19_999 + " = 1", "a line of 40,003 characters: expected at most 4,096"),
    "key of 2,000 parts": ("data" + ".a" * 1999 + " = 1", "tables and lists nested more than 100 deep"),
    "table of 2,000 parts": ("[data" + ".a" * 1999 + "]", "tables and lists nested more than 100 deep"),
    "megabytes": ("# " + "x" * 5 * 10**6, "more than 65,536 bytes: expected a file of settings"),
    "zeros": ("\0" * 100, "not TOML: "),
}


@pytest.mark.parametrize(("text", "line"), FILES.values(), ids=FILES)
def test_files_of_settings_that_are_too_large_or_too_deep(call, tmp_path, text, line):
    (tmp_path / "file.toml").write_text(text)
    start = time.process_time()
    result = call("run --config file.toml")
    assert (result.code, time.process_time() - start < 1) == (2, True)
    assert result.line.startswith(f"iterhead: file.toml: {line}")


NUMBERS = {
    "seed = " + "9" * 5000: "file.toml: a line of 5,007 characters: expected at most 4,096",
    "seed = " + "9" * 4000: "seed=9999",
    "seed = 0x" + "f" * 4000: "seed=<int>: expected at most 9,223,372,036,854,775,807",
    "training.lr = " + "9" * 400: "training.lr=9999",
    "training.lr = 1e400": "training.lr=inf: expected a finite number",
    "training.batch_size = 1" + "0" * 30: f"training.batch_size={10**30}: expected at most 65,536",
    "task = '" + "x" * 4000 + "'": "unknown task 'xxxx",
    "task = '''\n" + "x\n" * 4000 + "'''": r"task='x\nx\n",
    "start.run = '" + "x" * 300 + "'": "start.run='xxxx",
    "'" + "x" * 4000 + "' = 1": "unknown setting 'xxxx",
    "data.max_length.a.a.a.a.a = 1": "data.max_length={'a': {'a': {'a': {'a': {'a': 1}}}}}: expected a whole number",
}


@pytest.mark.parametrize(("text", "line"), NUMBERS.items(), ids=range(len(NUMBERS)))
def test_values_in_a_file_that_are_too_large(call, tmp_path, text, line):
    (tmp_path / "file.toml").write_text(text)
    result = call("run --config file.toml")
    assert result.code == 2
    assert result.line.startswith(f"iterhead: {line}")
    assert len(result.line) < LONGEST_LINE


@pytest.mark.parametrize(
    "setting", [setting for setting in settings() if setting.kinds[0] is int], ids=lambda s: s.flag
)
@pytest.mark.parametrize("value", [10**30, 10**5000, -(10**30)], ids=["10^30", "10^5000", "-10^30"])
def test_every_whole_number_of_the_settings_has_limits(setting, value):
    values = value
    for part in reversed(setting.path):
        values = {part: values}
    with pytest.raises(UserError, match=r"expected at (most|least) ") as error:
        parse_config({**values, "start": {"run": "run-1", **values.get("start", {})}})
    assert len(str(error.value)) < LONGEST_LINE
