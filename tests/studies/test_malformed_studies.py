"""Notes, tables and a calibration with a wrong content: one line, and `study retry` and `study report` mend them."""

import json
import math
from pathlib import Path

import polars as pl
import pytest

from helpers.made_study import made_study, made_tables, write_made
from helpers.messages import message
from helpers.tampered import FINISHED, frozen, replace
from helpers.tiny_study import CALIBRATION, tiny_study
from iterhead import atomic
from iterhead.cli import main
from iterhead.report.study_page import measured
from iterhead.runs.notes import FORMAT, PROVENANCE
from iterhead.runs.paths import run_folder_name
from iterhead.runs.run import MEASUREMENTS
from iterhead.runs.storage import RunFolder, table_bytes
from iterhead.studies import cost, registry
from iterhead.studies.results import report
from iterhead.studies.runner import FAILED, forget_failures

NOTES = [
    b"",
    b"\xff",
    b"[]",
    b"{}",
    b"3",
    b"[" * 100_000,
    b'{"error": ' + b"9" * 5000 + b', "config": {}}',
    b'{"error": 3, "config": {}}',
    b'{"error": "why", "config": []}',
    b'{"error": "why"}',
    b'{"error": "why", "config": {}, "more": 1}',
]


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "STUDIES", {"figure-7": lambda _scale: tiny_study()})
    monkeypatch.setattr(cost, "calibrate", lambda _out, _device: CALIBRATION)
    return tmp_path / "runs" / FAILED / f"{run_folder_name(tiny_study().configs()[0])}.json"


@pytest.mark.parametrize("data", NOTES, ids=lambda data: data[:12].decode("latin-1"))
def test_a_damaged_note_is_a_failed_run_until_it_is_tried_again(tiny, data, capsys):
    tiny.parent.mkdir(parents=True)
    tiny.write_bytes(data)
    assert main(["study", "status", "figure-7", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert list(status["studies"]["tiny"].values()).count("failed") == 1
    (error,) = status["failed"].values()
    assert f"{tiny.name} is damaged: " in error
    assert "iterhead study retry removes it" in error
    assert "\n" not in error
    assert len(error) < 1000
    assert main(["study", "status", "figure-7"]) == 0
    assert "is damaged" in capsys.readouterr().out
    assert [failure.error for failure in forget_failures([tiny_study()], Path("runs"))] == [error]
    assert not tiny.exists()


def test_a_note_that_is_a_folder_is_a_failed_run(tiny, capsys):
    tiny.mkdir(parents=True)
    assert main(["study", "status", "figure-7"]) == 0
    assert "cannot read: Is a directory" in capsys.readouterr().out.replace("\n", " ")
    assert main(["study", "retry", "figure-7"]) == 2
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "data", "is_moved"),
    [
        (MEASUREMENTS, b"PAR1", True),
        ("checkpoints/epoch-00000.safetensors", b"", True),
        (PROVENANCE, json.dumps({"format": FORMAT + 1}).encode(), False),  # a later version can read it
    ],
)
def test_a_malformed_run_is_put_aside_for_another_try(tiny, name, data, is_moved, tmp_path):
    folder = tiny.parents[2] / tiny.stem
    tiny.parent.mkdir(parents=True)
    tiny.write_text('{"error": "why", "config": {}}')
    frozen(1, tmp_path).joinpath(FINISHED).rename(folder)
    replace(folder / name, data, name)
    assert [failure.error for failure in forget_failures([tiny_study()], Path("runs"))] == ["why"]
    assert folder.exists() is not is_moved
    assert (tiny.parents[1] / "damaged").exists() is is_moved


def test_a_folder_whose_first_write_failed_is_no_damaged_run(tiny):
    folder = RunFolder(tiny.parents[2] / tiny.stem)
    tiny.parent.mkdir(parents=True)
    tiny.write_text('{"error": "why", "config": {}}')
    with folder.lock():
        atomic.write(folder.path / atomic.CHECKSUMS, atomic.json_bytes({}))
    assert [failure.error for failure in forget_failures([tiny_study()], Path("runs"))] == ["why"]
    assert folder.path.exists()


def column(name, values):
    return lambda table: table.with_columns(values.alias(name))


TABLES = {
    "text": column("accuracy", pl.lit("0.5")),
    "nan": column("accuracy", pl.lit(math.nan)),
    "infinite": column("accuracy", pl.lit(math.inf)),
    "too large": column("accuracy", pl.lit(1.5)),
    "negative seed": column("seed", pl.lit(-1, pl.Int64)),
    "missing seed": column("seed", pl.lit(None, pl.Int64)),
    "missing": lambda table: table.drop("accuracy"),
    "state": column("state", pl.lit("done")),
    "half a number": column("epochs", pl.lit(0.5)),
}


@pytest.mark.parametrize("change", TABLES.values(), ids=list(TABLES))
def test_a_malformed_table_is_named(tmp_path, change):
    study, tables = made_study(), made_tables(made_study())
    tables.frames["runs"] = change(tables["runs"])
    path = write_made(study, tmp_path, tables) / "tables/runs.parquet"
    for told in (
        message(lambda: measured(study, tmp_path)),
        message(lambda: report(study, tmp_path, redraw=True)),
    ):
        assert told.startswith(f"{path} is damaged, or of another version: ")
        assert told.endswith("iterhead study report makes them from the runs")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"\xff" * 1000, table_bytes(pl.DataFrame())])
def test_garbage_in_the_place_of_a_table_is_named(tmp_path, data):
    path = write_made(made_study(), tmp_path) / "tables/curves.parquet"
    path.write_bytes(data)
    assert message(lambda: measured(made_study(), tmp_path)).startswith(f"{path} is damaged")


def test_an_axis_of_another_kind(tmp_path):
    study, tables = made_study(), made_tables(made_study())
    tables.frames["runs"] = tables["runs"].with_columns(width=pl.lit("wide"))
    write_made(study, tmp_path, tables)
    told = "column width: expected Int64, got String: iterhead study report makes them from the runs"
    assert told in message(lambda: report(study, tmp_path, redraw=True))


@pytest.mark.parametrize("text", ["[]", "{}", "[" * 100_000, '{"start": "x"}', '{"start": 9%s}' % ("9" * 5000)])
def test_a_malformed_calibration_is_measured_again(tmp_path, monkeypatch, text):
    monkeypatch.setattr(cost, "_measure", lambda _: CALIBRATION)
    path = tmp_path / cost.FILE
    path.parent.mkdir()
    for right in (text, '{"device": "cpu", "memory": 1e9, "rate": -1.0, "start": 0.1}'):
        path.write_text(right)
        assert cost.calibrate(tmp_path, "cpu") == CALIBRATION
    assert json.loads(path.read_text())["rate"] == CALIBRATION.rate
