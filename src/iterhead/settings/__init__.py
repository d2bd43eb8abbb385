"""The settings of a run: frozen, strict, and the same from Python, a TOML file and the command line. No torch."""

from iterhead.settings.configs import DataConfig, ModelConfig, RunConfig, StartConfig, TrainingConfig
from iterhead.settings.reading import option_names, parse_config

__all__ = ["DataConfig", "ModelConfig", "RunConfig", "StartConfig", "TrainingConfig", "option_names", "parse_config"]
