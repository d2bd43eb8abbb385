"""Modules of users that do what no module should: raise, exit, return what is no task, or no value of the alphabet."""

from hypothesis import strategies as st

START = """import itertools, random, sys, time
import numpy
from iterhead import IterativeTask, Mixture, task
COUNTER = itertools.count()
class Odd:
    __class__ = property(lambda self: 1 / 0)
    def __repr__(self): raise ValueError('no repr')
    def __eq__(self, other): raise ValueError('no eq')
    __hash__ = None
class Bad(Exception):
    def __str__(self): return 1 / 0
def throw(error): raise error
"""

# One a line.
_ERRORS = r"""ValueError('a\nb')
SystemExit(0)
SystemExit('no')
MemoryError()
RecursionError('x' * 9999)
ImportError('x')
ModuleNotFoundError('x', name='hostile')
ModuleNotFoundError('x')
OSError(2, 'x', 'y')
OSError('x')
KeyError('\ud800')
StopIteration(3)
BrokenPipeError()
GeneratorExit()
AssertionError()
UnicodeEncodeError('a', 'b', 0, 1, 'c')
Bad()"""

_VALUES = r"""None
-1
0
1
2
3
True
1.0
2.5
float('nan')
float('inf')
'3'
b'3'
[]
()
{}
10**5
10**7
10**30
numpy.int64(2)
numpy.int8(1)
numpy.float64(1)
numpy.array(1)
numpy.array([1, 2])
object()
lambda: 1
range(2)
range(10**9)
(0, 1)
[0, 1]
{0, 1}
iter((0, 1))
(0, 0)
(0, '1')
(True, False)
Odd()
type
__import__('decimal').Decimal(1)
2**63
'\ud800' * 3
'a\nb'
'x' * 9999"""

_STEPS = """lambda s, x: (s + x) % 2
lambda s, x: s
lambda s: s
lambda: 1
lambda *a: a
3
None
max
print
exit
iter
str
numpy.add
numpy.bitwise_xor
lambda s, x: random.randrange(2)
lambda s, x: next(COUNTER) % 2
lambda s, x: time.sleep(0.0001) or s
lambda s, x: print(s) or s"""

_ENDS = r"""def __getattr__(name): raise ValueError(name)
def __getattr__(name): raise SystemExit(3)
__path__ = 3
__name__ = 3
__spec__ = None
t = Odd()
del t
t = IterativeTask
t = sys.modules[__name__]
t = property(throw)
sys.modules[__name__] = 3
sys.modules[__name__] = None
del sys.modules[__name__]
sys.modules[__name__] = Odd()
T = type('T', (IterativeTask,), {'alphabet': property(lambda self: 1 / 0)}); t = T.__new__(T)
t = Mixture('m', (task('copy'), t), (0.5, 0.5))
t = Mixture('m', (t, t), (0.5, 0.5))
t = Mixture('m', (task('copy'), task('parity')), (float('nan'), 1))
t = Mixture('m', (task('copy'), 3), (0.5, 0.5))
t = Mixture('m', (task('copy'), task('mix:copy,parity')), (0.5, 0.5))
t = Mixture('m', [task('copy'), task('parity')], [0.5, 0.5])
t = Mixture('m', None, ())
t = Mixture('m', (t, task('parity')), ('0.5', 0.5))
t.__dict__['alphabet'] = 10**7
t.__dict__['name'] = 3
t.__dict__['step'] = None
t.__dict__['inputs'] = Odd()
object.__setattr__(t, 'table', 3)
t.__dict__['digest'] = 3
globals()[3] = 4
globals()['\ud800'] = t
x = 1 +
# coding: klingon"""

ERRORS, VALUES = st.sampled_from(_ERRORS.splitlines()), st.sampled_from(_VALUES.splitlines())
ENDS = st.sampled_from((*_ENDS.splitlines(), "\0", "\x0c")) | ERRORS.map("raise {}".format)
STEPS = (
    st.sampled_from(_STEPS.splitlines())
    | VALUES.map("lambda s, x: {}".format)
    | ERRORS.map("lambda s, x: throw({})".format)
)
RARELY = st.sampled_from((True, False, False, False))


@st.composite
def modules(draw: st.DrawFn) -> str:
    """The text of a module with a task `t`, most of them with one thing wrong."""
    fields = {
        "name": draw(st.just("'t'") | VALUES),
        "alphabet": draw(st.just("2") | st.just("2") | VALUES),
        "step": draw(st.just("lambda s, x: x") | STEPS),
        "init": draw(st.just("None") | st.just("0") | VALUES),
        "inputs": draw(VALUES) if draw(RARELY) else "None",
        "formula": draw(VALUES) if draw(RARELY) else "''",
    }
    end = draw(ENDS) if draw(RARELY) else ""
    return f"{START}t = IterativeTask({', '.join(f'{name}={value}' for name, value in fields.items())})\n{end}\n"
