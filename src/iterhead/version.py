"""The version of the installed package; a separate module, so that `import iterhead` need not look it up."""

from importlib.metadata import version

__version__ = version("iterhead")
