"""The training loop: epochs of packed batches for M networks at once, resumable between epochs bit for bit.

Letters: `M` networks, `S` steps, `R` rows, `T` tokens of a row, `Q` of them with a target, `V` vocabulary, `W` weights.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from iterhead.contents import TensorSpec
from iterhead.data.batches import Batches
from iterhead.data.splits import make_dataset
from iterhead.errors import UserError
from iterhead.huggingface.network import make_network
from iterhead.machine import Precision, check_compiler, find_precision, weights_dtype
from iterhead.model.context import PackedContext, packed_context
from iterhead.model.weights import load_weights
from iterhead.settings import DataConfig, RunConfig
from iterhead.settings.configs import OWN
from iterhead.tasks import Vocabulary
from iterhead.training.dropout import Dropout, dropout_words
from iterhead.training.initial_weights import is_trainable
from iterhead.training.memory import check_training
from iterhead.training.optimizer import FlatOptimizer, moment_names

SQUARES = "optimizer.mean_square"


def population_key(config: RunConfig) -> RunConfig:
    """Return the settings with those reset in which the networks of a population may differ.

    These are task, seed, start, learning rate, weight decay, split, number of test sequences, evaluations, early stop
    and, where the schedule does not depend on it, the epoch limit.
    """
    free = RunConfig()
    data = config.data.model_copy(update={"split": free.data.split, "test_per_length": free.data.test_per_length})
    names = ["lr", "weight_decay", "evaluate_every", "evaluation_per_length", "early_stop"]
    if config.training.schedule == "constant":
        names.append("epochs")
    training = config.training.model_copy(update={name: getattr(free.training, name) for name in names})
    own = {"task": free.task, "seed": free.seed, "start": None}
    return config.model_copy(update={**own, "data": data, "training": training})


def weight_specs(config: RunConfig) -> dict[str, TensorSpec]:
    """Return what the weights of one network are, by name."""
    network = make_network(config.model, config.context, ())  # of no networks, so one of ours takes no memory
    dtype = weights_dtype(config.training.precision)
    return {name: TensorSpec((1, *weight.shape[1:]), dtype) for name, weight in network.state_dict().items()}


def state_specs(config: RunConfig) -> dict[str, TensorSpec]:
    """Return what `Trainer.state` gives for one network, by name."""
    network = make_network(config.model, config.context, ())
    trained = [
        math.prod(weights.shape[1:])
        for name, weights in network.named_parameters()
        if is_trainable(name, config.training.train, config.model.layers)
    ]
    weights = TensorSpec((1, sum(trained)), weights_dtype(config.training.precision))
    count = TensorSpec((), torch.int64, least=0)
    optimizer = {f"optimizer.{name}": weights for name in moment_names(config.training)}
    if SQUARES in optimizer:  # they may overflow: the weights just stay as they are then
        optimizer[SQUARES] = weights._replace(finite=False, least=0)
    return {"epoch": count, "weights": weights, "optimizer.steps": count, **optimizer}


class Trainer:
    """Trains M networks as one batched computation; each learns what it would learn alone.

    Args:
        configs: settings of each network, equal in `population_key`.
        starts: initial weights of each network by name, each [1, ...]; drawn from its seed if None.
        device: cpu, cuda or mps.
        precision: dtype of the steps; by default what the settings' precision means on this device.
        compiled: use torch.compile for the forward and backward passes, on a GPU with CUDA graphs.

    Attributes:
        configs: settings of the networks that are still trained.
        datasets: their training and test sequences.
        model: the networks, ready for evaluation at any time; float32 unless the precision is float64.
        epoch: number of epochs done.

    Raises:
        UserError: when settings differ that must not, a start does not fit, there is no compiler, or training takes
            more memory than there is.
    """

    def __init__(
        self,
        configs: Sequence[RunConfig],
        *,
        starts: Sequence[Mapping[str, Tensor] | None] = (),
        device: str = "cpu",
        precision: Precision | None = None,
        compiled: bool = False,
    ):
        first = configs[0]
        if any(population_key(config) != population_key(first) for config in configs[1:]):
            raise UserError("the networks of a population must agree in data, model and training settings")
        self.configs = list(configs)
        self.device = device
        self.precision = precision or find_precision(first.training.precision, device, first.model.width)
        self.epoch = 0
        check_training(first, len(configs), self.precision, device)
        vocabulary = Vocabulary(first.model.vocabulary)
        self.datasets = [make_dataset(c.iterative_task, c.data, vocabulary, c.seed) for c in configs]
        self.model = make_network(first.model, first.context, [config.seed for config in configs])
        self.model.to(device, weights_dtype(self.precision))
        for network, weights in enumerate(starts):
            if weights is not None:
                load_weights(self.model, network, weights)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(is_trainable(name, first.training.train, first.model.layers))
        self._short, self._full = (Phase(self, data) for data in (short_data(first), first.data))
        short_epochs = min(first.training.short_epochs, first.training.epochs)
        full_epochs = first.training.epochs - short_epochs
        total_steps = short_epochs * self._short.batches.steps + full_epochs * self._full.batches.steps
        self.optimizer = FlatOptimizer(self.model, [config.training for config in configs], total_steps)
        if compiled and first.model.architecture != OWN:
            raise UserError(f"compiled=True: only for model.architecture={OWN}, not {first.model.architecture}")
        if compiled and len(configs) > 1:
            raise UserError(
                f"compiled=True: expected with one network, not {len(configs)}: each that ends costs a minute"
            )
        self._compiled = self._compile() if compiled else None

    def _compile(self) -> Callable[[Tensor, PackedContext], Tensor]:
        """Return the compiled forward pass."""
        check_compiler(self.device)
        mode = "reduce-overhead" if self.device == "cuda" else None
        compiled: Callable[[Tensor, PackedContext], Tensor] = torch.compile(self.model.logits, dynamic=False, mode=mode)
        return compiled

    @property
    def networks(self) -> int:
        """M, the number of networks."""
        return len(self.configs)

    def phase(self, epoch: int) -> "Phase":
        """Return the phase of an epoch: the short lengths at the beginning, then all."""
        return self._short if epoch < self.configs[0].training.short_epochs else self._full

    def train_epoch(self) -> list[float]:
        """Train for one epoch and return each network's mean loss in nats per token, not finite if any step's was."""
        means: list[float] = torch.stack(list(self.step_losses())).mean(0).tolist()
        self.epoch += 1
        return means

    def step_losses(self) -> Iterator[Tensor]:
        """Take the steps of the next epoch one by one, yielding the losses [M] before each; `epoch` stays the same."""
        phase = self.phase(self.epoch)
        seeds = [config.seed for config in self.configs]
        words_SM2 = dropout_words(seeds, self.epoch, phase.batches.steps).to(self.device)
        for (tokens, targets), words in zip(phase.batches.epoch(self.epoch), words_SM2, strict=True):
            context = phase.step_context(words, self.optimizer.weights.dtype)
            logits = (self._compiled or self.model.logits)(tokens, context)
            losses = phase.losses(logits.to(self.optimizer.weights.dtype), targets)
            self.optimizer.step(self.optimizer.gradient(losses.sum()))
            yield losses.detach()

    def select(self, networks: Sequence[int]) -> None:
        """Keep only some of the networks, by index."""
        self.configs = [self.configs[network] for network in networks]
        self.datasets = [self.datasets[network] for network in networks]
        self.model = self.model.select(networks)
        self.optimizer.select(self.model, networks)
        for phase in (self._short, self._full):
            phase.select(networks)
        self._compiled = self._compile() if self._compiled else None

    def weights(self, network: int) -> dict[str, Tensor]:
        """Return a network's weights by name, each [1, ...], as views."""
        return {name: tensor[network : network + 1] for name, tensor in self.model.state_dict().items()}

    def is_finite(self) -> list[bool]:
        """Return for each network whether all its weights are finite."""
        finite: list[bool] = self.optimizer.weights.isfinite().all(1).tolist()
        return finite

    def state(self, network: int = 0) -> dict[str, Tensor]:
        """Return copies of all that training changes of a network; to resume, a trainer needs the same `starts` too."""
        optimizer = {f"optimizer.{name}": tensor for name, tensor in self.optimizer.state(network).items()}
        weights = self.optimizer.weights[network : network + 1].clone()
        return {"epoch": torch.tensor(self.epoch), "weights": weights, **optimizer}

    def load_states(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Resume from what `state` returned for each network, all after the same number of epochs."""
        self.epoch = int(states[0]["epoch"])
        self.optimizer.weights.copy_(torch.cat([state["weights"] for state in states]))
        self.optimizer.load_states(
            [{name.removeprefix("optimizer."): tensor for name, tensor in state.items()} for state in states]
        )


class Phase:
    """Training epochs of one kind: batches of the lengths of `data`, and what stays the same from step to step."""

    def __init__(self, trainer: Trainer, data: DataConfig):
        config, device = trainer.configs[0], trainer.device
        seeds = [config.seed for config in trainer.configs]
        self.batches = Batches(trainer.datasets, data, config.training.batch_size, seeds, device)
        packing = self.batches.packing
        dtype: torch.dtype = getattr(torch, trainer.precision)
        self._make_context = partial(packed_context, packing, config.model, dtype, device=device)
        self._context = self._make_context(trainer.networks)
        self._weights_RQ = packing.weights_RQ.to(device, torch.get_default_dtype())
        self._dropout = Dropout(config.model.dropout, (*packing.slot_RT.shape, config.model.width), device)

    def select(self, networks: Sequence[int]) -> None:
        """Keep only some of the networks, by index."""
        self.batches.select(networks)
        self._context = self._make_context(len(networks))

    def step_context(self, words_M2: Tensor, dtype: torch.dtype) -> PackedContext:
        """Return the forward context of a step, with its dropout mask in `dtype`, drawn by `dropout_words`."""
        dropout = None if self._dropout.idle else self._dropout.factors(words_M2, dtype)
        return replace(self._context, dropout=dropout)

    def losses(self, logits_MRQV: Tensor, targets_MRQ: Tensor) -> Tensor:
        """Return each network's mean cross-entropy [M] over the written states and one EoS.

        The published loss also counts every EoS of the padding (section 2 of the paper).
        """
        flat = F.cross_entropy(logits_MRQV.flatten(0, 2), targets_MRQ.flatten(), reduction="none")
        losses_MRQ = flat.view_as(targets_MRQ)
        if self.batches.packing.is_full:
            return losses_MRQ.mean((1, 2))
        return (losses_MRQ * self._weights_RQ).sum((1, 2)) / self._weights_RQ.sum()


def short_data(config: RunConfig) -> DataConfig:
    """Return the data settings of the first epochs, which see only the shortest lengths."""
    longest = min(config.data.max_length, config.data.min_length + config.training.short_lengths - 1)
    return config.data.model_copy(update={"max_length": longest})
