"""The settings of a scan, and the prompts that they give for a model."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, field_validator

from iterhead.errors import UserError
from iterhead.huggingface.language_model import LanguageModel
from iterhead.prompts import PromptBatch, make_prompts, make_sequences, single_task
from iterhead.prompts.forms import form_named
from iterhead.prompts.make import MAX_PROMPTS, MAX_SHOTS
from iterhead.settings.configs import MAX_LENGTH, StrictConfig
from iterhead.tasks import IterativeTask, Vocabulary, task
from iterhead.values import MAX_CHARACTERS, MAX_SEED

FORMAT = 3
"""Of the stored files: a scan that was stored in another format is made again."""

DEFAULT_LENGTHS = (4, 6, 8, 11, 16)
"""Several, and not evenly spaced: so that no fixed lag, and no multiple of one, is where x_t is."""

DEFAULT_SHOTS = 4

NOT_COMPUTED = ("_name_or_path", "transformers_version", "dtype")
"""Settings of a model that say nothing about what it computes; the weights tell their dtype."""

SAMPLED = 64
"""Elements of each weight that the digest of a model takes as they are."""


class ScanConfig(StrictConfig):
    """Everything that a scan's result depends on, besides the model; both together name its folder."""

    task: str = Field(
        default="polynomial", max_length=MAX_CHARACTERS, description="the task, as for iterhead run; no mixture"
    )
    form: str = Field(default="after-input", max_length=MAX_CHARACTERS, description="how an example is written")
    shots: int | None = Field(default=None, ge=0, le=MAX_SHOTS, description="worked examples in each prompt")
    lengths: tuple[int, ...] | None = Field(default=None, max_length=MAX_LENGTH, description="numbers of inputs")
    prompts: int = Field(default=16, ge=2, le=MAX_PROMPTS, description="prompts of each length")
    tokens: Literal["auto", "ids", "text"] = Field(default="auto", description="text, or token ids of our own layout")
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="of prompts, permutations and random heads")

    @field_validator("task")
    @classmethod
    def _canonical(cls, spec: str) -> str:
        _single(spec)
        return task(spec).name

    @field_validator("form")
    @classmethod
    def _known(cls, name: str) -> str:
        return form_named(name).name

    @field_validator("lengths", mode="before")
    @classmethod
    def _as_tuple(cls, lengths: object) -> object:
        return tuple(lengths) if isinstance(lengths, list | range) else lengths

    @field_validator("lengths")
    @classmethod
    def _in_order(cls, lengths: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if lengths is None:
            return None
        for length in lengths:
            if not 2 <= length <= MAX_LENGTH:
                raise UserError(f"lengths={length}: expected from 2 to {MAX_LENGTH:,}")
        if not lengths:
            raise UserError("lengths=(): expected at least one")
        return tuple(sorted(set(lengths)))

    @property
    def iterative_task(self) -> IterativeTask:
        """The task that `task` names."""
        return _single(self.task)

    def digest(self, model_digest: str) -> str:
        """Return ten hex digits that name the scan of a model with these settings."""
        content = (FORMAT, self.model_dump_json(), self.iterative_task.digest, model_digest)
        return hashlib.sha256(repr(content).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Prompts:
    """The prompts of a scan: the settings without anything left open, the batches by length, and what to note."""

    config: ScanConfig
    batches: Mapping[int, PromptBatch]
    notes: tuple[str, ...]


def prepare(config: ScanConfig, model: LanguageModel) -> Prompts:
    """Return the prompts that the settings give for a model.

    Raises:
        UserError: the model has no tokenizer for text, its tokenizer cannot write the values, its context is too short,
            or a setting does not fit token ids.
    """
    names = {} if model.tokenizer is None else model.tokenizer.get_vocab()
    mode = config.tokens
    if mode == "auto":
        mode = "ids" if not names or {"EoI", "EoS"} <= set(names) else "text"
    if mode == "text" and not names:
        raise UserError("tokens=text: the model has no tokenizer: expected one in its folder, or tokens=ids")
    if mode == "ids" and config.shots:
        raise UserError(f"shots={config.shots}: sequences of token ids have no shots: expected 0, or tokens=text")
    shots = 0 if mode == "ids" else DEFAULT_SHOTS if config.shots is None else config.shots
    config = config.model_copy(update={"tokens": mode, "shots": shots})
    vocabulary = Vocabulary(names["EoS"] + 1 if "EoS" in names else model.vocabulary)
    needed = config.iterative_task.alphabet + 3
    if mode == "ids" and needed > vocabulary.size:
        raise UserError(
            f"task={config.task}: {needed - 3} values, the problem token, EoI and EoS need {needed} token ids, and the "
            f"model has {vocabulary.size}: take a task with fewer values"
        )
    batches: dict[int, PromptBatch] = {}
    for length in config.lengths or DEFAULT_LENGTHS:
        batch = _batch(config, model, vocabulary, length)
        needed = batch.tokens_BT.shape[1]
        if model.context is None or needed <= model.context:
            batches[length] = batch
        elif config.lengths or not batches:
            raise UserError(
                f"length {length}: its prompts have {needed} tokens, but the model's context {model.context}: take "
                f"{'shorter lengths' if mode == 'ids' else 'fewer shots or shorter lengths'}"
            )
    notes = [
        "Prompts are token ids in the layout of iterhead's own networks." if mode == "ids" else "Prompts are text."
    ]
    if len(batches) == 1:
        notes.append("All prompts have one length: several tell a head that counts from one with a fixed lag.")
    return Prompts(config.model_copy(update={"lengths": tuple(batches)}), batches, tuple(notes))


def _batch(config: ScanConfig, model: LanguageModel, vocabulary: Vocabulary, length: int) -> PromptBatch:
    single = config.iterative_task
    shots, form, seed = config.shots or 0, config.form, config.seed
    count = config.prompts if shots else min(config.prompts, len(single.symbols) ** length)
    if config.tokens == "ids":
        return make_sequences(single, vocabulary, length=length, count=count, form=form, seed=seed)
    return make_prompts(single, model.tokenizer, length=length, count=count, form=form, shots=shots, seed=seed)


def model_digest(model: LanguageModel) -> str:
    """Return a hash of a model: its settings, its tokenizer and its weights.

    Of each weight it takes the name, the shape, the first elements and the sum of its bit patterns. Sums of integers do
    not depend on their order, so the digest is the same for every device and number of threads.
    """
    settings = {name: x for name, x in model.hf.config.to_dict().items() if name not in NOT_COMPUTED}
    words = None if model.tokenizer is None else sorted(model.tokenizer.get_vocab().items())
    content = (type(model.hf).__name__, json.dumps(settings, sort_keys=True, default=str), words)
    digest = hashlib.sha256(repr(content).encode())
    for name, weight in model.hf.state_dict().items():
        bits = weight.detach().contiguous().view(-1).view(torch.uint8)
        whole = bits if len(bits) % 4 else bits.view(torch.int32)
        sampled = bits[: SAMPLED * weight.element_size()].cpu().numpy().tobytes()
        digest.update(repr((name, list(weight.shape), int(whole.sum(dtype=torch.int64)))).encode() + sampled)
    return digest.hexdigest()[:16]


def _single(spec: str) -> IterativeTask:
    single = single_task(task(spec))
    if len(single.symbols) < 2:
        raise UserError(f"task={spec}: it has one input value: expected two or more, since answers must depend on x_t")
    return single
