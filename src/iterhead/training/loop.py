"""The training loop: epochs of packed batches, resumable between epochs to the same bits.

Letters: `M` networks, `S` steps of an epoch, `R` rows, `T` tokens of a row, `Q` reads of a row, `N` reads of a batch.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from iterhead.data import Batches, Dataset, Packing, make_dataset
from iterhead.model import Pass, Taps, Transformer
from iterhead.seeds import torch_generator
from iterhead.settings import DataConfig, ModelConfig, RunConfig
from iterhead.tasks import Vocabulary
from iterhead.training.optimizer import FlatOptimizer


class Trainer:
    """One network in training.

    Attributes:
        model: the network, in evaluation use at any time.
        dataset: its training and test sequences.
        epoch: epochs done.

    Args:
        config: everything that decides the numbers.
    """

    def __init__(self, config: RunConfig):
        self.config = config
        self.epoch = 0
        vocabulary = Vocabulary(config.model.vocabulary)
        self.dataset = make_dataset(config.iterative_task, config.data, vocabulary, config.seed)
        self.model = Transformer(config.model, config.context, [config.seed])
        self.model.to(getattr(torch, config.training.precision))
        self._short, self._full = (Stage(self.dataset, config, data) for data in (short_data(config), config.data))
        total_steps = sum(self.stage(epoch).batches.steps for epoch in range(config.training.epochs))
        self.optimizer = FlatOptimizer(self.model, [config.training], total_steps)

    def stage(self, epoch: int) -> "Stage":
        """Return what an epoch is made of: the shortest lengths at the beginning, then all."""
        return self._short if epoch < self.config.training.short_epochs else self._full

    def train_epoch(self) -> float:
        """Train for one epoch and return its mean loss, in nats a token; not finite if any step's was not."""
        losses = list(self.step_losses())
        self.epoch += 1
        return float(torch.stack(losses).mean())

    def step_losses(self) -> Iterator[Tensor]:
        """Take the steps of the next epoch one by one, yielding the loss before each; `epoch` is left alone."""
        stage = self.stage(self.epoch)
        tokens_SRT, targets_SRQ = stage.batches.epoch(self.epoch)
        dropout = torch_generator(self.config.seed, "dropout", self.epoch)
        for tokens, targets in zip(tokens_SRT, targets_SRQ, strict=True):
            stage.given.dropout = self.dropout_factors(tokens.numel(), dropout)
            logits = self.model.run(tokens.unsqueeze(0), stage.given)
            loss = stage.loss(logits[0], targets.flatten())
            self.optimizer.step(self.optimizer.gradient(loss))
            yield loss.detach()

    def dropout_factors(self, tokens: int, generator: torch.Generator) -> Tensor | None:
        """Return factors [1, tokens, D]: 0 with the dropout's probability, else what keeps the mean at 1."""
        keep = 1 - self.config.model.dropout
        if keep == 1:
            return None
        shape = (1, tokens, self.config.model.width)
        factors = torch.rand(shape, dtype=self.optimizer.weights.dtype, generator=generator)
        return factors.lt_(keep).div_(keep)  # a third of the time of bernoulli_

    def state(self) -> dict[str, Tensor]:
        """Return everything that the next epoch depends on, as copies."""
        optimizer = {f"optimizer.{name}": tensor for name, tensor in self.optimizer.state().items()}
        return {"epoch": torch.tensor(self.epoch), "weights": self.optimizer.weights.clone(), **optimizer}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        self.epoch = int(state["epoch"])
        self.optimizer.weights.copy_(state["weights"])
        self.optimizer.load_state(
            {name.removeprefix("optimizer."): tensor for name, tensor in state.items() if "." in name}
        )


class Stage:
    """Epochs of one kind: their batches, and what does not change from step to step.

    Attributes:
        batches: of the lengths that these epochs see.
        given: to each forward pass.
    """

    def __init__(self, dataset: Dataset, config: RunConfig, data: DataConfig):
        dtype = getattr(torch, config.training.precision)
        self.batches = Batches(dataset, data, config.training.batch_size, config.seed)
        self.given = packed_pass(self.batches.packing, config.model, dtype)
        self._weights = self.batches.packing.weights_RQ.flatten().to(dtype)

    def loss(self, logits_NV: Tensor, targets_N: Tensor) -> Tensor:
        """Return the mean cross-entropy over the reads that count."""
        if self.batches.packing.is_full:
            return F.cross_entropy(logits_NV, targets_N)
        losses = F.cross_entropy(logits_NV, targets_N, reduction="none")
        return (losses * self._weights).sum() / self._weights.sum()


def short_data(config: RunConfig) -> DataConfig:
    """Return the data settings of the first epochs, which see only the shortest lengths."""
    longest = min(config.data.max_length, config.data.min_length + config.training.short_lengths - 1)
    return config.data.model_copy(update={"max_length": longest})


def packed_pass(packing: Packing, config: ModelConfig, dtype: torch.dtype, networks: int = 1) -> Pass:
    """Return what the forward passes of packed batches have in common: positions, masks and the cells to read."""
    rows, length = packing.positions_RT.shape
    penalty = torch.zeros(packing.mask_RTT.shape, dtype=dtype).masked_fill_(~packing.mask_RTT, -torch.inf)
    read_penalty = penalty.gather(1, packing.reads_RQ[:, :, None].expand(-1, -1, length))
    for_each_head = (part.repeat_interleave(config.heads, 0).repeat(networks, 1, 1) for part in (penalty, read_penalty))
    return Pass(
        positions=packing.positions_RT,
        mask=packing.mask_RTT,
        taps=Taps(config.layers, (), {}, single=False),
        reads=(length * torch.arange(rows)[:, None] + packing.reads_RQ).flatten(),
        penalties=(next(for_each_head), next(for_each_head)),
    )
