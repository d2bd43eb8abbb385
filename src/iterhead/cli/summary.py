"""A run as one JSON object, for scripts."""

import json
from typing import Any

from iterhead.formatting import finite_or_none
from iterhead.report.summary import outcome
from iterhead.runs.run import Run


def summary(run: Run) -> dict[str, Any]:
    """Return what a run came to: plain JSON values, layers and heads counted from 0, None for what is not defined.

    Raises:
        UserError: nothing is measured yet, or a file is damaged.
    """
    scores, status = run.scores, run.status
    roles = [f"{role}_{score}" for score in ("peakiness", "weight", "invariance", "mass") for role in _ROLES]
    return {
        "run": str(run.folder.path),
        "config": run.config.model_dump(mode="json"),
        "epochs": status.epoch,
        "state": status.state,
        "emerged": status.emerged,
        "outcome": outcome(run),
        "message": status.message or None,
        "accuracy": finite_or_none(scores.accuracy),
        "accuracy_by_length": {
            str(length): finite_or_none(share) for length, share in scores.accuracy_by_length.items()
        },
        "grammar": finite_or_none(scores.grammar),
        "best_pair": [list(head) for head in scores.best_pair] if scores.best_pair else None,
        **{name: finite_or_none(getattr(scores, name)) for name in roles},
        "seconds": {"train": status.train_seconds, "total": status.total_seconds},
    }


def as_json(run: Run) -> str:
    """Return the summary as text: one object, no NaN."""
    return json.dumps(summary(run), allow_nan=False)


_ROLES = ("first", "second")
