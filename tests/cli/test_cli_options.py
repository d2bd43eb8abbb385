"""Settings from options, from TOML and from Python are the same settings."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iterhead.cli.main import find
from iterhead.cli.options import Setting, as_options, read_config, settings
from iterhead.settings import DataConfig, ModelConfig, RunConfig, StartConfig, TrainingConfig

WANTED = RunConfig(
    task="polynomial:p=13",
    seed=3,
    data=DataConfig(max_length=12, cot=False),
    model=ModelConfig(width=32, heads=2, mlp_width=48),
    training=TrainingConfig(lr=1e-3, clip=2.0, early_stop=False, schedule="cosine"),
)
WORDS = (
    "--task polynomial:p=13 --seed 3 --data.max-length 12 --data.cot false --model.width 32 --model.heads 2 "
    "--model.mlp-width 48 --training.lr 1e-3 --training.clip 2 --training.early-stop false --training.schedule cosine"
)
TOML = """
task = "polynomial:p=13"
seed = 3
data = { max_length = 12, cot = false }

[model]
width = 32
heads = 2
mlp_width = 48

[training]
lr = 0.001
clip = 2
early_stop = false
schedule = "cosine"
"""


def config(words: str) -> RunConfig:
    return read_config(find("run").parse(words.split()))


def test_options_toml_and_python_give_one_hash(tmp_path: Path):
    (tmp_path / "file.toml").write_text(TOML)
    ways = [WANTED, config(WORDS), config(f"--config {tmp_path / 'file.toml'}")]
    assert [way.digest for way in ways] == [WANTED.digest] * 3
    assert WANTED.digest != RunConfig().digest


@pytest.mark.parametrize(
    "words", [WORDS.replace("-length", "_length"), WORDS.replace(" --", "@--").replace(" ", "=").replace("@", " ")]
)
def test_underscores_and_equals_signs_work_too(words):
    assert words != WORDS
    assert config(words) == WANTED


def test_options_override_the_file_and_the_file_overrides_defaults(tmp_path):
    (tmp_path / "file.toml").write_text("seed = 5\n[data]\nmax_length = 9\nmin_length = 2\n")
    result = config(f"--config {tmp_path / 'file.toml'} --data.max-length 7")
    assert (result.seed, result.data.min_length, result.data.max_length) == (5, 2, 7)
    assert result.data.train_per_length == DataConfig().train_per_length


def test_none_unsets_a_setting_of_the_file(tmp_path):
    (tmp_path / "file.toml").write_text("[model]\nmlp_width = 8\n")
    result = config(f"--config {tmp_path / 'file.toml'} --model.mlp-width none")
    assert result.model.mlp_width is None


def test_the_last_of_two_options_counts():
    assert config("--seed 1 --seed 2").seed == 2


OTHERS = {
    "task": "parity",
    "model.heads": 2,
    "model.width": 32,
    "model.context": 99,
    "model.residual": "pre-norm",
    "model.positions": "frozen",
    "training.precision": "float64",
    "start.run": "parity-0123456789",
}


def other_value(setting: Setting) -> object:
    """A legal value that is not the default."""
    default = setting.default
    if isinstance(default, bool):
        return not default
    if isinstance(default, float):
        return default / 2 if default else 0.5
    if default is None:
        return 8
    if setting.choices:
        return next(choice for choice in setting.choices if choice != default)
    return default if isinstance(default, str) else default + 1


@pytest.mark.parametrize("setting", settings(), ids=lambda setting: setting.flag)
def test_every_setting_can_be_given(setting):
    value = OTHERS.get(".".join(setting.path), other_value(setting))
    needs = {
        "--start.epoch": "--start.run parity-0123456789 ",
        "--model.kv-heads": "--model.architecture llama --model.heads 8 ",
    }
    other = needs.get(setting.flag, "")
    result = config(f"{other}{setting.flag} {str(value).lower()}")
    assert setting.value(result) == value != setting.default


def test_start_in_the_file_can_be_changed_and_unset(tmp_path):
    (tmp_path / "file.toml").write_text('[start]\nrun = "parity-1"\nepoch = 3\n')
    file = f"--config {tmp_path / 'file.toml'}"
    assert config(file).start == StartConfig(run="parity-1", epoch=3)
    assert config(f"{file} --start.epoch none").start == StartConfig(run="parity-1")
    assert config(f"{file} --start.run parity-2").start == StartConfig(run="parity-2", epoch=3)
    assert config(f"{file} --start.run none") == RunConfig()


def test_as_options_leaves_out_defaults():
    assert as_options(RunConfig()) == []
    assert as_options(RunConfig(seed=3, data=DataConfig(cot=False))) == ["--seed", "3", "--data.cot", "false"]


@given(
    seed=st.integers(0, 2**40),
    lr=st.floats(1e-30, 1e3),
    cot=st.booleans(),
    clip=st.none() | st.floats(1e-30, 1e3),
    start=st.none() | st.builds(StartConfig, run=st.just("copy-1"), epoch=st.none() | st.integers(0, 99)),
    train=st.sampled_from(["all", "last-mlp", "not-attention"]),
    task=st.sampled_from(["parity", "polynomial:f=s^2-x", "mix:copy,polynomial(p=5):weights=0.3,0.7"]),
)
def test_as_options_round_trip(seed, lr, cot, clip, start, train, task):
    training = TrainingConfig(lr=lr, clip=clip, train=train)
    made = RunConfig(task=task, seed=seed, data=DataConfig(cot=cot), training=training, start=start)
    result = read_config(find("run").parse(as_options(made)))
    assert result == made
    assert result.digest == made.digest
