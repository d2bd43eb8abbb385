"""`iterhead handmade`: sizes as derived, no errors, and one line for each mistake in the options."""

import json

import pytest

import iterhead
from iterhead.tasks import catalogue


def parsed(output) -> dict:
    assert output.err == ""
    return json.loads(output.out)


def test_sizes_scores_and_a_chain_are_printed(call):
    output = call("handmade --task polynomial:p=5 --max-length 4")
    assert (output.code, output.err) == (0, "")
    # Positions 2 * 4 + 3 = 11, tokens 5 + EoI + problem = 7, ends 5, steps 5, seen 7, out 5 + EoS = 6, blank 1: 42.
    # Subtraction 4 * 7 / 2 = 14 units, table 5 * 4 + 4 + 1 = 25.
    assert "width 42, MLP width 25" in output.out
    assert "accuracy   1.000" in output.out
    assert "first head 1.000, iteration head 1.000" in output.out
    written, right = (line.split()[2:] for line in output.out.splitlines()[-2:])
    assert written == right
    assert len(written) == 5
    assert written[-1] == "EoS"


def test_json(call):
    result = parsed(call("handmade --task parity --max-length 3 --residual pre-norm --json"))
    # Width 9 + 4 + 4 + 4 + 4 + 3 + 1 = 29, MLP max(3 * 6 / 2, 2 * 2 + 2 + 1) = 9. Parameters: embedding 64 * 29,
    # positions 9 * 9, twice (two norms of 29, attention 4 * 29 * 29, MLP 2 * 29 * 9), last norm 29, output 29 * 64.
    parameters = 64 * 29 + 81 + 2 * (2 * 29 + 4 * 29 * 29 + 2 * 29 * 9) + 29 + 29 * 64
    sizes = [result[name] for name in ("width", "mlp_width", "heads", "parameters")]
    assert sizes == [29, 9, 1, parameters]
    assert result["accuracy_by_length"] == {"1": 1.0, "2": 1.0, "3": 1.0}
    assert (result["first_peakiness"], result["second_peakiness"]) == (1.0, 1.0)
    assert (result["task"], result["residual"], result["error"]) == ("parity", "pre-norm", 1e-12)
    assert result["given"][0] == "task"
    assert result["given"][-1] == "EoI"
    # The chain by its definition.
    state, chain = 0, []
    for x in map(int, result["given"][1:-1]):
        state = (state + x) % 2
        chain.append(str(state))
    assert result["written"] == result["true"] == [*chain, "EoS"]


@pytest.mark.parametrize("spec", [entry.spec for entry in catalogue()])
def test_every_task(call, spec):
    output = call("handmade", "--task", spec, "--max-length", "5", "--json")
    assert output.code == 0
    assert parsed(output)["accuracy"] == 1.0


def test_task_with_a_single_sequence_of_each_length(call):
    assert parsed(call("handmade --task polynomial:p=2 --max-length 3 --json"))["accuracy"] == 1.0


def test_large_error_breaks_the_network_and_gives_exit_code_1(call):
    """Heads with almost all of their weight elsewhere read nothing."""
    output = call("handmade --task parity --max-length 8 --error 0.99")
    assert (output.code, output.err) == (1, "")
    assert "errors at lengths" in output.out


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("--max-length 0", "--max-length 0: expected a whole number from 1 to 64"),
        ("--max-length 65", "--max-length 65: expected a whole number from 1 to 64"),
        ("--max-length -1", "--max-length -1: expected a whole number from 1 to 64"),
        ("--max-length ²", "--max-length '²': expected a whole number from 1 to 64"),
        ("--residual textbook", "--residual textbook: expected published or pre-norm"),
        ("--error 0", "--error 0: expected a number above 0 and below 1, e.g. 1e-12"),
        ("--error 1", "--error 1: expected a number above 0 and below 1, e.g. 1e-12"),
        ("--error nan", "--error nan: expected a number above 0 and below 1, e.g. 1e-12"),
        ("--error little", "--error little: expected a number above 0 and below 1, e.g. 1e-12"),
    ],
)
def test_bad_options(call, options, line):
    output = call(f"handmade {options}")
    assert output.code == 2
    assert output.line == f"iterhead: {line}"


def test_unknown_task(call):
    output = call("handmade --task nothing")
    assert output.code == 2
    assert "nothing" in output.line


def test_from_python():
    assert iterhead.handmade(iterhead.task("parity"), 3).config.width == 29
