"""How much memory training takes at its peak, from the settings alone: nothing is built that does not fit."""

from collections import Counter

from iterhead.data.batches import packed_shape
from iterhead.data.splits import dataset_bytes
from iterhead.machine import Precision
from iterhead.measure.evaluate import CHUNK_TOKENS
from iterhead.memory import check_memory
from iterhead.model.size import weights_by_setting
from iterhead.settings import RunConfig
from iterhead.settings.configs import OWN
from iterhead.training.flops import step_activations

BYTES = {"bfloat16": 2, "float32": 4, "float64": 8}

SAVED = 4
"""Copies of the training state when it is saved: in use, of one network, as a whole tensor, and as a file."""

ELSE = 4
"""Further copies of the weights: gradients, the same flat, the weights of the checkpoint, and its file."""


def check_training(config: RunConfig, networks: int, precision: Precision, device: str) -> None:
    """Raise UserError if training networks of these settings together takes more memory than there is."""
    task = "training" if networks == 1 else f"training {networks} networks at once"
    check_memory(task, training_bytes(config, networks, precision), device)


def training_bytes(config: RunConfig, networks: int, precision: Precision) -> Counter[str]:
    """Return the bytes of training networks together, at the peak, by the setting that they depend on most.

    That is the sum of parameters, optimizer and copies to save them, activations, and sequences. Measured peaks are
    between half and twice as large (tests/test_memory.py).
    """
    state = 2 if config.training.optimizer == "sgd" else 3  # weights and moments
    copies = SAVED * state + ELSE + (0 if config.model.architecture == OWN else 1)
    of_weight = max(4, BYTES[precision])
    needs = Counter(
        {
            setting: copies * of_weight * count
            for setting, count in weights_by_setting(config.model, config.context).items()
        }
    )
    needs[_batch_setting(config)] += max(_batch_bytes(config, precision), _evaluation_bytes(config))
    for setting, size in dataset_bytes(config.iterative_task, config.data).items():
        needs[setting] += size * (2 if setting.startswith("data.train") else 1)  # training takes them from a copy
    return Counter({setting: networks * size for setting, size in needs.items()})


def _batch_setting(config: RunConfig) -> str:
    batch, lengths = config.training.batch_size, len(config.data.lengths)
    return f"training.batch_size={batch}" if batch >= 2 * lengths else f"data.max_length={config.data.max_length}"


def _batch_bytes(config: RunConfig, precision: Precision) -> int:
    """Return the bytes of a step's activations, logits, masks and dropout, for one network."""
    shape, model = packed_shape(config.data, config.training.batch_size), config.model
    rows, tokens, outputs = shape
    logits = 2 * rows * outputs * model.vocabulary  # besides those that are counted: the loss and its gradient
    masks = 2 * rows * model.heads * tokens * tokens  # of the short epochs and of the others
    dropout = 4 * rows * tokens * model.width
    return BYTES[precision] * (step_activations(model, shape) + masks) + 4 * (logits + dropout)


def _evaluation_bytes(config: RunConfig) -> int:
    """Return the bytes of an evaluation's attention maps, which are kept for every layer."""
    size = config.data.layout(config.data.max_length).size
    return 4 * max(CHUNK_TOKENS, size) * size * config.model.heads * (config.model.layers + 3)
