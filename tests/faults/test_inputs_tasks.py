"""Texts of tasks, and modules of users that do what no module should."""

from hypothesis import strategies as st

from faults.inputs_harness import generated
from faults.inputs_oracle import observed, problems, wrong_with
from faults.inputs_values import HUGE, TASKS, WORDS
from faults.test_inputs_settings import TINY_OPTIONS
from iterhead.tasks import task

NUMBERS = st.integers(-2, 30).map(str) | st.sampled_from(("1021", "1022", "997", "1031", HUGE, "9" * 40, "-1", "", "1.5", "x", "٣", "1_0"))

FORMULA = st.recursive(
    st.sampled_from(("s", "x", "0", "1", "2", "10", "9" * 40, "y", "", "s x", "2s", "s.x", "s[0]", "'s'", "__import__('os')", "s;x", "λ")),
    lambda inner: st.tuples(inner, st.sampled_from(("+", "-", "*", "^", "**", "//", "/", "%", "&", " ")), inner).map("".join)
    | inner.map("({})".format)
    | inner.map("-{}".format)
    | inner.map("({}".format),
    max_leaves=12,
) | st.sampled_from(("(" * 190 + "s" + ")" * 5, "-" * 199 + "s", "s" + "+s" * 99, "s^1021^1021", "s^1022", "s^-1", "s^s", "(" * 32 + "s" + ")" * 32, "(" * 99 + "s" + ")" * 99))

OPTION = (
    st.tuples(st.just("p="), NUMBERS)
    | st.tuples(st.just("f="), FORMULA)
    | st.tuples(st.just("start="), st.sampled_from(("init", "first-input", "", "none", "Init")))
    | st.tuples(st.just("zero="), st.sampled_from(("true", "false", "True", "1", "")))
    | st.tuples(st.sampled_from(("q=", "p", "", "p==", "=", "P=")), NUMBERS)
).map("".join)
POLYNOMIAL = st.lists(OPTION, max_size=4).map(lambda options: f"polynomial:{','.join(options)}")
COMPONENT = st.sampled_from(("copy", "parity", "polynomial", "", "mix", "mix(copy,parity)", "copy()", "copy(", "no.module(name)", "(", ")")) | POLYNOMIAL.map(
    lambda text: f"{text.replace(':', '(', 1)})"
)
WEIGHTS = st.lists(st.sampled_from(("0.5", "0.3", "0.7", "1", "0", "-1", "nan", "inf", "1e400", "", "x", HUGE, "٣", "1_0", "1e-320")), max_size=4)
MIXTURE = st.tuples(st.lists(COMPONENT, max_size=4), st.none() | WEIGHTS).map(
    lambda parts: f"mix:{','.join(parts[0])}" + ("" if parts[1] is None else f":weights={','.join(parts[1])}")
)
LETTERS = st.text("sxpfmixcopy0123456789:=,()+-*^. \n\té\0", max_size=40)


@st.composite
def mutated(draw, texts):
    text = draw(texts)
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(text)))
        piece = draw(st.sampled_from((*WORDS, ":", ",", "=", "(", ")")) | st.text(max_size=3))
        text = text[:place] + piece + text[place + draw(st.integers(0, 3)) :]
    return text


TEXTS = st.sampled_from(TASKS) | POLYNOMIAL | MIXTURE | LETTERS | mutated(st.sampled_from(TASKS) | POLYNOMIAL | MIXTURE)


@generated("texts of tasks", 2500, TEXTS)
def test_texts(example, folder):
    outcome = observed(lambda: task(example), folder)
    if outcome.code == 0:
        name = outcome.value.name
        outcome.wrong += [] if task(name).name == name else [f"the name of {name!r} is not its own"]
        if outcome.value.alphabet < 200:  # the table of the largest takes seconds
            outcome.wrong += observed(lambda: outcome.value.digest, folder).wrong
    return problems(outcome, ("task", "polynomial", "mix:", example[:8].strip() or "''", "copy", "parity"), folder)


@generated("texts of tasks as options", 400, TEXTS.filter(lambda text: "\0" not in text))
def test_texts_as_options(example, folder):
    return wrong_with(["run", *TINY_OPTIONS, f"--task={example}"], folder, ("task", "polynomial", "mix:", "copy", "parity", example[:8].strip(), "vocabulary"))


RAISED = st.sampled_from(
    ("ValueError('a\\nb')", "SystemExit(0)", "SystemExit('no')", "MemoryError()", "RecursionError('x' * 9999)", "ImportError('x')")
    + ("ModuleNotFoundError('x', name='hostile')", "ModuleNotFoundError('x')", "OSError(2, 'x', 'y')", "KeyError('\\ud800')", "StopIteration(3)", "BrokenPipeError()")
    + ("OSError('x')", "GeneratorExit()", "AssertionError()", "type('Bad', (Exception,), {'__str__': lambda self: 1 / 0})()", "UnicodeEncodeError('a', 'b', 0, 1, 'c')")
)
VALUES = st.sampled_from(
    ("None", "-1", "0", "1", "2", "3", "True", "1.0", "2.5", "float('nan')", "float('inf')", "'3'", "b'3'", "[]", "()", "{}", "10**5", "10**7", "10**30")
    + ("numpy.int64(2)", "numpy.int8(1)", "numpy.float64(1)", "numpy.array(1)", "numpy.array([1, 2])", "object()", "lambda: 1", "range(2)", "range(10**9)", "(0, 1)")
    + ("[0, 1]", "{0, 1}", "iter((0, 1))", "(0, 0)", "(0, '1')", "(True, False)", "Odd()", "type", "__import__('decimal').Decimal(1)", "2**63", "'\\ud800' * 3", "'a\\nb'", "'x' * 9999")
)
STEPS = (
    st.sampled_from(("lambda s, x: (s + x) % 2", "lambda s, x: s", "lambda s: s", "lambda: 1", "lambda *a: a", "3", "None", "max", "print", "exit", "iter", "str", "numpy.add", "numpy.bitwise_xor"))
    | VALUES.map("lambda s, x: {}".format)
    | RAISED.map("lambda s, x: throw({})".format)
    | st.sampled_from(("lambda s, x: random.randrange(2)", "lambda s, x: next(COUNTER) % 2", "lambda s, x: time.sleep(0.0001) or s", "lambda s, x: print(s) or s", "lambda s, x: sys.stdout.close() or s"))
)
MODULE = """import itertools, random, sys, time
import numpy
from iterhead import IterativeTask, Mixture, task
COUNTER = itertools.count()
class Odd:
    __class__ = property(lambda self: 1 / 0)
    def __repr__(self): raise ValueError('no repr')
    def __eq__(self, other): raise ValueError('no eq')
    __hash__ = None
def throw(error): raise error
"""
ODDITIES = (
    *("def __getattr__(name): raise ValueError(name)", "def __getattr__(name): raise SystemExit(3)", "__path__ = 3", "__name__ = 3", "__spec__ = None"),
    *("t = Odd()", "del t", "t = IterativeTask", "t = sys.modules[__name__]", "t = property(throw)", "sys.modules[__name__] = 3", "sys.modules[__name__] = None"),
    *("del sys.modules[__name__]", "sys.modules[__name__] = Odd()", "class T(IterativeTask):\n    alphabet = property(lambda self: 1 / 0)\nt = T.__new__(T)"),
    *("t = Mixture('m', (task('copy'), t), (0.5, 0.5))", "t = Mixture('m', (t, t), (0.5, 0.5))", "t = Mixture('m', (task('copy'), task('parity')), (float('nan'), 1))"),
    *("t = Mixture('m', (task('copy'), 3), (0.5, 0.5))", "t = Mixture('m', (task('copy'), task('mix:copy,parity')), (0.5, 0.5))", "t = Mixture('m', [task('copy'), task('parity')], [0.5, 0.5])"),
    *("t = Mixture('m', None, ())", "t = Mixture('m', (t, task('parity')), ('0.5', 0.5))", "t.__dict__['alphabet'] = 10**7", "t.__dict__['name'] = 3", "t.__dict__['step'] = None"),
    *("t.__dict__['inputs'] = Odd()", "object.__setattr__(t, 'table', 3)", "t.__dict__['digest'] = 3", "globals()[3] = 4", "globals()['\\ud800'] = t", "x = 1 +", "\0", "\x0c", "# coding: klingon"),
)


@st.composite
def modules(draw):
    fields = {"name": draw(st.just("'t'") | VALUES), "alphabet": draw(st.just("2") | VALUES), "step": draw(st.just("lambda s, x: x") | STEPS)}
    fields["step"] = draw(STEPS) if draw(st.booleans()) else fields["step"]
    if draw(st.booleans()):
        fields["init"] = draw(st.just("0") | VALUES)
    if draw(st.integers(0, 3)) == 0:
        fields["inputs"] = draw(VALUES)
    if draw(st.integers(0, 9)) == 0:
        fields["formula"] = draw(VALUES)
    lines = [f"t = IterativeTask({', '.join(f'{name}={value}' for name, value in fields.items())})"]
    odd = draw(st.integers(0, 9))
    lines += [draw(st.sampled_from(ODDITIES))] if odd < 3 else [f"raise {draw(RAISED)}"] if odd == 3 else []
    return "\n".join(lines)


def module_words(name):
    return st.sampled_from((["run", *TINY_OPTIONS, "--task", name], ["handmade", "--max-length", "3", "--task", name], ["scan", "model", "--task", name]))


@st.composite
def hostile(draw):
    name = draw(st.sampled_from(("hostile:t", "hostile:t", "hostile:t", "hostile:u", "mix:copy,hostile(t)", "hostile.t:t", "hostile:__dict__")))
    return draw(module_words(name)), draw(modules())


@generated("modules of users", 1500, hostile())
def test_modules(example, folder):
    words, module = example
    (folder / "hostile.py").write_text(MODULE + module, encoding="utf-8", errors="surrogatepass")
    return wrong_with(words, folder, ("hostile", "mix:", "vocabulary", "model: no such", "iterative"))


@generated("modules of others", 150, module_words("m").flatmap(lambda words: st.tuples(st.just(words[:-1]), st.sampled_from(("os", "sys", "json", "__main__", "iterhead", "numpy", "torch", "a.b", "hostile.x", "os.path", "typing", "builtins")), st.sampled_from(("t", "dumps", "task", "IterativeTask", "__name__", "_")))))
def test_other_modules(example, folder):
    words, module, name = example
    return wrong_with([*words, f"{module}:{name}"], folder, (module,))
