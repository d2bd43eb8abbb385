"""The page of a scan: verdict, every head in a picture, where a head looks in a prompt, what interventions do."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from iterhead.formatting import percent
from iterhead.measure.records import Head
from iterhead.report.assemble import MOST_BYTES, Arrays, assemble, pack
from iterhead.scans.result import ROLES

if TYPE_CHECKING:
    from iterhead.report.scan_examples import PageExample  # which imports transformers

SCAN_REPORT = "scan.html"

STYLES = ("colours.css", "page.css", "tables.css", "charts.css", "explorer.css", "scan.css", "media.css")

SCRIPTS = (
    *("data.js", "text.js", "start.js", "state.js", "colours.js"),
    *("scan_heads.js", "scan_picture.js", "scan_prompt.js", "scan_reading.js", "scan_answers.js", "scan_tables.js"),
    "scan.js",
)

MAP_BYTES = 1_500_000
"""Budget of the attention rows before compression, to begin with."""

SCORES = ("score", "low", "high", "p", "weight", "peakiness")

_CLAUSE = re.compile(r"(?<=\.) +(?=[A-Z])|; +(?![^(]*\))")  # the end of a sentence, or a semicolon outside brackets

Facts = dict[str, Any]


def scan_page(facts: Mapping[str, Any], examples: "Sequence[PageExample]", command: str = "") -> bytes:
    """Return the page of a scan, one HTML file below 1 MB that loads nothing.

    The attention of as many heads is in it as there is room for, those with the best scores first.

    Args:
        facts: the scan's result as JSON values, as `ScanResult.as_json` gives it. Needed are `verdict`, `sentence`,
            `behaviour`, `heads` (the best first) and `model` with `layers` and `heads`; shown if they are there:
            `causal`, `settings`, `notes`, and the model's `name`.
        examples: from `page_examples` for the same model; may be empty.
        command: the command that repeats the scan, to be shown.
    """
    model, settings = facts["model"], facts.get("settings") or {}
    names = [str(part) for part in (model.get("name"), settings.get("task"), settings.get("form")) if part]
    headline, rest = _split(str(facts["sentence"]))
    texts = {
        "title": f"{' · '.join(names)}: {facts['verdict']} - iterhead",
        "kicker": " · ".join(names),
        "headline": headline,
        "summary": rest,
        "behaviour": behaviour(facts["behaviour"]),
    }
    head_facts, arrays = _heads(facts["heads"])
    stored = {
        **{name: facts.get(name) for name in ("verdict", "behaviour", "causal", "settings", "notes")},
        "model": {name: value for name, value in model.items() if not isinstance(value, Mapping | list | tuple)},
        "command": command,
        "layers": model["layers"],
        "heads_per_layer": model["heads"],
        **head_facts,
        "examples": [example.as_json() for example in examples],
    }
    order = _ranked(facts["heads"], model["layers"], model["heads"])
    per_head = sum(example.maps[0].size for example in examples)
    count = min(len(order), MAP_BYTES // max(1, per_head)) if examples else 0
    while True:
        kept = order[:count]
        data = pack(_finite({**stored, "kept": kept}), {**arrays, **_maps(examples, kept, model["heads"])})
        page = assemble("scan.html", STYLES, SCRIPTS, texts, data)
        if len(page) <= MOST_BYTES or not count:
            return page
        count = count * 3 // 4


def behaviour(facts: Mapping[str, Any]) -> str:
    """Return in a sentence or two how well the model does the task."""
    sentences = [f"With the right text before each state, {_share(facts, 'teacher_forced')} of the states are right."]
    if facts.get("free") is not None:
        sentences.append(f"When the model writes all states itself, {_share(facts, 'free')} are.")
    if facts.get("guess") is not None:
        sentences.append(f"The best guess that knows s_{{t-1}} but not x_t gets {percent(facts['guess'])}.")
    return " ".join(sentences)


def _share(facts: Mapping[str, Any], name: str) -> str:
    interval = facts.get(f"{name}_interval")
    bounds = f" (95% interval {percent(interval[0])} to {percent(interval[1])})" if interval else ""
    return percent(facts[name]) + bounds


def _split(sentence: str) -> tuple[str, str]:
    """Return the first clause of the verdict, which is shown large, and the rest."""
    first, *rest = _CLAUSE.split(sentence.strip(), maxsplit=1)
    text = "".join(rest)
    return first.rstrip(".") + ".", text[:1].upper() + text[1:]


def _heads(heads: Sequence[Mapping[str, Any]]) -> tuple[Facts, Arrays]:
    """Return the scores of all heads in both roles as arrays: a large model has thousands."""
    competing = sorted({str(head["competing"]) for head in heads})
    places = [
        (
            *(head["layer"], head["head"], ROLES.index(head["role"]), competing.index(str(head["competing"]))),
            bool(head.get("significant", False)),
        )
        for head in heads
    ]
    scores = [[_number(head.get(name)) for name in SCORES] for head in heads]
    arrays: dict[str, NDArray[Any]] = {
        "head_places": np.array(places, dtype=np.uint16).reshape(len(heads), 5),
        "head_scores": np.array(scores, dtype=np.float32).reshape(len(heads), len(SCORES)),
    }
    return {"competing": competing}, arrays


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _ranked(heads: Sequence[Mapping[str, Any]], layers: int, per_layer: int) -> list[Head]:
    """Return all heads (layer, head), the best ones of both roles in turn, those without a score last."""
    by_role = [[(head["layer"], head["head"]) for head in heads if head["role"] == role] for role in ROLES]
    most = max(map(len, by_role))
    in_turn = [places[rank] for rank in range(most) for places in by_role if rank < len(places)]
    everywhere = [(layer, head) for layer in range(layers) for head in range(per_layer)]
    return list(dict.fromkeys([*in_turn, *everywhere]))


def _maps(examples: "Sequence[PageExample]", kept: Sequence[Head], per_layer: int) -> Arrays:
    """Return the attention rows of the heads that are kept, an array for each example."""
    indices = [layer * per_layer + head for layer, head in kept]
    return {f"maps.{number}": example.maps[indices] for number, example in enumerate(examples)}


def _finite(value: Any) -> Any:
    """Return JSON values with None for numbers that JSON lacks."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value
