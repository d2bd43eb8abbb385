"""The shared table of worked sequences: every state was computed by hand, by the arithmetic beside it."""

from typing import NamedTuple


class Case(NamedTuple):
    spec: str
    inputs: tuple[int, ...]
    states: tuple[int, ...]


CASES = (
    # copy: s_t = x_t.
    Case("copy", (0, 1, 1, 0), (0, 1, 1, 0)),
    # parity: 0+0 = 0, 0+1 = 1, 1+1 = 2 = 0.
    Case("parity", (0, 1, 1), (0, 1, 0)),
    # parity: 0+1 = 1, 1+1 = 2 = 0, 0+1 = 1, 1+0 = 1, 1+1 = 2 = 0.
    Case("parity", (1, 1, 1, 0, 1), (1, 0, 1, 1, 0)),
    # s*x+1 mod 11 from s_1 = x_1: 2, 2*3+1 = 7, 7*4+1 = 29 = 7, 7*5+1 = 36 = 3.
    Case("polynomial", (2, 3, 4, 5), (2, 7, 7, 3)),
    # 10, 10*10+1 = 101 = 2, 2*10+1 = 21 = 10.
    Case("polynomial", (10, 10, 10), (10, 2, 10)),
    # From s_0 = 0: 0*2+1 = 1, 1*3+1 = 4, 4*4+1 = 17 = 6, 6*5+1 = 31 = 9.
    Case("polynomial:start=init", (2, 3, 4, 5), (1, 4, 6, 9)),
    # Zeros allowed: 3, 3*0+1 = 1, 1*4+1 = 5, 5*0+1 = 1.
    Case("polynomial:zero=true", (3, 0, 4, 0), (3, 1, 5, 1)),
    # Both: 0*0+1 = 1, 1*0+1 = 1, 1*7+1 = 8.
    Case("polynomial:start=init,zero=true", (0, 0, 7), (1, 1, 8)),
    # mod 5: 2, 2*3+1 = 7 = 2, 2*4+1 = 9 = 4.
    Case("polynomial:p=5", (2, 3, 4), (2, 2, 4)),
    # mod 2, where the only input is 1: 1, 1*1+1 = 2 = 0, 0*1+1 = 1.
    Case("polynomial:p=2", (1, 1, 1), (1, 0, 1)),
    # s*x+x^2+3 mod 13: 5, 5*2+4+3 = 17 = 4, 4*12+144+3 = 195 = 15*13 = 0.
    Case("polynomial:p=13,f=s*x+x^2+3", (5, 2, 12), (5, 4, 0)),
    # s-x mod 7 from 0: 0-3 = -3 = 4, 4-5 = -1 = 6, 6-1 = 5. Unlike s+x it tells s from x.
    Case("polynomial:p=7,f=s-x,start=init", (3, 5, 1), (4, 6, 5)),
    # -s^2+2*x mod 3 from 0: -0+2 = 2, -4+0 = -4 = 2, -4+4 = 0.
    Case("polynomial:p=3,f=-s^2+2*x,start=init,zero=true", (1, 0, 2), (2, 2, 0)),
    # (s+1)*(x-1)^2 mod 17: 3, 4*15^2 = 900 = 52*17+16 = 16, 17*1 = 0, 1*4 = 4.
    Case("polynomial:p=17,f=(s+1)*(x-1)^2", (3, 16, 2, 3), (3, 16, 0, 4)),
)
