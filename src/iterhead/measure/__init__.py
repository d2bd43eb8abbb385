"""Scores: accuracy, grammar, peakiness and invariance of every head, as one tidy table.

Pure functions of logits and attention maps; nothing here trains or hooks.
"""

from iterhead.measure.accuracy import exact_match, grammatical
from iterhead.measure.emergence import emergence_epoch, emergences, epochs_to, has_emerged, is_peaked_and_right
from iterhead.measure.evaluate import evaluate, evaluate_population
from iterhead.measure.heads import ROLES, RoleScores, role_scores
from iterhead.measure.records import Head, Record, Scores, headline, headline_lengths, table

__all__ = [
    "ROLES",
    "Head",
    "Record",
    "RoleScores",
    "Scores",
    "emergence_epoch",
    "emergences",
    "epochs_to",
    "evaluate",
    "evaluate_population",
    "exact_match",
    "grammatical",
    "has_emerged",
    "headline",
    "headline_lengths",
    "is_peaked_and_right",
    "role_scores",
    "table",
]
