"""The polynomial tasks, s_t = f(s_{t-1}, x_t) mod p, and the parser of f.

f is text that a user typed, so it is never evaluated as Python. Only integers and `_SYMBOLS` reach Python's parser,
only the nodes in `_compile` are accepted, and the result is a list of sums, differences, products and powers mod p.
Length, depth and exponents are bounded, so no text can make it hang.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from itertools import count
from math import isqrt
from typing import Literal, TypeAlias, get_args

from iterhead.errors import UserError, cut
from iterhead.tasks.task import IterativeTask

Start: TypeAlias = Literal["first-input", "init"]
"""Where the states start: s_1 = x_1 as in the authors' code, or s_0 = 0 as in the paper's text."""

MAX_MODULUS = 1021  # F becomes a table of p * p values
MAX_TEXT = 200  # characters of f; also bounds the depth of the parsed tree, and so the recursion
MAX_NESTING = 32  # parentheses open at once; Python's own parser gives up at 200
MAX_EXPONENT = MAX_MODULUS  # above p it adds nothing new, since x^p = x mod p

Program: TypeAlias = tuple[tuple[str, int], ...]
"""f in postfix order: "value", "s", "x", "negate", "+", "-", "*" or "^", with the value or the exponent (else 0)."""

_OPERATORS: Mapping[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}
_BINARY: Mapping[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}

_TOKEN = re.compile(r"[0-9]+|[^\W\d]\w*|\*\*|\S")
_SYMBOLS = frozenset({"s", "x", "+", "-", "*", "**", "^", "(", ")"})
_HOW_TO = "write integers, s and x joined by + - * ^ and parentheses, e.g. f=s*x+1"


@dataclass(frozen=True)
class Polynomial:
    """F(s, x) = f mod p, as `parse_polynomial` makes it; it can be pickled. `text` has no spaces and `^` for powers."""

    text: str
    p: int
    program: Program = field(repr=False, compare=False)

    def __call__(self, s: int, x: int) -> int:
        """Return f(s, x) mod p, in 0 .. p-1."""
        p, stack = self.p, list[int]()
        variables = {"s": int(s) % p, "x": int(x) % p}
        for operation, number in self.program:
            if operation in variables:
                stack.append(variables[operation])
            elif operation == "value":
                stack.append(number)
            elif operation == "negate":
                stack.append(-stack.pop() % p)
            elif operation == "^":
                stack.append(pow(stack.pop(), number, p))
            else:
                right, left = stack.pop(), stack.pop()
                stack.append(_BINARY[operation](left, right) % p)
        return stack.pop()


def polynomial_task(p: int = 11, f: str = "s*x+1", start: Start = "first-input", zero: bool = False) -> IterativeTask:
    """Return the task s_t = f(s_{t-1}, x_t) mod p (section 2 of the paper; its figures use the defaults).

    By hand, `polynomial_task(p=5)` on the inputs 2 3 4:

        s_1 = x_1              = 2
        s_2 = 2*3 + 1 =  7     = 2 mod 5
        s_3 = 2*4 + 1 =  9     = 4 mod 5        2 3 4 | EoI | 2 2 4 | EoS

    and with `start="init"`, which takes s_0 = 0 through F like every other state:

        s_1 = 0*2 + 1 =  1     = 1 mod 5
        s_2 = 1*3 + 1 =  4     = 4 mod 5
        s_3 = 4*4 + 1 = 17     = 2 mod 5        2 3 4 | EoI | 1 4 2 | EoS

    Args:
        p: the modulus, a prime up to 1021; values are 0 .. p-1.
        f: a polynomial in s and x with integer coefficients, e.g. "s*x + 1" or "(s+1)*x^2 - 3".
        start: "first-input" for s_1 = x_1 (the authors' code), "init" for s_0 = 0 (the paper's text).
        zero: whether inputs may be 0; the authors' code draws them from 1 .. p-1.

    Raises:
        UserError: when p is no prime up to 1021, f is no polynomial in s and x, or start is unknown.
    """
    _check_modulus(p)
    if start not in get_args(Start):
        raise UserError(f"polynomial:start={start}: start must be {' or '.join(get_args(Start))}")
    step = parse_polynomial(f, p)
    return IterativeTask(
        name=_canonical_name(p=p, f=step.text, start=start, zero=zero),
        alphabet=p,
        step=step,
        init=0 if start == "init" else None,
        inputs=None if zero else tuple(range(1, p)),
        formula=f"{step.text} mod {p}",
    )


def _canonical_name(**options: int | str) -> str:
    """Return the task's canonical text: options in order, defaults left out."""
    defaults = signature(polynomial_task).parameters
    changed = {option: value for option, value in options.items() if value != defaults[option].default}
    text = ",".join(f"{option}={str(value).lower()}" for option, value in changed.items())
    return f"polynomial:{text}" if text else "polynomial"


def _check_modulus(p: int) -> None:
    if not isinstance(p, int) or isinstance(p, bool):
        raise UserError(f"polynomial:p={p!r}: p must be a prime number, e.g. p=13")
    if p > MAX_MODULUS:
        raise UserError(f"polynomial:p={p}: p must be at most {MAX_MODULUS}, since F is kept as a table of p*p values")
    if not _is_prime(p):
        following = next(candidate for candidate in count(p) if _is_prime(candidate))
        raise UserError(f"polynomial:p={p}: p must be prime (next: {following})")


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, isqrt(number) + 1))


def parse_polynomial(text: str, p: int) -> Polynomial:
    """Return the function f mod p that `text` writes down.

    Products need their sign (2*s), `-s^2` is -(s^2), `**` means `^`, and an exponent is an integer from 0 to 1021, so
    `s^2^3` is refused; 0^0 is 1.

    Raises:
        UserError: for any other text; one line that quotes it and says what is allowed in f.
    """
    tokens = _tokenize(text)
    try:
        # Python gives ^ a lower precedence than + and *, so it must see ** instead.
        tree = ast.parse(" ".join(tokens).replace("^", "**"), mode="eval")
    except SyntaxError:
        raise _refusal(text, f"this is no polynomial: {_HOW_TO}") from None
    return Polynomial("".join(tokens).replace("**", "^"), p, _compile(tree.body, text, p))


def _tokenize(text: str) -> list[str]:
    """Return the tokens of f; refuse others than `_SYMBOLS` and integers, and texts that are too long or too deep."""
    if len(text) > MAX_TEXT:
        raise _refusal(text, f"f has {len(text)} characters: at most {MAX_TEXT} are read")
    tokens: list[str] = _TOKEN.findall(text)
    if not tokens:
        raise _refusal(text, f"f is empty: {_HOW_TO}")
    depth = 0
    for token in tokens:
        if not (token in _SYMBOLS or (token.isascii() and token.isdigit())):
            if token.isidentifier():
                raise _refusal(text, f"unknown name {token!r}: only s and x may stand in f")
            raise _refusal(text, f"unexpected {token!r}: {_HOW_TO}")
        depth += (token == "(") - (token == ")")
        if depth > MAX_NESTING:
            raise _refusal(text, f"more than {MAX_NESTING} parentheses are open at once: write f flatter")
    return tokens


def _compile(node: ast.expr, text: str, p: int) -> Program:
    """Return the postfix program of a parsed f, its integers reduced mod p; refuse every other node."""
    match node:
        case ast.Name(id="s" | "x" as name):
            return ((name, 0),)
        case ast.Constant(value=int(value)):
            return (("value", value % p),)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return (*_compile(operand, text, p), ("negate", 0))
        case ast.BinOp(left=base, op=ast.Pow(), right=ast.Constant(value=int(value))) if value <= MAX_EXPONENT:
            return (*_compile(base, text, p), ("^", value))
        case ast.BinOp(op=ast.Pow()):
            raise _refusal(text, f"an exponent must be an integer from 0 to {MAX_EXPONENT}, e.g. s^2")
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() as sign, right=right):
            return (*_compile(left, text, p), *_compile(right, text, p), (_OPERATORS[type(sign)], 0))
    raise _refusal(text, f"this is no polynomial: {_HOW_TO}")


def _refusal(text: str, reason: str) -> UserError:
    """Return the error for f=`text`, cut where it is long."""
    return UserError(f"polynomial:f={text if len(text) <= MAX_TEXT else cut(text, 43)}: {reason}")
