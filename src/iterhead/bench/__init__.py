"""Benchmarks: the speed of this machine, and of the fast paths against the plain twins.

Ratios are measured in one process, in which both sides take turns, so that other work on the machine slows both. They
can be compared between machines; milliseconds cannot.
"""
