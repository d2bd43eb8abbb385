"""`iterhead verify`: what it prints, what it writes, and its exit codes."""

import json
import re
import shutil

import pytest

from helpers.stored_runs import stored, untrained
from iterhead.cli.verify import tell_claims
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


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def test_claims_that_hold_end_with_0(call, oracle):
    said = call("verify parity --sequences 32")
    assert (said.code, said.err) == (0, "")
    assert "iteration head: layer 2, head 1" in said.out
    assert "does not hold" not in said.out
    for name in ("1", "3a", "3b", "4a", "4b", "4c", "4d", "4e", "4f", "4g", "5a", "5b", "6"):
        assert re.search(rf"^{name} +\w.* (holds|undecided) *$", said.out, re.MULTILINE)
    assert re.search(r"^first head: random map +0\.\d{3} ", said.out, re.MULTILINE)
    for name in ("claims.json", "verify.png", "verify.pdf"):
        assert (oracle / name).stat().st_size


def test_one_that_does_not_hold_ends_with_1(call, tmp_path):
    stored(tmp_path / "runs/parity-untrained", untrained(6, width=8), "parity", max_length=6)
    said = call("verify parity-untrained --sequences 32")
    assert (said.code, said.err) == (1, "")
    assert "does not hold" in said.out


def test_json(call, oracle):
    said = call("verify parity --sequences 16 --json")
    assert (said.code, said.err) == (0, "")
    found = json.loads(said.out, parse_constant=refuse)
    assert set(found) == {"run", "circuit", "claims", "effects", "chance"}
    for claim in found["claims"]:
        assert {"id", "claim", "value", "low", "high", "threshold", "verdict"} <= set(claim)
        assert claim["verdict"] in ("holds", "does not hold", "undecided")
    written = json.loads((oracle / "claims.json").read_text(), parse_constant=refuse)
    assert written == {name: value for name, value in found.items() if name != "run"}


@pytest.mark.parametrize("bad", ["0", "1", "-3", "1.5", "many"])
def test_bad_numbers_of_sequences(call, oracle, bad):
    said = call(f"verify parity --sequences {bad}")
    assert said.code == 2
    assert said.line == f"iterhead: --sequences {bad}: expected a whole number of at least 2"
    assert not (oracle / "claims.json").exists()


def test_more_sequences_than_there_are(call, oracle):
    assert call("verify parity --sequences 100000 --json").code == 0


def test_a_run_without_chain_of_thought_is_refused(call, tmp_path):
    stored(tmp_path / "runs/no-chain", untrained(4, cot=False, width=8), "parity", max_length=4, cot=False)
    said = call("verify no-chain")
    assert said.code == 2
    assert "trained without chain of thought, so there is no iteration head to verify" in said.line


def test_no_such_run(call):
    said = call("verify nothing")
    assert said.code == 2
    assert "nothing" in said.line


def test_no_run_named(call):
    said = call("verify")
    assert said.code == 2
    assert "RUN" in said.line or "run" in said.line


def test_a_run_that_learnt_its_task_ends_with_what_holds(oracle, capsys):
    tell_claims(load(oracle))
    first = capsys.readouterr().out
    assert "Checked by intervention (iteration head: layer 2, head 1" in first
    assert re.search(r"\d+ of 13 claims hold", first)
    written = (oracle / "claims.json").stat().st_mtime_ns
    tell_claims(load(oracle))
    assert capsys.readouterr().out == first
    assert (oracle / "claims.json").stat().st_mtime_ns == written, "what is known is not worked out again"


def test_a_run_that_learnt_nothing_is_not_checked(tmp_path, capsys):
    data = {"max_length": 5, "train_per_length": 32, "test_per_length": 32}
    run = stored(tmp_path / "run", untrained(5, width=16), "parity", **data)
    tell_claims(run)
    assert capsys.readouterr().out == ""
    assert not (run.folder.path / "claims.json").exists()


def test_what_was_found_is_shown_though_the_folder_refuses(call, oracle):
    with RunFolder(oracle).lock():
        said = call("verify parity --sequences 32")
    assert said.code == 2
    assert "is working on this run" in said.err
    assert "iteration head: layer 2, head 1" in said.out
    assert not (oracle / "claims.json").exists()
