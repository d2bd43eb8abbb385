"""Files with a wrong content and a right checksum: every command names the file in one line, and changes nothing."""

import json
import math
import os
import struct

import polars as pl
import pytest
import torch

from helpers.tampered import FINISHED, HALF, contents, frozen, replace, tensors
from iterhead.cli.options import as_options
from iterhead.runs.notes import FORMAT, PROVENANCE, STATUS
from iterhead.runs.run import MEASUREMENTS, STATE, Run, checkpoint_name, load
from iterhead.runs.storage import CONFIG, LockedError, RunFolder, table_bytes
from iterhead.studies.verification import CLAIMS, read_verification

LAST = checkpoint_name(2)

DEEP = b"[" * 100_000
NUMBER = b"9" * 5000


def changed(**keys):
    """JSON with other values for some keys; those with None go."""

    def change(data):
        values = json.loads(data) | keys
        return json.dumps({name: value for name, value in values.items() if value is not None}).encode()

    return change


def number_for(name):
    """JSON with a number of 5,000 digits for a key."""
    return lambda data: json.dumps({**json.loads(data), name: "?"}).encode().replace(b'"?"', NUMBER)


def within(part, **keys):
    """JSON with other values for some keys of a part."""

    def change(data):
        values = json.loads(data)
        return changed(**{part: json.loads(changed(**keys)(json.dumps(values[part])))})(data)

    return change


JSON = {
    "empty": b"",
    "no text": b"\xff\xfe",
    "a list": b"[]",
    "a number": b"3",
    "no keys": b"{}",
    "deep": DEEP,
    "deep value": b'{"a": ' + DEEP,
    "another key": changed(other=1),
    "a key of 100,000 letters": changed(**{"k\n" * 50_000: 1}),
}

STATUSES = {
    "digits": number_for("epoch"),
    "missing": changed(epoch=None),
    "text": changed(epoch="2"),
    "negative": changed(epoch=-1),
    "beyond the limit": changed(epoch=3),
    "state": changed(state="done"),
    "nan": changed(total_seconds=math.nan),
    "precision": changed(precision="int8"),
    "message": changed(message=["x"]),
}

CONFIGS = {
    "digits": number_for("seed"),
    "missing": changed(seed=None),
    "missing within": within("model", width=None),
    "text": within("model", width="16"),
    "infinite": within("training", lr=math.inf),
    "list": changed(model=[]),
    "task": changed(task="parity\n" * 1000),
}

PROVENANCES = {
    "digits": number_for("format"),
    "missing": changed(task=None),
    "digest": changed(task="0" * 1000),
    "format": changed(format=0),
    "version": changed(torch=2),
    "start": changed(start={"run": "x"}),
}


def table(change):
    """Measurements after a change."""

    def write(data):
        return table_bytes(change(pl.read_parquet(data)))

    return write


def values(**of_names):
    """Measurements with other values of some names."""
    names, value = pl.col("name"), pl.col("value")
    cases = [pl.when(names == name).then(pl.lit(new, pl.Float64)) for name, new in of_names.items()]
    return table(lambda t: t.with_columns(value=pl.coalesce(*cases, value)))


TABLES = {
    "empty": b"",
    "garbage": b"\xff" * 4000,
    "magic": b"PAR1",
    "no rows": table(lambda t: t.clear()),
    "no columns": lambda _: table_bytes(pl.DataFrame()),
    "missing column": table(lambda t: t.drop("value")),
    "another column": table(lambda t: t.rename({"value": "number"})),
    "text": table(lambda t: t.with_columns(pl.col("value").cast(pl.String))),
    "64 bits": table(lambda t: t.with_columns(pl.col("epoch").cast(pl.Int64))),
    "null epoch": table(lambda t: t.with_columns(epoch=pl.lit(None, pl.Int32))),
    "null value": table(lambda t: t.with_columns(value=pl.lit(None, pl.Float64))),
    "negative epoch": table(lambda t: t.with_columns(epoch=-pl.col("epoch") - 1)),
    "nan": values(accuracy=math.nan),
    "nan peakiness": values(second_peakiness=math.nan),
    "infinite loss": values(loss=math.inf),
    "more than all": values(accuracy=1.5),
    "negative": values(grammar=-0.5),
    "split": table(lambda t: t.with_columns(split=pl.lit("other"))),
    "only losses": table(lambda t: t.filter(pl.col("name") == "loss")),
    "a row twice": table(lambda t: pl.concat([t, t[-1:]])),
    "a row too few": table(lambda t: t[:-1]),
    "a score too few": table(lambda t: t.filter(pl.col("name") != "first_weight")),
    "another score": table(lambda t: t.with_columns(pl.col("name").str.replace("first_weight", "weight"))),
    "another layer": table(lambda t: t.with_columns(pl.col("layer") + 1)),
    "another length": table(lambda t: t.with_columns(pl.col("length") + 1)),
}


def header(text, size=None):
    """A safetensors file of nothing but a header."""
    return struct.pack("<Q", len(text) if size is None else size) + text


def first(weights):
    return min(weights, key=lambda name: weights[name].numel())


def huge(shape):
    entry = {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * math.prod(shape)]}
    return header(json.dumps({"embed.W_E": entry}).encode())


WEIGHTS = {
    "empty": b"",
    "seven bytes": b"\0" * 7,
    "truncated": lambda data: data[:-1],
    "header only": lambda data: data[: 8 + int.from_bytes(data[:8], "little")],
    "header beyond the end": header(b"{}", 2**63 - 1),
    "header of nothing": header(b""),
    "header of a list": header(b"[]"),
    "deep header": header(DEEP),
    "digits in the header": header(b'{"a": {"dtype": "F32", "shape": [' + NUMBER + b'], "data_offsets": [0, 4]}}'),
    "no tensors": header(b"{}"),
    "huge shape": huge([2**40]),
    "huge shapes of nothing": huge([2**62, 2**62]),
    "metadata": header(b'{"__metadata__": {"a": 1}}'),
    "missing": tensors(lambda weights: weights.pop(first(weights))),
    "another": tensors(lambda weights: weights.update({"x\n" * 9999: torch.zeros(1)})),
    "shape": tensors(lambda weights: weights.update({first(weights): torch.zeros(1, 2, 3)})),
    "dtype": tensors(lambda weights: weights.update({n: w.double() for n, w in weights.items()})),
    "half": tensors(lambda weights: weights.update({n: w.half() for n, w in weights.items()})),
    "nan": tensors(lambda weights: weights[max(weights)].fill_(math.nan)),
    "infinite": tensors(lambda weights: weights[max(weights)].fill_(math.inf)),
}

STATES = {
    **{name: content for name, content in WEIGHTS.items() if name not in ("half", "metadata")},
    "negative epoch": tensors(lambda state: state["epoch"].fill_(-1)),
    "beyond the limit": tensors(lambda state: state["epoch"].fill_(3)),
    "negative squares": tensors(lambda state: state["optimizer.mean_square"].fill_(-1)),
}

CLAIM = {"id": "1", "claim": "c", "value": 0.5, "low": 0.4, "high": None, "threshold": 0.3, "bound": "at least"}
EFFECT = {"name": "as it is", "by_token": 1.0, "low": 1.0, "high": 1.0, "exact": 1.0}
RIGHT_CLAIMS = {
    "circuit": "one",
    "chance": 0.5,
    "claims": [{**CLAIM, "verdict": "holds"}],
    "effects": [EFFECT],
}


def claims(**keys):
    return json.dumps(RIGHT_CLAIMS | keys).encode()


CLAIMED = {
    **{name: content for name, content in JSON.items() if isinstance(content, bytes)},
    "missing": claims(claims=[CLAIM]),
    "bound": claims(claims=[{**CLAIM, "verdict": "holds", "bound": "about"}]),
    "text": claims(chance="0.5"),
    "no effects": claims(effects=[]),
}

FILES = {
    CONFIG: JSON | CONFIGS,
    PROVENANCE: JSON | PROVENANCES,
    STATUS: JSON | STATUSES,
    MEASUREMENTS: TABLES,
    LAST: WEIGHTS,
    CLAIMS: CLAIMED,
    "checkpoints/foo": {"empty": b""},
    "checkpoints/epoch-000002.safetensors": {"empty": b""},
}

OPENING = ("show RUN", "verify RUN", "report RUN", "transfer --from RUN --task copy", "export RUN --to new", "AGAIN")
"""What reads settings, status and provenance: every command."""

READING = {
    MEASUREMENTS: ("show RUN", "verify RUN", "report RUN", "export RUN --to new", "AGAIN"),
    LAST: ("verify RUN", "report RUN", "transfer --from RUN --task copy", "export RUN --to new"),
    CLAIMS: ("report RUN",),
}
"""What reads the other files."""

CASES = [pytest.param(name, bad, id=f"{name}-{case}") for name, cases in FILES.items() for case, bad in cases.items()]


@pytest.fixture
def out(tmp_path):
    return frozen(1, tmp_path / "runs")


def break_file(path, name, bad):
    """Give a file a bad content: bytes, or what a function makes of the good ones."""
    data = bad if isinstance(bad, bytes) else bad((path / name).read_bytes())
    replace(path / name, data, name)


def words_of(command, run):
    """The words of a command about a run; AGAIN is the command that made it."""
    if command == "AGAIN":
        return ["run", *as_options(run.config)]
    return [run.name if word == "RUN" else word for word in command.split()]


@pytest.mark.parametrize(("name", "bad"), CASES)
def test_every_command_that_reads_a_file_names_it(out, call, name, bad):
    run = load(out / FINISHED)
    break_file(run.folder.path, name, bad)
    before = contents(out)
    commands = READING.get(name, OPENING)
    for command in commands:
        if command.startswith("export"):
            pytest.importorskip("transformers")
        output = call(*words_of(command, run))
        assert output.code == 2, command
        assert output.err.count("\n") == 1, command
        assert len(output.err) < 1200, command
        assert f"{name} is damaged: " in output.err, command
    rows = {row["run"]: row for row in json.loads(call("show --json").out)["runs"]}
    assert len(rows) == 2
    if "show RUN" in commands:
        assert f"{name} is damaged: " in rows[f"runs/{FINISHED}"]["problem"]
        assert rows[f"runs/{HALF}"]["problem"] is None
        listed = call("show")
        assert (listed.code, listed.err) == (0, "")
        assert "unreadable" in listed.out
    assert contents(out) == before


CONTINUED = [(STATE, bad, name) for name, bad in STATES.items()] + [(MEASUREMENTS, *x[::-1]) for x in TABLES.items()]


@pytest.mark.parametrize(("name", "bad"), [case[:2] for case in CONTINUED], ids=[" ".join(c[::2]) for c in CONTINUED])
def test_a_run_is_not_continued_from_a_malformed_file(out, call, name, bad):
    run = load(out / HALF)
    break_file(run.folder.path, name, bad)
    before = contents(out)
    output = call(*words_of("AGAIN", run))
    assert output.code == 2
    assert f"{name} is damaged: " in output.err.splitlines()[-1]
    assert "Traceback" not in output.err
    assert contents(out) == before


def test_right_contents_are_read(out):
    """So that the cases above fail for what is wrong in them."""
    run = load(out / FINISHED)
    replace(run.folder.path / CLAIMS, claims())
    for name in (CONFIG, PROVENANCE, STATUS):
        break_file(run.folder.path, name, changed())
    break_file(run.folder.path, MEASUREMENTS, values(first_weight=math.nan))  # as before a training diverges
    break_file(run.folder.path, LAST, tensors(lambda _: None))
    run = Run(run.folder)
    run.check()
    assert math.isnan(run.scores.first_weight)
    assert read_verification(run).checks[0].high == math.inf


def test_a_status_of_another_epoch_than_the_last_checkpoint(out, call):
    break_file(out / FINISHED, STATUS, changed(epoch=0))
    assert "status.json is damaged: epoch=0: expected that of the last checkpoint, 2" in call("verify", FINISHED).line


@pytest.mark.parametrize("text", [b"", b"[]", DEEP, b'{"pid": ' + NUMBER + b"}", b'{"pid": 1, "host": "a\\nb"}'])
def test_whoever_holds_the_lock_may_have_noted_anything(out, text):
    folder = RunFolder(out / FINISHED)
    with folder.lock():
        (folder.path / ".holder.json").write_bytes(text)
        with pytest.raises(LockedError, match="another process is working on this run; wait for it"), folder.lock():
            pass


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
@pytest.mark.parametrize("name", ["checksums.json", CONFIG, STATUS, LAST])
def test_a_pipe_in_the_place_of_a_file_does_not_stop_the_program(out, call, name):
    path = out / FINISHED / name
    path.unlink()
    os.mkfifo(path)
    assert call("verify", FINISHED).code == 2
    assert call("show").code == 0


def test_a_file_that_is_far_too_large_is_not_read(out, call):
    """Sparse, so it takes no room on the disk; in memory it would not fit."""
    with (out / FINISHED / LAST).open("r+b") as file:
        file.truncate(2**40)
    assert "is damaged: expected at most" in call("verify", FINISHED).line


def test_a_folder_of_a_newer_format_says_who_made_it(out, call):
    path = out / FINISHED
    break_file(path, PROVENANCE, changed(format=FORMAT + 1, iterhead="9.0", more={"than": "we know"}))
    break_file(path, CONFIG, changed(unknown=1))
    made = f"made by iterhead '9.0' in format {FORMAT + 1}, and this iterhead reads formats up to {FORMAT}"
    for command in ("show", "verify", "report"):
        assert call(command, FINISHED).line == (
            f"iterhead: runs/{FINISHED}: {made}: update it (pip install --upgrade iterhead)"
        )
    assert made in json.loads(call("show --json").out)["runs"][0]["problem"]


def test_the_format_before_is_read_whole(out, call):
    """Made by iterhead 0.1.0 as parts of a study: its removed files are still in checksums.json."""
    assert [load(out / name).provenance.format for name in (FINISHED, HALF)] == [1, 1]
    for words in ("show", f"show {FINISHED}", f"show {HALF}", f"report {FINISHED}"):
        assert call(words).code == 0
    assert call("verify", FINISHED, "--json").code == 1  # untrained, so claims fail
    assert json.loads(call("show", FINISHED, "--json").out)["epochs"] == 2
    (out / FINISHED / LAST).unlink()
    assert f"{LAST} is missing" in call("show", FINISHED).line


def test_a_run_of_the_format_before_is_continued(out, call):
    run = load(out / HALF)
    before = run.status.train_seconds
    assert call(*words_of("AGAIN", run)).code == 0
    run = load(out / HALF)
    assert (run.status.state, run.status.epoch, run.checkpoints) == ("finished", 2, [1, 2])
    assert run.status.train_seconds > before


def test_a_new_run_has_the_format_in_its_provenance(call, tiny, tmp_path):
    assert call("run", tiny).code == 0
    (path,) = (tmp_path / "runs").iterdir()
    assert json.loads((path / PROVENANCE).read_text())["format"] == FORMAT
    assert RunFolder(path).names()
