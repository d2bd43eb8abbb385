"""Benchmarks: what this machine does, and how much faster than the plain twins the fast paths are on it.

Ratios are measured in one process with both sides taking turns, so that whatever else the machine does hits both; they
can be compared between machines, milliseconds can't.
"""

from iterhead.bench.machine import describe_machine, product_rate
from iterhead.bench.suite import GROUPS, Group, Measured

__all__ = ["GROUPS", "Group", "Measured", "describe_machine", "product_rate"]
