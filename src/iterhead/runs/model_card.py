"""The model card of an exported network: README.md, with the front matter that Hugging Face reads."""

import platform
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from iterhead.formatting import head_label, length_range, percent, plural
from iterhead.huggingface.network import Network
from iterhead.measure.records import Scores
from iterhead.settings import DataConfig
from iterhead.settings.configs import GROUPED, OWN
from iterhead.tasks import Task

_FRONT_MATTER = """---
license: mit
library_name: transformers
pipeline_tag: text-generation
tags:
- iterhead
- iteration-head
- chain-of-thought
- interpretability
---"""

_PAPER = (
    "Cabannes, Arnal, Bouaziz, Yang, Charton and Kempe, *Iteration Head: A Mechanistic Study of Chain-of-Thought*, "
    "NeurIPS 2024, [arXiv 2406.02128](https://arxiv.org/abs/2406.02128)"
)


_ATTENTION: Mapping[str, str] = {
    **dict.fromkeys((OWN, *GROUPED), "model.layers[{}].self_attn"),
    "gpt2": "transformer.h[{}].attn",
    "gpt-neox": "gpt_neox.layers[{}].attention",
}
"""The attention of a layer in the code of transformers, by architecture."""


@dataclass(frozen=True)
class Exported:
    """A network, with what is known about it.

    Attributes:
        model, task, data: the network, what it solves, and the lengths of its sequences.
        scores: None where nothing was measured.
        run, epoch: where the weights come from; None for a network without a run.
        settings: the run's settings that differ from the defaults, by dotted name.
    """

    model: Network
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
        folder: the folder's name.
        worked: a whole sequence of each component of the task, in the words of the tokenizer.
    """
    architecture = exported.model.config.architecture if format == "auto" else "gpt2"
    loading = _loading(format, folder, worked[0], remote=architecture == OWN)
    parts = [_FRONT_MATTER, _introduction(exported), _task(exported, worked), loading]
    if exported.scores is not None:
        parts.append(_scores(exported.scores, _ATTENTION[architecture]))
    if exported.settings:
        rows = [(f"`{name}`", f"`{value}`") for name, value in exported.settings.items()]
        parts.append(f"## Settings that differ from the defaults\n\n{_table(('setting', 'value'), rows)}")
    parts += [_scan(exported, folder), _versions(exported)]
    return "\n\n".join(parts) + "\n"


def _introduction(exported: Exported) -> str:
    config = exported.model.config
    weights = sum(parameter.numel() for parameter in exported.model.parameters())
    size = f"{plural(config.layers, 'layer')} of {plural(config.heads, 'head')}, width {config.width}"
    return (
        f"# {exported.task.name}\n\n"
        f"A small transformer ({size}, {weights:,} weights) that solves a task one step at a time: it reads inputs "
        "x_1, x_2, ... and writes states s_t = F(s_{t-1}, x_t). It was made with iterhead to study *iteration heads*, "
        f"attention heads that fetch x_t when s_t is written ({_PAPER})."
    )


def _task(exported: Exported, worked: Sequence[str]) -> str:
    names = "\n".join(
        f"- `{component.name}`" + (f": F(s, x) = {component.formula}" if component.formula else "")
        for component in exported.task.components
    )
    chain = "the states" if exported.data.cot else "the last state"
    what = "which task this is" if len(worked) > 1 else "that a sequence starts"
    return (
        f"## The task\n\n{names}\n\n```text\n{chr(10).join(worked)}\n```\n\n"
        f"The first token says {what}. The inputs end with `EoI`. Then the network writes {chain} and `EoS`. "
        f"It is made for {length_range(list(exported.data.lengths))}."
    )


def _loading(format: str, folder: str, worked: str, *, remote: bool) -> str:
    prompt = worked.partition("EoI")[0] + "EoI"
    option = ", trust_remote_code=True" if remote else ""
    note = "\n\n`trust_remote_code=True` runs modeling_iterhead.py from this folder." if remote else ""
    code = f"""## Load it

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{folder}"{option})
model = AutoModelForCausalLM.from_pretrained("{folder}"{option})
tokens = tokenizer("{prompt}", return_tensors="pt")
print(tokenizer.decode(model.generate(**tokens)[0]))  # right is {worked}
```

`{folder}` is the path of this folder.{note}"""
    if format != "transformer-lens":
        return code
    return f"""{code}

In TransformerLens 4:

```python
from transformer_lens.model_bridge import TransformerBridge

bridge = TransformerBridge.boot_transformers("{folder}")
bridge.cfg.default_prepend_bos = False  # sequences have no token in front of these
logits, cache = bridge.run_with_cache("{prompt}")
cache["blocks.0.attn.hook_pattern"]  # [1, heads, queries, keys]
```"""


def _scores(scores: Scores, layers: str) -> str:
    text = f"## Scores\n\nWhole chains that are right, among test sequences: {percent(scores.accuracy)}."
    if scores.best_pair is None:
        return text
    first, second = scores.best_pair
    rows = [
        (role, head_label((layer, head)), f"`{layers.format(layer)}`, head {head}", f"{peakiness:.3f}", f"{weight:.3f}")
        for role, (layer, head), peakiness, weight in (
            ("first head", first, scores.first_peakiness, scores.first_weight),
            ("iteration head", second, scores.second_peakiness, scores.second_weight),
        )
    ]
    table = _table(("role", "in the paper", "in the code", "peakiness", "mean weight"), rows)
    return (
        f"{text}\n\n{table}\n\n"
        "The first head should attend to `EoI`, the iteration head to x_t. Peakiness is the share of queries that give "
        "this key more than half their attention; weight is the mean attention that it gets."
    )


def _scan(exported: Exported, folder: str) -> str:
    command = shlex.join(["iterhead", "scan", folder, "--task", exported.task.name])
    return f"## Find its heads\n\n```sh\n{command}\n```"


def _versions(exported: Exported) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("iterhead", "torch", "transformers"))
    run = "" if exported.run is None else f" from run {exported.run}, epoch {exported.epoch},"
    return f"Exported{run} with {packages}, Python {platform.python_version()}."


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; bars in its cells are escaped."""
    lines = [titles, ["---"] * len(titles), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
