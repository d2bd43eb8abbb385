"""How many floating-point operations the loss of a batch needs, and how many numbers it leaves in memory."""

from iterhead.data import Packing
from iterhead.model.positions import POSITION_ENCODINGS
from iterhead.settings import ModelConfig


def step_flops(config: ModelConfig, packing: Packing) -> int:
    """Return the operations of a training step's products, forward and backward: 2 for each multiplication.

    Counted is what the loss needs and no more: no padding, attention only where the mask allows it, the last layer's
    queries, outputs and MLP only at the reads, and one head's scores and values through the products of its weights
    (`Attention.forward_packed`). Everything that is no product of matrices counts as nothing.
    """
    width, tokens, allowed = config.width, packing.slot_RT.numel(), int(packing.mask_RTT.sum())
    rows = len(packing.slot_RT)
    reads = rows * packing.outputs_per_row
    read_pairs = int(packing.mask_RTT[:, : packing.outputs_per_row].sum())
    single = config.heads == 1
    merged = single and not POSITION_ENCODINGS[config.positions].is_rotary
    total = 0
    for layer in range(config.layers):
        last = layer == config.layers - 1
        queries, pairs = (reads, read_pairs) if last else (tokens, allowed)
        keys_and_values = (0 if merged else tokens) + (0 if single else tokens)
        total += (
            width * width * (2 * queries + keys_and_values) + 2 * width * pairs + 2 * width * config.hidden * queries
        )
    total += reads * width * config.vocabulary
    return 2 * 3 * total  # a multiplication and an addition; once forward, twice backward


def step_activations(config: ModelConfig, packing: Packing) -> int:
    """Return how many numbers the operations of a step's forward pass leave in memory, by which the others are timed.

    Of each query and layer eight vectors of the width and two of the MLP, and three maps; padding counts, since it is
    computed too.
    """
    rows, per_row = packing.slot_RT.shape
    total = 2 * rows * (packing.outputs_per_row * config.vocabulary + per_row * config.width)
    for layer in range(config.layers):
        queries = rows * (packing.outputs_per_row if layer == config.layers - 1 else per_row)
        total += queries * (8 * config.width + 2 * config.hidden + 3 * config.heads * per_row)
    return total
