"""Interventions: hooks of a forward pass, their effects, probes, and what kind of circuit a network has.

An edit set maps a site's name to a function of the activation there; `model(tokens, hooks=...)` applies it. What is
measured here is told by sequence, so that `bootstrap_interval` can say how sure it is.
"""

from iterhead.estimates import bootstrap_interval
from iterhead.intervene.activations import Hooks, compose, mean_ablation, patch, replace, site_means, zero
from iterhead.intervene.circuit import HeadKind, average_maps, classify_heads
from iterhead.intervene.counterfactuals import CounterfactualCounts, SwapCounts, shift_follows_f, swap_follows_f
from iterhead.intervene.describe import describe_circuit, role_spread
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
    "accuracy_under",
    "average_maps",
    "bootstrap_interval",
    "chance_levels",
    "classify_heads",
    "compose",
    "describe_circuit",
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
    "site_means",
    "swap_follows_f",
    "uniform_attention",
    "zero",
]
