"""The settings of a run: frozen, strict, and the same from Python, a TOML file and the command line.

Unknown keys, impossible values and contradictions are refused in one line that names them. Imports no torch, so that
`iterhead --help` stays quick.
"""

from iterhead.settings.configs import DataConfig, ModelConfig, RunConfig, StartConfig, TrainingConfig
from iterhead.settings.reading import option_names, parse_config, part_of, read_toml

__all__ = [
    "DataConfig",
    "ModelConfig",
    "RunConfig",
    "StartConfig",
    "TrainingConfig",
    "option_names",
    "parse_config",
    "part_of",
    "read_toml",
]
