"""Every threshold of the library, each with its source.

"Paper" is Cabannes et al. (2024). "Ours" marks a number that the paper leaves open; the reason stands beside it.
A claim's threshold is what `verify` or a study compares an interval with.
"""

# Scores of heads.

PEAK = 0.5
"""An attention weight above this counts as a peak: no two keys of a query can both have one (paper, section 3)."""

HEADLINE_FROM = 4
"""Headline scores are plain means over the lengths from this one on (paper, section 3)."""

# Emergence (ours): when a run may stop early.

EMERGED_ACCURACY = 0.99
EMERGED_PEAKINESS = 0.95
EMERGED_EVALUATIONS = 3
"""The head must show in so many evaluations in a row."""

# What a network has learned.

LEARNED_ACCURACY = 0.9
"""Accuracy at which a task counts as learned, in speed-ups and thresholds of width (paper, figure 9)."""

SOLVED_ACCURACY = 0.95
"""Accuracy from which a network counts as solving its task, so that its circuit is worth looking into (ours)."""

GUESSING_MARGIN = 0.05
"""A mean accuracy above guessing by less than this counts as nothing learned (ours)."""

# Kinds of heads (ours): `intervene.classify_heads`.

MAIN_TARGET_WEIGHT = 0.5
"""A head is named for the place that gets more than half of its weight, on average over queries."""

SHARED_ROLE_WEIGHT = 0.1
"""A head that puts at least this much weight on a role's keys is listed among those that share the role."""

OUTLINED_ROLE_WEIGHT = 0.2
"""Mean weight on a role's ideal keys from which a figure outlines them in a head's map."""

STRIDED_SCORE = 0.6
"""Least `strided` score: 80% of the weight on every other position, 20% between; a uniform map scores about 0."""

STRIDED_KEYS = 2.0
"""A strided head spreads its weight over at least so many keys; a head that looks at a single key is not strided."""

UNIFORM_ENTROPY = 0.9
"""Least normalized entropy of a uniform head."""

# Peakiness as present or absent: halfway between absent (about 0.1) and present (about 1) in figure 8 of the paper.

HEAD_PRESENT = 0.5
HEAD_ABSENT = 0.2
"""Second peakiness up to which the iteration head counts as broken (claims 5 and 9)."""

OTHER_CIRCUIT_PEAKINESS = 0.5
"""Second peakiness up to which a network that solves its task has another circuit (claim 11)."""

# Claims about one network: `verify`.

CONSTRUCTION_ACCURACY = 0.99
"""Claim 1: the network with hand-set weights solves the task."""

INVARIANCE = 0.9
"""Claim 3: a peaked head's weight is the same for every sequence."""

HARMLESS_COST = 0.02
"""Claim 4: most chains that a harmless replacement of attention may break."""

CHANCE_MARGIN = 0.05
"""Claim 4: how far above chance a broken network may stay."""

SHIFT_FOLLOWED = 0.9
"""Claim 4g: share of steps whose output is F(s_{t-1}, x_{t+1}) when the head looks one position too far."""

STEP_READABLE = 0.99
"""Claim 5a: accuracy of the linear probe that reads t."""

SWAP_FOLLOWED = 0.95
"""Claim 6: share of steps whose output follows F when x_t is swapped."""

SWAP_SEQUENCES = 104
"""Sequences, all lengths together, for claim 6: two forward passes a step, so fewer than elsewhere, but more than the
73 below which even 100% cannot tell 0.95 from less (Wilson: 73 / (73 + 3.84) = 0.95)."""

VERIFY_SEQUENCES = 2
"""Test sequences that a length needs at least: each takes another one's maps."""

# Claims over seeds: the studies.

FEWEST_SEEDS = 3
"""With fewer runs than this, no claim about runs in general is decided (ours)."""

EMERGENCE_SEEDS = 10
"""Claim 2 asks for so many seeds."""

MEDIAN_ACCURACY = 0.95
MEDIAN_PEAKINESS = 0.9
"""Claim 2: medians over seeds."""

WITHOUT_CHAIN_ACCURACY = 0.2
"""Claim 7a: most accuracy without chain of thought, polynomial; figure 7 of the paper shows about 0.1."""

WITHOUT_CHAIN_ACCURACY_PARITY = 0.6
"""Claims 7b and 7c (ours): as far above chance (0.5) as 0.2 is above the polynomial's (0.1)."""

WITHOUT_CHAIN_FROM = 8
"""Claim 7 counts cells with longest lengths from this one on."""

ONE_LAYER_ACCURACY = 0.3
"""Claim 8: most accuracy with one layer."""

ONE_LAYER_FROM = 12
"""Claim 8 counts cells with longest lengths from this one on; one layer solves lengths up to 5 to 8 (figure 7)."""

ACCURACY_PEAKINESS_CORRELATION = 0.8
"""Claim 10: least rank correlation of accuracy and second peakiness over a grid."""

FAR_APART = 0.3
"""Claim 10: accuracy and second peakiness this far apart make a network an exception."""

NO_OTHER_CIRCUIT_NETWORKS = 20
"""Claim 11: so many networks that solve their task, none with another circuit, and the claim does not hold (ours)."""

TRANSFER_SPEED_UP = 10.0
"""Claim 13: how many times sooner parity must be learned after the polynomial (paper, figure 9: about ten)."""

LENGTH_EPOCHS_CORRELATION = 0.5
"""Claim 15: least rank correlation of length and epochs to `LEARNED_ACCURACY`."""

SAMPLED_FROM = 7
"""Claim 15 counts lengths from this one on: the shortest at which a binary task has 64 test sequences, as many as an
evaluation takes."""

ROLE_WEIGHT = 0.9
"""Claim 18: most weight on x_t of a single head, and least weight of all heads together."""

POSITION_COORDINATES = 23
"""Claim 17b: most coordinates with positions that the task may need, of `POSITION_WIDTH` (paper, figure 16)."""

POSITION_WIDTH = 32
"""Width of the networks of claim 17b."""
