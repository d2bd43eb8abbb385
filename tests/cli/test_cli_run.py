"""`iterhead run` and `iterhead show` on runs of a fraction of a second."""

import re
import shlex

import polars as pl

from iterhead.cli.main import find
from iterhead.cli.output import run_summary
from iterhead.runs.run import load

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
ROLE_SCORES = {
    f"{role}_{score}" for role in ("first", "second") for score in ("peakiness", "weight", "invariance", "mass")
}
KEYS = ROLE_SCORES | {
    "run",
    "config",
    "epochs",
    "emerged",
    "state",
    "accuracy",
    "accuracy_by_length",
    "grammar",
    "best_pair",
    "seconds",
    "outcome",
    "message",
}


def test_piped_output(piped):
    folder, output = piped
    assert (output.code, output.err) == (0, "")
    assert not CONTROL.search(output.out)
    lines = output.out.splitlines()
    assert lines[0].startswith("Training on parity, lengths 1 to 3: 2 layers, 1 head, width 8, 2,672")
    epochs = [line.split("  ")[0] for line in lines if line.startswith("epoch")]
    assert epochs == ["epoch 0/2", "epoch 1/2", "epoch 2/2"]
    assert re.search(r"^epoch 1/2  loss \d\.\d{4}  accuracy .*%  first head .*left$", output.out, re.MULTILINE)
    files = [line.split()[0] for line in lines if line.startswith("  ") and "iterhead" not in line]
    expected = ["figure.png", "figure.pdf", "measurements.parquet", "checkpoints", "config.json", "provenance.json"]
    assert files == expected
    assert lines[-1] == f"Explore it in a browser: {folder}/report.html"


def test_commands_at_the_end_can_be_typed(call, piped):
    folder, output = piped
    show, longer = (shlex.split(line)[1:] for line in output.out.splitlines() if line.startswith("  iterhead"))
    assert call(*show).out.startswith("Run parity-")
    again = find("run").parse(longer[1:])
    assert (again.out, getattr(again, "--training.epochs")) == (str(folder.parent), "4")


def test_json_is_one_object_and_nothing_else(call, tiny, copied, strict_json):
    output = call(f"run --json {tiny}")
    assert output.err == ""
    assert output.out.count("\n") == 1
    summary = strict_json(output.out)
    assert summary.keys() == KEYS
    run = load(summary["run"])
    assert summary["config"] == run.config.model_dump(mode="json")
    assert (summary["epochs"], summary["state"], summary["emerged"], summary["message"]) == (2, "finished", False, None)
    assert summary["accuracy"] == run.scores.accuracy
    assert summary["accuracy_by_length"].keys() == {"1", "2", "3"}
    assert summary["best_pair"] == [[0, 0], [1, 0]]
    assert summary["second_invariance"] == run.scores.second_invariance
    assert 0 < summary["seconds"]["train"] < summary["seconds"]["total"]
    assert strict_json(call("show --json parity").out) == summary


def test_without_chain_of_thought_there_are_no_heads(call, tiny, strict_json):
    output = call(f"run {tiny} --data.cot false")
    assert "no iteration head to look for" in output.out
    assert "first head" not in output.out
    summary = strict_json(call("show --json parity").out)
    assert summary["best_pair"] is None
    assert summary["second_peakiness"] is None
    assert call("show parity").code == 0


def test_nan_is_null_in_json(finished):
    run = load(finished)
    name = pl.col("name") == "second_weight"
    run.measurements = run.measurements.with_columns(
        pl.when(name).then(float("nan")).otherwise(pl.col("value")).alias("value")
    )
    assert run_summary(run)["second_weight"] is None


def test_finished_run_is_not_trained_again(call, tiny, copied):
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    out = call(f"run {tiny}").out
    assert out.startswith("This run is finished and is not trained again; --again trains a new one.\n")
    assert "epoch 0" not in out
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before


def test_again_trains_beside_it(call, tiny, copied, strict_json):
    output = call(f"run --again --json {tiny}")
    assert (output.code, output.err, output.out.count("\n")) == (0, "", 1)
    second = strict_json(output.out)
    assert second["run"] == f"runs/{copied.name}-2"
    assert second["epochs"] == 2
    assert second["accuracy_by_length"] == strict_json(call(f"show --json {copied}").out)["accuracy_by_length"]


def test_diverged_run_gives_exit_code_1(call, tiny, strict_json):
    words = f"{tiny} --training.lr 1e30"
    for output in (call(f"run {words}"), call(f"run --quiet {words}")):
        assert (output.code, output.err) == (1, "")
        assert "The training diverged: the loss or the weights are not finite" in output.out
    output = call(f"run {words}")
    assert output.code == 1
    assert output.out.startswith("This run diverged and is not trained again")
    output = call(f"run --json {words}")
    assert output.code == 1
    summary = strict_json(output.out)
    assert summary["state"] == "diverged"
    assert summary["message"].startswith("the loss or the weights are not finite")
    assert call("show parity").code == 0


def test_show_prints_everything_about_a_run(call, finished):
    output = call(f"show {finished}")
    assert (output.code, output.err) == (0, "")
    assert not CONTROL.search(output.out)
    assert max(map(len, output.out.partition("\nFiles\n")[0].splitlines())) <= 80
    settings = "--task parity --data.max-length 3 --data.train-per-length 8"
    assert output.out.startswith(f"Run {finished.name}\n{settings}\n")
    assert re.search(r"^    1  \d\.\d{4} .*▁▁▁", output.out, re.MULTILINE)
    assert re.search(r"^1: 0%  2: 0%  3: 0%$", output.out, re.MULTILINE)
    heads = re.findall(r"^ +(\d) +(\d) +\d\.\d\d .* (first|iteration) *$", output.out, re.MULTILINE)
    assert heads == [("1", "1", "first"), ("2", "1", "iteration")]
    assert "The task is not learned" in output.out


def test_show_takes_the_start_of_a_name(call, finished):
    name = finished.name
    assert call(f"show --out {finished.parent} {name[:9]}").out == call(f"show {finished}").out


def test_show_counts_layers_and_heads_from_1_and_json_from_0(call, tiny, strict_json):
    quiet = call(f"run --quiet {tiny} --model.layers 3 --model.heads 2").out
    assert quiet.startswith("The task is not learned. The network solves")
    assert not re.search("epoch|figure", quiet)
    (first, second) = strict_json(call("show parity --json").out)["best_pair"]
    rows = re.findall(r"^ +(\d) +(\d) .*? (first|iteration)? *$", call("show parity").out, re.MULTILINE)
    assert [row[:2] for row in rows if row[0] in "123"] == [(layer, head) for layer in "123" for head in "12"]
    roles = {role: [int(layer) - 1, int(head) - 1] for layer, head, role in rows if role}
    assert roles == {"first": first, "iteration": second}


def test_show_lists_the_runs(call, copied, strict_json):
    nothing = "No runs in others yet. Make one with iterhead run, or name another folder with --out.\n"
    assert call("show --out others").out == nothing
    assert strict_json(call("show --json --out others").out) == {"runs": []}
    out = call("show").out
    assert re.search(rf"^{copied.name}  not learnt +2 +0% +0.00$", out, re.MULTILINE)
    assert "\n    --task parity --data.max-length 3" in out
    (row,) = strict_json(call("show --json").out)["runs"]
    assert (row["outcome"], row["epochs"], row["problem"]) == ("not learnt", 2, None)
