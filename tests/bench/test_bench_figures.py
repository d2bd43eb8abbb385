"""The parts of the benchmark, by hand."""

import json

import pytest
import torch

from iterhead.bench import suite, timing
from iterhead.bench.suite import GROUPS, Group, slope
from iterhead.bench.timing import Measurement, endless, in_turns, ratio
from iterhead.cli import main
from iterhead.data.batches import make_packing
from iterhead.settings import DataConfig, ModelConfig
from iterhead.training.flops import step_flops


def operations(heads=1, positions="learned", layers=2, **model):
    """Of a batch with one sequence each of lengths 1 and 2, without chain of thought: a row of 4 + 5 = 9 tokens."""
    packing = make_packing(DataConfig(max_length=2, cot=False), per_length=1)
    config = ModelConfig(width=8, mlp_width=10, vocabulary=6, heads=heads, positions=positions, layers=layers, **model)
    return step_flops(config, packing)


def test_operations_of_a_step_by_hand():
    # The loss reads EoI and the one state of each sequence: 4 of 9 cells. The mask allows 10 + 15 = 25 pairs in all;
    # the reads see 3 + 4 and 4 + 5 keys: 16 pairs.
    first = 8 * 8 * 2 * 9 + 2 * 8 * 25 + 2 * 8 * 10 * 9  # x W_QK and z W_VO; scores and mixing; the MLP
    last = 8 * 8 * 2 * 4 + 2 * 8 * 16 + 2 * 8 * 10 * 4
    unembedding = 8 * 6 * 4
    assert operations() == 6 * (first + last + unembedding)
    assert operations(layers=1) == 6 * (last + unembedding)


def test_operations_where_products_of_weights_do_not_help():
    # Two heads: keys and values of all nine tokens beside queries and outputs. One rotary head: keys of all tokens.
    assert operations(heads=2) - operations() == 6 * 2 * (8 * 8 * 2 * 9)
    assert operations(positions="rotary") - operations() == 6 * 2 * (8 * 8 * 9)


def test_operations_of_other_architectures_by_hand():
    # Both layers at all nine tokens, whose maps have 81 cells; 2 * 8 columns of queries and outputs, 2 * K * 4 of keys
    # and values for K heads of width 4; two matrices in an MLP, three where it is gated.
    maps, unembedding = 2 * 8 * 81, 8 * 6 * 4
    plain = 9 * 8 * (2 * 8 + 2 * 8 + 2 * 10) + maps
    gated = 9 * 8 * (2 * 8 + 2 * 4 + 3 * 10) + maps
    assert operations(heads=2, architecture="gpt2") == 6 * (2 * plain + unembedding)
    assert operations(heads=2, architecture="llama", kv_heads=1) == 6 * (2 * gated + unembedding)


@pytest.mark.parametrize(("goal", "value", "reached"), [
    (">= 2.5", 2.5, True),
    (">= 2.5", 2.49, False),
    ("<= 0.05", 0.05, True),
    ("<= 0.05", 0.06, False),
    ("", 3.0, None),
    (">= 4", None, None),
])  # fmt: skip
def test_goals(goal, value, reached):
    assert Measurement("a", value, "x", goal).reached is reached


def test_exponents_by_hand():
    assert slope({2: 12.0, 4: 48.0, 8: 192.0}) == pytest.approx(2)  # 3 n^2
    assert slope({1: 5.0, 10: 5.0}) == pytest.approx(0)


def test_turns_alternate_and_ratios_are_medians():
    order = []
    seconds = in_turns({name: lambda name=name: order.append(name) for name in "ab"}, rounds=2, turns=3)
    assert "".join(order) == "a" + "b" + "aaabbb" * 2  # one turn each to warm up
    assert {name: len(rounds) for name, rounds in seconds.items()} == {"a": 2, "b": 2}
    assert ratio([4.0, 6.0, 80.0], [2.0, 2.0, 8.0]) == 3  # of 2, 3 and 10


def test_steps_continue_in_the_next_epoch():
    turn = endless(lambda: iter([1, 2]))
    assert [turn() for _ in range(5)] == [1, 2, 1, 2, 1]


def test_missing_gpu_is_not_measured():
    gpu = next(group for group in GROUPS if group.name == "gpu")
    figures = list(gpu.measure("cpu"))
    assert {figure.value for figure in figures} == {None}
    assert len(figures) == 3 * 2 * 6  # widths, lengths, numbers of networks


def fake(monkeypatch):
    figures = [
        Measurement("speed", 2.0, "x", ">= 2.5"),
        Measurement("part", 0.025, "share", "<= 0.05"),
        Measurement("b", None, "s"),
    ]
    monkeypatch.setattr(suite, "GROUPS", (Group("one", "a thing", lambda device: iter(figures)),))
    monkeypatch.setattr(timing, "describe_machine", lambda device: {
        "processor": "P", "cores": 2, "threads": 1, "torch": "T", "load": 0.5, "float32_gflops": 75.0,
    })  # fmt: skip


def bench_command(*words):
    return main(["bench", *words])


def test_command_prints_results_and_goals(monkeypatch, capsys):
    fake(monkeypatch)
    threads = torch.get_num_threads()
    assert bench_command() == 0
    assert torch.get_num_threads() == threads
    out = capsys.readouterr().out
    assert (
        "P, 2 cores, 1 thread, torch T\nproducts of large matrices: 75 GFLOP/s in float32; load average before: 0.5"
        in out
    )
    assert "one: a thing\n  speed: 2.00 x   (goal >= 2.5: missed)\n" in out
    assert "  part: 2.5%   (goal <= 5%: reached)\n  b: not measured\n" in out


def test_command_prints_json(monkeypatch, capsys):
    fake(monkeypatch)
    assert bench_command("--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["machine"]["cores"] == 2
    assert result["results"][0] == {"name": "speed", "value": 2.0, "unit": "x", "goal": ">= 2.5"}
    assert result["results"][2] == {"name": "b", "value": None, "unit": "s", "goal": None}


def test_unknown_group_gives_one_line(monkeypatch, capsys):
    fake(monkeypatch)
    assert bench_command("speed") == 2
    assert capsys.readouterr().err == "iterhead: speed: no such benchmark: expected one\n"


def test_help_lists_every_group(capsys):
    assert bench_command("--help") == 0
    out = capsys.readouterr().out
    assert all(group.name in out for group in GROUPS)


def test_unknown_device_is_refused(capsys):
    assert bench_command("--device", "tpu") == 2
    assert "device=tpu: expected one of auto, cpu, cuda, mps" in capsys.readouterr().err
