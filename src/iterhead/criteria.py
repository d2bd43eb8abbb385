"""Every threshold of the library, with its source.

"Paper" is Cabannes et al. (2024), and a claim is one of its claims, numbered as in docs/claims.md and docs/results.md.
"Ours" marks a number that the paper leaves open. `verify` and the studies compare the interval of a claim with its
threshold.
"""

# Scores of heads.
PEAK = 0.5  # an attention weight above this is a peak (paper): no two keys of a query can both have one
HEADLINE_FROM = 4  # headline scores are means over the lengths from this one on; shorter ones have few sequences

# Emergence (ours): a run may stop early when the head shows in EMERGED_EVALUATIONS evaluations in a row.
EMERGED_ACCURACY = 0.99
EMERGED_PEAKINESS = 0.95
EMERGED_EVALUATIONS = 3

# What a network has learned.
LEARNED_ACCURACY = 0.9  # a task counts as learned (claims 13, 16 and 17)
SOLVED_ACCURACY = 0.95  # a network solves its task, so that its circuit is worth looking into (claim 11)
GUESSING_MARGIN = 0.05  # a mean accuracy above guessing by less than this counts as nothing learned (ours)

# Kinds of heads (ours): `intervene.circuit.classify_heads`.
MAIN_TARGET_WEIGHT = 0.5  # a head is named for the place that gets more than half of its weight, on average
SHARED_ROLE_WEIGHT = 0.1  # least weight on a role's keys of a head that shares the role
OUTLINED_ROLE_WEIGHT = 0.2  # least mean weight on a role's keys with which a figure outlines them in a head's map
STRIDED_SCORE = 0.6  # 80% of the weight on every other position, 20% between; a uniform map scores about 0
STRIDED_KEYS = 2.0  # a strided head spreads its weight over at least this many keys
UNIFORM_ENTROPY = 0.9  # least normalized entropy of a uniform head

# Peakiness as present or absent.
HEAD_PRESENT = 0.5  # claims 9 and A (ours): halfway between 0.1 below the boundary in figure 8 of the paper and 1 above
HEAD_ABSENT = 0.2  # claims 5b and 9a: second peakiness up to which the iteration head counts as broken
OTHER_CIRCUIT_PEAKINESS = 0.5  # claim 11: second peakiness up to which a network has another circuit

# Claims about one network: `verify`.
CONSTRUCTION_ACCURACY = 0.99  # claim 1: all chains; an interval over few hundred sequences cannot show more (ours)
INVARIANCE = 0.9  # claim 3: where a head is peaked
HARMLESS_COST = 0.02  # claims 4a to 4d: largest share of chains that a harmless replacement of attention breaks
CHANCE_MARGIN = 0.05  # claims 4e and 4f: how far above chance a random map may leave the network (ours)
SHIFT_FOLLOWED = 0.9  # claims 4g and A8: share of steps that follow a head that looks one position too far (ours)
STEP_READABLE = 0.99  # claim 5a: accuracy of the linear probe that reads t
SWAP_FOLLOWED = 0.95  # claims 6 and A9: share of steps that follow F when x_t is swapped
SWAP_SEQUENCES = 104
"""Sequences, all lengths together, for claim 6: two forward passes a step, so fewer than elsewhere, but more than the
73 below which even 100% cannot tell 0.95 from less (Wilson: 73 / (73 + 3.84) = 0.95)."""
VERIFY_SEQUENCES = 2  # least number of test sequences of a length: claim 4d gives each the maps of another one

# Scans of any model: the verdict (ours).
FALSE_DISCOVERIES = 0.05  # family-wise: chance that any head of a model that iterates nothing counts as significant
CAUSAL_MARGIN = 0.05  # a head matters if changing it moves the answers by more than this, compared with random heads

# Claims over seeds: the studies.
FEWEST_SEEDS = 3  # with fewer, no claim about runs in general is decided (ours)
EMERGENCE_SEEDS = 10  # claim 2
MEDIAN_ACCURACY = 0.95  # claims 2a and A
MEDIAN_PEAKINESS = 0.9  # claim 2b
WITHOUT_CHAIN_ACCURACY = 0.2  # claim 7a, polynomial; figure 7 of the paper shows about 0.1
WITHOUT_CHAIN_ACCURACY_PARITY = 0.6  # claims 7b and 7c (ours): as far above 0.5 as 0.2 is above 0.1
WITHOUT_CHAIN_FROM = 8  # claim 7 counts longest lengths from this one on
ONE_LAYER_ACCURACY = 0.3  # claim 8
ONE_LAYER_FROM = 12  # claim 8 counts longest lengths from this one on; one layer solves 5 to 8 (figure 7)
ACCURACY_PEAKINESS_CORRELATION = 0.8  # claim 10: rank correlation over a grid
FAR_APART = 0.3  # claim 10: accuracy and second peakiness of an exception (ours)
NO_OTHER_CIRCUIT_NETWORKS = 20  # claim 11 fails if this many networks solve their task, all by one circuit (ours)
TRANSFER_SPEED_UP = 10.0  # claim 13; in figure 9 of the paper about 20 epochs against more than 500 from scratch
LAST_MLP_ACCURACY = 0.9  # claim 14 (ours)
LENGTH_EPOCHS_CORRELATION = 0.5  # claim 15 (ours): rank correlation of length and epochs to LEARNED_ACCURACY
SAMPLED_FROM = 7  # claim 15 counts lengths from this one on: binary tasks have the 64 sequences of an evaluation
ROLE_WEIGHT = 0.9  # claim 18 (ours): at most on a single head, at least on all together
POSITION_COORDINATES = 23  # claim 17b, figure 16 of the paper
POSITION_WIDTH = 32  # of the networks of claim 17b
