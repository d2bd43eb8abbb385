"""`iterhead run` and `iterhead show` on runs of a fraction of a second."""

import json
import re
import shlex

import polars as pl

from iterhead.cli.run import COMMAND as RUN
from iterhead.cli.summary import as_json
from iterhead.runs.run import load

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
KEYS = {
    "run",
    "config",
    "epochs",
    "emerged",
    "state",
    "accuracy",
    "accuracy_by_length",
    "grammar",
    "first_peakiness",
    "second_peakiness",
    "first_weight",
    "second_weight",
    "first_invariance",
    "second_invariance",
    "first_mass",
    "second_mass",
    "best_pair",
    "seconds",
    "outcome",
    "message",
}


def strict(text: str) -> dict:
    """The one JSON object in `text`; NaN and Infinity, which Python writes and reads, are refused."""

    def refuse(word: str):
        raise AssertionError(word)

    return json.loads(text, parse_constant=refuse)


def test_piped_output(call, tiny):
    said = call(f"run {tiny}")
    assert (said.code, said.err) == (0, "")
    assert not CONTROL.search(said.out)
    lines = said.out.splitlines()
    assert lines[0].startswith("Training on parity, lengths 1 to 3: 2 layers, 1 head, width 8, 2,672")
    assert [line.split("  ")[0] for line in lines if line.startswith("epoch")] == [
        "epoch 0/2",
        "epoch 1/2",
        "epoch 2/2",
    ]
    assert re.search(r"^epoch 1/2  loss \d\.\d{4}  accuracy .*%  first head .*left$", said.out, re.MULTILINE)
    files = [line.split()[0] for line in lines if line.startswith("  ") and "iterhead" not in line]
    expected = ["figure.png", "figure.pdf", "measurements.parquet", "checkpoints", "config.json", "provenance.json"]
    assert files == expected


def test_the_commands_at_the_end_can_be_typed(call, tiny):
    out = call(f"run {tiny} --seed 2").out
    show, longer = (shlex.split(line)[1:] for line in out.splitlines() if line.startswith("  iterhead"))
    assert call(*show).out.startswith("Run parity-")
    again = RUN.parse(longer[1:])
    assert (getattr(again, "--seed"), getattr(again, "--training.epochs")) == ("2", "4")


def test_quiet_says_only_the_verdict(call, tiny):
    out = call(f"run --quiet {tiny}").out
    assert out.startswith("The task is not learned. The network solves")
    assert "epoch" not in out
    assert "figure" not in out


def test_json_is_one_object_and_nothing_else(call, tiny, tmp_path):
    said = call(f"run --json {tiny}")
    assert said.err == ""
    assert said.out.count("\n") == 1
    found = strict(said.out)
    assert found.keys() == KEYS
    run = load(found["run"])
    assert found["config"] == run.config.model_dump(mode="json")
    assert (found["epochs"], found["state"], found["emerged"], found["message"]) == (2, "finished", False, None)
    assert found["accuracy"] == run.scores.accuracy
    assert found["accuracy_by_length"].keys() == {"1", "2", "3"}
    assert found["best_pair"] == [[0, 0], [1, 0]]
    assert found["second_invariance"] == run.scores.second_invariance
    assert 0 < found["seconds"]["train"] < found["seconds"]["total"]
    assert strict(call("show --json parity").out) == found


def test_without_chain_of_thought_there_are_no_heads(call, tiny):
    said = call(f"run {tiny} --data.cot false")
    assert "no iteration head to look for" in said.out
    assert "first head" not in said.out
    found = strict(call("show --json parity").out)
    assert found["best_pair"] is None
    assert found["second_peakiness"] is None
    assert call("show parity").code == 0


def test_what_is_not_a_number_is_null(finished, monkeypatch):
    run = load(finished)
    name = pl.col("name") == "second_weight"
    run.measurements = run.measurements.with_columns(
        pl.when(name).then(float("nan")).otherwise(pl.col("value")).alias("value")
    )
    assert strict(as_json(run))["second_weight"] is None


def test_a_finished_run_is_not_trained_again(call, tiny, copied):
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    out = call(f"run {tiny}").out
    assert out.startswith("This run is finished and is not trained again; --again trains it anew.\n\nThe task is not")
    assert "epoch 0" not in out
    assert strict(call(f"run --json {tiny}").out)["run"] == f"runs/{copied.name}"
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before


def test_again_trains_beside_it(call, tiny, copied):
    second = strict(call(f"run --again --json {tiny}").out)
    assert second["run"] == f"runs/{copied.name}-2"
    assert second["epochs"] == 2
    assert second["accuracy_by_length"] == strict(call(f"show --json {copied}").out)["accuracy_by_length"]


def test_a_run_that_diverges_exits_1(call, tiny):
    words = f"{tiny} --training.lr 1e30"
    for said in (call(f"run {words}"), call(f"run --quiet {words}")):
        assert (said.code, said.err) == (1, "")
        assert "The training diverged: the loss or the weights are not finite" in said.out
    said = call(f"run {words}")
    assert said.code == 1
    assert said.out.startswith("This run diverged and is not trained again")
    found = call(f"run --json {words}")
    assert found.code == 1
    assert strict(found.out)["state"] == "diverged"
    assert strict(found.out)["message"].startswith("the loss or the weights are not finite")
    assert call("show parity").code == 0


def test_show_prints_everything_about_a_run(call, finished):
    said = call(f"show {finished}")
    assert (said.code, said.err) == (0, "")
    assert not CONTROL.search(said.out)
    assert max(map(len, said.out.partition("\nFiles\n")[0].splitlines())) <= 80
    settings = "--task parity --data.max-length 3 --data.train-per-length 8"
    assert said.out.startswith(f"Run {finished.name}\n{settings}\n")
    assert re.search(r"^    1  \d\.\d{4} .*▁▁▁", said.out, re.MULTILINE)
    assert re.search(r"^1: 0%  2: 0%  3: 0%$", said.out, re.MULTILINE)
    heads = re.findall(r"^ +(\d) +(\d) +\d\.\d\d .* (first|iteration) *$", said.out, re.MULTILINE)
    assert heads == [("1", "1", "first"), ("2", "1", "iteration")]
    assert "The task is not learned." in said.out


def test_show_takes_the_beginning_of_a_name(call, finished):
    name = finished.name
    assert call(f"show --out {finished.parent} {name[:9]}").out == call(f"show {finished}").out


def test_show_counts_layers_and_heads_from_1_and_json_from_0(call, tiny):
    call(f"run --quiet {tiny} --model.layers 3 --model.heads 2")
    (first, second) = strict(call("show parity --json").out)["best_pair"]
    rows = re.findall(r"^ +(\d) +(\d) .*? (first|iteration)? *$", call("show parity").out, re.MULTILINE)
    assert [row[:2] for row in rows if row[0] in "123"] == [(layer, head) for layer in "123" for head in "12"]
    roles = {role: [int(layer) - 1, int(head) - 1] for layer, head, role in rows if role}
    assert roles == {"first": first, "iteration": second}


def test_show_lists_the_runs(call, copied):
    assert (
        call("show --out others").out == "No runs in others yet: iterhead run makes one; --out names another folder.\n"
    )
    assert strict(call("show --json --out others").out) == {"runs": []}
    out = call("show").out
    assert re.search(rf"^{copied.name}  not learned +2 +0% +0.00$", out, re.MULTILINE)
    assert "\n    --task parity --data.max-length 3" in out
    (row,) = strict(call("show --json").out)["runs"]
    assert (row["outcome"], row["epochs"], row["problem"]) == ("not learned", 2, None)
