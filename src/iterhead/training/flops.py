"""How many floating-point operations a training step needs, and how many activations it writes."""

from iterhead.data.batches import PackedShape, Packing
from iterhead.model.positions import POSITION_ENCODINGS
from iterhead.settings import ModelConfig
from iterhead.settings.configs import GROUPED, OWN


def step_flops(config: ModelConfig, packing: Packing) -> int:
    """Return the operations of a training step's matrix products, forward and backward.

    Counts only what the loss needs: attention where the mask allows it, the last layer's queries, outputs and MLP at
    the output positions, and a single head by the products of its weights (`Attention.forward_packed`). Other
    architectures compute the last layer at every token. Everything that is not a matrix product counts as nothing.
    """
    width, rows, tokens = config.width, len(packing.slot_RT), packing.slot_RT.numel()
    if config.architecture != OWN:
        matrices = 3 if config.architecture in GROUPED else 2  # of an MLP, gated or not
        keys_and_values = 2 * config.key_value_heads * config.head_width
        of_token = width * (2 * width + keys_and_values + matrices * config.hidden)
        products = config.layers * (tokens * of_token + 2 * width * packing.mask_RTT.numel())
        return 6 * (products + rows * packing.outputs_per_row * width * config.vocabulary)
    outputs = rows * packing.outputs_per_row
    pairs, output_pairs = int(packing.mask_RTT.sum()), int(packing.mask_RTT[:, : packing.outputs_per_row].sum())
    is_single = config.heads == 1
    is_merged = is_single and not POSITION_ENCODINGS[config.positions].is_rotary
    keys_and_values = (0 if is_merged else tokens) + (0 if is_single else tokens)

    def layer(queries: int, query_key_pairs: int) -> int:
        projections = width * width * (2 * queries + keys_and_values)
        return projections + 2 * width * query_key_pairs + 2 * width * config.hidden * queries

    total = (config.layers - 1) * layer(tokens, pairs) + layer(outputs, output_pairs)
    total += outputs * width * config.vocabulary
    return 2 * 3 * total  # a multiplication and an addition; once forward, twice backward


def step_activations(config: ModelConfig, shape: PackedShape) -> int:
    """Return how many numbers a step's forward pass writes: the time of all but the matrix products is fitted to it.

    For each query and layer eight vectors of the width, two of the MLP and three maps, masked entries included. Other
    architectures, which go in smaller steps, write about twice as many vectors.
    """
    rows, per_row, outputs = shape
    total = 2 * rows * (outputs * config.vocabulary + per_row * config.width)
    vectors, maps = 8 * config.width + 2 * config.hidden, 3 * config.heads * per_row
    if config.architecture != OWN:
        return total + rows * config.layers * per_row * (2 * vectors + maps)
    queries = rows * ((config.layers - 1) * per_row + outputs)
    return total + queries * (vectors + maps)
