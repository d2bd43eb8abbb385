"""The model card of an exported network: README.md, in the form that Hugging Face reads."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from iterhead.formatting import head_label, length_range, percent, plural
from iterhead.measure.records import Scores
from iterhead.model.transformer import Transformer
from iterhead.settings import DataConfig
from iterhead.tasks import Task

PAPER = "https://arxiv.org/abs/2406.02128"


@dataclass(frozen=True)
class Exported:
    """A network, with what is known about it.

    Attributes:
        model, task, data: the network, what it solves, and the lengths of its sequences.
        scores: None where nothing was measured.
        run, epoch: where the weights come from; None for a network without a run.
        settings: the run's settings that differ from the defaults, by dotted name.
    """

    model: Transformer
    task: Task
    data: DataConfig
    scores: Scores | None = None
    run: str | None = None
    epoch: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def origin(self) -> dict[str, Any]:
        """What was exported, as JSON values."""
        return {
            "version": version("iterhead"),
            "task": self.task.name,
            "cot": self.data.cot,
            "min_length": self.data.min_length,
            "max_length": self.data.max_length,
            "run": self.run,
            "epoch": self.epoch,
        }


def model_card(exported: Exported, format: str, folder: str, worked: Sequence[str]) -> str:
    """Return the text of the card.

    Args:
        exported: the network.
        format: auto, gpt2 or transformer-lens.
        folder: the folder's name, as its user would type it.
        worked: a whole sequence of each component of the task, in the words of the tokenizer.
    """
    parts = [_head(exported), _task(exported, worked), _loading(format, folder, worked[0])]
    if exported.scores is not None:
        parts.append(_scores(exported.scores, format))
    if exported.settings:
        rows = (f"| `{name}` | `{value}` |".lower() for name, value in exported.settings.items())
        parts.append("\n".join(["## Settings", "", "Those that differ from the defaults.", "", *_table("setting", rows)]))
    parts += [_scan(exported, folder), _versions(exported)]
    return "\n\n".join(parts) + "\n"
