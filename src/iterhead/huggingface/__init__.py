"""Models of the Hugging Face library: their attention, interventions, training and export."""

from importlib.util import find_spec

from iterhead.errors import UserError


def require_transformers() -> None:
    """Raise UserError, with the command that installs it, where transformers is missing."""
    if find_spec("transformers") is None:
        raise UserError("transformers is not installed: pip install 'iterhead[hf]'")


def register_architecture() -> None:
    """Let transformers open our exported networks with the classes of this package.

    `from_pretrained` then runs no code from the folder, and needs no `trust_remote_code=True`.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    from iterhead.huggingface.modeling_iterhead import IterheadConfig, IterheadForCausalLM

    AutoConfig.register(IterheadConfig.model_type, IterheadConfig, exist_ok=True)
    AutoModelForCausalLM.register(IterheadConfig, IterheadForCausalLM, exist_ok=True)
