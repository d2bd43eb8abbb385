"""Networks as run folders, as if they had been trained: what `verify` and the command line are given."""

from pathlib import Path
from typing import Any

from iterhead.measure.evaluate import evaluate
from iterhead.measure.records import TEST, table
from iterhead.model.transformer import Transformer
from iterhead.runs.notes import STATUS, Status
from iterhead.runs.run import MEASUREMENTS, Run, checkpoint_name
from iterhead.runs.storage import CONFIG, RunFolder, table_bytes, tensor_bytes
from iterhead.settings import ModelConfig, RunConfig, parse_config
from iterhead.tasks import SequenceLayout

EPOCH = 1


def settings(spec: str, model: dict[str, Any], **data: Any) -> RunConfig:
    """The config of a run; `data` are its data settings."""
    return parse_config({"task": spec, "model": model, "data": data})


def stored(path: Path, model: Transformer, spec: str, **data: Any) -> Run:
    """The finished run, in a new folder, whose network is `model`."""
    config = settings(spec, model.config.model_dump(), **data)
    folder = RunFolder(path)
    with folder.lock():
        folder.write_json(CONFIG, config.model_dump(mode="json"))
        run = Run(folder)
        records = evaluate(model, config.iterative_task, run.dataset.test, cot=config.data.cot)
        measurements = table([{"epoch": EPOCH, "split": TEST, **record} for record in records])
        folder.write(MEASUREMENTS, table_bytes(measurements))
        folder.write(checkpoint_name(EPOCH), tensor_bytes(model.state_dict()))
        folder.write_json(STATUS, vars(Status("finished", EPOCH, True, 1, 0.0, 0.0)))
    return run


def untrained(longest: int, *, cot: bool = True, **model: Any) -> Transformer:
    """A network as it is before its first step."""
    return Transformer(ModelConfig(**model), SequenceLayout(longest, cot).size, [3]).eval()
