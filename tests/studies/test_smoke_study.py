"""The whole published study at its smallest: every run, every figure, every claim."""

import json
from statistics import median

import pytest

from iterhead.cli import main
from iterhead.studies.registry import ALL, OURS, STUDIES, find_studies


@pytest.mark.slow
def test_the_whole_study_at_smoke_scale(tmp_path, capsys):
    out = str(tmp_path)
    assert main(["study", "run", ALL, "--scale", "smoke", "--out", out, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["failed"] == []
    assert printed["done"] == printed["runs"] > 100
    assert [study["study"] for study in printed["studies"]] == [name for name in STUDIES if name not in OURS]
    for study, result in zip(find_studies(ALL, "smoke"), printed["studies"], strict=True):
        assert result["measured"] == result["runs"]
        names = {path.rpartition("/")[2] for path in result["figures"]}
        assert names == {f"{drawing.file}.{kind}" for drawing in study.drawings for kind in ("png", "pdf")}
        # Two seeds decide nothing, but what is by itself a proof of existence.
        assert {claim["verdict"] for claim in result["claims"] if not claim["id"].startswith("11")} <= {"undecided"}
    ids = [claim["id"] for result in printed["studies"] for claim in result["claims"]]
    assert len(set(ids)) == len(ids), "a claim stands in two studies under one name"
    numbers = {int("".join(filter(str.isdigit, name))) for name in ids if name != "R"}
    assert numbers >= {1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}
    folders = [path.parent for path in tmp_path.glob("*/config.json")]
    assert median(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) for folder in folders) < 1e5
