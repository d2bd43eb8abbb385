"""Models of the Hugging Face library: their attention, interventions, training and export."""

from importlib.util import find_spec

from iterhead.errors import UserError


def require_transformers() -> None:
    """Raise UserError, with the command that installs it, where transformers is missing."""
    if find_spec("transformers") is None:
        raise UserError("transformers is not installed: pip install 'iterhead[hf]'")
