"""What a run folder notes about its run: how far it is, in status.json, and what made it, in provenance.json."""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from iterhead.contents import MOST_JSON_BYTES, STRICT, Share, parse_json
from iterhead.errors import UserError, shortened
from iterhead.measure.accuracy import guessing
from iterhead.runs.storage import RunFolder
from iterhead.settings import RunConfig

STATUS = "status.json"
PROVENANCE = "provenance.json"

FORMAT = 2
"""Of run folders. Older folders name none, which counts as 1: there was a time in their state.safetensors.

A change that makes older versions of iterhead misread a folder makes it larger.
"""


class NewerFormatError(UserError):
    """A later version of iterhead made the folder: nothing is wrong with it."""


class _MadeBy(BaseModel):
    """What is read of the provenance of a run of any version."""

    iterhead: str = "another version"
    format: int = Field(default=1, ge=1)


class Start(BaseModel):
    """The checkpoint that a run started from."""

    model_config = STRICT
    run: str
    epoch: int = Field(ge=0)
    sha256: str


class Provenance(BaseModel):
    """What a run's numbers depend on besides its settings: a digest of the task, versions, and its start."""

    model_config = STRICT
    format: int = 1
    task: str = Field(pattern="^[0-9a-f]{16}$")
    guessing: Share | None = None  # accuracy of random values
    iterhead: str
    python: str
    torch: str
    numpy: str
    start: Start | None = None

    @property
    def versions(self) -> dict[str, str]:
        """The versions, by name."""
        return self.model_dump(include={"iterhead", "python", "torch", "numpy"})


def provenance(config: RunConfig, start: Start | None = None) -> dict[str, Any]:
    """Return the provenance of a new run, as JSON values."""
    versions = {name: version(name) for name in ("iterhead", "torch", "numpy")}
    task = config.iterative_task
    made = {"format": FORMAT, "task": task.digest, "guessing": guessing(task, config.data)}
    made |= {"python": platform.python_version(), **versions}
    return made if start is None else {**made, "start": start.model_dump()}


_Count = Annotated[int, Field(ge=0, lt=10**9)]
_Seconds = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Status:
    """How far a run is. A resumed run keeps threads, precision and compiled, to get the same bits.

    Seconds are those of all parts of a resumed run, and of a population's each network's share.
    """

    state: Literal["running", "finished", "diverged"]  # running or interrupted; diverged: its loss was not finite
    epoch: _Count  # trained and saved
    emerged: bool  # the head had emerged and stayed for three evaluations
    threads: _Count
    train_seconds: _Seconds  # in training steps
    total_seconds: _Seconds  # evaluation and drawing included
    message: str = ""  # why it diverged, if it did
    device: str = "cpu"  # of the last part of the training
    precision: Literal["", "float32", "float64", "bfloat16"] = ""  # dtype of the training steps
    compiled: bool = False

    __pydantic_config__ = STRICT


def read_provenance(folder: RunFolder) -> Provenance | None:
    """Return the provenance of a run; None where there is none.

    Raises:
        NewerFormatError: a later version of iterhead made the folder.
        UserError: it is damaged.
    """
    if not folder.has(PROVENANCE):
        return None
    data = folder.read(PROVENANCE, MOST_JSON_BYTES)
    with folder.checked(PROVENANCE):
        made = parse_json(data, _MadeBy)
    if made.format > FORMAT:
        raise NewerFormatError(
            f"{folder.path}: made by iterhead {shortened(made.iterhead)} in format {made.format}, and this "
            f"iterhead reads formats up to {FORMAT}: update it (pip install --upgrade iterhead)"
        )
    with folder.checked(PROVENANCE):
        return parse_json(data, Provenance)
