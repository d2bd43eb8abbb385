"""Texts of tasks, and tasks in modules of users."""

from hypothesis import strategies as st

from faults.inputs_harness import generated
from faults.inputs_modules import modules
from faults.inputs_oracle import observed, problems, wrong_with
from faults.inputs_values import HUGE, TASKS, WORDS
from faults.test_inputs_settings import TINY_OPTIONS
from iterhead.tasks import task

_NUMBERS = ("1021", "1022", "997", "1031", HUGE, "9" * 40, "-1", "", "1.5", "x", "٣", "1_0")
NUMBERS = st.integers(-2, 30).map(str) | st.sampled_from(_NUMBERS)

_ATOMS = f"s;x;0;1;2;10;{'9' * 40};y;;s x;2s;s.x;s[0];'s';__import__('os');λ".split(";")
_DEEP = ("(" * 190 + "s" + ")" * 5, "-" * 199 + "s", "(" * 32 + "s" + ")" * 32, "(" * 99 + "s" + ")" * 99)
_POWERS = ("s" + "+s" * 99, "s^1021^1021", "s^1022", "s^-1", "s^s")
_SIGNS = st.sampled_from(("+", "-", "*", "^", "**", "//", "/", "%", "&", " "))
FORMULA = st.sampled_from((*_DEEP, *_POWERS)) | st.recursive(
    st.sampled_from(_ATOMS),
    lambda inner: (
        st.tuples(inner, _SIGNS, inner).map("".join)
        | st.sampled_from(("({})", "-{}", "({}")).flatmap(lambda form: inner.map(form.format))
    ),
    max_leaves=12,
)

OPTION = (
    st.tuples(st.just("p="), NUMBERS)
    | st.tuples(st.just("f="), FORMULA)
    | st.tuples(st.just("start="), st.sampled_from(("init", "first-input", "", "none", "Init")))
    | st.tuples(st.just("zero="), st.sampled_from(("true", "false", "True", "1", "")))
    | st.tuples(st.sampled_from(("q=", "p", "", "p==", "=", "P=")), NUMBERS)
).map("".join)
POLYNOMIAL = st.lists(OPTION, max_size=4).map(lambda options: f"polynomial:{','.join(options)}")

_COMPONENTS = [
    "copy",
    "parity",
    "polynomial",
    "",
    "mix",
    "mix(copy,parity)",
    "copy()",
    "copy(",
    "no.module(name)",
    "(",
    ")",
]
COMPONENT = st.sampled_from(_COMPONENTS) | POLYNOMIAL.map(lambda text: f"{text.replace(':', '(', 1)})")
_WEIGHTS = ("0.5", "0.3", "0.7", "1", "0", "-1", "nan", "inf", "1e400", "", "x", HUGE, "٣", "1_0", "1e-320")
WEIGHTS = st.just("") | st.lists(st.sampled_from(_WEIGHTS), max_size=4).map(lambda parts: f":weights={','.join(parts)}")
MIXTURE = st.tuples(st.just("mix:"), st.lists(COMPONENT, max_size=4).map(",".join), WEIGHTS).map("".join)

LETTERS = st.text("sxpfmixcopy0123456789:=,()+-*^. \n\té\0", max_size=40)


@st.composite
def mutated(draw, texts):
    text = draw(texts)
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(text)))
        piece = draw(st.sampled_from((*WORDS, ":", ",", "=", "(", ")")) | st.text(max_size=3))
        text = text[:place] + piece + text[place + draw(st.integers(0, 3)) :]
    return text


TEXTS = st.sampled_from(TASKS) | LETTERS | mutated(st.sampled_from(TASKS) | POLYNOMIAL | MIXTURE)
NAMED = ("task", "polynomial", "mix:", "copy", "parity")


@generated("texts of tasks", 1800, TEXTS)
def test_texts(example, folder):
    outcome = observed(lambda: task(example), folder)
    if outcome.code == 0:
        name = outcome.value.name
        outcome.wrong += [] if task(name).name == name else [f"the name {name!r} is not that of the task it gives"]
        if outcome.value.alphabet < 200:  # the table of the largest takes seconds
            outcome.wrong += observed(lambda: outcome.value.digest, folder).wrong
    return problems(outcome, NAMED, folder)


@generated("texts of tasks as options", 250, TEXTS.filter(lambda text: "\0" not in text))
def test_texts_as_options(example, folder):
    words = ["run", *TINY_OPTIONS, f"--task={example}"]
    return wrong_with(words, folder, (*NAMED, example[:8].strip() or "task", "vocabulary"))


COMMANDS = (["run", *TINY_OPTIONS, "--task"], ["handmade", "--max-length", "3", "--task"], ["scan", "./x", "--task"])
_OWN = ("hostile:t", "hostile:t", "hostile:t", "hostile:u", "mix:copy,hostile(t)", "hostile.t:t", "hostile:__dict__")


@generated("modules of users", 1000, st.tuples(st.sampled_from(COMMANDS), st.sampled_from(_OWN), modules()))
def test_modules(example, folder):
    words, name, module = example
    (folder / "hostile.py").write_text(module, encoding="utf-8", errors="surrogatepass")
    return wrong_with([*words, name], folder, ("hostile", "mix:", "vocabulary", "./x"))


_MODULES = ("os", "sys", "json", "__main__", "iterhead", "numpy", "torch", "a.b", "hostile.x", "os.path", "builtins")
_NAMES = ["t", "dumps", "task", "IterativeTask", "__name__", "_"]


@generated("modules of others", 100, st.tuples(*map(st.sampled_from, (COMMANDS, _MODULES, _NAMES))))
def test_other_modules(example, folder):
    words, module, name = example
    return wrong_with([*words, f"{module}:{name}"], folder, (module,))
