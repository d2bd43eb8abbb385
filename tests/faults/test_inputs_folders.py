"""Folders with damaged files and right checksums: every command reads them, or names the file."""

from pathlib import Path

from hypothesis import strategies as st

from faults.inputs_damage import damage, damages
from faults.inputs_folders import FINISHED, HALF, LONGER, SCAN, STUDY, copied
from faults.inputs_harness import generated
from faults.inputs_oracle import called, problems
from faults.inputs_values import TINY
from iterhead.cli.options import as_options
from iterhead.settings import parse_config

HARM = st.lists(damages(), min_size=1, max_size=2)
RUN = ["run", *as_options(parse_config(TINY)), "--threads", "1", "--json"]
CONTINUE = ["run", *as_options(parse_config(LONGER)), "--threads", "1", "--json"]


def check(words: list[str], folder: Path, damaged: Path, harm: list) -> list[str]:
    """Damage a folder, call a command, and return what is wrong; if it refuses, the files must be as they were."""
    names = [damage(damaged, one) for one in harm]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    outcome = called(words, folder)
    wrong = problems(outcome, [damaged.name, *(Path(name).name for name in names)], folder, words[0])
    if outcome.code == 2:
        kept = {path for path, data in before.items() if path.is_file() and path.read_bytes() == data}
        lost = sorted(path.name for path in before if path not in kept and not path.name.startswith("."))
        wrong += [f"lost: {', '.join(lost)} changed by a command that failed"] if lost else []
    return wrong


def run_words(name):
    words = (
        *(["show"], ["show", "--json"], ["show", name], ["show", name, "--json"], ["report", name]),
        RUN if name == FINISHED else CONTINUE,
        ["transfer", "--from", name, "--task", "copy", "--threads", "1"],
        *(["export", name, "--to", "new"], ["export", name, "--to", "new", "--epoch", "1"]),
    )
    return st.tuples(st.just(name), st.sampled_from(words), HARM)


@generated(
    "damaged runs",
    900,
    st.sampled_from((FINISHED, HALF)).flatmap(run_words),
)
def test_runs(example, folder):
    name, words, harm = example
    copied(folder, f"runs/{name}")
    return check(words, folder, folder / "runs" / name, harm)


@generated("damaged runs, verified", 30, HARM)
def test_verified(example, folder):
    copied(folder, f"runs/{FINISHED}")
    return check(["verify", FINISHED, "--sequences", "2"], folder, folder / "runs" / FINISHED, example)


STUDY_WORDS = st.sampled_from(
    (
        ["status", STUDY],
        ["status", STUDY, "--json"],
        ["retry", STUDY],
        ["run", STUDY],
        ["report", STUDY, "--redraw"],
        ["list", STUDY],
    )
)


@generated("damaged studies", 250, st.tuples(STUDY_WORDS, HARM))
def test_studies(example, folder):
    words, harm = example
    copied(folder, "studied", "mine.py")
    return check(["study", *words, "--out", "studied", "--workers", "1"], folder, folder / "studied", harm)


@generated("damaged scans", 30, HARM)
def test_scans(example, folder):
    copied(folder, "scans", "model")
    (scan,) = (folder / "scans").iterdir()
    return check(["scan", "model", *SCAN, "--device", "cpu"], folder, scan, example)


@generated("damaged models", 100, HARM)
def test_models(example, folder):
    copied(folder, "model")
    return check(["scan", "model", *SCAN, "--device", "cpu"], folder, folder / "model", example)
