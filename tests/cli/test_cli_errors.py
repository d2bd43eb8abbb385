"""Every bad input gives one line on stderr and exit code 2."""

import errno
import io
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from iterhead.cli import main
from iterhead.runs.storage import RunFolder

LINES = {
    "rnu": "unknown command 'rnu': did you mean 'run'?",
    "xyz": (
        "unknown command 'xyz': expected run, transfer, show, report, verify, scan, export, handmade, study, tasks, "
        "bench"
    ),
    "--verison": "unknown option --verison: did you mean --version?",
    "--json tasks": "unknown option --json: options follow the command, as in iterhead run --seed 3",
    "run --data.max-lenght 12": "unknown option --data.max-lenght: did you mean --data.max-length?",
    "run --max_length=12": "unknown option --max-length: did you mean --data.max-length?",
    "run --training.lrr 1": "unknown option --training.lrr: did you mean --training.lr?",
    "run --data.max 3": "unknown option --data.max: did you mean --data.max-length?",  # no abbreviations
    "run --zzz": "unknown option --zzz: iterhead run --help lists the options",
    "run parity": "unexpected 'parity': see iterhead run --help",
    "show a b": "unexpected 'b': see iterhead show --help",
    "show --jsno": "unknown option --jsno: did you mean --json?",
    "run --seed": "--seed: expected a value",
    "run --config=": "--config '': expected the name of a file or folder",
    "show --out=": "--out '': expected the name of a file or folder",
    "scan ./x --out=": "--out '': expected the name of a file or folder",
    "export x --to=": "--to '': expected the name of a file or folder",
    "run --seed --json": "--seed: expected a value",
    "run --json=1": "--json: takes no value",
    "run --data.max-length abc": "--data.max-length abc: expected a whole number",
    "run --data.max_length=": "--data.max-length '': expected a whole number",
    "run --training.epochs 1e3": "--training.epochs 1e3: expected a whole number",
    "run --training.lr fast": "--training.lr fast: expected a number",
    "run --data.cot maybe": "--data.cot maybe: expected true or false",
    "run --threads x": "--threads x: expected a whole number from 1 to 1,024",
    "run --threads 0": "--threads 0: expected a whole number from 1 to 1,024",
    "run --threads -2": "--threads -2: expected a whole number from 1 to 1,024",
    "run --seed -1": "seed=-1: expected at least 0",
    "run --model.width 0": "model.width=0: expected at least 1",
    "run --model.heads 3": "model.heads=3: expected a divisor of width=64",
    "run --model.dropout 1": "model.dropout=1.0: expected less than 1",
    "run --model.norm lyer": "model.norm='lyer': expected 'layer', 'rms' or 'none'",
    "run --training.lr nan": "training.lr=nan: expected a finite number",
    "run --training.lr inf": "training.lr=inf: expected a finite number",
    "run --training.lr -inf": "training.lr=-inf: expected a finite number",
    "run --training.lr -1": "training.lr=-1.0: expected more than 0",
    "run --training.lr -1e-3": "training.lr=-0.001: expected more than 0",
    "run --data.max-length 0": "data.max_length=0: expected at least 1",
    "run --data.min-length 20": "data.max_length=16: expected at least min_length=20",
    "run --task partiy": "unknown task 'partiy': did you mean 'parity'? (iterhead tasks lists them)",
    "run --task polynomial:p=12": "polynomial:p=12: p must be prime (next: 13)",
    "run --config nothing.toml": "nothing.toml: cannot be read: No such file or directory",
    "run --config .": ".: cannot be read: Is a directory",
}


@pytest.mark.parametrize(("words", "line"), LINES.items())
def test_mistake_gives_one_line(call, words, line):
    result = call(words)
    assert (result.line, result.code) == (f"iterhead: {line}", 2)


BEGINNINGS = {
    "run --task polynomial:f=s/x": "polynomial:f=s/x: unexpected '/'",
    "run --task nothing.here:it": "nothing.here:it: no module 'nothing'",
    "run --model.context 20": "data.max_length=16: its sequences have 35 tokens, but model.context=20",
    "run --training.batch-size 8": "training.batch_size=8: a batch holds equal numbers of each of the 16 lengths",
    "run --model.vocabulary 10": "model.vocabulary=10: 11 values",
    "show nothing": "nothing: no such run, runs has none yet",
}


@pytest.mark.parametrize(("words", "beginning"), BEGINNINGS.items())
def test_mistake_gives_one_line_that_begins(call, words, beginning):
    result = call(words)
    assert result.code == 2
    assert result.line.startswith(f"iterhead: {beginning}")


TOML = {
    "seed = x": "file.toml: not TOML: Invalid value (at line 1, column 8)",
    "sead = 1": "unknown setting 'sead': did you mean 'seed'?",
    "zzz = 1": "unknown setting 'zzz' (iterhead run --help lists the settings)",
    "'a\\nb' = 1": r"unknown setting 'a\\nb' (iterhead run --help lists the settings)",
    '"a\\nb" = 1': r"unknown setting 'a\nb' (iterhead run --help lists the settings)",
    "[data]\nmax_lenght = 3": "unknown setting 'data.max_lenght': did you mean 'data.max_length'?",
    "[data]\nmax_length = '3'": "data.max_length='3': expected a whole number",
    "[data]\nmax_length = 3.5": "data.max_length=3.5: expected a whole number",
    "[data]\ncot = 1": "data.cot=1: expected true or false",
    "[model]\nmlp_width = true": "model.mlp_width=True: expected a whole number",
    "[training]\nlr = '1'": "training.lr='1': expected a number",
    "[training]\nlr = nan": "training.lr=nan: expected a finite number",
    "task = 3": "task=3: expected text",
    "data = 3": "data=3: expected a table of settings",
    "model = []": "model=[]: expected a table of settings",
    f"[model]\nnorm = '{'x' * 500}'": f"model.norm='{'x' * 56}...: expected 'layer', 'rms' or 'none'",
}


@pytest.mark.parametrize(("text", "line"), TOML.items())
def test_mistake_in_a_toml_file(call, tmp_path, text, line):
    (tmp_path / "file.toml").write_text(text)
    result = call("run --config file.toml --data.min-length 2")
    assert (result.line, result.code) == (f"iterhead: {line}", 2)


def test_toml_file_that_is_not_utf8(call, tmp_path):
    (tmp_path / "file.toml").write_bytes(b"\xff\xfe")
    assert call("run --config file.toml").line.startswith("iterhead: file.toml: cannot be read: 'utf-8'")


def test_control_characters_do_not_reach_the_terminal(call):
    result = call("run", "--\x1b[31mred")
    assert result.line.startswith("iterhead: unknown option --\\x1b[31mred: ")


def test_json_does_not_change_how_errors_are_reported(call):
    assert call("run --json --seed x").line == "iterhead: --seed x: expected a whole number"
    assert call("show --json nothing").code == 2


@pytest.mark.parametrize("words", ["run --out file", "show --out file", "show file"])
def test_file_in_place_of_a_folder(call, tmp_path, words):
    (tmp_path / "file").touch()
    result = call(words)
    assert result.code == 2
    assert result.line.startswith("iterhead: file")


def test_out_folder_that_cannot_be_made(call):
    result = call("run --out /proc/nothing")
    assert result.code == 2
    assert result.line.startswith("iterhead: /proc/nothing/polynomial-")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_out_folder_without_permission(call, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "Permission denied" in call("run --out locked").line


def test_damaged_run(call, tiny, copied):
    (copied / "config.json").write_text("{}")
    for words in (f"run {tiny}", f"show {copied.name}", f"show {copied.name} --json"):
        result = call(words)
        assert result.code == 2
        assert result.line.startswith(f"iterhead: runs/{copied.name}/config.json is damaged: ")
    listed = call("show").out
    assert "unreadable" in listed
    assert "is damaged" in " ".join(listed.split())


def test_json_list_of_runs_says_what_is_damaged(call, copied):
    (copied / "measurements.parquet").write_bytes(b"")
    (row,) = json.loads(call("show --json").out)["runs"]
    assert "is damaged" in row["problem"]
    assert row["accuracy"] is None


def test_folder_that_cannot_be_read_is_in_the_list(call, copied):
    # As with a folder without permission, of which root would see nothing: looking into it fails.
    (copied.parent / "loop").symlink_to("loop")
    rows = json.loads(call("show --json").out)["runs"]
    assert [Path(row["run"]).name for row in rows] == ["loop", copied.name]
    assert rows[0]["problem"].startswith("runs/loop: cannot read: Too many levels of symbolic links; ")
    assert rows[1]["problem"] is None
    assert "loop" in call("show").out


def test_run_that_another_process_works_on(call, tiny, finished, tmp_path):
    with RunFolder(tmp_path / "runs" / finished.name).lock():
        assert "is working on this run" in call(f"run --quiet {tiny}").line


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--data.max-length 99999999999999999999", "data.max_length=99999999999999999999: expected at most 1,024"),
        ("--model.width 100000000", "model.width=100000000: expected at most 8,192"),
        ("--model.layers 97", "model.layers=97: expected at most 96"),
    ],
)
def test_settings_beyond_the_limits(call, tiny, option, expected):
    assert call(f"run --quiet {tiny} {option}").line == f"iterhead: {expected}"


def test_settings_that_need_too_much_memory(call, tiny):
    words = "--data.split iid --data.train-per-length 99999999 --data.max-length 900 --training.batch-size 900"
    result = call(f"run --quiet {tiny} {words}")
    assert result.code == 2
    assert result.line.startswith("iterhead: data.train_per_length=99999999: training needs about 1.")
    assert result.line.endswith("GB: lower data.train_per_length")


def test_bugs_keep_their_traceback(call, monkeypatch):
    def broken(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("iterhead.tasks.catalogue", broken)
    with pytest.raises(ValueError, match="a bug"):
        call("tasks")


def python(code: str, **how) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=False, **how)


TASKS = "import sys; from iterhead.cli import main; sys.exit(main(['tasks']))"


def test_pipe_closed_by_its_reader():
    reader, writer = os.pipe()
    os.close(reader)
    done = python(TASKS, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_stdout_on_a_full_disk():
    with Path("/dev/full").open("w") as full:
        done = python(TASKS, stdout=full)
    assert done.returncode == 2
    assert done.stderr == "iterhead: standard output cannot be written: No space left on device\n"


def test_closed_stdout():
    done = python(f"import sys; sys.stdout = None\n{TASKS}")
    assert (done.returncode, done.stderr) == (0, "")


def test_pipe_closed_during_training(tmp_path, tiny):
    words = ["run", *tiny.split(), "--training.epochs", "100000", "--training.early-stop", "false"]
    command = [sys.executable, "-m", "iterhead", *words]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("Training on parity")
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == ""


def test_task_name_that_the_encoding_lacks(tmp_path, monkeypatch):
    (tmp_path / "höchstes.py").write_text(
        "from iterhead import IterativeTask\nT = IterativeTask(name='t', alphabet=2, init=0, step=max)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert main(["handmade", "--task", "höchstes:T", "--max-length", "2"]) == 0
    assert b"Every weight set by hand: h\\xf6chstes:T, " in written.getvalue()


def test_memory_limit_too_low_for_pytorch(tmp_path):
    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (300_000_000, 300_000_000))

    command = [sys.executable, "-m", "iterhead", "run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, preexec_fn=limited)
    assert (done.returncode, done.stdout) == (2, "")
    beginning = "iterhead: this process may use 0.30 GB of memory: expected at least "
    assert done.stderr.startswith(beginning)
    assert done.stderr.endswith(" GB, to load PyTorch; raise the limit with ulimit -v\n")
    assert done.stderr.count("\n") == 1


def test_error_of_a_socket_is_not_blamed_on_standard_output(call, monkeypatch):
    def refused(*_: object) -> None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))

    monkeypatch.setattr("iterhead.tasks.catalogue", refused)
    result = call("tasks")
    assert result.code == 2
    assert result.err.startswith("iterhead: Connection refused; ")
