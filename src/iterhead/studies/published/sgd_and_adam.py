"""Figure 12: SGD and Adam over learning rate and batch size; claim 16."""

from collections.abc import Mapping

import polars as pl

from iterhead.criteria import LEARNED_ACCURACY
from iterhead.estimates import NO_ESTIMATE, mean_over
from iterhead.studies.claims import Evidence, claim
from iterhead.studies.drawings import Contours, Panel
from iterhead.studies.published.recipe import CHOSEN, SEEDS, Values, make_config
from iterhead.studies.study import Cell, Scale, Study
from iterhead.studies.tables import Tables

RATES: Mapping[Scale, tuple[float, ...]] = {
    "paper": tuple(float(f"{digit}e{power}") for power in range(-6, 0) for digit in (1, 3)),
    "laptop": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    "smoke": (1e-3, 1e-2),
}

BATCHES: Values = {"paper": tuple(2**power for power in range(4, 12)), "laptop": (16, 64, 256), "smoke": (16, 64)}

SIZE: Values = {"paper": (12, 128, 1000), "laptop": (8, 32, 15), "smoke": (5, 16, 2)}
"""Longest length, width and epochs."""


def figure_12(scale: Scale) -> Study:
    """Return figure 12: SGD and Adam over learning rate and batch size."""
    longest, width, epochs = SIZE[scale]
    cells = tuple(
        Cell(
            {"optimizer": optimizer, "lr": rate, "batch": batch},
            make_config(
                scale,
                data={"max_length": longest},
                model={"width": width},
                training={"optimizer": optimizer, "lr": rate, "batch_size": batch, "epochs": epochs},
            ),
            SEEDS[scale],
        )
        for optimizer in ("sgd", "adam")
        for batch in BATCHES[scale]
        for rate in RATES[scale]
    )
    panels = tuple(
        Panel(name, "accuracy", {"optimizer": optimizer}) for name, optimizer in (("SGD", "sgd"), ("Adam", "adam"))
    )
    return Study(
        "figure-12",
        scale,
        "SGD and Adam over learning rate and batch size",
        "Contours of accuracy: SGD and Adam, learning rates 1e-6 to 3e-1, batch sizes 8 to 2,048, lengths to 12.",
        (
            *CHOSEN[scale],
            f"The task is the polynomial, width {width}, lengths to {longest}, {epochs:,} epochs: the paper leaves "
            "task, width and epochs open.",
            "A batch holds equally many sequences of each length, so its size is rounded down to a multiple of "
            f"{longest}, and 8 is too small. SGD has no momentum. A run that diverged counts as accuracy 0.",
        ),
        cells,
        (Contours("figure-12", "Test accuracy", "lr", "batch", panels),),
        (_adam_minus_sgd,),
    )


@claim("16", "Adam's good region of learning rate and batch size is larger than SGD's", "more than", 0.0)
def _adam_minus_sgd(tables: Tables) -> Evidence:
    learned = (pl.col("accuracy") >= LEARNED_ACCURACY).mean().alias("share")
    shares = tables.runs().group_by("optimizer", "seed").agg(learned)
    by_seed = shares.pivot("optimizer", index="seed", values="share").sort("seed")
    if not {"adam", "sgd"} <= set(by_seed.columns):
        return NO_ESTIMATE, ""
    by_seed = by_seed.drop_nulls()
    adam, sgd = (float(by_seed[name].to_numpy().mean()) for name in ("adam", "sgd"))
    return mean_over((by_seed["adam"] - by_seed["sgd"]).to_list(), (-1, 1)), (
        f"Adam learns the task in {adam:.0%} of the cells measured, SGD in {sgd:.0%}: {{value}} more as a share "
        "({range})."
    )
