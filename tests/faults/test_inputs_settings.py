"""Settings by option, in a Python dict and in a TOML file, of runs and of scans."""

from functools import partial

from hypothesis import strategies as st

from faults.inputs_harness import generated
from faults.inputs_oracle import observed, problems, wrong_with
from faults.inputs_toml import damaged, document
from faults.inputs_values import FIELDS, changes, integers, nested, text, value, words, wrong
from iterhead.cli.options import as_options
from iterhead.prompts import FORMS
from iterhead.scans.settings import ScanConfig
from iterhead.settings import parse_config
from iterhead.settings.reading import parse_as

NAMED = (*FIELDS, *(name.replace("_", "-") for name in FIELDS), "setting", "memory", "polynomial", "mix:", "parity")
TINY_OPTIONS = as_options(parse_config(nested({})))


@st.composite
def option_words(draw, commands=("run",)):
    changed = draw(changes(text))
    given = [f"--{name.replace('_', '-')}" for name in changed]
    written = [
        [f"{name}={new}"] if draw(st.booleans()) or new.startswith("-") else [name, new]
        for name, new in zip(given, changed.values(), strict=True)
    ]
    return [draw(st.sampled_from(commands)), *TINY_OPTIONS, *(word for words in written for word in words)]


@generated("settings by option", 1500, option_words())
def test_options(example, folder):
    return wrong_with(example, folder, NAMED)


@generated("settings in Python", 1200, changes(value))
def test_python(example, folder):
    return problems(observed(lambda: parse_config(nested(example)).digest, folder), NAMED, folder)


WILD = st.recursive(
    st.none() | st.booleans() | integers() | st.floats() | st.text(max_size=5) | wrong(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from((*FIELDS, "data", "model")) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)


@generated(
    "values of any shape in Python",
    300,
    WILD | st.dictionaries(st.sampled_from(("data", "model", "training", "start", "task", "seed")), WILD),
)
def test_python_shapes(example, folder):
    return problems(observed(lambda: parse_as(type(parse_config({})), example).digest, folder), ("",), folder)


@generated(
    "TOML of settings",
    500,
    changes(value).map(nested).map(document).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
def test_toml(example, folder):
    return toml_called(example, folder)


DOCUMENTS = st.sampled_from((document(nested({})), "", "seed = 3\n")) | changes(value).map(nested).map(document)


@generated("damaged TOML", 800, damaged(DOCUMENTS))
def test_damaged_toml(example, folder):
    return toml_called(example, folder)


def toml_called(data, folder):
    (folder / "mine.toml").write_bytes(data)
    return wrong_with(["run", "--config", "mine.toml"], folder, ("mine.toml", *NAMED))


SCAN = {
    "task": st.sampled_from(("polynomial:p=5", "parity", "mix:copy,parity")) | words(),
    "form": st.sampled_from(tuple(FORMS)) | words(),
    "shots": integers(),
    "lengths": st.lists(integers(), max_size=4) | integers(),
    "prompts": integers(),
    "tokens": st.sampled_from(("auto", "ids", "text")) | words(),
    "seed": integers(),
}


@generated(
    "settings of scans",
    300,
    st.dictionaries(st.sampled_from((*SCAN, "x")), st.none()).flatmap(
        lambda names: st.fixed_dictionaries({name: SCAN.get(name, wrong()) | wrong() for name in names})
    ),
)
def test_scan_settings(example, folder):
    return problems(observed(partial(parse_as, ScanConfig, example), folder), (*SCAN, "'x'"), folder)
