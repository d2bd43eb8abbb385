"""A scan from beginning to end, saved as it goes: a scan that was killed continues, to the same result.

The folder of a scan, `scans/MODEL-TASK-FORM-DIGEST`:

    config.json                       the settings, and what names the model
    behaviour/LENGTH.json             shares of right states, of each prompt
    scores/LENGTH.safetensors         the weights of every head (`scores.measure`)
    heads.json                        every head with score, interval and p
    means.safetensors                 mean outputs of the heads
    causal/NAME.json                  the outcome of each intervention
    result.json                       the result: `ScanResult.as_json`
    scan.png, scan.pdf                the scores as a picture, layers by heads
    scan.html                         the page, which the command makes: `report.scan_report`
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from iterhead.criteria import MAIN_TARGET_WEIGHT
from iterhead.figures.scan_figure import scan_figure
from iterhead.figures.style import render
from iterhead.formatting import head_label
from iterhead.huggingface.language_model import LanguageModel
from iterhead.measure.records import Head
from iterhead.prompts import PromptBatch
from iterhead.runs.storage import RunFolder, tensor_bytes
from iterhead.scans import behaviour, causal, scores, significance, verdict
from iterhead.scans.causal import Experiment, Outcome
from iterhead.scans.heads import head_means, random_heads
from iterhead.scans.result import ROLES, Behaviour, CausalRow, HeadScore, ScanResult, Verdict
from iterhead.scans.settings import Prompts, ScanConfig, model_digest, prepare

MOST_HEADS = 4
"""Significant heads that are changed together, the best ones."""

Progress = Callable[[int, int, str], None]
"""Is called with the number of steps done, of all steps, and what is done next."""


def run_scan(model: LanguageModel, config: ScanConfig, out: str | Path, progress: Progress | None = None) -> ScanResult:
    """Do or continue a scan in its folder within `out`; read it, if it is finished. See `iterhead.scans.scan`."""
    prompts = prepare(config, model)
    digest = model_digest(model)
    folder = RunFolder(Path(out) / _folder_name(prompts.config, model, digest))
    with folder.lock():
        return _Scan(prompts, model, digest, folder, progress or (lambda *_: None)).run()


def _folder_name(config: ScanConfig, model: LanguageModel, digest: str) -> str:
    words = [model_name(model), config.task, config.form]
    readable = "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", word).strip("-.") or "model" for word in words)
    return f"{readable[:80]}-{config.digest(digest)}"


def model_name(model: LanguageModel) -> str:
    """Return the last part of a model's folder or hub name, or its class."""
    name = str(getattr(model.hf, "name_or_path", "") or "").rstrip("/")
    return Path(name).name or type(model.hf).__name__


class _Scan:
    def __init__(self, prompts: Prompts, model: LanguageModel, digest: str, folder: RunFolder, progress: Progress):
        self.prompts, self.model, self.digest, self.folder = prompts, model, digest, folder
        self.batches = prompts.batches
        self.offsets = max(map(scores.offsets_of, self.batches.values()))
        self._progress = progress
        self._done, self._total = 0, 2 * len(self.batches) + 2

    def run(self) -> ScanResult:
        """Do what is not done yet."""
        if not self.folder.has("result.json"):
            self._write_config()
            self._write_result()
        return ScanResult.from_json(self.folder.read_json("result.json"), str(self.folder.path))

    def _write_result(self) -> None:
        done = self._behaviour()
        heads = self._heads()
        rows, word, sentence, outcomes = self._causal(done, heads)
        result = ScanResult(
            verdict=word,
            sentence=sentence,
            behaviour=done,
            heads=heads,
            causal=rows,
            model=self._model(),
            settings=self.prompts.config.model_dump(mode="json"),
            notes=self.prompts.notes,
            answers={name: outcome.answers for name, outcome in outcomes.items() if outcome.answers},
        )
        self._step("drawing")
        self.folder.write_many(_figure(result))
        self.folder.write_json("result.json", result.as_json())

    def _step(self, text: str) -> None:
        self._progress(self._done, self._total, text)
        self._done += 1

    def _stored(self, name: str, text: str, compute: Callable[[], Any]) -> Any:
        """Return the JSON value in a file, computed and written if it is not there."""
        self._step(text)
        if not self.folder.has(name):
            self.folder.write_json(name, compute())
        return self.folder.read_json(name)

    def _model(self) -> dict[str, Any]:
        model = self.model
        return {
            "name": model_name(model),
            "class": type(model.hf).__name__,
            "layers": model.layers,
            "heads": model.heads,
            "dtype": str(model.dtype).removeprefix("torch."),
            "digest": self.digest,
        }

    def _write_config(self) -> None:
        if not self.folder.has("config.json"):
            config = self.prompts.config.model_dump(mode="json")
            self.folder.write_json("config.json", {"settings": config, "model": self._model()})

    def _behaviour(self) -> Behaviour:
        shares = {
            length: self._stored(
                f"behaviour/{length}.json", f"answers, length {length}", partial(behaviour.measure, self.model, batch)
            )
            for length, batch in self.batches.items()
        }
        return behaviour.summarize(shares)

    def _heads(self) -> tuple[HeadScore, ...]:
        for length, batch in self.batches.items():
            self._step(f"attention, length {length}")
            name = f"scores/{length}.safetensors"
            if not self.folder.has(name):
                self.folder.write(name, tensor_bytes(scores.measure(self.model, batch, self.offsets)))

        def compute() -> list[dict[str, Any]]:
            names = {role: scores.explanations(self._any_batch, role, self.offsets) for role in ROLES}
            return [asdict(head) for head in significance.score_heads(self._weights(), names, self._seed)]

        return tuple(HeadScore(**head) for head in self._stored("heads.json", "significance", compute))

    def _weights(self) -> list[significance.Weights]:
        return [
            {name: weights.double().numpy() for name, weights in self._tensors(length).items()}
            for length in self.batches
        ]

    def _tensors(self, length: int) -> dict[str, torch.Tensor]:
        return self.folder.read_tensors(f"scores/{length}.safetensors")[0]

    @property
    def _any_batch(self) -> PromptBatch:
        return next(iter(self.batches.values()))

    @property
    def _seed(self) -> int:
        return self.prompts.config.seed

    def _causal(
        self, done: Behaviour, heads: Sequence[HeadScore]
    ) -> tuple[tuple[CausalRow, ...], Verdict, str, dict[str, Outcome]]:
        """Return the rows of the causal table, the verdict, its sentence, and the outcomes by row."""
        ranked = [head for head in heads if head.role == "iteration"]
        if not verdict.does_task(done):
            return (), *verdict.decide(done, ranked[0], None, {}), {}
        chosen = tuple(head.place for head in ranked if head.significant)[:MOST_HEADS] or (ranked[0].place,)
        table = _Table(self, self._experiment(), [head.place for head in ranked if head.significant])
        on_heads, on_text = table.experiment.on_heads, table.experiment.on_text
        self._total += len(on_heads) * (1 + len(table.random_heads(chosen))) + len(on_text) + 1
        table.add("none", (), table.experiment.unchanged)
        evidence = table.test(chosen, on_heads)
        for name in on_text:
            table.add(name, (), partial(table.experiment.change_text, name))
        competitors = {}
        if not verdict.is_iteration_head(ranked[0], evidence):
            for key, (weight, place) in self._competitors().items():
                self._total += 1 + len(table.random_heads((place,)))
                found = table.test((place,), (causal.MEAN_ABLATION,), f", {head_label(place)} ({key})")
                competitors[key] = weight, found
        return tuple(table.rows), *verdict.decide(done, ranked[0], evidence, competitors), table.outcomes

    def _experiment(self) -> Experiment:
        if not self.folder.has("means.safetensors"):
            means = head_means(self.model, self.batches.values())
            self.folder.write("means.safetensors", tensor_bytes({"z": means}))
        means = self.folder.read_tensors("means.safetensors")[0]["z"]
        inputs = {length: self._tensors(length)["iteration.inputs"] for length in self.batches}
        return Experiment(self.model, self.batches, means, inputs, self._seed)

    def _competitors(self) -> dict[str, tuple[float, Head]]:
        """Return for each competing key, where a head has its main weight there, that weight and the head."""
        names = scores.explanations(self._any_batch, "iteration", self.offsets)
        best: dict[Head, tuple[float, str]] = {}
        for name, weights_NH in significance.competing_weights(self._weights(), names).items():
            layer, head = divmod(int(weights_NH.argmax()), self.model.heads)
            weight = float(weights_NH[layer, head])
            if weight > MAIN_TARGET_WEIGHT:
                best[layer, head] = max(best.get((layer, head), (0.0, "")), (weight, name))
        return {name: (weight, place) for place, (weight, name) in best.items()}

    def outcome(self, name: str, compute: Callable[[], Outcome]) -> Outcome:
        """Return the stored outcome of an intervention, computed if it is not there."""
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower().replace("+", " plus ")).strip("-")
        values = self._stored(f"causal/{slug}.json", name, lambda: asdict(compute()))
        return Outcome(**values)


class _Table:
    """The rows of the causal table, as they are made."""

    def __init__(self, scan: _Scan, experiment: Experiment, significant: Sequence[Head]):
        self.experiment = experiment
        self._significant = significant
        self.rows: list[CausalRow] = []
        self.outcomes: dict[str, Outcome] = {}
        self._scan = scan

    def random_heads(self, heads: Sequence[Head]) -> list[list[Head]]:
        """Return the sets of random heads that some heads are compared with."""
        avoid = [*heads, *self._significant]
        return random_heads(heads, self._scan.model.heads, avoid, self._scan.prompts.config.seed)

    def add(self, name: str, heads: Sequence[Head], compute: Callable[[], Outcome]) -> Outcome:
        """Add a row and return its outcome."""
        return self._append(name, heads, self._scan.outcome(name, compute))

    def _append(self, name: str, heads: Sequence[Head], outcome: Outcome) -> Outcome:
        self.rows.append(causal.as_row(name, heads, outcome))
        self.outcomes[name] = outcome
        return outcome

    def test(self, heads: tuple[Head, ...], interventions: Sequence[str], suffix: str = "") -> verdict.Evidence:
        """Add interventions on heads, each followed by the same on random heads of their layers."""
        sets = self.random_heads(heads)
        changed, controls = {}, {}
        for intervention in interventions:
            name, change = f"{intervention}{suffix}", partial(self.experiment.change_heads, intervention)
            changed[intervention] = self.add(name, heads, partial(change, heads))
            draws = [
                self._scan.outcome(f"{name}, random {i + 1}", partial(change, drawn)) for i, drawn in enumerate(sets)
            ]
            controls[intervention] = self.outcomes["none"]
            if draws:
                controls[intervention] = self._append(f"{name}, random heads", (), causal.average(draws))
        return verdict.Evidence(heads, changed, controls)


def _figure(result: ScanResult) -> dict[str, bytes]:
    shape = result.model["layers"], result.model["heads"]
    scores_by_role, significant = {}, {}
    for role, name in (("iteration", "iteration head"), ("first", "first head")):
        scores_by_role[name], significant[name] = np.zeros(shape), np.zeros(shape, dtype=bool)
        for head in result.heads:
            if head.role == role:
                scores_by_role[name][head.place], significant[name][head.place] = head.score, head.significant
    title = f"{result.model['name']} on {result.settings['task']}: {result.verdict}"
    subtitle = "Weight on x_t, or on the end of the input, less that on the best competing key. Outlined: significant."
    return render(scan_figure(title, subtitle, scores_by_role, significant), "scan")
