"""Tasks by name: what a text means, its canonical form, and what is said about a bad one."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.polynomial_cases import CASES
from iterhead.errors import UserError
from iterhead.tasks import IterativeTask, Mixture, catalogue, task
from iterhead.tasks.polynomial import parse_polynomial


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("copy", "copy"),
        (" parity\n", "parity"),
        ("polynomial", "polynomial"),
        ("polynomial:p=11,f=s * x + 1,start=first-input,zero=false", "polynomial"),
        ("polynomial:zero=true,p=13", "polynomial:p=13,zero=true"),
        (" polynomial : f = s ** 2 + x , p = 13 ", "polynomial:p=13,f=s^2+x"),
        ("polynomial:start=init,f=(s + 1)*x", "polynomial:f=(s+1)*x,start=init"),
        ("mix:copy,parity", "mix:copy,parity"),
        ("mix:copy,parity:weights=0.5,0.5", "mix:copy,parity"),
        ("mix:parity,copy:weights=.250,0.75", "mix:parity,copy:weights=0.25,0.75"),
        ("mix:polynomial(p=11),copy:weights=3e-1,0.7", "mix:polynomial,copy:weights=0.3,0.7"),
        (
            "mix: copy , polynomial( f=(s+1) * x, p=5 ) : weights = 0.25 , 0.75",
            "mix:copy,polynomial(p=5,f=(s+1)*x):weights=0.25,0.75",
        ),
        ("mix:polynomial(p=5),polynomial(p=7)", "mix:polynomial(p=5),polynomial(p=7)"),
    ],
)
def test_canonical_names(spec, name):
    assert task(spec).name == name
    assert task(name) == task(spec)


def test_options_reach_the_task():
    found = task("polynomial:p=13,f=s*x+x^2+3,start=init,zero=true")
    assert isinstance(found, IterativeTask)
    assert (found.alphabet, found.init, found.symbols) == (13, 0, tuple(range(13)))
    assert found.step == parse_polynomial("s*x+x^2+3", 13)


def test_components_and_weights_reach_the_mixture():
    found = task("mix:copy,polynomial(p=5,start=init),parity:weights=0.5,0.2,0.3")
    assert isinstance(found, Mixture)
    assert found.components == (task("copy"), task("polynomial:p=5,start=init"), task("parity"))
    assert found.weights == (0.5, 0.2, 0.3)
    assert found.alphabet == 5


def test_weights_left_out_or_thirds_in_decimals_are_equal():
    plain = task("mix:copy,parity,polynomial")
    assert plain.weights == (1 / 3, 1 / 3, 1 / 3)
    assert task("mix:copy,parity,polynomial:weights=0.3333333333,0.3333333333,0.3333333333") == plain


FORMULAS = ("s*x+1", "s * x + 1", "s", "-x ** 2", "(s + 1)*(x-1)^3", " s+x ")


@st.composite
def option_texts(draw):
    """Some of the polynomial's options, in any order."""
    options = {
        "p": draw(st.sampled_from([2, 11, 13, 61])),
        "f": draw(st.sampled_from(FORMULAS)),
        "start": draw(st.sampled_from(["first-input", "init"])),
        "zero": draw(st.sampled_from(["true", "false"])),
    }
    names = draw(st.lists(st.sampled_from(sorted(options)), unique=True))
    return ",".join(f"{name}={options[name]}" for name in names)


@st.composite
def specs(draw):
    alone = st.sampled_from(["copy", "parity"]) | option_texts().map(lambda text: f"polynomial:{text}".rstrip(":"))
    if draw(st.booleans()):
        return draw(alone)
    tasks = draw(st.lists(alone, min_size=2, max_size=4, unique_by=lambda spec: task(spec).name))
    names = [f"{name.replace(':', '(')})" if ":" in name else name for name in tasks]
    shares = draw(st.lists(st.integers(1, 50), min_size=len(tasks), max_size=len(tasks)))
    weights = ",".join(str(share / sum(shares)) for share in shares)
    return f"mix:{','.join(names)}" + draw(st.sampled_from(["", f":weights={weights}"]))


@settings(deadline=None)
@given(spec=specs())
def test_the_name_gives_the_task_back(spec):
    found = task(spec)
    again = task(found.name)
    assert again == found
    assert again.name == found.name
    assert again.digest == found.digest
    assert found.components == tuple(task(component.name) for component in found.components)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_worked_cases_are_written_canonically(case):
    assert task(case.spec).name == case.spec


UNKNOWN_TASK = r"expected copy, parity, polynomial, mix, or your own as package\.module:name"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("partiy", r"^unknown task 'partiy': did you mean 'parity'\? \(iterhead tasks lists them\)$"),
        ("PARITY", r"unknown task 'PARITY': did you mean 'parity'\?"),
        ("polynomal:p=13", r"unknown task 'polynomal': did you mean 'polynomial'\?"),
        ("polynomial(p=13)", r"did you mean 'polynomial'\?"),
        ("foo", rf"unknown task 'foo': {UNKNOWN_TASK}"),
        ("", rf"unknown task '': {UNKNOWN_TASK}"),
        ("my.module.name", UNKNOWN_TASK),
        ("my module:name", rf"^unknown task 'my module': {UNKNOWN_TASK}"),
        ("os:path.join", UNKNOWN_TASK),
        ("os:system('x')", UNKNOWN_TASK),
        ("x" * 5000, r"expected one line of at most 4,096 characters"),
        ("copy\nparity", r"expected one line"),
        ("polynomial:p=12", r"^polynomial:p=12: p must be prime \(next: 13\)$"),
        ("polynomial:p=1e3", r"polynomial:p=1e3: p must be a prime number, e\.g\. p=13"),
        ("polynomial:p", r"polynomial:p: p must be a prime number"),
        ("polynomial:zero=yes", r"polynomial:zero=yes: zero must be true or false"),
        ("polynomial:start=zero", r"start must be first-input or init"),
        ("polynomial:f=s*y", r"^polynomial:f=s\*y: unknown name 'y': only s and x may stand in f$"),
        ("polynomial:f=(s,x)", r"polynomial:f=\(s,x\): unexpected ','"),
        (
            "polynomial:strat=init",
            r"^polynomial:strat=init: unknown option 'strat': did you mean 'start'\? \(options: p, f, start, zero\)$",
        ),
        ("polynomial:q=3", r"unknown option 'q'.* \(options: p, f, start, zero\)$"),
        ("polynomial:", r"unknown option '' \(options: p, f, start, zero\)$"),
        ("polynomial:p=5,p=7", r"polynomial:p=7: option 'p' is given twice"),
        ("copy:p=3", r"copy:p=3: unknown option 'p' \(copy has no options\)$"),
        ("mix", r"expected tasks joined by commas, e\.g\. mix:copy,parity"),
        ("mix:copy,,parity", r"mix:copy,,parity: expected tasks joined by commas"),
        ("mix:copy", r"mix:copy: a mixture needs two tasks or more"),
        ("mix:copy,partiy", r"unknown task 'partiy': did you mean 'parity'\?"),
        ("mix:copy,copy", r"mix:copy,copy: copy stands in it twice"),
        ("mix:polynomial,copy,polynomial(p=11)", r"polynomial stands in it twice"),
        ("mix:copy,mix(copy,parity)", r"^mix\(copy,parity\): a mixture cannot stand in a mixture"),
        ("mix:copy,mix", r"a mixture cannot stand in a mixture"),
        ("mix:" + "mix(" * 400, r"a mixture cannot stand in a mixture"),
        ("mix:copy,polynomial(p=5", r"^polynomial\(p=5: '\)' is missing"),
        ("mix:copy,polynomial(p=12)", r"polynomial:p=12: p must be prime"),
        ("mix:copy,polynomial:p=5", r"only weights may stand.*write a component with options as polynomial\(p=5\)"),
        ("mix:copy,parity:weigths=0.5,0.5", r"only weights may stand"),
        ("mix:copy,parity:weights=0.5,0.5:weights=0.5,0.5", r"only weights may stand"),
        ("mix:copy,parity:weights", r"only weights may stand"),
        ("mix:copy,parity:weights=a,b", r"weights must be numbers"),
        ("mix:copy,parity:weights=", r"weights must be numbers"),
        ("mix:copy,parity:weights=0.3,0.8", r"sum to 1\.1: expected 1"),
        ("mix:copy,parity:weights=1,1", r"sum to 2: expected 1"),
        ("mix:copy,parity:weights=1", r"expected 2 positive numbers"),
        ("mix:copy,parity:weights=1,0", r"expected 2 positive numbers"),
        ("mix:copy,parity:weights=nan,nan", r"expected 2 positive numbers"),
        ("mix:copy,parity:weights=inf,1", r"sum to inf: expected 1"),
    ],
    ids=lambda value: ascii(value[:30]),
)
def test_bad_texts_are_explained_in_one_line(spec, message):
    with pytest.raises(UserError, match=message) as refusal:
        task(spec)
    assert str(refusal.value).isprintable()


@settings(deadline=None)
@given(st.text("copyartmix:,=().s*2 ", max_size=30) | st.text(max_size=30))
def test_any_text_is_a_task_or_refused_in_one_line(text):
    try:
        found = task(text)
    except UserError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert task(found.name) == found
    assert refusal.isprintable()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder; what a test imports from it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


MINE = """
from iterhead.tasks import IterativeTask, task

running_maximum = IterativeTask(name="max", alphabet=7, init=0, step=lambda s, x: max(s, x))
both = task("mix:copy,parity:weights=0.25,0.75")
number = 3
"""


def test_a_task_of_ones_own(folder):
    (folder / "mine.py").write_text(MINE)
    found = task("mine:running_maximum")
    assert found.name == "mine:running_maximum"
    assert found.worked_example([2, 1, 5, 3]) == "2 1 5 3 | EoI | 2 2 5 5 | EoS"
    assert task(found.name) == found


def test_a_task_of_ones_own_in_a_package(folder):
    (folder / "parts").mkdir()
    (folder / "parts" / "mine.py").write_text(MINE)
    assert task(" parts.mine : running_maximum ").name == "parts.mine:running_maximum"


def test_a_mixture_of_ones_own(folder):
    (folder / "mine.py").write_text(MINE)
    found = task("mine:both")
    assert (found.name, found.weights) == ("mine:both", (0.25, 0.75))


def test_ones_own_task_in_a_mixture(folder):
    (folder / "mine.py").write_text(MINE)
    found = task("mix:copy,mine(running_maximum)")
    assert found.name == "mix:copy,mine(running_maximum)"
    assert found.components[1] == task("mine:running_maximum")
    assert task(found.name) == found


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mine:maximum", r"^mine:maximum: mine has no 'maximum'; expected .* \(in it: running_maximum, both\)$"),
        ("mine:number", r"mine has 'number' of type int; expected an IterativeTask or a Mixture"),
        ("mine:IterativeTask", r"mine has 'IterativeTask' of type type;"),
        ("mix:copy,mine(both)", r"a mixture cannot stand in a mixture"),
        ("mine.part:task", r"mine\.part:task: no module 'mine\.part'"),
        ("yours:task", r"yours:task: no module 'yours' among the installed ones or in .*: expected copy"),
        ("partiy:task", r"no module 'partiy' .*: did you mean 'parity'\?"),
        ("json:dumps", r"json has 'dumps' of type function; .* \(in it: none\)$"),
    ],
)
def test_what_is_wrong_with_ones_own_task(folder, spec, message):
    (folder / "mine.py").write_text(MINE)
    with pytest.raises(UserError, match=message) as refusal:
        task(spec)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 / 0", r"^broken:t: importing 'broken' failed with ZeroDivisionError: division by zero$"),
        ("t = (", r"importing 'broken' failed with SyntaxError: .*line 1"),
        ("import not_there", r"importing 'broken' failed with ModuleNotFoundError: No module named 'not_there'"),
        ("raise SystemExit('bye')", r"failed with SystemExit: bye"),
        ("raise ValueError('two\\nlines ' + 'x' * 1000)", r"failed with ValueError: two lines x{187}\.\.\.$"),
    ],
)
def test_a_module_that_fails_to_import(folder, content, message):
    (folder / "broken.py").write_text(content)
    with pytest.raises(UserError, match=message) as refusal:
        task("broken:t")
    assert str(refusal.value).isprintable()


def test_a_file_of_the_folder_hides_no_installed_module(folder, monkeypatch):
    (folder / "colorsys.py").write_text(MINE)
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    with pytest.raises(UserError, match="colorsys has no 'running_maximum'"):
        task("colorsys:running_maximum")


def test_catalogue_lists_every_kind_with_a_sequence_worked_out():
    assert [(entry.spec, entry.worked) for entry in catalogue()] == [
        ("copy", ("0 1 1 0 | EoI | 0 1 1 0 | EoS",)),
        ("parity", ("0 1 1 0 | EoI | 0 1 0 0 | EoS",)),
        # 2, 2*3+1 = 7, 7*4+1 = 29 = 7, 7*5+1 = 36 = 3 mod 11
        ("polynomial", ("2 3 4 5 | EoI | 2 7 7 3 | EoS",)),
        # 0+2 = 2, 4+0 = 4, 16+3 = 19 = 4, 16+4 = 20 = 0 mod 5
        ("polynomial:p=5,f=s^2+x,start=init,zero=true", ("2 0 3 4 | EoI | 2 4 4 0 | EoS",)),
        (
            "mix:copy,parity:weights=0.3,0.7",
            ("0 1 1 0 | EoI | 0 1 1 0 | EoS", "0 1 1 0 | EoI | 0 1 0 0 | EoS"),
        ),
    ]


def test_catalogue_entries_are_what_to_type():
    for entry in catalogue():
        assert task(entry.spec) == entry.task
        assert entry.about
        assert "\n" not in entry.about


def test_tasks_are_listed_without_torch():
    code = "import sys, iterhead.tasks as t; t.catalogue(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("text", ["mix:,", "mix:(", "mix:copy:x", "mix:copy:weights=", "parity:", "polynomial:p="])
def test_long_texts_are_not_repeated_whole(text):
    with pytest.raises(UserError) as raised:
        task(text + "x" * 3000)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("value", ["None", "3", "object()"])
def test_a_module_that_puts_something_else_in_its_place(tmp_path, monkeypatch, value):
    (tmp_path / "replaced.py").write_text(f"import sys\nsys.modules[__name__] = {value}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "replaced", None)  # so that it is removed in the end
    del sys.modules["replaced"]
    with pytest.raises(UserError, match="replaced:t: replaced has no 't'; expected an IterativeTask"):
        task("replaced:t")
