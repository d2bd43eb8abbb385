"""The whole published study at its smallest: every run, every figure, every claim."""

import json
from statistics import median

import pytest

from iterhead.cli import main
from iterhead.studies.registry import ALL, STUDIES, find_studies


@pytest.mark.slow
def test_the_whole_study_at_smoke_scale(tmp_path, capsys):
    out = str(tmp_path)
    assert main(["study", "run", ALL, "--scale", "smoke", "--out", out, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["failed"] == []
    assert told["done"] == told["runs"] > 100
    assert [study["study"] for study in told["studies"]] == list(STUDIES)
    for study, found in zip(find_studies(ALL, "smoke"), told["studies"], strict=True):
        assert found["measured"] == found["runs"]
        names = {path.rpartition("/")[2] for path in found["figures"]}
        assert names == {f"{drawing.file}.{kind}" for drawing in study.drawings for kind in ("png", "pdf")}
        # Two seeds decide nothing, but what is by itself a proof of existence.
        assert {claim["verdict"] for claim in found["claims"] if not claim["id"].startswith("11")} <= {"undecided"}
    ids = [claim["id"] for found in told["studies"] for claim in found["claims"]]
    assert len(set(ids)) == len(ids), "a claim stands in two studies under one name"
    numbers = {int("".join(filter(str.isdigit, name))) for name in ids if name != "R"}
    assert numbers >= {1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}
    folders = [path.parent for path in tmp_path.glob("*/config.json")]
    assert median(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) for folder in folders) < 1e5
