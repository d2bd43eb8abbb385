"""A model of another architecture that was trained here: the run, its export and the scan agree about its head."""

import pytest

pytest.importorskip("transformers")

import iterhead as ih
from iterhead.settings import parse_config


@pytest.mark.slow
def test_the_head_of_a_trained_qwen3_is_found_and_proved(tmp_path):
    """Seed 1 of the study `architectures`: four minutes of one core."""
    config = {"seed": 1, "model": {"architecture": "qwen3"}, "training": {"epochs": 40}}
    run = ih.train(parse_config(config), out=tmp_path / "runs", threads=1)
    _, second = run.scores.best_pair
    result = ih.scan(str(ih.export(run, tmp_path / "model")), task="polynomial", out=tmp_path / "scans")
    assert result.verdict == "iteration-head"
    assert result.best("iteration").place == second
    assert result.best("iteration").weight == pytest.approx(run.scores.second_weight, abs=0.1)  # on other lengths
    assert result.behaviour.teacher_forced > 0.98
    rows = {row.intervention: row for row in result.causal}
    assert rows["looking at x_{t+1}"].follows > 0.9
    assert rows["mean ablation"].accuracy < 0.3
