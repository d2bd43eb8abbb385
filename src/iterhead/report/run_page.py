"""The page of one run: everything that it shows, gathered."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iterhead.criteria import EMERGED_PEAKINESS
from iterhead.huggingface.network import Network, make_network
from iterhead.intervene.circuit import classify_heads
from iterhead.model.transformer import Transformer
from iterhead.report.assemble import MOST_BYTES, Arrays, assemble, pack
from iterhead.report.interventions import measured_interventions, overall_accuracy, test_sequences
from iterhead.report.replay import left_out, plan, replay
from iterhead.report.run_curves import curves
from iterhead.report.summary import outcome, sentences
from iterhead.runs.run import Run
from iterhead.settings.configs import OWN
from iterhead.studies.verification import read_verification
from iterhead.tasks import Task, Vocabulary

REPORT = "report.html"

STYLES = ("colours.css", "page.css", "tables.css", "charts.css", "explorer.css", "chain.css", "media.css")

SCRIPTS = (
    *("data.js", "text.js", "start.js", "state.js", "colours.js", "chart.js", "claims.js"),
    *("network.js", "interventions.js", "maps.js", "curves.js"),
    *("player.js", "explorer.js", "tables.js", "chain.js", "arcs.js", "main.js"),
)

MAP_BYTES = 650_000
"""Budget of the maps before compression, which halves them."""

MOST_WEIGHT_BYTES = 480_000
"""Limit for float16 weights. They hardly compress, and base64 adds a third, so they take up to 0.6 MB of the page."""

LARGEST = float(np.finfo(np.float16).max)

Facts = dict[str, Any]


def write_report(run: Run, command: str = "") -> None:
    """Write a run's page, report.html, into its folder.

    Args:
        run: with at least one stored network.
        command: the command that makes the run again, to be shown.

    Raises:
        UserError: nothing is trained yet, another process is using the run, or the file cannot be written.
    """
    page = run_report(run, command)
    with run.folder.lock():
        run.folder.write(REPORT, page)


def run_report(run: Run, command: str = "") -> bytes:
    """Return a run's page, under 1 MB wherever its network allows."""
    facts, arrays = _facts(run, command)
    headline, *rest = sentences(run)
    texts = {
        "title": f"{run.config.task}, seed {run.config.seed}: {outcome(run)} - iterhead",
        "kicker": f"{run.config.task} · seed {run.config.seed}",
        "headline": headline,
        "summary": " ".join(rest),
    }
    budget = MAP_BYTES
    while True:
        stored = plan(run, budget)
        shown = {"epochs": stored.epochs, "lengths": stored.lengths, "left_out": left_out(run, stored)}
        data = pack({**facts, "replay": shown}, {**arrays, **replay(run, stored)})
        page = assemble("run.html", STYLES, SCRIPTS, texts, data)
        if len(page) <= MOST_BYTES or stored == plan(run, budget // 2):
            return page
        budget //= 2


def _facts(run: Run, command: str) -> tuple[Facts, Arrays]:
    """Return what does not depend on how many maps fit."""
    config = run.config
    network, weights = _network(run)  # first, since it raises the error for a run without a network
    curve_facts, scores = curves(run)
    vocabulary = Vocabulary(config.model.vocabulary)
    sequences = test_sequences(run)
    verification = read_verification(run) if config.data.cot else None
    kinds = classify_heads(run.model, sequences) if config.data.cot else []
    facts = {
        "run": _about(run, command),
        "task": task_facts(run.task),
        "ids": {
            "eoi": vocabulary.end_of_input,
            "eos": vocabulary.end_of_sequence,
            "problems": [vocabulary.problem(index) for index in range(len(run.task.components))],
        },
        "cot": config.data.cot,
        "lengths": list(config.data.lengths),
        "layers": config.model.layers,
        "heads": config.model.heads,
        "best": run.scores.best_pair,
        "kinds": {f"{kind.layer}.{kind.head}": kind.kind for kind in kinds},
        "threshold": EMERGED_PEAKINESS,
        "curves": curve_facts,
        "interventions": measured_interventions(run, sequences),
        "claims": None if verification is None else verification.as_json(),
        "network": network,
    }
    return facts, {**scores, **weights}


def _about(run: Run, command: str) -> Facts:
    disjoint = run.config.data.split == "disjoint"
    return {
        "name": run.name,
        "state": run.status.state,
        "epoch": run.checkpoints[-1],
        "seconds": run.status.train_seconds,
        "command": command,
        "versions": run.provenance.versions if run.provenance else {},
        "settings": run.config.model_dump(mode="json", exclude={"model": run.config.model.unused}),
        "origin": "never seen in training" if disjoint else "drawn like the training sequences",
    }


def task_facts(task: Task) -> Facts:
    """Return the task as tables, from which the page computes the right states."""
    components = [
        {
            "name": part.name,
            "formula": part.formula,
            "symbols": [int(symbol) for symbol in part.symbols],
            "table": part.table.tolist(),
            "first": part.first_states.tolist(),
        }
        for part in task.components
    ]
    return {"name": task.name, "components": components}


def _network(run: Run) -> tuple[Facts, Arrays]:
    """Return the shape and weights of the network that runs in the page, or why they are left out."""
    config, model = run.config.model, run.model
    parameters = sum(weight.numel() for weight in model.parameters())
    weights = page_weights(model)
    if isinstance(weights, str):
        return {"left_out": weights, "parameters": parameters}, {}
    names = ("width", "layers", "heads", "hidden", "residual", "norm", "positions", "positions_on", "vocabulary")
    shape = {name: getattr(config, name) for name in names} | {"context": run.config.context}
    exact = overall_accuracy(rounded(model), test_sequences(run), cot=run.config.data.cot).exact
    named = {f"weights.{name}": array for name, array in weights.items()}
    return {"shape": shape, "parameters": parameters, "exact": exact}, named


def page_weights(model: Network) -> dict[str, NDArray[Any]] | str:
    """Return one network's weights for the page, each without its axis of networks, or why they are left out."""
    if not isinstance(model, Transformer):
        return (
            f"This network has the architecture {model.config.architecture}. Only networks of the architecture "
            f"{OWN} can run here."
        )
    weights = {name: tensor[0].detach().cpu() for name, tensor in model.state_dict().items()}
    size = 2 * sum(tensor.numel() for tensor in weights.values())
    if size > MOST_WEIGHT_BYTES:
        return (
            f"The network's weights take {size / 1e6:.1f} MB even in 16 bits, more than the "
            f"{MOST_WEIGHT_BYTES / 1e6:g} MB that this page has room for, so it cannot run here."
        )
    if any(tensor.abs().max() > LARGEST for tensor in weights.values()):
        return "Some of the network's weights are too large for 16 bits, so it cannot run here."
    return {name: tensor.to(torch.float16).numpy() for name, tensor in weights.items()}


def rounded(model: Network) -> Network:
    """Return the network that runs in the page: weights rounded to 16 bits, computed with in double precision."""
    copy = make_network(model.config, model.context, [0] * model.networks).double()
    copy.load_state_dict({name: tensor.to(torch.float16).double() for name, tensor in model.state_dict().items()})
    return copy.eval()
