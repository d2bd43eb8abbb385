"""The kinds of work that are killed, stopped and doubled: commands that take a second or two, and what they need."""

import re
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from faults.contents import contents, differences, temporaries
from faults.forked import Forked, call, start
from helpers.planted import planted_gpt2
from helpers.tiny_study import CALIBRATION
from iterhead import atomic
from iterhead.cli import main
from iterhead.errors import UserError
from iterhead.runs.training import train_population
from iterhead.settings import parse_config
from iterhead.studies.cost import FILE
from iterhead.tasks import task

Program = Callable[[Sequence[str]], int]

SETTINGS = (
    "--task parity --data.max-length 3 --data.train-per-length 8 --data.test-per-length 4 --model.width 8 "
    "--training.batch-size 6 --training.short-epochs 0 --training.early-stop false --threads 1 --training.epochs"
)
RUN = f"run {SETTINGS} 8".split()


@dataclass(frozen=True)
class Kind:
    """A command, run in a folder again and again until it has ended.

    Attributes:
        words: of the command.
        inputs: writes what the command needs into the current folder, which is copied for each history; it is given no
            words.
        program: is given the words.
        tolerance: of numbers, where networks that are trained together differ by rounding from those trained alone.
    """

    words: Sequence[str]
    inputs: Program | None = None
    program: Program = main
    tolerance: float = 0.0

    def start(self, folder: Path, before: Callable[[], object] | None = None) -> Forked:
        """Start the command in a folder."""
        return start(self.words, folder, program=self.program, before=before)

    def prepare(self, folder: Path) -> None:
        """Make a folder with what the command needs."""
        folder.mkdir()
        if self.inputs is not None:
            output = call([], folder, program=self.inputs)
            assert output.code == 0, output.err


def _population(_words: Sequence[str]) -> int:
    """Train four networks as one computation, in this process, and print what is saved of each."""

    class Reporter:
        def started(self, run, evaluations):
            self.evaluated(run, evaluations[-1])

        def evaluated(self, run, evaluation):
            print(f"saved {run.name} {evaluation.epoch}", flush=True)

    settings = {
        "task": "parity",
        "data": {"max_length": 3, "train_per_length": 8, "test_per_length": 4},
        "model": {"width": 8},
    }
    training = {"batch_size": 6, "short_epochs": 0, "early_stop": False}
    configs = [
        parse_config({**settings, "seed": seed, "training": {**training, "epochs": 4 + 2 * (seed % 2)}})
        for seed in range(4)
    ]
    kept = dict.fromkeys(configs[:2], (4,))  # the others keep only the last one; none has a figure
    try:
        train_population(configs, out="runs", threads=1, observer=Reporter(), kept_checkpoints=kept)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _study_module(_words: Sequence[str]) -> int:
    """Write the study of docs/studies.md, and how fast this machine is, which would take a second to measure."""
    docs = Path(__file__).parents[2] / "docs/studies.md"
    (code,) = re.findall(r"```python\n(.*?)```", docs.read_text(), re.DOTALL)
    Path("own_studies.py").write_text(code)
    atomic.write(Path("runs") / FILE, atomic.json_bytes(asdict(CALIBRATION)))
    return 0


def _model(_words: Sequence[str]) -> int:
    """Write a language model that has iteration heads."""
    planted_gpt2(task("polynomial:p=5"), 6, layers=3, heads=2).model.save_pretrained("model")
    return 0


def _trained(_words: Sequence[str]) -> int:
    """Train the run that is worked on."""
    return main([*RUN, "--quiet"])


def _exported(words: Sequence[str]) -> int:
    """Train a run, and export how it was at the start."""
    return _trained(words) or main(["export", "parity", "--to", "nets/parity", "--epoch", "0"])


KINDS = {
    "run": Kind(RUN),
    "population": Kind([], program=_population, tolerance=1e-3),
    "seeds": Kind(f"run {SETTINGS} 4 --seeds 0..3 --workers 2".split(), tolerance=1e-3),
    "study": Kind(
        ["study", "run", "own_studies:parity", "--scale", "smoke", "--workers", "2", "--threads", "1"],
        _study_module,
        tolerance=1e-3,
    ),
    "scan": Kind(
        ["scan", "model", "--task", "polynomial:p=5", "--lengths", "4,6", "--prompts", "6", "--device", "cpu"], _model
    ),
    "export": Kind(["export", "parity", "--to", "nets/parity", "--force"], _exported),
    "verify": Kind(["verify", "parity"], _trained),
    "report": Kind(["report", "parity"], _trained),
    "transfer": Kind(f"transfer --from parity {SETTINGS} 4".replace("task parity", "task copy").split(), _trained),
}


class Twin:
    """A kind of work done without any disturbance, for comparison.

    Attributes:
        kind: of the work.
        prepared: a folder with what it needs; `copy` copies it.
        code: the exit code.
        seconds: how long it takes.
    """

    def __init__(self, kind: Kind, folder: Path):
        self.kind, self.prepared, self._done = kind, folder / "prepared", folder / "twin"
        kind.prepare(self.prepared)
        start = time.monotonic()
        output = kind.start(self.copy(self._done)).wait()
        self.seconds = time.monotonic() - start
        assert output.code in (0, 1), output.err  # 1: a claim does not hold
        self.code = output.code
        assert not temporaries(self._done)
        self._contents = contents(self._done)

    def copy(self, folder: Path) -> Path:
        """Copy what the work needs to a new folder."""
        return Path(shutil.copytree(self.prepared, folder))

    def differences(self, folder: Path) -> list[str]:
        """Return in words what differs in a folder where the same work was done."""
        left = [f"{name} is left over" for name in temporaries(folder)]
        return left + differences(contents(folder), self._contents, self.kind.tolerance)
