"""Which architectures grow an iteration head: those of Hugging Face next to our own, with the same data and loop."""

from collections.abc import Mapping
from statistics import median
from typing import Any

import polars as pl

from iterhead.criteria import HEAD_PRESENT, MEDIAN_ACCURACY, SHIFT_FOLLOWED, SWAP_FOLLOWED
from iterhead.estimates import NO_ESTIMATE, UNIT_INTERVAL, mean_over, median_over
from iterhead.studies.claims import CheckClaims, Evidence, claim
from iterhead.studies.drawings import Curves, Line, Panel
from iterhead.studies.network_drawings import AttentionMaps, CellBars, Interventions
from iterhead.studies.published.recipe import CHOSEN, Values, make_config
from iterhead.studies.study import Cell, Scale, Study
from iterhead.studies.tables import FULL_EPOCH, Tables

NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "iterhead": {},
    "iterhead, pre-norm": {"residual": "pre-norm"},
    "gpt2": {"architecture": "gpt2"},
    "gpt-neox": {"architecture": "gpt-neox"},
    "llama": {"architecture": "llama"},
    "qwen3": {"architecture": "qwen3"},
    "mistral, grouped": {"architecture": "mistral", "heads": 4, "kv_heads": 2},
}
"""Model settings by name, one head per layer but for mistral: with one it would be llama again, since its window is
longer than these sequences."""

OURS = ("iterhead", "iterhead, pre-norm")

SEEDS: Values = {"paper": tuple(range(5)), "laptop": tuple(range(5)), "smoke": (0, 1)}

PANELS = (Panel("Second peakiness", "second_peakiness"), Panel("Test accuracy", "accuracy"))


def architectures(scale: Scale) -> Study:
    """Return the study of architectures."""
    cells = tuple(
        Cell({"network": name}, make_config(scale, model=model), SEEDS[scale]) for name, model in NETWORKS.items()
    )
    longest = cells[0].config.data.max_length
    lines = tuple(Line(name, {"network": name}) for name in NETWORKS)
    panels = (*PANELS, Panel("First peakiness", "first_peakiness"))
    llama = {"network": "llama"}
    return Study(
        "architectures",
        scale,
        "Which architectures grow an iteration head?",
        "Nothing: the paper trains one architecture. Ours is that one; the others are those that people use.",
        (
            *CHOSEN[scale],
            f"The polynomial, lengths to {longest}, two layers. Data, batches, loss and rate are the same for all.",
            "Initial weights of the other architectures are normal with standard deviation 1 / sqrt(width), biases "
            "are 0 and norms 1. With their usual 0.02 they learn later at this width (docs/log.md).",
            "gpt2 has learned positions, the same matrix for embedding and unembedding, and LayerNorm; gpt-neox "
            "rotates a quarter of each head, and its MLP and attention are in parallel; llama has rotary positions, "
            "RMSNorm and gated MLPs; qwen3 also normalizes queries and keys; mistral is llama with four heads that "
            "share two key-value heads. All of them are pre-norm, so ours is trained in this convention too.",
        ),
        cells,
        (
            CellBars("architectures", "Iteration heads by architecture", "network", PANELS),
            Curves("architectures-curves", "Over epochs", FULL_EPOCH, lines, panels),
            AttentionMaps("architectures-llama", "A llama network", llama),
            Interventions("architectures-interventions", "What each intervention leaves in llama networks", llama),
        ),
        (*(check for place, name in enumerate(NETWORKS, 1) for check in _claims(f"A{place}", name)), _shift, _swap),
        ("maps", "interventions"),
    )


def _claims(id_: str, name: str) -> tuple[CheckClaims, CheckClaims]:
    """Return the claims that networks of a cell grow the head, and that they learn the task."""
    where = {"network": name}

    @claim(f"{id_}a", f"An iteration head emerges in {name}: median second peakiness", "at least", HEAD_PRESENT)
    def head(tables: Tables) -> Evidence:
        rows = tables.runs(where)
        epochs = rows.filter(pl.col("emerged"))["full_epochs"].to_list()
        after = f", after {median(epochs):g} epochs in the median" if epochs else ""
        return median_over(tables.scores("second_peakiness", where)), (
            f"Second peakiness is {{value}} in the median over seeds ({{range}}); by the criterion of early stop the "
            f"head emerged in {len(epochs)} of {len(rows)} runs{after}."
        )

    @claim(f"{id_}b", f"The task is learned by {name}: median accuracy", "at least", MEDIAN_ACCURACY)
    def accuracy(tables: Tables) -> Evidence:
        return median_over(tables.scores("accuracy", where)), (
            "Accuracy is {value} in the median over seeds ({range})."
        )

    return head, accuracy


def _cause(check: str, tables: Tables, sentence: str) -> Evidence:
    """Return the mean of a check of `verify` over the networks of other architectures that solve the task."""
    checks = tables["checks"]
    if checks.is_empty():
        return NO_ESTIMATE, ""
    others = checks.filter((pl.col("id") == check) & ~pl.col("network").is_in(OURS))
    return mean_over(others["value"].to_list(), UNIT_INTERVAL), sentence


@claim("A8", "In the other architectures too: looking one too far, it writes F(s_{t-1}, x_{t+1})", "at least",
       SHIFT_FOLLOWED)  # fmt: skip
def _shift(tables: Tables) -> Evidence:
    return _cause("4g", tables, "{value} of the steps follow the shifted map, on average over networks ({range}).")


@claim("A9", "In the other architectures too: handed x' for x_t, it writes F(s_{t-1}, x')", "at least", SWAP_FOLLOWED)
def _swap(tables: Tables) -> Evidence:
    return _cause("6", tables, "{value} of the steps follow the swapped input, on average over networks ({range}).")
