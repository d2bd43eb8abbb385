"""Folders of every kind, made once for a test process: runs, models, scans and a study; copies of them to damage."""

import atexit
import contextlib
import functools
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from faults.inputs_oracle import inside
from faults.inputs_values import TINY, nested
from helpers.tiny_study import tiny_study
from iterhead.cli import main
from iterhead.runs.paths import run_folder_name
from iterhead.runs.training import train
from iterhead.settings import parse_config
from iterhead.studies.runner import kept_checkpoints

pytest.importorskip("transformers")  # for exports and scans

STUDY_MODULE = "from helpers.tiny_study import tiny_study\nstudy = tiny_study(4)\n"
"""A user's module, `mine.py`."""

STUDY = "mine:study"

SCAN = ("--task", "parity", "--lengths", "3", "--prompts", "2")

LONGER = nested({"training.epochs": 3})

FINISHED, HALF = (run_folder_name(parse_config(values)) for values in (TINY, LONGER))
"""Two runs; the second was interrupted."""


class _Stop:
    """Interrupts a run after its first epoch."""

    def started(self, *_: Any) -> None:
        pass

    def evaluated(self, _run: Any, evaluation: Any) -> None:
        if evaluation.epoch == 1:
            raise KeyboardInterrupt


@functools.cache
def made() -> Path:
    """Return a folder with `runs`, `model`, `scans` and `studied`, the runs of a study; it must not be changed."""
    folder = Path(tempfile.mkdtemp(prefix="inputs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    options = {"threads": 1, "device": "cpu"}
    with inside(folder), contextlib.redirect_stdout(io.StringIO()):
        train(parse_config(TINY), **options)
        with contextlib.suppress(KeyboardInterrupt):
            train(parse_config(LONGER), observer=_Stop(), **options)
        assert main(["verify", FINISHED, "--sequences", "2"]) in (0, 1)
        assert main(["report", FINISHED]) == 0
        assert main(["export", FINISHED, "--to", "model"]) == 0
        assert main(["scan", "model", *SCAN, "--device", "cpu"]) == 0
        Path("mine.py").write_text(STUDY_MODULE)
        studies = [tiny_study(4)]
        kept = kept_checkpoints(studies)
        for config in kept:
            train(config, out="studied", kept_checkpoints=kept, **options)
        (study,) = studies
        name = run_folder_name(study.cells[1].run_config(1))
        shutil.rmtree(Path("studied") / name)
        note = {"error": "it failed", "config": study.cells[1].run_config(1).model_dump(mode="json")}
        (Path("studied") / "study/failed").mkdir(parents=True)
        (Path("studied") / f"study/failed/{name}.json").write_text(json.dumps(note))
        assert main(["study", "report", STUDY, "--out", "studied"]) == 0
    return folder


def copied(folder: Path, *names: str) -> None:
    """Copy some of what `made` returns into a folder."""
    for name in names:
        if (made() / name).is_dir():
            shutil.copytree(made() / name, folder / name)
        else:
            shutil.copyfile(made() / name, folder / name)
