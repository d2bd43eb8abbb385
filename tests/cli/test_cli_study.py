"""`iterhead study`: the list, a study trained, drawn and checked, and what is refused."""

import json
import re
from dataclasses import replace

import polars as pl
import pytest
from matplotlib.image import imread

import iterhead.studies.cost as cost_module
from helpers.tiny_study import CALIBRATION, tiny_study
from iterhead.cli.study_command import progress_text
from iterhead.cli.watch import RunsBar
from iterhead.errors import UserError
from iterhead.runs.worker_pool import Result
from iterhead.studies import registry, runner
from iterhead.studies.cost import cost
from iterhead.studies.runner import StudyProgress


@pytest.fixture
def tiny(monkeypatch):
    """The tiny study in place of figure 7, and a machine that needs no calibration."""
    monkeypatch.setattr(registry, "STUDIES", dict.fromkeys(("figure-7", "figure-6"), lambda _scale: tiny_study()))
    monkeypatch.setattr(cost_module, "calibrate", lambda _out, _device: CALIBRATION)


@pytest.mark.usefixtures("tiny")
def test_a_study_from_the_list_to_its_report(call, tmp_path):
    (listed,) = json.loads(call("study list figure-7 --scale smoke --json --workers 1").out)["studies"]
    assert (listed["name"], listed["runs"], listed["chosen"]) == ("figure-7", 6, ["everything"])
    assert "A tiny study" in call("study list figure-7 --scale smoke").out
    status = [line.split() for line in call("study status figure-7").out.splitlines()]
    assert status == [["study", "runs", "waiting"], ["tiny", "6", "6"]]
    output = call("study run figure-7 --scale smoke --workers 1 --threads 1 --json")
    assert (output.code, output.err) == (0, "")
    results = json.loads(output.out)
    assert (results["done"], results["runs"], results["failed"]) == (6, 6, [])
    folder = tmp_path / "runs/study/tiny-smoke"
    names = {path.name for path in folder.iterdir()}
    assert names == {"tiny.png", "tiny.pdf", "claims.json", "claims.md", "tables", "report.html"}
    assert imread(folder / "tiny.png").ndim == 3
    written = json.loads((folder / "claims.json").read_text())
    assert (written["command"], written["seeds"]) == ("iterhead study run tiny --scale smoke", [0, 1])
    spent = [json.loads(path.read_text())["total_seconds"] for path in (tmp_path / "runs").glob("*/status.json")]
    assert written["seconds"] == pytest.approx(sum(spent), abs=0.1)
    text = (folder / "claims.md").read_text()
    assert f"tiny --scale smoke`: 6 of 6 runs, seeds 0, 1, {sum(spent):.0f} s on one core." in text
    assert "![tiny](tiny.png)" in text
    states = json.loads(call("study status figure-7 --json").out)["studies"]["tiny"]
    assert list(states.values()) == ["finished"] * 6
    # Drawn again from the tables alone, to the same picture.
    before = (folder / "tiny.png").read_bytes()
    for run in (tmp_path / "runs").glob("*/config.json"):
        run.unlink()
    (folder / "tiny.png").unlink()
    again = call("study report figure-7 --redraw")
    assert (again.code, again.err) == (0, "")
    assert (folder / "tiny.png").read_bytes() == before
    assert "6 of 6 runs measured" in again.out


@pytest.mark.usefixtures("tiny")
def test_tables_of_another_version_give_one_line(call, tmp_path):
    folder = tmp_path / "runs/study/tiny-smoke/tables"
    folder.mkdir(parents=True)
    pl.DataFrame({"what": ["parity"], "seed": [0], "precision": [1.0]}).write_parquet(folder / "runs.parquet")
    output = call("study report figure-7 --redraw")
    assert output.code == 2
    assert output.line == (
        "iterhead: runs/study/tiny-smoke/tables/runs.parquet is damaged, or of another version: expected a column "
        "accuracy: iterhead study report makes them from the runs"
    )


@pytest.mark.usefixtures("tiny")
def test_list_of_all_studies_is_a_table(call):
    output = call("study --scale smoke")
    lines = output.out.splitlines()
    assert re.search(r"^figure-7 +6 .*\n    A tiny study$", output.out, re.MULTILINE)
    assert any(line.startswith("all ") for line in lines)
    entries = json.loads(call("study --scale smoke --json").out)["studies"]
    titles = {entry["name"]: (entry["title"], entry["runs"]) for entry in entries}
    assert titles == {
        "figure-7": ("A tiny study", 6),
        "figure-6": ("A tiny study", 6),
        "all": ("all studies together", 6),
    }


@pytest.mark.usefixtures("tiny")
def test_shared_runs_cost_once():
    one, both = cost([tiny_study()], CALIBRATION, 1), cost([tiny_study(), tiny_study()], CALIBRATION, 1)
    assert one == both
    assert one.runs == 6
    # On two processes half the time.
    assert cost([tiny_study()], CALIBRATION, 2).seconds == pytest.approx(one.seconds / 2)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(("words", "line"), [
    ("study run figure-77", "figure-77: no such study: expected one of figure-7, figure-6, all, or your own as "
     "module:name: did you mean 'figure-7'?"),
    ("study run", "study run: expected the name of a study, or all (iterhead study list)"),
    ("study rnu figure-7", "study rnu: no such verb: did you mean 'run'?"),
    ("study list --scale huge", "scale=huge: expected one of smoke, laptop, paper"),
    ("study run figure-7 --workers none", "--workers none: expected a whole number from 1 to 1,024"),
    ("study run figure-7 --redraw", "--redraw: expected with study report, not with study run"),
    ("study report figure-7 --redraw", "runs/study/tiny-smoke/tables: no tables here: iterhead study report makes them "
     "from the runs"),
    ("study list --device tpu", "device=tpu: expected one of auto, cpu, cuda, mps"),
])  # fmt: skip
def test_bad_input_gives_one_line(call, words, line):
    output = call(words)
    assert output.code == 2
    assert output.line == f"iterhead: {line}"


@pytest.mark.usefixtures("tiny")
def test_report_before_any_run_has_no_figure(call, tmp_path):
    output = call("study report figure-7")
    assert output.code == 0
    assert "0 of 6 runs measured" in output.out
    assert not list((tmp_path / "runs/study/tiny-smoke").glob("*.png"))


def test_progress_in_words():
    progress = StudyProgress(total=40, done=5, failed=1, running=2, seconds_left=240.0)
    assert progress_text(progress) == "2 running, 32 left, 1 failed, at most about 4 min"
    assert progress_text(StudyProgress(total=6, done=6, seconds_left=0.0)) == "0 running, 0 left"


def test_error_names_the_nearest_scale():
    with pytest.raises(UserError, match="did you mean 'paper'"):
        registry.find_scale("papr")


def test_progress_of_many_runs_without_a_terminal(capsys, monkeypatch):
    """One line every 30 seconds at most, and only if something has changed."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    bar, silent = RunsBar(silent=False), RunsBar(silent=True)
    for seconds, done, text in ((100, 1, "a"), (110, 2, "b"), (131, 3, "c"), (170, 3, "c"), (171, 4, "d")):
        now[0] = seconds
        bar.show(done, 9, text)
        silent.show(done, 9, text)
    assert capsys.readouterr().out == "1 of 9 done, a\n3 of 9 done, c\n4 of 9 done, d\n"


@pytest.mark.usefixtures("tiny")
def test_failed_runs_are_reported_and_retried(call, monkeypatch):
    def fail(configs, **_options):
        yield from (Result(config, None, f"seed {config.seed} broke") for config in configs)

    monkeypatch.setattr(runner, "train_many", fail)
    output = call("study run figure-7 --scale smoke --workers 1")
    assert output.code == 1
    assert "figure-7: A tiny study. 6 runs in 1 process: at most" in output.out
    assert output.out.count("failed: seed 0 broke\n") == 3
    *failures, retry = output.err.splitlines()
    assert len(failures) == 6
    assert retry == "6 runs failed. Try again with: iterhead study retry figure-7 --scale smoke --workers 1"
    status = [line.split() for line in call("study status figure-7").out.splitlines()]
    assert status[:2] == [["study", "runs", "failed"], ["tiny", "6", "6"]]
    assert call("study retry figure-7 --scale smoke --workers 1").out.startswith("Trying 6 failed runs again.\n")


@pytest.mark.usefixtures("tiny")
def test_measuring_networks_is_announced(call, monkeypatch):
    study = replace(tiny_study(), measures=("maps",))
    monkeypatch.setattr(registry, "STUDIES", {"figure-6": lambda _scale: study})
    monkeypatch.setattr(runner, "train_many", lambda *_args, **_options: (result for result in ()))
    assert "\ntiny: measuring its networks\n" in call("study run figure-6 --workers 1").out
