"""The reader of polynomials, against arithmetic by hand and against an evaluation of its own; and hostile texts."""

import pickle

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from iterhead.errors import UserError
from iterhead.tasks.polynomial import parse_polynomial, polynomial_task


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("1000", 30),  # 10*97 = 970
        ("s", 3),
        ("x", 5),
        ("s+2*x", 13),  # not (3+2)*5 = 25
        ("s*2+x", 11),  # not 3*7 = 21
        ("(s+2)*x", 25),
        ("20-s-x", 12),  # not 20-(3-5) = 22
        ("20-(s-x)", 22),
        ("s-x", 95),  # -2+97
        ("-s", 94),
        ("--s", 3),
        ("-s*x", 82),  # -15+97
        ("x*-s", 82),
        ("-s^2", 88),  # -(3^2) = -9, not (-3)^2 = 9
        ("(-s)^2", 9),
        ("2*s^2", 18),  # not (2*3)^2 = 36; Python's own ^ would be exclusive or
        ("s^2+x^2", 34),  # Python's own ^ would be s^(2+x)^2
        ("s**2", 9),
        ("s^(2)", 9),
        ("(s^2)^3", 50),  # 3^6 = 729 = 7*97+50
        ("2^10", 54),  # 1024-10*97
        ("s^0", 1),
        ("(s-s)^0", 1),
        ("s^96", 1),  # Fermat
        ("s^97", 3),
        ("s^1021", 3**61 % 97),  # 1021 = 10*96+61
    ],
)
def test_values_at_s_3_x_5_mod_97(text, value):
    assert parse_polynomial(text, 97)(3, 5) == value


def test_arguments_are_reduced_and_never_negative():
    f = parse_polynomial("s-x", 5)
    assert [f(s, x) for s, x in [(0, 1), (7, 1), (-1, 0), (4, 9)]] == [4, 1, 4, 0]
    assert parse_polynomial("s", 5)(7, 0) == 2
    assert parse_polynomial("x", 5)(0, -1) == 4


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("s*x+1", "s*x+1"),
        (" s * x + 1 ", "s*x+1"),
        ("s**2 + x ^ 3", "s^2+x^3"),
        ("( s+1 )*- x", "(s+1)*-x"),
    ],
)
def test_canonical_text(text, canonical):
    assert parse_polynomial(text, 7).text == canonical


def test_polynomials_are_values():
    f = parse_polynomial("s * x**2", 7)
    assert f == parse_polynomial("s*x^2", 7)
    assert f != parse_polynomial("s*x^2", 11)
    assert f != parse_polynomial("s*x^3", 7)
    copy = pickle.loads(pickle.dumps(f))
    assert copy == f
    assert copy(3, 2) == 5  # 3*4 = 12 = 5


# Polynomials as nested tuples: ("+", left, right), ("neg", operand), ("^", base, exponent), "s", "x" or an integer.
TREES = st.recursive(
    st.sampled_from(["s", "x"]) | st.integers(0, 1200),
    lambda trees: st.one_of(
        st.tuples(st.sampled_from("+-*"), trees, trees),
        st.tuples(st.just("neg"), trees),
        st.tuples(st.just("^"), trees, st.integers(0, 4)),
    ),
    max_leaves=8,
)
PRECEDENCE = {"+": 1, "-": 1, "*": 2, "neg": 3, "^": 4}


def exact(tree, s, x):
    """The value over the integers, not reduced before the end."""
    match tree:
        case ("+", left, right):
            return exact(left, s, x) + exact(right, s, x)
        case ("-", left, right):
            return exact(left, s, x) - exact(right, s, x)
        case ("*", left, right):
            return exact(left, s, x) * exact(right, s, x)
        case ("neg", operand):
            return -exact(operand, s, x)
        case ("^", base, exponent):
            return exact(base, s, x) ** exponent
    return {"s": s, "x": x}.get(tree, tree)


def written(tree, power, level=0):
    """The tokens of a tree, with no more parentheses than schoolbook precedence asks for."""
    match tree:
        case ("neg", operand):
            tokens = ["-", *written(operand, power, 3)]
        case ("^", base, exponent):
            tokens = [*written(base, power, 5), power, str(exponent)]
        case (operator, left, right):
            own = PRECEDENCE[operator]
            tokens = [*written(left, power, own), operator, *written(right, power, own + 1)]
        case _:
            return [str(tree)]
    return ["(", *tokens, ")"] if PRECEDENCE[tree[0]] < level else tokens


@settings(deadline=None, max_examples=300)
@given(
    tree=TREES,
    power=st.sampled_from(["^", "**"]),
    space=st.sampled_from(["", " "]),
    p=st.sampled_from([2, 3, 11, 97, 1021]),
    s=st.integers(0, 1020),
    x=st.integers(0, 1020),
)
def test_same_value_as_an_evaluation_over_the_integers(tree, power, space, p, s, x):
    text = space.join(written(tree, power))
    assume(len(text) <= 200)
    f = parse_polynomial(text, p)
    assert f(s, x) == exact(tree, s, x) % p
    assert f.text == "".join(written(tree, "^"))
    assert parse_polynomial(f.text, p).program == f.program


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "f is empty"),
        ("   ", "f is empty"),
        ("s*y", "unknown name 'y': only s and x may stand in f"),
        ("sx", "unknown name 'sx'"),
        ("S", "unknown name 'S'"),
        ("__import__('os')", "unknown name '__import__'"),
        ("s.x", r"unexpected '\.'"),
        ("s[0]", r"unexpected '\['"),
        ("s if x else 1", "unknown name 'if'"),
        ("lambda: s", "unknown name 'lambda'"),
        ("1.5*s", r"unexpected '\.'"),
        ("1e5", "unknown name 'e5'"),
        ("1_000", "unknown name '_000'"),
        ("0x10", "unknown name 'x10'"),
        ("2j", "unknown name 'j'"),
        ("True", "unknown name 'True'"),
        ("None", "unknown name 'None'"),
        ("'s'", 'unexpected "\'"'),
        ("f's'", "unknown name 'f'"),
        ("(s:=x)", "unexpected ':'"),
        ("s,x", "unexpected ','"),
        ("s/x", "unexpected '/'"),
        ("s//x", "unexpected '/'"),
        ("s%x", "unexpected '%'"),
        ("s@x", "unexpected '@'"),
        ("s<x", "unexpected '<'"),
        ("s=x", "unexpected '='"),
        ("s|x", r"unexpected '\|'"),
        ("~s", "unexpected '~'"),
        ("s;x", "unexpected ';'"),
        ("s#x", "unexpected '#'"),
        ("...", r"unexpected '\.'"),
        ("\u0455", "unknown name '\u0455'"),  # the Cyrillic letter that looks like s
        ("\uff53", "unknown name '\uff53'"),  # a wide s, which Python itself reads as s
        ("s\u00b2", "unexpected 's\u00b2'"),  # s with a superscript two
        ("\u0663*s", "unexpected '\u0663'"),  # an Arabic digit, which int() would read
        ("s\u2212x", "unexpected '\u2212'"),  # the typographic minus sign
        ("s\x00", r"unexpected '\\x00'"),
        ("s\u202ex", r"unexpected '\\u202e'"),  # turns the direction of the text
        ("+s", "this is no polynomial"),
        ("s x", "this is no polynomial"),
        ("2s", "this is no polynomial"),
        ("2(s)", "this is no polynomial"),
        ("s(x)", "this is no polynomial"),
        ("s(*x)", "this is no polynomial"),
        ("s(**x)", "this is no polynomial"),
        ("*s", "this is no polynomial"),
        ("()", "this is no polynomial"),
        ("(s", "this is no polynomial"),
        ("s)", "this is no polynomial"),
        ("s+", "this is no polynomial"),
        ("s***2", "this is no polynomial"),
        ("007", "this is no polynomial"),
        ("s^x", "an exponent must be an integer from 0 to 1021"),
        ("s^-1", "an exponent must be"),
        ("s^(1+1)", "an exponent must be"),
        ("s^2^3", "an exponent must be"),
        ("9^9^9^9^9", "an exponent must be"),
        ("s^1022", "an exponent must be"),
        ("s^" + "9" * 190, "an exponent must be"),
        ("(" * 33 + "s" + ")" * 33, "more than 32 parentheses are open at once"),
        ("(" * 1000 + "s" + ")" * 1000, "f has 2001 characters: at most 200 are read"),
        ("(" * 200, "more than 32 parentheses"),
        ("s+" * 500_000, "f has 1000000 characters: at most 200"),
        ("-" * 1_000_000 + "s", "f has 1000001 characters"),
    ],
    ids=lambda value: ascii(value[:20]),
)
def test_everything_else_is_refused_in_one_line(text, reason):
    with pytest.raises(UserError, match=reason) as refusal:
        parse_polynomial(text, 11)
    message = str(refusal.value)
    assert message.startswith("polynomial:f=")
    assert message.isprintable()
    assert len(message) < 400


@settings(deadline=None, max_examples=300)
@given(text=st.text(max_size=40) | st.text("sx+-*^() 012", max_size=40))
def test_any_text_is_a_polynomial_or_refused(text):
    try:
        f = parse_polynomial(text, 5)
    except UserError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert f(2, 3) in range(5)
        assert parse_polynomial(f.text, 5) == f
    assert refusal.isprintable()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(" * 32 + "s" + ")" * 32, 3),
        ("-" * 199 + "s", 2),  # an odd number of signs: -3 = 2 mod 5
        ("s+" * 99 + "s", 0),  # 100*3
        ("9" * 200, 4),  # 99...9 = -1 mod 5
        ("+".join(["(-s)"] * 40), 0),  # -3*40
    ],
    ids=["parentheses", "signs", "sums", "digits", "flat"],
)
def test_the_deepest_and_longest_texts_are_read(text, value):
    assert parse_polynomial(text, 5)(3, 0) == value


def test_published_task_is_the_default():
    found = polynomial_task()
    assert found.name == "polynomial"
    assert found.alphabet == 11
    assert found.init is None
    assert found.symbols == (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    assert found.formula == "s*x+1 mod 11"


def test_docstring_traces():
    assert polynomial_task(p=5).worked_example([2, 3, 4]) == "2 3 4 | EoI | 2 2 4 | EoS"
    assert polynomial_task(p=5, start="init").worked_example([2, 3, 4]) == "2 3 4 | EoI | 1 4 2 | EoS"


def test_zero_and_start_options():
    found = polynomial_task(p=3, f="s + 2*x", start="init", zero=True)
    assert found.name == "polynomial:p=3,f=s+2*x,start=init,zero=true"
    assert found.symbols == (0, 1, 2)
    assert found.init == 0
    assert found.table.tolist() == [[0, 2, 1], [1, 0, 2], [2, 1, 0]]  # rows s, columns 2*x = 0, 2, 4


def test_p_2_without_zero_has_one_input():
    assert polynomial_task(p=2).symbols == (1,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"p": 12}, r"^polynomial:p=12: p must be prime \(next: 13\)$"),
        ({"p": 9}, r"p=9: p must be prime \(next: 11\)"),
        ({"p": 1020}, r"\(next: 1021\)"),
        ({"p": 1}, r"\(next: 2\)"),
        ({"p": 0}, r"\(next: 2\)"),
        ({"p": -7}, r"polynomial:p=-7: p must be prime \(next: 2\)"),
        ({"p": 1031}, r"polynomial:p=1031: p must be at most 1021"),
        ({"p": 10**100}, r"p must be at most 1021"),
        ({"p": 11.0}, r"polynomial:p=11\.0: p must be a prime number"),
        ({"p": True}, r"polynomial:p=True: p must be a prime number"),
        ({"start": "zero"}, r"polynomial:start=zero: start must be first-input or init"),
        ({"f": "s*y"}, r"^polynomial:f=s\*y: unknown name 'y': only s and x may stand in f$"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(UserError, match=message):
        polynomial_task(**options)


@pytest.mark.parametrize("p", [2, 3, 5, 61, 1021])
def test_primes_are_accepted(p):
    assert polynomial_task(p=p).alphabet == p
