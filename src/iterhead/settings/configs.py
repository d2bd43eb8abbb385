"""The settings of a run, with their defaults and checks."""

import hashlib
from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from iterhead.contents import STRICT
from iterhead.errors import UserError, shortened
from iterhead.tasks import SequenceLayout, Task, Vocabulary, catalogue, task
from iterhead.tasks.catalogue import NotImportedError
from iterhead.values import MAX_CHARACTERS, MAX_SEED

MAX_LENGTH, MAX_WIDTH, MAX_LAYERS, MAX_CONTEXT, MAX_VOCABULARY = 1024, 8192, 96, 2**16, 2**18
MAX_SEQUENCES, MAX_BATCH, MAX_EPOCHS, MAX_STEPS = 10**8, 2**16, 10**6, 10**9
"""Limits, so that a typo raises an error at once. Whether a network fits the memory, `training.memory` says."""

ADDED_LATER = {"training": {"train"}, "model": {"architecture", "kv_heads"}}
"""Settings that `RunConfig.digest` leaves out where they have their defaults, so that older runs keep their names."""

OWN: Literal["iterhead"] = "iterhead"
"""The architecture of section 4 of the paper, `model.transformer`; the others are those of Hugging Face."""

OWN_ONLY = ("residual", "norm", "positions", "position_width")
"""Settings of `ModelConfig` that other architectures do not have."""

ROTATED = {"gpt-neox": 8, "llama": 2, "qwen3": 2, "mistral": 2}
"""Architectures with rotary positions, and what the width of a head must be a multiple of: they turn pairs of
coordinates, gpt-neox of a quarter of them."""

GROUPED = ("llama", "qwen3", "mistral")
"""Architectures in which several heads can share their keys and values."""


STORED = {"stored": True}
"""Context of the validation of settings from a run's folder: no module is imported."""


class StrictConfig(BaseModel):
    """Immutable settings: no unknown keys, no silent conversion of types, finite numbers only."""

    model_config = ConfigDict(frozen=True, **STRICT)


class DataConfig(StrictConfig):
    """The training and test sequences (section 2 of the paper)."""

    min_length: int = Field(default=1, ge=1, le=MAX_LENGTH, description="shortest number of inputs L")
    max_length: int = Field(default=16, ge=1, le=MAX_LENGTH, description="longest number of inputs L")
    train_per_length: int = Field(
        default=1024, ge=1, le=MAX_SEQUENCES, description="training sequences per length and epoch (1,024 in the paper)"
    )
    test_per_length: int = Field(
        default=1024, ge=1, le=MAX_SEQUENCES, description="most test sequences of each length (1,024 in the paper)"
    )
    split: Literal["disjoint", "iid"] = Field(
        default="disjoint",
        description="disjoint: no test sequence is in the training set; iid: drawn independently, as published",
    )
    cot: bool = Field(default=True, description="whether all states are written (chain of thought) or only the last")

    @model_validator(mode="after")
    def _lengths_in_order(self) -> "DataConfig":
        if self.max_length < self.min_length:
            raise ValueError(f"max_length={self.max_length}: expected at least min_length={self.min_length}")
        return self

    @property
    def lengths(self) -> range:
        """Every length, shortest first."""
        return range(self.min_length, self.max_length + 1)

    def layout(self, length: int) -> SequenceLayout:
        """Return the layout of sequences of `length` inputs."""
        return SequenceLayout(length, cot=self.cot)


class ModelConfig(StrictConfig):
    """The network (section 4 of the paper), or one of another architecture."""

    architecture: Literal["iterhead", "gpt2", "gpt-neox", "llama", "qwen3", "mistral"] = Field(
        default=OWN, description="iterhead: the decoder of the paper; the others need transformers (iterhead[hf])"
    )
    width: int = Field(default=64, ge=1, le=MAX_WIDTH, description="width D of the residual stream")
    layers: int = Field(default=2, ge=1, le=MAX_LAYERS, description="number of layers")
    heads: int = Field(
        default=1, ge=1, le=MAX_WIDTH, description="attention heads H in each layer; must divide the width"
    )
    kv_heads: int | None = Field(
        default=None,
        ge=1,
        le=MAX_WIDTH,
        description="key-value heads of llama, qwen3 and mistral; as many as heads if not set",
    )
    mlp_width: int | None = Field(
        default=None,
        ge=1,
        le=4 * MAX_WIDTH,
        description="hidden width of the MLPs, gated or not; four times the width if not set",
    )
    residual: Literal["published", "pre-norm"] = Field(
        default="published", description="published: x <- norm1(x); x <- x + attn(x). pre-norm: x <- x + attn(norm1(x))"
    )
    norm: Literal["layer", "rms", "none"] = Field(
        default="layer", description="LayerNorm (a weight, no bias), RMSNorm or none"
    )
    positions: Literal["learned", "frozen", "sinusoidal", "rotary", "none"] = Field(
        default="learned", description="position embedding; frozen: random and not trained"
    )
    position_width: int | None = Field(
        default=None,
        ge=1,
        le=MAX_WIDTH,
        description="coordinates with positions (of all heads together, for rotary); all if not set",
    )
    context: int | None = Field(
        default=None,
        ge=4,
        le=MAX_CONTEXT,
        description="number of positions; if not set, as many as the longest sequence has tokens",
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout on the embedding while training")
    vocabulary: int = Field(
        default=64, ge=4, le=MAX_VOCABULARY, description="number of token ids: values from 0 up, special tokens last"
    )

    @model_validator(mode="after")
    def _widths_agree(self) -> "ModelConfig":
        if self.width % self.heads:
            raise ValueError(f"heads={self.heads}: expected a divisor of width={self.width}")
        if self.position_width is not None and self.position_width > self.width:
            raise ValueError(f"position_width={self.position_width}: expected at most width={self.width}")
        if self.positions == "rotary" and self.positions_on % (2 * self.heads):
            raise ValueError(
                f"position_width={self.positions_on}: rotary positions turn pairs of coordinates in each head: "
                f"expected a multiple of {2 * self.heads}"
            )
        return self

    @model_validator(mode="after")
    def _fits_architecture(self) -> "ModelConfig":
        if self.architecture != OWN:
            for name in OWN_ONLY:
                if (value := getattr(self, name)) != type(self).model_fields[name].default:
                    raise ValueError(f"{name}={value}: only for architecture={OWN}, not {self.architecture}")
        if self.kv_heads is not None and self.architecture not in GROUPED:
            raise ValueError(f"kv_heads={self.kv_heads}: only for architecture={', '.join(GROUPED)}")
        if self.heads % self.key_value_heads:
            raise ValueError(f"kv_heads={self.kv_heads}: expected a divisor of heads={self.heads}")
        multiple = ROTATED.get(self.architecture, 1)
        if self.head_width % multiple:
            raise ValueError(
                f"heads={self.heads}: rotary positions of {self.architecture} need heads whose width is a multiple of "
                f"{multiple}, not {self.head_width}"
            )
        return self

    @property
    def hidden(self) -> int:
        """Hidden width of the MLPs."""
        return self.mlp_width or 4 * self.width

    @property
    def unused(self) -> set[str]:
        """The settings that do not apply to this architecture."""
        own = () if self.architecture == OWN else OWN_ONLY
        return {*own} if self.architecture in GROUPED else {*own, "kv_heads"}

    @property
    def positions_on(self) -> int:
        """How many coordinates carry positions."""
        return self.position_width or self.width

    @property
    def key_value_heads(self) -> int:
        """Number of heads of keys and values."""
        return self.kv_heads or self.heads

    @property
    def head_width(self) -> int:
        """Width of one head, the field's d_head."""
        return self.width // self.heads


class TrainingConfig(StrictConfig):
    """How the network is trained and when it is evaluated."""

    optimizer: Literal["adam", "adamw", "sgd"] = Field(default="adam", description="update rule")
    lr: float = Field(default=1e-3, gt=0, description="learning rate; with a schedule, its maximum")
    weight_decay: float = Field(
        default=0.0, ge=0, description="weight decay; adamw: decoupled; adam and sgd: added to the gradient"
    )
    momentum: float = Field(default=0.0, ge=0, lt=1, description="momentum, for sgd only")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="adam and adamw: decay of the gradient's mean")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="adam and adamw: decay of the gradient's mean square")
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="learning rate schedule; cosine falls to zero at the epoch limit"
    )
    warmup_steps: int = Field(default=0, ge=0, le=MAX_STEPS, description="steps of linear warm-up")
    clip: float | None = Field(default=None, gt=0, description="largest norm of the gradient; no clipping if not set")
    batch_size: int = Field(
        default=64, ge=1, le=MAX_BATCH, description="most sequences in a batch, which has equal numbers of each length"
    )
    epochs: int = Field(default=100, ge=1, le=MAX_EPOCHS, description="epoch limit")
    evaluate_every: int = Field(default=1, ge=1, le=MAX_EPOCHS, description="epochs between evaluations")
    evaluation_per_length: int = Field(
        default=64, ge=1, le=MAX_SEQUENCES, description="held-out sequences of each length in an evaluation"
    )
    early_stop: bool = Field(default=True, description="stop once the head has shown in three evaluations in a row")
    short_epochs: int = Field(
        default=4, ge=0, le=MAX_EPOCHS, description="epochs at the start that train on the shortest lengths only"
    )
    short_lengths: int = Field(
        default=3, ge=1, le=MAX_LENGTH, description="number of lengths, from the shortest on, in those epochs"
    )
    precision: Literal["auto", "float32", "float64", "bfloat16"] = Field(
        default="auto",
        description="dtype of the steps; bfloat16 keeps weights in float32; auto: bfloat16 where fast",
    )
    train: Literal["all", "last-mlp", "not-attention"] = Field(
        default="all",
        description="which weights are trained: all, those of the last MLP, or all but those of attention",
    )


class StartConfig(StrictConfig):
    """A run whose network this one starts from."""

    run: str = Field(
        max_length=255, description="folder name of the run whose network this one starts from, next to this run's"
    )
    epoch: int | None = Field(
        default=None, ge=0, le=MAX_EPOCHS, description="which of its checkpoints; the last if not set"
    )

    @model_validator(mode="after")
    def _run_is_a_folder_name(self) -> "StartConfig":
        if not self.run or self.run.startswith(".") or set(self.run) & set("/\\"):
            raise ValueError(f"run={shortened(self.run)}: expected the name of a run's folder, without a path")
        return self


class RunConfig(StrictConfig):
    """Everything that a run's results depend on; its hash names the run folder.

    Bit for bit, they also depend on the number of threads and, with precision auto, on the dtype that this selects on
    the machine. Both are in the run's status.
    """

    task: str = Field(
        default="polynomial",
        max_length=MAX_CHARACTERS,
        description="the iterative task, e.g. parity, polynomial:p=13,f=s*x+1, mix:copy,parity, package.module:name",
    )
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="the seed of data, weights, batches and dropout")
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    start: StartConfig | None = None

    @field_validator("task")
    @classmethod
    def _canonical(cls, spec: str, info: ValidationInfo) -> str:
        try:
            return task(spec, imports=info.context is not STORED).name
        except NotImportedError:
            return spec

    @model_validator(mode="after")
    def _parts_agree(self) -> "RunConfig":
        with suppress(NotImportedError):
            iterative = self.iterative_task
            Vocabulary(self.model.vocabulary).check(iterative.alphabet, len(iterative.components))
        longest = self.data.layout(self.data.max_length).size
        if self.context < longest:
            raise UserError(
                f"data.max_length={self.data.max_length}: its sequences have {longest} tokens, but "
                f"model.context={self.context} positions: expected at least {longest}"
            )
        if self.model.architecture != OWN and self.training.train != "all":
            raise UserError(
                f"training.train={self.training.train}: expected all: parts are trained alone only in "
                f"model.architecture={OWN}"
            )
        lengths = len(self.data.lengths)
        if self.training.batch_size < lengths:
            raise UserError(
                f"training.batch_size={self.training.batch_size}: a batch holds equal numbers of each of the "
                f"{lengths} lengths: expected at least {lengths}"
            )
        return self

    @property
    def iterative_task(self) -> Task:
        """The task that `task` names; not stored, since a lambda in it could not be pickled with the settings.

        A user's module was imported when the settings were made, unless they were read from a run's folder.
        """
        return task(self.task, imports=False)

    def __getstate__(self) -> dict[Any, Any]:
        """Add whether the task is there, so that another process imports what this one imported, and no more."""
        try:
            is_there = self.iterative_task is not None
        except UserError:
            is_there = False
        return {**super().__getstate__(), "task_is_there": is_there}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__({name: value for name, value in state.items() if name != "task_is_there"})
        if state["task_is_there"]:
            with suppress(UserError):  # raised again by those who need the task
                task(self.task)

    @property
    def context(self) -> int:
        """P, the number of positions."""
        return self.model.context or self.data.layout(self.data.max_length).size

    @property
    def digest(self) -> str:
        """Ten hex digits that name the run: a hash of every setting, and of what the task does if it is a user's.

        Settings that were added later are left out where they have their defaults: `start`, and `ADDED_LATER`.
        """
        left_out: dict[str, Any] = {}
        for part, names in ADDED_LATER.items():
            settings = getattr(self, part)
            left_out[part] = {n for n in names if getattr(settings, n) == type(settings).model_fields[n].default}
        content = self.model_dump_json(exclude=left_out if self.start else {**left_out, "start": True})
        iterative = self.iterative_task
        # The name of a user's own task, alone or in a mixture, does not say what F is.
        listed = {entry.spec.partition(":")[0] for entry in catalogue()}
        if any(part.name.partition(":")[0] not in listed for part in (iterative, *iterative.components)):
            content += iterative.digest
        return hashlib.sha256(content.encode()).hexdigest()[:10]
