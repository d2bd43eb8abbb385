"""The plain twin of the packed trainer: padded batches, every position computed, PyTorch's own optimizers.

Slow and simple on purpose. It shares only data, initial weights and dropout's random numbers with the fast path, so
that tests can compare the two and the benchmark can time one against the other.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from iterhead.data.batches import IGNORED
from iterhead.errors import UserError
from iterhead.machine import Precision
from iterhead.model.positions import has_position_table
from iterhead.settings import ModelConfig, RunConfig, TrainingConfig
from iterhead.settings.configs import OWN
from iterhead.training.dropout import dropout_words
from iterhead.training.trainer import Trainer


def plain_logits(
    weights: dict[str, Tensor], config: ModelConfig, tokens: Tensor, drop: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return logits [B, T, V] of one network with LayerNorm and a table of positions (section 4 of the paper)."""
    width, heads = config.width, config.heads

    def norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, (width,), weights[f"{name}.w"])

    def attention(name: str, x: Tensor) -> Tensor:
        by_head = (*x.shape[:2], heads, width // heads)
        q, k, v = ((x @ weights[f"{name}.W_{part}"]).view(by_head).transpose(1, 2) for part in "QKV")
        scores = q @ k.transpose(-1, -2) / (width / heads) ** 0.5
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        pattern = scores.masked_fill(future, -torch.inf).softmax(-1)
        z: Tensor = (pattern @ v).transpose(1, 2).flatten(2)
        return z @ weights[f"{name}.W_O"]

    x = F.embedding(tokens, weights["embed.W_E"])
    positions = weights["pos_embed.W_pos"][: tokens.shape[1]]
    x = drop(x + F.pad(positions, (0, width - positions.shape[1])))
    for layer in range(config.layers):
        block = f"blocks.{layer}"
        normalized = norm(f"{block}.ln1", x)
        x = (normalized if config.residual == "published" else x) + attention(f"{block}.attn", normalized)
        hidden = F.gelu(norm(f"{block}.ln2", x) @ weights[f"{block}.mlp.W_in"])
        x = x + hidden @ weights[f"{block}.mlp.W_out"]
    return norm("ln_final", x) @ weights["unembed.W_U"]


def make_optimizer(parameters: list[Tensor], config: TrainingConfig) -> torch.optim.Optimizer:
    """Return PyTorch's own optimizer with the settings of `config`."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, config.lr, (config.beta1, config.beta2), weight_decay=config.weight_decay)


class PlainTrainer:
    """Trains the network that `Trainer` trains, the plain way.

    Args:
        config: with LayerNorm, learned or frozen positions, a constant rate and no clipping.
        start: initial weights by name, each [1, ...]; drawn from the seed if None.

    Raises:
        UserError: for settings that the plain twin does not support.
    """

    def __init__(self, config: RunConfig, start: Mapping[str, Tensor] | None = None):
        self.config = config
        precision: Precision = "float64" if config.training.precision == "float64" else "float32"
        if config.model.architecture != OWN:
            raise UserError(f"model.architecture={config.model.architecture}: the plain twin supports only {OWN}")
        self._twin = Trainer([config], starts=[start], precision=precision)
        training, model = config.training, config.model
        if training.schedule != "constant" or training.warmup_steps or training.clip or model.norm != "layer":
            raise UserError("the plain twin supports only LayerNorm, a constant rate and no clipping")
        if not has_position_table(model):
            raise UserError("the plain twin supports only learned or frozen positions")
        initial = self._twin.model.state_dict()
        self.weights = {name: tensor[0].clone().requires_grad_() for name, tensor in initial.items()}
        frozen = {name for name, _ in self._twin.model.named_buffers()}
        if training.train == "not-attention":
            frozen |= {name for name in initial if name.endswith(("W_Q", "W_K", "W_V", "W_O"))}
        if training.train == "last-mlp":
            frozen |= initial.keys() - {f"blocks.{model.layers - 1}.mlp.{name}" for name in ("W_in", "W_out")}
        trained = [tensor for name, tensor in self.weights.items() if name not in frozen]
        self.optimizer = make_optimizer(trained, config.training)

    def step_losses(self, epoch: int) -> Iterator[Tensor]:
        """Take the steps of an epoch one by one, yielding the loss before each."""
        phase = self._twin.phase(epoch)
        words = dropout_words([self.config.seed], epoch, phase.batches.steps)
        for (inputs, targets), word in zip(phase.batches.padded(epoch), words, strict=True):
            dropout_MRTD = phase.step_context(word, self.weights["embed.W_E"].dtype).dropout
            factors = torch.ones(*inputs.shape, self.config.model.width, dtype=self.weights["embed.W_E"].dtype)
            if dropout_MRTD is not None:  # each factor moves to its token's place in the padded rows
                packing = phase.batches.packing
                counts = packing.counts_RT
                factors[packing.slot_RT[counts], packing.positions_RT[counts]] = dropout_MRTD[0, counts]
            yield self._step(inputs, targets, factors.mul)

    def prepared_steps(self, epoch: int) -> Iterator[Callable[[], Tensor]]:
        """Yield the steps of an epoch for timing: batches are padded beforehand, and dropout is PyTorch's own."""
        drop = partial(F.dropout, p=self.config.model.dropout)
        for inputs, targets in self._twin.phase(epoch).batches.padded(epoch):
            yield partial(self._step, inputs, targets, drop)

    def _step(self, inputs: Tensor, targets: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
        """Take a step and return the loss before it."""
        logits = plain_logits(self.weights, self.config.model, inputs, drop)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        return loss.detach()
