"""A module of one's own may do anything when it is imported, asked or called: one line, and exit code 2."""

import sys

import pytest

TASK = "from iterhead import IterativeTask\n"
STEP = TASK + "import sys\ndef step(s, x):\n    {body}\nt = IterativeTask('t', 2, step, init=0)\n"
CLASS = "class Odd:\n    def __getattribute__(self, name):\n        {body}\nt = Odd()\n"
TEXT = "class Odd(Exception):\n    def __str__(self):\n        raise ValueError\n"

CASES = {
    "exit in a step": (STEP.format(body="sys.exit(0)"), "own:t: F(0, 0) failed with SystemExit: 0"),
    "exit with words": (STEP.format(body="sys.exit('bye')"), "own:t: F(0, 0) failed with SystemExit: bye"),
    "error of two lines": (STEP.format(body=r"raise ValueError('a\nb')"), "own:t: F(0, 0) failed with ValueError: a b"),
    "its own base exception": (
        "class Odd(BaseException): pass\n" + STEP.format(body="raise Odd('x')"),
        "own:t: F(0, 0) failed with Odd: x",
    ),
    "end of a generator": (STEP.format(body="raise StopIteration"), "own:t: F(0, 0) failed with StopIteration: "),
    "error without text": (
        TEXT + STEP.format(body="raise Odd"),
        "own:t: F(0, 0) failed with Odd: an error that has no text",
    ),
    "endless recursion": (STEP.format(body="return step(s, x)"), "own:t: F(0, 0) failed with RecursionError: "),
    "text for a state": (STEP.format(body="return 'a' * 10**6"), "own:t: F(0, 0) is 'aaaa"),
    "huge state": (STEP.format(body="return 10**5000"), "own:t: F(0, 0) is <int>: expected an integer in 0 .. 1"),
    "exit at import": ("import sys\nsys.exit(0)", "own:t: importing 'own' failed with SystemExit: 0"),
    "base exception at import": (
        "class Odd(BaseException): pass\nraise Odd('x')",
        "own:t: importing 'own' failed with Odd: x",
    ),
    "module that answers with errors": (
        "def __getattr__(name):\n    raise RuntimeError(name)",
        "own:t: own has no 't'; expected an IterativeTask or a Mixture (in it: none)",
    ),
    "object that answers with errors": (
        CLASS.format(body="raise RuntimeError(name)"),
        "own:t: own has 't' of type Odd",
    ),
    "object that exits": (CLASS.format(body="raise SystemExit(0)"), "own:t: own has 't' of type Odd"),
    "odd object next to the task": (
        CLASS.format(body="raise SystemExit(0)").replace("t = Odd", "u = Odd"),
        "own:t: own has no 't'",
    ),
    "subclass that cannot be copied": (
        TASK
        + "class Odd(IterativeTask):\n    def __init__(self): pass\n"
        + "    def __getattr__(self, name): raise SystemExit(0)\n"
        + "t = Odd()\n",
        "own:t: copying it failed with ",
    ),
    "alphabet of 10^7": (
        TASK + "t = IterativeTask('t', 10**7, max, init=0)",
        "own:t: importing 'own' failed with UserError: t: alphabet=10000000: expected a whole number, at most 4,096",
    ),
    "alphabet of text": (
        TASK + "t = IterativeTask('t', 'ab', max)",
        "own:t: importing 'own' failed with UserError: t: a",
    ),
    "endless inputs": (
        TASK + "t = IterativeTask('t', 5, max, inputs=range(10**12))",
        "own:t: importing 'own' failed with UserError: t: inputs=range(0, 1000000000000): expected each value once",
    ),
    "no function": (
        TASK + "t = IterativeTask('t', 5, 'max')",
        "own:t: importing 'own' failed with UserError: t: step='max': expected a function of s and x",
    ),
    "mixture of anything": (
        "from iterhead import Mixture\nt = Mixture('t', (1, 2), (0.5, 0.5))",
        "own:t: importing 'own' failed with UserError: t: components=(1, 2): expected tasks, none a mixture",
    ),
}


@pytest.fixture
def call_with(call, tmp_path, monkeypatch):
    """Call the command line where a module `own` has some code."""

    def run(code, *words):
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "own", raising=False)
        (tmp_path / "own.py").write_text(code)
        return call(*words)

    return run


@pytest.mark.parametrize(("code", "line"), CASES.values(), ids=CASES)
def test_own_task(call_with, code, line):
    result = call_with(code, "run", "--task", "own:t")
    assert result.code == 2
    assert result.line.startswith(f"iterhead: {line}")


STUDIES = {
    "exit": ("import sys\ndef t(scale):\n    sys.exit(0)", "own:t: t('smoke') failed with SystemExit: 0"),
    "exit at import": ("import sys\nsys.exit(0)", "own:t: importing 'own' failed with SystemExit: 0"),
    "module that answers with errors": (
        "def __getattr__(name):\n    raise RuntimeError(name)",
        "own:t: t is not there",
    ),
    "object that answers with errors": (
        CLASS.format(body="raise SystemExit(0)"),
        "own:t: t has type Odd; expected a S",
    ),
}


@pytest.mark.parametrize(("code", "line"), STUDIES.values(), ids=STUDIES)
def test_own_study(call_with, code, line):
    result = call_with(code, "study", "status", "own:t", "--scale", "smoke")
    assert result.code == 2
    assert result.line.startswith(f"iterhead: {line}")


def test_ctrl_c_in_own_code_is_no_failure_of_it(call, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "pressed.py").write_text("raise KeyboardInterrupt")
    result = call("run", "--task", "pressed:t")
    assert result.code == 130
    assert result.line.startswith("Interrupted")
