"""Few combinations of options in which every pair of values occurs: most bugs need one value, or two together."""

from itertools import combinations


def pairwise(is_allowed=lambda combination: True, **options):
    """Combinations, as dicts, such that every two values of two options occur in one of them.

    Greedy and without randomness: each starts with the first pair that has not occurred, and takes for each other
    option the allowed value that adds most new pairs to those chosen. Pairs that are not allowed do not occur.
    """
    names = list(options)
    values = [(name, value) for name in names for value in options[name]]
    missing = dict.fromkeys(
        pair for pair in combinations(values, 2) if pair[0][0] != pair[1][0] and is_allowed(dict(pair))
    )
    found = []
    while missing:
        chosen = dict(next(iter(missing)))
        for name in names:
            if name not in chosen:
                candidates = [candidate for value in options[name] if is_allowed(candidate := {**chosen, name: value})]
                chosen = max(candidates, key=lambda candidate: len(pairs_of(candidate, names) & missing.keys()))
        for pair in pairs_of(chosen, names):
            missing.pop(pair, None)
        found.append({name: chosen[name] for name in names})
    return found


def pairs_of(combination, names):
    """Every pair of (option, value), the options in the order of `names`."""
    return set(combinations([(name, combination[name]) for name in names if name in combination], 2))


def each_value(**options):
    """Combinations in which every value of every option occurs: as many as the longest option has values."""
    count = max(map(len, options.values()))
    return [{name: values[i % len(values)] for name, values in options.items()} for i in range(count)]
