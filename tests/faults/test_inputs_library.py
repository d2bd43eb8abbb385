"""The library: runs that are loaded, prompts, sequences, and studies in modules of users."""

from functools import cache

from hypothesis import strategies as st

from faults.inputs_folders import FINISHED, HALF, copied
from faults.inputs_harness import generated
from faults.inputs_modules import ERRORS
from faults.inputs_oracle import observed, problems, wrong_with
from faults.inputs_values import INTEGERS, TASKS, words
from iterhead.prompts import FORMS, make_prompts, make_sequences
from iterhead.runs.run import load
from iterhead.tasks import Vocabulary, task

PLACES = st.sampled_from(
    (FINISHED, HALF, f"runs/{FINISHED}", "runs", "parity", "", ".", "/", "a\0b", "x" * 99, "a/" * 40)
) | words().filter(lambda word: len(word) < 256)


@generated(
    "runs to load", 150, st.tuples(PLACES, st.just("runs") | PLACES, st.none() | st.sampled_from(TASKS) | words())
)
def test_load(example, folder):
    run, out, name = example
    copied(folder, "runs")
    outcome = observed(lambda: load(run, out, task=name), folder)
    return problems(outcome, ("run", "task", "name", repr(run)[1:9], repr(out)[1:9]), folder)


@cache
def tokenizer():
    from helpers.tokenizers_made import word_level

    return word_level(values=5)


NUMBERS = st.integers(-1, 9) | st.sampled_from([n for n in INTEGERS if n < 24 or n > 10**5])
"""Small, so that prompts are quick, or absurd."""
TASK = st.sampled_from(("parity", "copy", "polynomial:p=5", "polynomial:p=7", "mix:copy,parity"))
PROMPTS = st.fixed_dictionaries(
    {"length": NUMBERS, "count": NUMBERS},
    optional={
        "form": st.sampled_from(tuple(FORMS)) | words(),
        "shots": NUMBERS,
        "shot_lengths": st.none() | st.lists(NUMBERS, max_size=3),
        "seed": NUMBERS,
        "rule": st.booleans(),
        "words": st.none() | st.lists(words() | st.sampled_from("abc"), max_size=5),
    },
)
NAMED = (
    "length",
    "count",
    "form",
    "shots",
    "words",
    "rule",
    "value",
    "mixture",
    "token",
    "memory",
    "inputs",
    "vocabulary",
)


@generated("prompts", 200, st.tuples(TASK, PROMPTS))
def test_prompts(example, folder):
    name, arguments = example
    return problems(observed(lambda: make_prompts(task(name), tokenizer(), **arguments), folder), NAMED, folder)


SEQUENCES = st.fixed_dictionaries(
    {"length": NUMBERS, "count": NUMBERS}, optional={"form": st.sampled_from(tuple(FORMS)) | words(), "seed": NUMBERS}
)


@generated("sequences of ids", 100, st.tuples(TASK, st.integers(4, 70), SEQUENCES))
def test_sequences(example, folder):
    name, vocabulary, arguments = example
    call = lambda: make_sequences(task(name), Vocabulary(vocabulary), **arguments)  # noqa: E731
    return problems(observed(call, folder), NAMED, folder)


_START = """import sys
from dataclasses import replace
from helpers.tiny_study import tiny_config, tiny_study
from iterhead.studies.study import Cell, Study
def throw(error): raise error
class Odd:
    def __getattr__(self, name): raise ValueError(name)
s = tiny_study(4)
c = s.cells[0]
t = s
"""
_OF_STUDIES = ("name", "scale", "title", "published", "chosen", "cells", "drawings", "claims", "measures")
_OF_CELLS = ("axes", "config", "seeds", "parent", "parent_epoch")
_STUDY_VALUES = r"""None
3
''
'x' * 5000
'a\nb'
'\ud800'
'../x'
'smoke'
()
(1, 2)
[1]
{'a': 1}
Odd()
(Odd(),)
(lambda tables: 3,)
(lambda tables: [3],)
(lambda tables: 1 / 0,)
(lambda tables: sys.exit(3),)
('circuits',)
('nothing',)
s.cells
(c, c)
c
tiny_config()
(0, 0, 0)
(-1,)
('x',)
(2**70,)
range(10**7)
{'longest': 'x'}
{'longest': None}
{3: 4}""".splitlines()
_ENDS = (
    "t = Odd()",
    "t = lambda: s",
    "t = lambda scale: s",
    "t = lambda scale: 3",
    "def __getattr__(name): throw(ValueError(name))",
    "t = sys.exit",
    "t = Study",
    "t = (s,)",
)


@st.composite
def study_modules(draw):
    value, field = draw(st.sampled_from(_STUDY_VALUES)), draw(st.sampled_from((*_OF_STUDIES, *_OF_CELLS)))
    made_up = "replace(s, cells=(replace(c, {}={}),))" if field in _OF_CELLS else "replace(s, {}={})"
    ends = st.sampled_from(_ENDS) | ERRORS.map("raise {}".format) | ERRORS.map("t = lambda scale: throw({})".format)
    return f"{_START}t = {made_up.format(field, value)}\n{draw(st.just('') | st.just('') | st.just('') | ends)}\n"


@generated(
    "studies of users", 250, st.tuples(st.sampled_from(("list", "status", "report", "run", "retry")), study_modules())
)
def test_studies_of_users(example, folder):
    verb, module = example
    (folder / "hostile.py").write_text(module, encoding="utf-8", errors="surrogatepass")
    return wrong_with(["study", verb, "hostile:t", "--workers", "1"], folder, ("hostile", "study"))
