"""Claims about single networks, gathered over seeds: 1, 3, 4, 5 and 6, as `iterhead verify` checks each network."""

import polars as pl

from iterhead.estimates import UNIT_INTERVAL, mean_over
from iterhead.studies.claims import Finding
from iterhead.studies.judges.finding import found
from iterhead.studies.tables import Tables


def verified_over_seeds(tables: Tables) -> list[Finding]:
    """Each check of `verify` over the networks that it could be made in; the table `checks` has them one by one."""
    checks = tables["checks"]
    if checks.is_empty():
        return []
    networks = tables.runs()["seed"].n_unique()
    findings = []
    for part in checks.sort("id", "seed").partition_by("id", maintain_order=True):
        first = part.row(0, named=True)
        holding = part.filter(pl.col("verdict") == "holds").height
        sentence = (
            f"{{value}} on average over networks ({{range}}); by itself it holds in {holding} of the {len(part)} of "
            f"{networks} networks in which it could be tested."
        )
        findings.append(
            found(
                tables,
                first["id"],
                first["claim"],
                mean_over(part["value"].to_list(), UNIT_INTERVAL),
                _mean(part["threshold"]),
                sentence,
                bound=first["bound"],
            )
        )
    return findings


def _mean(values: pl.Series) -> float:
    """Return the mean of thresholds: they differ where they depend on chance, which the sequences decide."""
    return float(values.to_numpy().mean())
