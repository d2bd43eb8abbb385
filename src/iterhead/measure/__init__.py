"""Scores: accuracy, grammar, peakiness and invariance of every head, as one tidy table.

Pure functions of logits and attention maps; nothing here trains or hooks.
"""
