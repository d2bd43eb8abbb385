"""Every system call that writes fails once: the disk is full, broken or read-only at each moment of each command.

The calls of an undisturbed command are counted; then each of them fails in a command of its own. Time does not pass in
these commands, so that the same settings give the same bytes, and whole folders can be compared.
"""

import errno
import itertools
import os
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import pytest

from faults.counts import Counts
from faults.disturbance import Command, Disturbance
from faults.failing_calls import FOREVER, FailingCalls, build

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)

TINY = (
    "--task parity --data.max-length 3 --data.train-per-length 8 --data.test-per-length 4 --model.width 8 "
    "--training.batch-size 6 --training.short-epochs 0 --threads 1"
)
RUN = f"run {TINY} --training.epochs 1"
STUDY = "faults.own_study:tiny --scale smoke"
STUDY_RUN = f"study run {STUDY} --workers 1 --threads 1"
EXPORT = "export parity --to exported"

COMMANDS = {
    "run": Command(RUN),
    "resumed run": Command(f"run {TINY} --training.epochs 2", is_begun=True, every=2),
    "transfer": Command("transfer --from parity --task copy --threads 1", (RUN,), every=5),
    "population": Command(f"{RUN} --seeds 0,1 --workers 1", is_rounded=True, every=7),
    "workers": Command(f"{RUN} --seeds 0,1 --workers 2", every=11),
    "verify": Command("verify parity --sequences 4", (RUN,)),
    "report": Command("report parity", (RUN,), errors=3),
    "export": Command(EXPORT, (RUN,), errors=3),
    "export over another": Command(f"{EXPORT} --epoch 0 --force", (RUN, EXPORT)),
    "study": Command(STUDY_RUN, (f"study list {STUDY}",), again=STUDY_RUN.replace("run", "retry"), every=5),
    "study report": Command(f"study report {STUDY}", (STUDY_RUN,)),
    "page of a study": Command(f"report {STUDY}", (STUDY_RUN,), errors=3),
    "scan": Command("scan MODEL --task polynomial:p=5 --lengths 4 --prompts 4 --device cpu", every=11),
}
"""The calls that write come in cycles of about a dozen for each file: strides of 5, 7 and 11 meet each kind."""

ALL = os.environ.get("FAULTS") == "all"
"""Every call with every error: an hour."""


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingCalls]:
    """The calls that can fail: in the server that all commands are forked from, and so in them and their workers."""
    failing = FailingCalls(build(tmp_path_factory.mktemp("library")))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in failing.environment.items():
            patch.setenv(name, value)
        server = forkserver._forkserver
        server._stop()  # it was started without them
        patch.setattr(server, "_preload_modules", [*server._preload_modules, "faults.undrawn"])
        yield failing
        server._stop()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model with an iteration head."""
    pytest.importorskip("transformers")
    from helpers.planted import planted_gpt2
    from iterhead.tasks import task

    folder = tmp_path_factory.mktemp("models") / "planted"
    planted_gpt2(task("polynomial:p=5"), 4, layers=2, heads=2).model.save_pretrained(folder)
    return folder


@pytest.fixture
def disturbance(request: pytest.FixtureRequest, calls: FailingCalls, counts: Counts, tmp_path: Path) -> Disturbance:
    """A command, by its name, which has been called once without a fault."""
    command = COMMANDS[request.param]
    words = command.words.split()
    if "MODEL" in words:
        words[words.index("MODEL")] = str(request.getfixturevalue("model"))
    if "export" in words:
        pytest.importorskip("transformers")
    return Disturbance(command, calls, counts, tmp_path, words)


@pytest.mark.parametrize("disturbance", COMMANDS, indirect=True)
def test_each_call_that_writes_fails_once(disturbance: Disturbance):
    errors = itertools.cycle(ERRORS)
    every, ways = (1, len(ERRORS)) if ALL else (disturbance.command.every, disturbance.command.errors)
    for number in range(1, disturbance.count + 1, every):
        for error in itertools.islice(errors, ways):
            fault = f"a call fails once: {errno.errorcode[error]}"
            disturbance.disturb(fault, error=error, first=number, last=number)


@pytest.mark.parametrize("disturbance", ["run", "export over another"], indirect=True)
def test_a_call_is_carried_out_and_reported_as_failed(disturbance: Disturbance):
    for number in range(1, disturbance.count + 1, 5):
        disturbance.disturb("a call reports failure", error=errno.EIO, first=number, last=number, how="reported")


@pytest.mark.parametrize("disturbance", ["resumed run", "export over another", "study report"], indirect=True)
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS])
def test_a_disk_stays_full_or_read_only(disturbance: Disturbance, error: int):
    for number in range(1, disturbance.count + 1, 11):
        # Nothing is removed from a disk that became read-only.
        may_leave = error == errno.EROFS
        fault = f"all calls fail: {errno.errorcode[error]}"
        disturbance.disturb(fault, error=error, first=number, last=FOREVER, leaves_temporary=may_leave)


@pytest.mark.parametrize("disturbance", COMMANDS, indirect=True)
def test_every_write_is_short(disturbance: Disturbance):
    disturbance.disturb("writes are short", first=1, last=FOREVER, how="short")
