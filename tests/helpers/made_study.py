"""A study whose every number is known: eight cells of a map and one beside it, with tables made by hand."""

import math
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.image import imsave

from iterhead.runs.paths import run_folder_name
from iterhead.settings import parse_config
from iterhead.studies.claims import Finding
from iterhead.studies.drawings import Curves, HeatMaps, Line, Panel
from iterhead.studies.results import study_folder
from iterhead.studies.study import Cell, Study
from iterhead.studies.tables import FULL_EPOCH, Tables, write_tables

CHAIN, WITHOUT, AFTER = "chain", "no chain", "after another"

SEEDS = (0, 1, 2)

ACCURACY = {
    (CHAIN, 8, 4): (0.5, 0.6, 0.7),
    (CHAIN, 16, 4): (1.0, 1.0, 1.0),
    (CHAIN, 8, 6): (0.25, 0.0),  # the second diverged, the third is not there
    # (CHAIN, 16, 6): nothing is measured
    (WITHOUT, 8, 4): (0.1, 0.1, 0.1),
    (WITHOUT, 16, 4): (0.1, 0.1, 0.1),
    (WITHOUT, 8, 6): (0.0, 0.0, 0.0),
    (WITHOUT, 16, 6): (0.0, 0.0, 0.0),
    (AFTER, 8, 4): (0.99999, 0.9, 0.8),
}
"""Of each seed at the end. At epoch e of 4 it was e / 4 of that; second peakiness is half as much, first a quarter."""

EPOCHS = 4

VERSIONS = {"iterhead": "0.1.0", "torch": "2.13.0", "precision": "bfloat16", "device": "cpu", "threads": "1"}


def config(width, longest, *, cot=True):
    """The settings of a cell."""
    return parse_config(
        {
            "task": "parity",
            "data": {"max_length": longest, "train_per_length": 24, "test_per_length": 8, "cot": cot},
            "model": {"width": width, "vocabulary": 8},
            "training": {"batch_size": 12, "epochs": EPOCHS, "short_epochs": 0},
        }
    )


def finding(id_="1a", verdict="holds", **changed):
    """A claim with this verdict."""
    low, high = {"holds": (0.9, 1.0), "does not hold": (0.1, 0.2), "undecided": (0.1, 1.0)}[verdict]
    fields = {"id": id_, "claim": f"Claim {id_}", "value": (low + high) / 2, "low": low, "high": high}
    fields |= {"threshold": 0.5, "figure": "made", "seeds": 3, "sentence": f"Sentence of {id_}."}
    return Finding(**{**fields, **changed})


FINDINGS = [
    finding("1a"),
    finding("1b", "does not hold", bound="more than"),
    finding("1c", value=math.nan, low=math.nan, high=math.nan, seeds=0, sentence="Nothing to decide it by."),
    finding("1d", value=9.5, high=math.inf),
]


def made_study(name="made", findings=FINDINGS, **changed):
    """The study."""
    places = [(network, width, longest) for network in (CHAIN, WITHOUT) for longest in (4, 6) for width in (8, 16)]
    cells = {
        (network, width, longest): Cell(
            {"network": network, "width": width, "longest": longest},
            config(width, longest, cot=network == CHAIN),
            SEEDS,
        )
        for network, width, longest in places
    }
    parent = cells[CHAIN, 8, 4]
    after = Cell({"network": AFTER, "width": 8, "longest": 4}, config(8, 4), SEEDS, parent, 2)
    panels = (
        Panel("With chain", "accuracy", {"network": CHAIN}),
        Panel("Without", "accuracy", {"network": WITHOUT}),
        Panel("With chain, early", "second_peakiness", {"network": CHAIN}, 2),
    )
    maps = HeatMaps("made-maps", "Made maps", "longest", "width", panels)
    curves = Curves("made-curves", "Made curves", FULL_EPOCH, (Line("a line", parent.axes),), panels[:1])
    fields = {"title": "A study of x_t by hand", "published": "Nothing.", "chosen": ("Everything.", "And more.")}
    fields |= {"cells": (*cells.values(), after), "drawings": (maps, curves), "claims": (lambda _tables: findings,)}
    return Study(name, "smoke", **{**fields, **changed})


def made_tables(study):
    """Its tables."""
    runs, curves, versions = [], [], []
    for cell in study.cells:
        chain = cell.axes["network"] != WITHOUT
        for seed, accuracy in zip(SEEDS, ACCURACY.get(tuple(cell.axes.values()), ()), strict=False):
            diverged = (*cell.axes.values(), seed) == (CHAIN, 8, 6, 1)
            place = {**cell.axes, "seed": seed}
            identity = {"run": run_folder_name(cell.run_config(seed)), "state": "diverged" if diverged else "finished"}
            end = {
                "epochs": EPOCHS,
                "train_seconds": 60.0 + seed,
                "total_seconds": 70.0,
                "epochs_to_90": 3.5 if accuracy > 0.9 else None,
            }
            runs.append({**place, **identity, **end, **_scores(accuracy, chain and not diverged)})
            versions.append({**place, "run": identity["run"], "task_digest": "t", **VERSIONS})
            for epoch in range(EPOCHS + 1):
                loss = None if epoch == 0 else 2 - epoch / 4
                scores = _scores(accuracy * epoch / EPOCHS, chain)
                curves.append({**place, "epoch": epoch, FULL_EPOCH: float(epoch), "loss": loss, **scores})
    frames = {"runs": runs, "curves": curves, "provenance": versions}
    return Tables(study.name, {name: _frame(rows) for name, rows in frames.items()})


def _frame(rows):
    numbers = {"first_peakiness", "second_peakiness", "loss", "epochs_to_90"} & set(rows[0])
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides=dict.fromkeys(numbers, pl.Float64))


def _scores(accuracy, chain):
    of_heads = {"first_peakiness": accuracy / 4, "second_peakiness": accuracy / 2}
    return {"accuracy": accuracy, **(of_heads if chain else dict.fromkeys(of_heads))}


def write_made(study, out: Path, tables=None):
    """Write a study's tables and first figure into its folder, which is returned."""
    folder = study_folder(study, out)
    write_tables(made_tables(study) if tables is None else tables, folder)
    imsave(folder / f"{study.drawings[0].file}.png", np.full((75, 150, 3), 0.9))
    return folder
