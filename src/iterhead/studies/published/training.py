"""Figures 6, 12 and 13: one network looked into, optimisers, and a deeper, wider network."""

from collections.abc import Mapping
from functools import partial

from iterhead.studies.judges import training as judges
from iterhead.studies.published.recipe import CHOSEN, SEEDS, make_config
from iterhead.studies.published.transfer import SEEDS as MANY_SEEDS
from iterhead.studies.published.transfer import SIZE, scratch
from iterhead.studies.study import AttentionMaps, Cell, Contours, HeadShares, Panel, Scale, Study

RATES: Mapping[Scale, tuple[float, ...]] = {
    "paper": tuple(float(f"{digit}e{power}") for power in range(-6, 0) for digit in (1, 3)),
    "laptop": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    "smoke": (1e-3, 1e-2),
}

BATCHES: Mapping[Scale, tuple[int, ...]] = {
    "paper": (16, 32, 64, 128, 256, 512, 1024, 2048),
    "laptop": (16, 64, 256),
    "smoke": (16, 64),
}

OPTIMISERS: Mapping[Scale, tuple[int, int, int]] = {
    "paper": (12, 128, 1000),
    "laptop": (8, 32, 15),
    "smoke": (5, 16, 2),
}
"""Longest length, width and epochs."""

DEEP: Mapping[Scale, tuple[int, int]] = {"paper": (32, 128), "laptop": (16, 64), "smoke": (5, 16)}
"""Longest length and width of the network with three layers of two heads."""

DEEP_SEEDS: Mapping[Scale, tuple[int, ...]] = {**SEEDS, "laptop": tuple(range(6))}


def figure_6(scale: Scale) -> Study:
    """Return figure 6: a parity network looked into."""
    cell = scratch(scale, "parity", MANY_SEEDS[scale][:10])
    return Study(
        "figure-6",
        scale,
        "A parity network: its maps, and accuracy by length over epochs",
        "Parity, lengths to 16, width 128: both attention maps (a vertical line at EoI, an off-diagonal line through "
        "x_t) and accuracy by length over epochs: stairs and spikes, not monotone in the length.",
        (
            *CHOSEN[scale],
            f"Lengths to {SIZE[scale]['data']['max_length']}. The runs are parity ones of figure-9; drawn is the first "
            "seed, the claim is checked on all.",
        ),
        (cell,),
        (AttentionMaps("figure-6", "Parity", cell.axes),),
        (partial(judges.longer_is_later, where=cell.axes),),
        ("maps",),
    )


def figure_12(scale: Scale) -> Study:
    """Return figure 12: SGD and Adam over learning rate and batch size."""
    longest, width, epochs = OPTIMISERS[scale]
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
        (judges.adam_has_more_room,),
    )


def figure_13(scale: Scale) -> Study:
    """Return figure 13: three layers of two heads."""
    longest, width = DEEP[scale]
    place = {"task": "parity"}
    config = make_config(scale, "parity", data={"max_length": longest}, model={"width": width, "layers": 3, "heads": 2})
    return Study(
        "figure-13",
        scale,
        "Three layers of two heads: who looks at x_t?",
        "Parity, three layers, two heads, length 32: the question for p_t is spread over layers and heads.",
        (*CHOSEN[scale], f"Width {width}, lengths to {longest}: the paper leaves the width open."),
        (Cell(place, config, DEEP_SEEDS[scale]),),
        (
            AttentionMaps("figure-13", "Parity, three layers of two heads", place),
            HeadShares("figure-13-heads", "Weight on x_t of each head", place),
        ),
        (partial(judges.role_is_spread, where=place),),
        ("maps",),
    )
