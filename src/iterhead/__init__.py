"""Train small transformers on iterative tasks, find their iteration heads, and prove what those heads do.

    import iterhead as ih

    run = ih.train(ih.RunConfig(task="parity", seed=3))    # into a folder of runs/; resumes what was interrupted
    run.scores.second_peakiness                            # how clearly the iteration head reads x_t, 0 .. 1
    ih.load("parity").model                                # a run by the beginning of its name

The command line is `iterhead --help`. A name's module is imported when the name is first used, so `import iterhead`
brings in no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iterhead.errors import UserError
    from iterhead.model import Transformer, generate
    from iterhead.model.handmade import handmade
    from iterhead.runs.run import load
    from iterhead.runs.training import train, train_population
    from iterhead.runs.transfer import transfer
    from iterhead.runs.worker_pool import train_many
    from iterhead.settings import DataConfig, ModelConfig, RunConfig, StartConfig, TrainingConfig, parse_config
    from iterhead.tasks import IterativeTask, Mixture, task

    __version__: str

__all__ = [
    "DataConfig",
    "IterativeTask",
    "Mixture",
    "ModelConfig",
    "RunConfig",
    "StartConfig",
    "TrainingConfig",
    "Transformer",
    "UserError",
    "__version__",
    "generate",
    "handmade",
    "load",
    "parse_config",
    "task",
    "train",
    "train_many",
    "train_population",
    "transfer",
]

_HOMES = {
    "errors": ["UserError"],
    "model": ["Transformer", "generate"],
    "model.handmade": ["handmade"],
    "runs.run": ["load"],
    "runs.training": ["train", "train_population"],
    "runs.transfer": ["transfer"],
    "runs.worker_pool": ["train_many"],
    "settings": ["DataConfig", "ModelConfig", "RunConfig", "StartConfig", "TrainingConfig", "parse_config"],
    "tasks": ["IterativeTask", "Mixture", "task"],
}
"""The module that each public name comes from, as in the imports above."""


def __getattr__(name: str) -> Any:
    """Return a public name, imported now; called only for names that are not here yet."""
    value: Any
    if name == "__version__":
        from importlib.metadata import version  # costs more than everything else here

        value = version("iterhead")
    else:
        home = next((module for module, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
