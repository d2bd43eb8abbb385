"""Whole command lines: the options of every command, with values of every kind."""

import re

from hypothesis import strategies as st

from faults.inputs_folders import FINISHED, HALF, STUDY, copied
from faults.inputs_harness import generated
from faults.inputs_oracle import observed, wrong_with
from faults.inputs_values import HUGE, NUMBER_TEXTS, SETTINGS, TASKS, text, words
from faults.test_inputs_settings import TINY_OPTIONS
from iterhead.cli.main import commands
from iterhead.studies.registry import STUDIES

PARSERS = {name: command._parser() for name, command in commands().items()}
OPTIONS = {name: tuple(parser._option_string_actions) for name, parser in PARSERS.items()}
EVERY = tuple(dict.fromkeys(option for options in OPTIONS.values() for option in options))
PLACES = (
    *(
        FINISHED,
        HALF,
        "parity",
        "runs",
        f"runs/{FINISHED}",
        f"runs/{FINISHED}/config.json",
        "model",
        "scans",
        "mine.toml",
    ),
    *(
        "file",
        "nothing",
        ".",
        "",
        "/",
        "~",
        "a" * 300,
        "a/" * 2500,
        "/dev/null",
        "/dev/full",
        "\udcff",
        "-",
        "--",
        "..",
    ),
)
NAMES = (
    *(*STUDIES, "all", "smoke", "laptop", "paper", "list", "run", "status", "retry", "report", STUDY, "no.module:x"),
    *("steps", "gpu", "after-input", "interleaved", "float16", "cuda", "mps", "cpu", "auto", "gpt2", "cuda:99", "meta"),
)
SEEDS = (
    *("0..9", "1,4,7..9", "9..0", "0..10000", "0..9999", f"0..{HUGE}", HUGE, f"{HUGE}..{HUGE}", ",", "..", "1..", "-1"),
    *("0..1..2", "٣", "1 ,2", "0,0,0", ",".join("1" * 9999)),
)
FREE = st.sampled_from((*PLACES, *NAMES, *SEEDS, *NUMBER_TEXTS, *TASKS)) | words() | st.integers(0, 9).map(str)
FITTING = {
    **{"--from": PLACES, "--out": ("runs", "runs", "new", *PLACES), "--config": PLACES, "--to": ("new", *PLACES)},
    **{"--seeds": SEEDS, "--task": TASKS, "--scale": NAMES, "--form": NAMES},
    "--device": ("cpu", "auto", "cuda", "meta", ""),
    "--threads": ("1", "2", "1000000000", "2147483648", "9" * 18, *NUMBER_TEXTS),
    "--workers": ("1", *NUMBER_TEXTS),
    "--lengths": ("4", "2,3", "1", "1024", "4,4", HUGE, ",".join("4" * 5000), "9" * 9),
    "--prompts": ("2", "100000", "100001", "9" * 18),
    "--shots": ("0", "4", "1000", "1001", HUGE),
    "--sequences": ("2", "3", "1", "9" * 18, HUGE),
    "--max-length": ("1", "3", "5", "65", "0", HUGE),
    "--error": ("1e-12", "0.5", "1e-320", "nan", HUGE, "0", "1"),
    "--epoch": ("0", "1", "2", "9" * 18, HUGE),
}
ARGUMENTS = {
    **dict.fromkeys(("show", "verify", "export"), PLACES),
    **dict.fromkeys(("study", "bench"), NAMES),
    "report": (*PLACES, *STUDIES),
    "scan": ("model", *(place for place in PLACES if "/" in place)),  # other words are names on the hub
}
BEGINNINGS = {
    "transfer": ["--from", FINISHED, "--task", "copy"],
    "export": ["--to", "new"],
    "verify": ["--sequences", "2"],
    "handmade": ["--max-length", "3"],
    "run": TINY_OPTIONS,
    "scan": ["--task", "polynomial:p=5", "--lengths", "4", "--prompts", "2"],
}
"""So that a command is quick, and often right, unless something else follows."""


@st.composite
def lines(draw):
    name = draw(st.sampled_from(tuple(PARSERS)))
    own = draw(st.integers(0, 9)) > 0
    line = [name, *BEGINNINGS.get(name, ())]
    needs_one = name in ("export", "verify", "scan")
    for _ in range(
        draw(st.sampled_from((1, 1, 1, 2) if needs_one else (0, 0, 1, 1, 2, 3))) if name in ARGUMENTS else 0
    ):
        argument = st.sampled_from(ARGUMENTS[name])
        line.insert(draw(st.integers(1, len(line))), draw(argument if name == "scan" else argument | FREE))
    for _ in range(draw(st.integers(0, 3))):
        line += draw(option_words(OPTIONS[name] if own else EVERY))
    return draw(st.permutations(line)) if draw(st.integers(0, 29)) == 0 else line


@st.composite
def option_words(draw, options):
    """One of the options, perhaps misspelled, perhaps with a value, perhaps of the right kind."""
    option = draw(st.sampled_from(options))
    if draw(st.integers(0, 19)) == 0:
        place = draw(st.integers(0, len(option)))
        option = option[:place] + draw(words()) + option[place:]
    setting = SETTINGS.get(option.removeprefix("--").replace("-", "_"))
    value = draw(st.sampled_from(FITTING[option]) if option in FITTING else text(setting) if setting else FREE)
    return draw(st.sampled_from(([option, value], [option, value], [f"{option}={value}"], [option])))


def named(line):
    """Texts of which a message has one: the beginning of a word, of an option, or of its value."""
    parts = [part for word in line[1:] for part in re.split("[=/]", word)] or line
    short = [part.lstrip("-").replace("_", "-")[:12] or part for part in parts]
    return [*(part for part in short if part), "memory", "runs", "expected", "unknown", "required"]


@generated("command lines", 1300, lines())
def test_lines(example, folder):
    copied(folder, "runs", "mine.py", *("model", "scans") * (example[0] == "scan"))
    (folder / "mine.toml").write_text("seed = 3\n")
    (folder / "file").write_text("x")
    return wrong_with(example, folder, named(example))


@generated(
    "first words",
    50,
    st.lists(words() | st.sampled_from((*PARSERS, "--help", "-h", "--version", "--json", *EVERY)), max_size=3).filter(
        lambda line: line[:1] not in (["bench"], ["run"], ["scan"])
    ),
)
def test_first_words(example, folder):
    return wrong_with(example, folder, ("",))


SEED = (
    st.sampled_from(SEEDS)
    | st.text("0123456789.,- ٣x", max_size=12)
    | st.lists(
        st.integers(0, 99999).map(str)
        | st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)).map(lambda pair: f"{pair[0]}..{pair[1]}"),
        max_size=4,
    ).map(",".join)
)


@generated("lists of seeds", 150, SEED)
def test_seeds(example, folder):
    outcome = observed(lambda: wrong_with(["run", *TINY_OPTIONS, f"--seeds={example}"], folder, ("--seeds",)), folder)
    return outcome.wrong + (outcome.value or [])
