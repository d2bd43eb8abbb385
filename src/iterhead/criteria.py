"""Every threshold of the library, with its source.

"Paper" is Cabannes et al. (2024), and a claim is one of its claims, numbered as in docs/claims.md and docs/results.md.
"Ours" marks a number that the paper leaves open; the reason stands beside it. A claim's threshold is what `verify` or a
study compares an interval with.
"""

# Scores of heads.

PEAK = 0.5
"""An attention weight above this counts as a peak (paper): no two keys of a query can both have one."""

HEADLINE_FROM = 4
"""Headline scores are plain means over the lengths from this one on; shorter ones have few distinct sequences."""

# Emergence (ours): when a run may stop early.

EMERGED_ACCURACY = 0.99
EMERGED_PEAKINESS = 0.95
EMERGED_EVALUATIONS = 3
"""The head must show in so many evaluations in a row."""

# What a network has learned.

LEARNED_ACCURACY = 0.9
"""Accuracy at which a task counts as learned (claim 13; also for the widths of claim 17 and the cells of claim 16)."""

SOLVED_ACCURACY = 0.95
"""Accuracy from which a network counts as solving its task, so that its circuit is worth looking into (claim 11)."""

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

# Peakiness as present or absent.

HEAD_PRESENT = 0.5
"""First peakiness where the first head is still there (claim 9a), and second peakiness where the iteration head is
(claim 9b). Ours: halfway between the 0.1 below the boundary of figure 8 and the 1 above it."""

HEAD_ABSENT = 0.2
"""Second peakiness up to which the iteration head counts as broken (claims 5b and 9a)."""

OTHER_CIRCUIT_PEAKINESS = 0.5
"""Second peakiness up to which a network that solves its task has another circuit (claim 11)."""

# Claims about one network: `verify`.

CONSTRUCTION_ACCURACY = 0.99
"""Claim 1: the network with hand-set weights gets all chains right. Ours: an interval cannot show more than this."""

INVARIANCE = 0.9
"""Claim 3: least invariance of a head's weights where it is peaked."""

HARMLESS_COST = 0.02
"""Claims 4a to 4d: largest share of chains that a harmless replacement of attention may break."""

CHANCE_MARGIN = 0.05
"""Claims 4e and 4f: how far above chance a network with random attention may stay (ours)."""

SHIFT_FOLLOWED = 0.9
"""Claim 4g (ours): share of steps whose output is F(s_{t-1}, x_{t+1}) when the head looks one position too far."""

STEP_READABLE = 0.99
"""Claim 5a: accuracy of the linear probe that reads t."""

SWAP_FOLLOWED = 0.95
"""Claim 6: share of steps whose output follows F when the value of x_t is swapped."""

SWAP_SEQUENCES = 104
"""Sequences, all lengths together, for claim 6: two forward passes a step, so fewer than elsewhere, but more than the
73 below which even 100% cannot tell 0.95 from less (Wilson: 73 / (73 + 3.84) = 0.95)."""

VERIFY_SEQUENCES = 2
"""Least number of test sequences of a length: claim 4d gives each the maps of another one."""

# Claims over seeds: the studies.

FEWEST_SEEDS = 3
"""With fewer runs than this, no claim about runs in general is decided (ours)."""

EMERGENCE_SEEDS = 10
"""Claim 2 asks for so many seeds."""

MEDIAN_ACCURACY = 0.95
MEDIAN_PEAKINESS = 0.9
"""Claim 2: least medians over seeds."""

WITHOUT_CHAIN_ACCURACY = 0.2
"""Claim 7a: largest accuracy without chain of thought, polynomial; figure 7 of the paper shows about 0.1."""

WITHOUT_CHAIN_ACCURACY_PARITY = 0.6
"""Claims 7b and 7c (ours): as far above chance (0.5) as 0.2 is above the polynomial's (0.1)."""

WITHOUT_CHAIN_FROM = 8
"""Claim 7 counts cells with longest lengths from this one on."""

ONE_LAYER_ACCURACY = 0.3
"""Claim 8: largest accuracy with one layer."""

ONE_LAYER_FROM = 12
"""Claim 8 counts cells with longest lengths from this one on; one layer solves lengths up to 5 to 8 (figure 7)."""

ACCURACY_PEAKINESS_CORRELATION = 0.8
"""Claim 10: least rank correlation of accuracy and second peakiness over a grid."""

FAR_APART = 0.3
"""Claim 10: a network whose accuracy and second peakiness differ by more than this is listed as an exception (ours)."""

NO_OTHER_CIRCUIT_NETWORKS = 20
"""Claim 11 does not hold if so many networks solve their task and none of them has another circuit (ours)."""

TRANSFER_SPEED_UP = 10.0
"""Claim 13: how many times sooner parity is learned after the polynomial. In figure 9 of the paper it takes about 20
epochs after the polynomial, and more than 500 from scratch."""

LAST_MLP_ACCURACY = 0.9
"""Claim 14 (ours): least accuracy on the new task with only the last MLP trained."""

LENGTH_EPOCHS_CORRELATION = 0.5
"""Claim 15 (ours): least rank correlation of length and epochs to `LEARNED_ACCURACY`."""

SAMPLED_FROM = 7
"""Claim 15 counts lengths from this one on: the shortest at which a binary task has 64 test sequences, as many as an
evaluation takes."""

ROLE_WEIGHT = 0.9
"""Claim 18 (ours): largest weight on x_t of a single head, and least weight of all heads together."""

POSITION_COORDINATES = 23
"""Claim 17b: coordinates with positions that are enough, of `POSITION_WIDTH` (figure 16 of the paper)."""

POSITION_WIDTH = 32
"""Width of the networks of claim 17b (figure 16 of the paper)."""
