"""Update rules on one flat buffer of weights, with a learning rate for each network.

The trained weights of M networks are one tensor [M, W], of which the model's parameters are views. So a step takes few
operations, however many layers there are, and rates and gradient norms are per row. Tests compare it with
`torch.optim`.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from iterhead.settings import TrainingConfig

ADAM_EPSILON = 1e-8
"""PyTorch's default."""


def flatten_parameters(parameters: Sequence[Tensor]) -> Tensor:
    """Move parameters, each [M, ...], into one buffer [M, W] and make them views of it."""
    flat = torch.cat([p.detach().flatten(1) for p in parameters], dim=1)
    offset = 0
    for parameter in parameters:
        size = parameter[0].numel()
        parameter.data = flat[:, offset : offset + size].view(parameter.shape)
        offset += size
    return flat


def moment_names(config: TrainingConfig) -> tuple[str, ...]:
    """Return what the optimizer keeps for each weight."""
    return ("momentum",) if config.optimizer == "sgd" else ("mean", "mean_square")


class FlatOptimizer:
    """Adam, AdamW or SGD with `torch.optim`'s arithmetic, on weights [M, W].

    The trainable parameters of `model` are moved into the flat buffer. Rate and decay are each network's own; all else
    is taken from the first of `configs`. A cosine schedule ends at `total_steps`.
    """

    def __init__(self, model: nn.Module, configs: Sequence[TrainingConfig], total_steps: int):
        self._flatten(model)
        self.config = configs[0]
        self.total_steps = total_steps
        self.steps = 0
        rates_and_decays = [[config.lr for config in configs], [config.weight_decay for config in configs]]
        self._rates, self._decay = self.weights.new_tensor(rates_and_decays)[..., None]
        self._decays = any(config.weight_decay for config in configs)
        self.moments = {name: torch.zeros_like(self.weights) for name in moment_names(self.config)}

    def _flatten(self, model: nn.Module) -> None:
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.weights = flatten_parameters(self.parameters)

    def select(self, model: nn.Module, networks: Sequence[int]) -> None:
        """Keep only some of the networks, by index; `model` holds only these."""
        self._flatten(model)
        index = torch.tensor(networks, device=self.weights.device)
        self._rates, self._decay = self._rates[index], self._decay[index]
        self.moments = {name: moment[index] for name, moment in self.moments.items()}

    def gradient(self, loss: Tensor) -> Tensor:
        """Return the gradient of `loss` with respect to the flat weights, [M, W]."""
        return torch.cat([part.flatten(1) for part in torch.autograd.grad(loss, self.parameters)], dim=1)

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """Update the weights; `gradient` [M, W] is overwritten."""
        rates = self._rates * rate_factor(self.config, self.steps, self.total_steps)
        self.steps += 1
        if self.config.clip is not None:
            norms = gradient.norm(dim=1, keepdim=True)
            gradient.mul_((self.config.clip / (norms + 1e-6)).clamp_(max=1.0))
        if self._decays and self.config.optimizer == "adamw":
            self.weights.mul_(1 - rates * self._decay)
        elif self._decays:
            gradient.add_(self.weights * self._decay)
        if self.config.optimizer == "sgd":
            momentum = self.moments["momentum"].mul_(self.config.momentum).add_(gradient)
            self.weights.addcmul_(momentum, rates, value=-1)
        else:
            self._adam(gradient, rates)

    def _adam(self, gradient: Tensor, rates: Tensor) -> None:
        beta1, beta2 = self.config.beta1, self.config.beta2
        mean = self.moments["mean"].lerp_(gradient, 1 - beta1)
        mean_square = self.moments["mean_square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        scale = (mean_square / (1 - beta2**self.steps)).sqrt_().add_(ADAM_EPSILON)
        self.weights.sub_(mean.div(scale).mul_(rates / (1 - beta1**self.steps)))

    def state(self, network: int = 0) -> dict[str, Tensor]:
        """Return copies of one network's moments [1, W], and the number of steps taken."""
        moments = {name: moment[network : network + 1].clone() for name, moment in self.moments.items()}
        return {"steps": torch.tensor(self.steps), **moments}

    def load_states(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Resume from what `state` returned for each network, all after the same number of steps."""
        self.steps = int(states[0]["steps"])
        for name, moment in self.moments.items():
            moment.copy_(torch.cat([state[name] for state in states]))


def rate_factor(config: TrainingConfig, step: int, total_steps: int) -> float:
    """Return the factor 0 .. 1 of the learning rate at a step, from 0.

    Linear warm-up reaches 1 at step `warmup_steps`; then constant, or a half cosine down to 0 at `total_steps`.
    """
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return 1.0
    span = max(1, total_steps - config.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * (step - config.warmup_steps) / span))
