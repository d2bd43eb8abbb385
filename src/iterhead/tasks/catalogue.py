"""The tasks by name: `task("polynomial:p=13,start=init")` -> the task.

    copy                            no options
    parity                          no options
    polynomial:p=13,f=s*x+x^2+3     every option has a default
    mix:copy,polynomial(p=5)        a mixture; a component's own colon is written as parentheses
    package.module:name             a task of your own, in a module that Python can import

The `name` of a task is its canonical text: however a task is written, its name is the same, and the name gives the
task back.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from iterhead.errors import UserError, cut, nearest, own_code, own_failure, shortened
from iterhead.tasks.polynomial import polynomial_task
from iterhead.tasks.task import IterativeTask, Mixture, Task
from iterhead.values import MAX_CHARACTERS, whole_number

MOST_SHOWN = 80
"""Characters of a text that an error repeats."""


class NotImportedError(UserError):
    """The task is a user's own, and its module is not imported."""


def copy_task() -> IterativeTask:
    """Return binary copy, s_t = x_t (section 2 of the paper): `0 1 1 0 | EoI | 0 1 1 0 | EoS`."""
    return IterativeTask(name="copy", alphabet=2, step=_copy, init=0, formula="x")


def parity_task() -> IterativeTask:
    """Return parity, s_t = s_{t-1} + x_t mod 2 from s_0 = 0 (section 2 of the paper).

    By hand on 0 1 1: 0+0 = 0, 0+1 = 1, 1+1 = 2 = 0 mod 2, so `0 1 1 | EoI | 0 1 0 | EoS`.
    """
    return IterativeTask(name="parity", alphabet=2, step=_parity, init=0, formula="s+x mod 2")


def _copy(_s: int, x: int) -> int:
    return x


def _parity(s: int, x: int) -> int:
    return (s + x) % 2


_FACTORIES: Mapping[str, Callable[..., IterativeTask]] = {
    "copy": copy_task,
    "parity": parity_task,
    "polynomial": polynomial_task,
}
_OPTIONS: Mapping[str, Mapping[str, tuple[Callable[[str], object], str]]] = {
    "polynomial": {
        "p": (whole_number, "a prime number, e.g. p=13"),
        "f": (str, "a polynomial"),
        "start": (str, "first-input or init"),
        "zero": ({"true": True, "false": False}.__getitem__, "true or false"),
    },
}
"""How the text of each option is read, and what to expect where that raises KeyError or ValueError."""

_MIXTURE = "mix"
_NAMES = (*_FACTORIES, _MIXTURE)


def task(spec: str, *, imports: bool = True) -> Task:
    """Return the task that `spec` names; its own name has no default options and no spaces.

    Args:
        spec: `copy`, `parity`, `polynomial:p=13,f=s*x+x^2+3,start=init,zero=true` (see `polynomial_task`),
            `mix:copy,polynomial(p=5):weights=0.3,0.7` (equal weights when left out), or `package.module:name` for your
            own IterativeTask or Mixture, in a module that is installed or in the current folder.
        imports: whether that module may be imported. A run's folder must not decide what is: it may come from anybody.

    Raises:
        NotImportedError: only for `imports=False`, when the module is not imported yet.
        UserError: when the text names no task; one line that says what is wrong and which name is near.
    """
    spec = spec.strip()
    if len(spec) > MAX_CHARACTERS or not spec.isprintable():
        raise UserError(
            f"task={shortened(spec)}: expected one line of at most {MAX_CHARACTERS:,} characters, e.g. parity"
        )
    head, colon, rest = (part.strip() for part in spec.partition(":"))
    if head == _MIXTURE:
        return _mixture(rest, imports)
    if head in _FACTORIES:
        return _with_options(head, _split(rest, ",") if colon else [])
    if rest.isidentifier() and all(part.isidentifier() for part in head.split(".")):
        return _own_task(head, rest, imports)
    raise UserError(f"unknown task {shortened(head)}{_suggestion(head)} (iterhead tasks lists them)")


def _suggestion(name: str) -> str:
    return nearest(name.lower(), _NAMES) or f": expected {', '.join(_NAMES)}, or your own as package.module:name"


def _split(text: str, separator: str) -> list[str]:
    """Return the stripped parts of `text` between separators outside parentheses."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _with_options(name: str, assignments: list[str]) -> IterativeTask:
    """Return the task `name` with options, each written `option=value`."""
    options = _OPTIONS.get(name, {})
    values: dict[str, object] = {}
    for assignment in assignments:
        option, _, text = (part.strip() for part in assignment.partition("="))
        if option not in options:
            listing = f"options: {', '.join(options)}" if options else f"{name} has no options"
            hint = nearest(option.lower(), options)
            raise UserError(
                f"{name}:{cut(assignment, MOST_SHOWN)}: unknown option {shortened(option)}{hint} ({listing})"
            )
        if option in values:
            raise UserError(
                f"{name}:{cut(assignment, MOST_SHOWN)}: option {shortened(option)} is given twice; give it once"
            )
        read, expected = options[option]
        try:
            values[option] = read(text)
        except (KeyError, ValueError):
            raise UserError(f"{name}:{cut(assignment, MOST_SHOWN)}: {option} must be {expected}") from None
    return _FACTORIES[name](**values)


def _mixture(text: str, imports: bool) -> Mixture:
    """Return the mixture written as `text`: components, then perhaps `:weights=` and one number for each."""
    listing, *assignments = _split(text, ":")
    texts = _split(listing, ",")
    shown = f"mix:{cut(text, MOST_SHOWN)}"
    if not all(texts):
        raise UserError(f"{shown}: expected tasks joined by commas, e.g. mix:copy,parity")
    components = tuple(_component(part, imports) for part in texts)
    names = [component.name for component in components]
    names = [f"{name.replace(':', '(', 1)})" if ":" in name else name for name in names]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{shown}: {cut(name, MOST_SHOWN)} stands in it twice; give its weight once")
    equal = (1 / len(components),) * len(components)
    weights = _weights(shown, assignments, equal)
    shares = "" if weights == equal else f":weights={','.join(map(repr, weights))}"
    return Mixture(f"mix:{','.join(names)}{shares}", components, weights)


def _component(text: str, imports: bool) -> IterativeTask:
    """Return a mixture's component from its text, in which parentheses stand for the colon."""
    head, opening, rest = text.partition("(")
    is_mixture, shown = head.strip() == _MIXTURE, cut(text, MOST_SHOWN)
    if opening and not rest.endswith(")") and not is_mixture:
        raise UserError(f"{shown}: ')' is missing; write a component with options as polynomial(p=5)")
    component = None if is_mixture else task(f"{head}:{rest[:-1]}" if opening else text, imports=imports)
    if not isinstance(component, IterativeTask):
        raise UserError(f"{shown}: a mixture cannot stand in a mixture; list all the tasks in one")
    return component


def _weights(mixture: str, assignments: list[str], equal: tuple[float, ...]) -> tuple[float, ...]:
    """Return the weights of a mixture: exactly `equal` where they are left out, or the same to nine decimals."""
    if not assignments:
        return equal
    option, equals, values = assignments[0].partition("=")
    if len(assignments) > 1 or option.strip() != "weights" or not equals:
        raise UserError(
            f"{mixture}: after the tasks only weights may stand, e.g. mix:copy,parity:weights=0.3,0.7; "
            "write a component with options as polynomial(p=5)"
        )
    try:
        weights = tuple(float(value) for value in values.split(","))
    except ValueError:
        raise UserError(f"{mixture}: weights must be numbers, e.g. weights=0.3,0.7") from None
    is_equal = len(set(weights)) == 1 and len(weights) == len(equal) and abs(sum(weights) - 1) < 1e-9
    return equal if is_equal else weights


def _own_task(module_name: str, name: str, imports: bool) -> Task:
    """Return a user's own task, named by the text that gives it back."""
    spec = f"{module_name}:{name}"
    loaded = sys.modules.get(module_name)
    if not imports and loaded is None:
        raise NotImportedError(
            f"the task {spec} is code in the module {module_name}, which a run's folder does not import: name it "
            f"yourself, with --task {spec} or ih.load(..., task={spec!r})"
        )
    module = import_module(module_name, spec, hint=_suggestion(module_name)) if imports or loaded is None else loaded
    names = names_in(module)
    value = names.get(name)
    # Not isinstance, which asks the value itself for its class: it may have a __getattr__ that raises.
    kinds = {key: type(other) for key, other in names.items()}
    if issubclass(type(value), IterativeTask | Mixture):
        with own_code(f"{spec}: copying it"):
            return replace(cast(Task, value), name=spec)
    tasks = [key for key, kind in kinds.items() if issubclass(kind, IterativeTask | Mixture)]
    problem = f"has no {name!r}" if value is None else f"has {name!r} of type {type(value).__name__}"
    raise UserError(
        f"{spec}: {module_name} {problem}; expected an IterativeTask or a Mixture (in it: {', '.join(tasks) or 'none'})"
    )


def import_module(module_name: str, spec: str, hint: str = "") -> ModuleType:
    """Import a user's module; the current folder is searched last.

    Raises:
        UserError: the module is missing or its import fails: one line that begins with `spec`, what was asked for. If
            the module is missing it ends with `hint`.
    """
    folder = str(Path.cwd())
    if folder not in sys.path:
        # It stays there so that a worker process can unpickle the task, and comes last so that no file of the folder
        # hides an installed module.
        sys.path.append(folder)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module_name)
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            raise UserError(f"{spec}: no module {error.name!r} among the installed ones or in {folder}{hint}") from None
        raise own_failure(f"{spec}: importing {module_name!r}", error) from error


def names_in(module: object) -> Mapping[str, Any]:
    """Return what a user's module holds, without getattr: its __getattr__ may do anything."""
    try:
        return vars(module)
    except TypeError:  # it has put something else in its place
        return {}


@dataclass(frozen=True)
class Entry:
    """One line of `iterhead tasks`: what to type, and a worked sequence for each component of the task."""

    spec: str
    task: Task
    about: str
    worked: tuple[str, ...]


_EXAMPLES: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("copy", "each state is the input of that step", (0, 1, 1, 0)),
    ("parity", "the sum so far mod 2, from s_0 = 0", (0, 1, 1, 0)),
    ("polynomial", "f(s, x) mod p, by default s*x+1 mod 11 from s_1 = x_1", (2, 3, 4, 5)),
    (
        "polynomial:p=5,f=s^2+x,start=init,zero=true",
        "another prime p and formula f, from s_0 = 0, inputs may be 0",
        (2, 0, 3, 4),
    ),
    ("mix:copy,parity:weights=0.3,0.7", "one task or another, as the problem token says", (0, 1, 1, 0)),
)


def catalogue() -> tuple[Entry, ...]:
    """Return what `iterhead tasks` lists: every kind of task, with a worked sequence."""
    entries = []
    for spec, about, inputs in _EXAMPLES:
        example = task(spec)
        worked = tuple(component.worked_example(inputs) for component in example.components)
        entries.append(Entry(example.name, example, about, worked))
    return tuple(entries)
