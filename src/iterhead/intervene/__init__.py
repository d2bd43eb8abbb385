"""Interventions: hooks of a forward pass, their effects, probes, and what kind of circuit a network has.

Every intervention is a mapping from hook names to hooks; `model(tokens, hooks=...)` applies it. Results are kept for
each sequence, so that `estimates.bootstrap_interval` can estimate their uncertainty.
"""
