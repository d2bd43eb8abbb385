"""Interventions: hooks of a forward pass, their effects, probes, and what kind of circuit a network has.

Every intervention is a mapping from hook names to hooks; `model(tokens, hooks=...)` applies it. Results are kept for
each sequence, so that `estimates.bootstrap_interval` can estimate their uncertainty.
"""

from iterhead.estimates import bootstrap_interval
from iterhead.intervene.activations import Hooks, ablate_head, compose, hook_means, mean_ablation, patch, replace, zero
from iterhead.intervene.circuit import HeadKind, average_maps, classify_heads, describe_circuit, role_spread
from iterhead.intervene.counterfactuals import CounterfactualCounts, SwapCounts, shift_follows_f, swap_follows_f
from iterhead.intervene.effects import Answers, Chance, ChanceLevels, accuracy_under, chance_levels
from iterhead.intervene.path_patching import path_patch
from iterhead.intervene.patterns import (
    ideal_attention,
    random_attention,
    shifted_attention,
    shuffled_attention,
    uniform_attention,
)
from iterhead.intervene.probes import LABELS, ProbeScore, probe, probe_checkpoints, probe_labels, probe_table

__all__ = [
    "LABELS",
    "Answers",
    "Chance",
    "ChanceLevels",
    "CounterfactualCounts",
    "HeadKind",
    "Hooks",
    "ProbeScore",
    "SwapCounts",
    "ablate_head",
    "accuracy_under",
    "average_maps",
    "bootstrap_interval",
    "chance_levels",
    "classify_heads",
    "compose",
    "describe_circuit",
    "hook_means",
    "ideal_attention",
    "mean_ablation",
    "patch",
    "path_patch",
    "probe",
    "probe_checkpoints",
    "probe_labels",
    "probe_table",
    "random_attention",
    "replace",
    "role_spread",
    "shift_follows_f",
    "shifted_attention",
    "shuffled_attention",
    "swap_follows_f",
    "uniform_attention",
    "zero",
]
