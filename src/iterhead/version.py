"""The version of the installed package; a module of its own, so that `import iterhead` need not look it up."""

from importlib.metadata import version

__version__ = version("iterhead")
