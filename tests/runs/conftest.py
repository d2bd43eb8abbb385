"""What the tests of runs share: nothing is drawn in this process."""

import pytest

from iterhead.runs import checkpointing


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch):
    """Drawing takes most of the time of runs as small as these, and is tested elsewhere."""
    monkeypatch.setattr(checkpointing, "run_figure_files", lambda *_: {"figure.png": b"drawn"})
