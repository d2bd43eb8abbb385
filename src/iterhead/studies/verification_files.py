"""The files of a verification in its run's folder."""

from iterhead.atomic import json_bytes
from iterhead.figures.bars import effects_figure
from iterhead.figures.style import render
from iterhead.runs.run import Run
from iterhead.studies.claims import Check
from iterhead.studies.verification import Effect, Verification

CLAIMS = "claims.json"


def write_verification(run: Run, verification: Verification) -> None:
    """Write a verification into the run's folder: claims.json, and its figure verify.png and verify.pdf."""
    title = f"{run.config.task}, seed {run.config.seed}: what each intervention leaves"
    effects = ((e.name, e.by_token, e.low, e.high) for e in verification.effects)
    names, accuracy, low, high = zip(*effects, strict=True)
    figure = effects_figure(title, names, accuracy, low, high, verification.chance)
    with run.folder.lock():
        run.folder.write_many({CLAIMS: json_bytes(verification.as_json()), **render(figure, "verify")})


def read_verification(run: Run) -> Verification | None:
    """Return what `write_verification` wrote last, or None."""
    if not run.folder.has(CLAIMS):
        return None
    fields = run.folder.read_json(CLAIMS)
    checks, effects = map(Check.from_json, fields["claims"]), (Effect(**effect) for effect in fields["effects"])
    return Verification(fields["circuit"], list(checks), list(effects), fields["chance"])
