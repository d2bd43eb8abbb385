"""The helpers that choose which combinations of options are tested."""

from itertools import product

import pytest

from helpers.networks import HEADS, NORMS, OPTIONS, POSITIONS, RESIDUALS, WIDTHS
from helpers.pairwise import each_value, pairs_of, pairwise

LETTERS = {"a": (1, 2, 3), "b": "xyz", "c": (False, True), "d": (None, 5)}


@pytest.mark.parametrize("options", [LETTERS, {"a": (1, 2)}, {"a": (1,), "b": (2,)}, dict.fromkeys("abcdef", (0, 1))])
def test_every_pair_of_values_occurs_in_few_combinations(options):
    found = pairwise(**options)
    names = list(options)
    every = set().union(
        *(pairs_of(dict(zip(names, values, strict=True)), names) for values in product(*options.values()))
    )
    assert set().union(*(pairs_of(combination, names) for combination in found)) == every
    assert len(found) <= 2 * max(len(x) * len(y) for x in options.values() for y in options.values())
    assert pairwise(**options) == found, "the same in every process"


def test_combinations_by_hand():
    # Two options have no choice: all 2 * 3 pairs. A third is then paired with both at no cost.
    assert pairwise(a=(1, 2), b="x") == [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]
    assert len(pairwise(a=(1, 2), b="xyz")) == 6
    assert len(pairwise(a=(1, 2), b="xyz", c=(0, 1))) == 6
    assert each_value(a=(1, 2), b="xyz") == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 1, "b": "z"}]


def test_networks_are_tested_with_every_pair_of_options():
    def values(config):
        return {name: getattr(config, name) for name in ("residual", "norm", "positions", "heads", "position_width")}

    options = dict(zip(values(OPTIONS[0]), (RESIDUALS, NORMS, POSITIONS, HEADS, WIDTHS), strict=True))
    names = list(options)
    found = set().union(*(pairs_of(values(config), names) for config in OPTIONS))
    every = set().union(*(pairs_of(dict(zip(names, row, strict=True)), names) for row in product(*options.values())))
    # Without positions there is no position width, the one pair that does not exist.
    assert every - found == {(("positions", "none"), ("position_width", 6))}
    assert len(OPTIONS) == len({config.model_dump_json() for config in OPTIONS}) < 20
