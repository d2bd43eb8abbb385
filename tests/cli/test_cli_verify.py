"""`iterhead verify`: what it prints, what it writes, and its exit codes."""

import re
import shutil

import pytest

from helpers.stored_runs import stored, untrained
from iterhead.cli.verify_command import print_quick_check
from iterhead.model.handmade import handmade
from iterhead.runs.run import load
from iterhead.runs.storage import RunFolder
from iterhead.tasks import task


@pytest.fixture(scope="session")
def by_hand(tmp_path_factory):
    """A run folder of the network set by hand for parity; nobody may change it."""
    path = tmp_path_factory.mktemp("stored") / "parity-by-hand"
    data = {"max_length": 7, "train_per_length": 32, "test_per_length": 32}
    return stored(path, handmade(task("parity"), 7), "parity", **data).folder.path


@pytest.fixture
def oracle(by_hand, tmp_path):
    """The same in `runs` of the test's own folder."""
    return shutil.copytree(by_hand, tmp_path / "runs" / by_hand.name)


def test_claims_that_hold_give_exit_code_0(call, oracle):
    output = call("verify parity --sequences 32")
    assert (output.code, output.err) == (0, "")
    assert "iteration head: layer 2, head 1" in output.out
    assert "does not hold" not in output.out
    for name in ("1", "3a", "3b", "4a", "4b", "4c", "4d", "4e", "4f", "4g", "5a", "5b", "6"):
        assert re.search(rf"^{name} +\w.* (holds|undecided) *$", output.out, re.MULTILINE)
    assert re.search(r"^first head: random map +0\.\d{3} ", output.out, re.MULTILINE)
    for name in ("claims.json", "verify.png", "verify.pdf"):
        assert (oracle / name).stat().st_size


def test_claim_that_does_not_hold_gives_exit_code_1(call, tmp_path):
    stored(tmp_path / "runs/parity-untrained", untrained(6, width=8), "parity", max_length=6)
    output = call("verify parity-untrained --sequences 32")
    assert (output.code, output.err) == (1, "")
    assert "does not hold" in output.out


def test_json(call, oracle, strict_json):
    output = call("verify parity --sequences 100000 --json")  # more than there are
    assert (output.code, output.err) == (0, "")
    results = strict_json(output.out)
    assert set(results) == {"run", "circuit", "claims", "effects", "chance"}
    for claim in results["claims"]:
        assert {"id", "claim", "value", "low", "high", "threshold", "verdict"} <= set(claim)
        assert claim["verdict"] in ("holds", "does not hold", "undecided")
    written = strict_json((oracle / "claims.json").read_text())
    assert written == {name: value for name, value in results.items() if name != "run"}


@pytest.mark.parametrize("bad", ["0", "1", "-3", "1.5", "many"])
def test_bad_numbers_of_sequences(call, oracle, bad):
    output = call(f"verify parity --sequences {bad}")
    assert output.code == 2
    assert output.line == f"iterhead: --sequences {bad}: expected a whole number from 2 to 2,147,483,647"
    assert not (oracle / "claims.json").exists()


def test_run_without_chain_of_thought_is_refused(call, tmp_path):
    stored(tmp_path / "runs/no-chain", untrained(4, cot=False, width=8), "parity", max_length=4, cot=False)
    output = call("verify no-chain")
    assert output.code == 2
    assert "trained without chain of thought, so there is no iteration head to verify" in output.line


def test_no_such_run(call):
    output = call("verify nothing")
    assert output.code == 2
    assert "nothing" in output.line


def test_no_run_named(call):
    output = call("verify")
    assert output.code == 2
    assert "RUN" in output.line or "run" in output.line


def test_run_that_learned_its_task_ends_with_a_summary_of_claims(oracle, capsys):
    print_quick_check(load(oracle))
    first = capsys.readouterr().out
    assert "Checked by intervention (iteration head: layer 2, head 1" in first
    assert re.search(r"\d+ of 13 claims hold", first)
    written = (oracle / "claims.json").stat().st_mtime_ns
    print_quick_check(load(oracle))
    assert capsys.readouterr().out == first
    assert (oracle / "claims.json").stat().st_mtime_ns == written, "a verified run is not verified again"


def test_run_that_learned_nothing_is_not_checked(tmp_path, capsys):
    data = {"max_length": 5, "train_per_length": 32, "test_per_length": 32}
    run = stored(tmp_path / "run", untrained(5, width=16), "parity", **data)
    print_quick_check(run)
    assert capsys.readouterr().out == ""
    assert not (run.folder.path / "claims.json").exists()


def test_claims_are_printed_even_if_the_folder_is_locked(call, oracle):
    with RunFolder(oracle).lock():
        output = call("verify parity --sequences 32")
    assert output.code == 2
    assert "is working on this run" in output.err
    assert "iteration head: layer 2, head 1" in output.out
    assert not (oracle / "claims.json").exists()
