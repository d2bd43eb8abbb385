"""How many weights a network has, from its settings alone, and whether they fit into the memory."""

from collections import Counter

from iterhead.memory import check_memory
from iterhead.model.positions import has_position_table
from iterhead.settings import ModelConfig
from iterhead.settings.configs import GROUPED, OWN


def parameters(model: ModelConfig, context: int) -> int:
    """Return how many weights a network has: embedding, output, table of positions, norms, attention and MLPs."""
    return weights_by_setting(model, context).total()


def weights_by_setting(model: ModelConfig, context: int) -> Counter[str]:
    """Return how many weights a network has, by the setting that they depend on most, as `name=value`."""
    D, h, keys = model.width, model.hidden, model.key_value_heads * model.head_width
    has_biases = model.architecture in ("gpt2", "gpt-neox")
    matrices = 3 if model.architecture in GROUPED else 2  # of an MLP, gated or not
    attention, mlp = 2 * D * (D + keys), matrices * D * h
    norms = 0 if model.norm == "none" else (2 * model.layers + 1) * D
    if has_biases:
        attention, mlp, norms = attention + 4 * D, mlp + h + D, 2 * norms
    if model.architecture == "qwen3":  # queries and keys are normalized in each head
        norms += 2 * model.layers * model.head_width
    embeddings = 1 if model.architecture == "gpt2" else 2  # gpt2 has one matrix for both ends
    width, hidden = f"model.width={D}", f"model.mlp_width={h}"
    counts = Counter({width: model.layers * attention + norms})
    counts[width if model.mlp_width is None else hidden] += model.layers * mlp
    counts[f"model.vocabulary={model.vocabulary}"] = embeddings * model.vocabulary * D
    counts[f"model.context={context}"] = context * model.positions_on if has_position_table(model) else 0
    return counts


def check_network(model: ModelConfig, context: int, networks: int = 1, copies: int = 1) -> None:
    """Raise UserError if networks do not fit into the memory of this machine.

    `copies` of each are needed at once, and networks of another architecture lend their weights to one more.
    """
    lent = 0 if model.architecture == OWN else 1
    counts = weights_by_setting(model, context)
    if model.architecture == OWN and model.positions in ("sinusoidal", "rotary"):  # computed, in float64
        counts[f"model.context={context}"] += 3 * context * model.positions_on
    needs = {setting: 4 * count * (copies * networks + lent) for setting, count in counts.items()}
    check_memory("this network" if networks == 1 else f"{networks} networks", needs)
