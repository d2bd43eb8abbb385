"""Everything that the page of one run tells, gathered."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from iterhead.criteria import EMERGED_PEAKINESS
from iterhead.intervene import classify_heads
from iterhead.report.assemble import MOST_BYTES, assemble
from iterhead.report.interventions import left, measured_switches, test_sequences
from iterhead.report.payload import Arrays, pack
from iterhead.report.replay import Plan, left_out, plan, replay
from iterhead.report.run_curves import curves
from iterhead.report.summary import outcome, sentences
from iterhead.report.weights import page_weights, rounded
from iterhead.runs.run import PROVENANCE, Run
from iterhead.studies.verify import read_verification
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

Facts = dict[str, Any]


def write_report(run: Run, command: str = "") -> None:
    """Write a run's page, report.html, into its folder.

    Args:
        run: with at least one stored network.
        command: that makes the run again, to be shown.

    Raises:
        UserError: nothing is trained yet, another process works on the run, or the disk refuses.
    """
    page = run_report(run, command)
    with run.folder.lock():
        run.folder.write(REPORT, page)


def run_report(run: Run, command: str = "") -> bytes:
    """Return a run's page, under 1 MB wherever its network allows."""
    facts, arrays = _facts(run, command)
    told = sentences(run)
    texts = {
        "title": f"{run.config.task}, seed {run.config.seed}: {outcome(run)} - iterhead",
        "kicker": f"{run.config.task} · seed {run.config.seed}",
        "headline": told[0],
        "summary": " ".join(told[1:]),
    }
    budget = MAP_BYTES
    while True:
        found = plan(run, budget)
        data = pack({**facts, "story": _story(run, found)}, {**arrays, **replay(run, found)})
        page = assemble("run.html", STYLES, SCRIPTS, texts, data)
        if len(page) <= MOST_BYTES or found == plan(run, budget // 2):
            return page
        budget //= 2


def _story(run: Run, found: Plan) -> Facts:
    return {"epochs": found.epochs, "lengths": found.lengths, "left_out": left_out(run, found)}


def _facts(run: Run, command: str) -> tuple[Facts, Arrays]:
    """Return what does not depend on how many maps fit."""
    config = run.config
    network, weights = _network(run)  # first, since it refuses a run without a network
    told, scores = curves(run)
    vocabulary = Vocabulary(config.model.vocabulary)
    sequences = test_sequences(run)
    found = read_verification(run) if config.data.cot else None
    kinds = classify_heads(run.model, sequences) if config.data.cot else []
    facts = {
        "run": _about(run, command),
        "task": _task(config.iterative_task),
        "ids": {
            "eoi": vocabulary.end_of_input,
            "eos": vocabulary.end_of_sequence,
            "problems": [vocabulary.problem(index) for index in range(len(config.iterative_task.components))],
        },
        "cot": config.data.cot,
        "lengths": list(config.data.lengths),
        "layers": config.model.layers,
        "heads": config.model.heads,
        "best": run.scores.best_pair,
        "kinds": {f"{kind.layer}.{kind.head}": kind.kind for kind in kinds},
        "threshold": EMERGED_PEAKINESS,
        "curves": told,
        "switches": measured_switches(run, sequences),
        "claims": None if found is None else found.as_json(),
        "network": network,
    }
    return facts, {**scores, **weights}


def _about(run: Run, command: str) -> Facts:
    provenance = run.folder.read_json(PROVENANCE) if run.folder.has(PROVENANCE) else {}
    versions = {name: value for name, value in provenance.items() if name not in ("task", "start")}
    seen = run.config.data.split == "disjoint"
    return {
        "name": run.name,
        "state": run.status.state,
        "epoch": run.checkpoints[-1],
        "seconds": run.status.train_seconds,
        "command": command,
        "versions": versions,
        "settings": run.config.model_dump(mode="json"),
        "origin": "never seen in training" if seen else "drawn as the training ones were",
    }


def _task(task: Task) -> Facts:
    """Return the task as tables, so that the page can say what is right."""
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


def _network(run: Run) -> tuple[Facts, dict[str, NDArray[np.float16]]]:
    """Return the network's shape and weights, or why they are left out."""
    config, model = run.config.model, run.model
    parameters = sum(weight.numel() for weight in model.parameters())
    weights = page_weights(model)
    if isinstance(weights, str):
        return {"left_out": weights, "parameters": parameters}, {}
    exact = left(rounded(model), test_sequences(run), cot=run.config.data.cot).exact
    shape = {
        "width": config.width,
        "layers": config.layers,
        "heads": config.heads,
        "hidden": config.hidden,
        "residual": config.residual,
        "norm": config.norm,
        "positions": config.positions,
        "positions_on": config.positions_on,
        "vocabulary": config.vocabulary,
        "context": run.config.context,
    }
    return {"shape": shape, "parameters": parameters, "exact": exact}, {
        f"weights.{name}": array for name, array in weights.items()
    }
