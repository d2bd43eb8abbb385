"""Steps in bfloat16: near those in float32, with weights and the sums over tokens in float32."""

import pytest
import torch

from helpers.members import MEMBERS, member
from iterhead import machine
from iterhead.training.trainer import Trainer


def small(precision, **common):
    """Width 32, sixteen of each of four lengths: an embedding is looked up some hundred times a step."""
    model = {"width": 32, "mlp_width": 64} | common.pop("model", {})
    training = {"batch_size": 64, "short_epochs": 0, "precision": precision} | common.pop("training", {})
    return member(MEMBERS[0], model=model, training=training, data={"train_per_length": 64, **common})


def first_gradient(config, networks=1):
    """The gradient of the first step, by the name of the parameter."""
    trainer = Trainer([config] * networks)
    kept = []
    trainer.optimizer.step = lambda gradient: kept.append(gradient.clone())
    next(trainer.step_losses())
    gradients, offset = {}, 0
    for name, parameter in trainer.model.named_parameters():
        size = parameter[0].numel()
        gradients[name] = kept[0][:, offset : offset + size].view_as(parameter)
        offset += size
    assert offset == kept[0].shape[1]
    assert kept[0].dtype == torch.float32
    return gradients


def flat(gradients):
    return torch.cat([gradient.flatten() for gradient in gradients.values()])


@pytest.mark.parametrize("model", [{}, {"heads": 2}, {"positions": "rotary", "norm": "rms"}], ids=str)
@pytest.mark.parametrize("networks", [1, 2])
def test_the_gradient_is_near_that_in_float32(model, networks):
    """bfloat16 keeps 8 bits: each number is rounded by at most 2**-9 (0.2%) of its size, a gradient passes some 30.

    Were all these errors independent, they would sum to 0.2% * sqrt(30) = 1.1%, were they all one way, to 6%. So 5% of
    the length are allowed for all weights together (a cosine of 0.9987), 15% for each parameter, where gradients may
    be the small sum of large terms. A forgotten mask or a factor is far beyond: a half is 50%.
    """
    rounded, exact = (first_gradient(small(precision, model=model), networks) for precision in ("bfloat16", "float32"))
    assert torch.cosine_similarity(flat(rounded), flat(exact), dim=0) > 0.99
    assert (flat(rounded) - flat(exact)).norm() < 0.05 * flat(exact).norm()
    for name, gradient in exact.items():
        assert (rounded[name] - gradient).norm() < 0.15 * gradient.norm(), name
    assert not torch.equal(flat(rounded), flat(exact))


def share_of_bfloat16(gradient):
    """Which part of the numbers that are not zero would be the same in bfloat16."""
    numbers = gradient[gradient != 0]
    assert len(numbers) > 100
    return float((numbers == numbers.bfloat16().float()).double().mean())


@pytest.mark.parametrize("networks", [1, 2])
def test_the_gradient_of_the_embedding_is_summed_in_float32(networks):
    """A sum of numbers of 8 bits that was rounded to 8 bits after each is in bfloat16; one in float32 hardly ever is.

    Where all of a product is in bfloat16, as for an MLP's weights, the gradient has 8 bits: the share can be 1.
    """
    gradients = first_gradient(small("bfloat16"), networks)
    assert share_of_bfloat16(gradients["embed.W_E"]) < 0.2
    assert share_of_bfloat16(gradients["pos_embed.W_pos"]) < 0.2
    assert share_of_bfloat16(gradients["blocks.0.mlp.W_in"]) == 1


def test_weights_moments_and_losses_stay_in_float32():
    trainer = Trainer([small("bfloat16")] * 2)
    losses = next(trainer.step_losses())
    assert losses.dtype == torch.float32
    trainer.train_epoch()
    assert {tensor.dtype for tensor in trainer.model.state_dict().values()} == {torch.float32}
    assert trainer.optimizer.weights.dtype == torch.float32
    assert {tensor.dtype for tensor in trainer.optimizer.moments.values()} == {torch.float32}
    # The steps are smaller than bfloat16 could add to a weight of 1: they must not be lost.
    assert share_of_bfloat16(trainer.model.embed.W_E) < 0.1


def test_training_learns_what_it_learns_in_float32():
    """Nearly so for twenty epochs; later the rounding leads elsewhere, as another seed would, to what is learnt too."""
    losses = []
    for precision in ("bfloat16", "float32"):
        trainer = Trainer([small(precision, training={"lr": 3e-3}, model={"dropout": 0.0})])
        losses.append([loss for _ in range(40) for loss in trainer.train_epoch()])
    rounded, exact = losses
    assert rounded[:20] == pytest.approx(exact[:20], rel=0.05)
    assert exact[20] < 0.3 * exact[0]
    assert max(rounded[-1], exact[-1]) < 0.1 * exact[0]


def test_a_population_in_bfloat16_learns_what_its_networks_learn_alone():
    """Not to the bit: two networks are multiplied by another kernel than one. The first loss differs by rounding."""
    configs = [small("bfloat16").model_copy(update={"seed": seed}) for seed in (0, 1)]
    together = Trainer(configs)
    losses = [together.train_epoch() for _ in range(3)]
    for network, config in enumerate(configs):
        single = Trainer([config])
        alone = [loss for _ in range(3) for loss in single.train_epoch()]
        assert [epoch[network] for epoch in losses] == pytest.approx(alone, rel=0.02)


@pytest.mark.parametrize(("fast", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_auto_trains_in_bfloat16_where_that_is_fast(monkeypatch, fast, precision):
    monkeypatch.setattr(machine, "has_fast_bfloat16", lambda device: fast)
    trainer = Trainer([small("auto", model={"width": 64})])
    assert trainer.precision == precision
    explicit = Trainer([small(precision, model={"width": 64})])
    assert torch.equal(next(trainer.step_losses()), next(explicit.step_losses()))
    assert Trainer([small("auto")], precision="float64").model.embed.W_E.dtype == torch.float64


@pytest.mark.parametrize(
    ("precision", "of_losses"), [("float32", "float32"), ("float64", "float64"), ("bfloat16", "float32")]
)
def test_all_activations_have_the_format_of_the_steps(precision, of_losses):
    """From the normalized embedding to the logits; the embedding itself is in the format of the weights."""
    trainer = Trainer([small(precision)])
    formats = []
    for part in (*trainer.model.blocks, trainer.model):
        for norm in (part.ln1, part.ln2) if hasattr(part, "ln1") else (part.ln_final,):
            norm.register_forward_hook(lambda module, given, output: formats.extend([given[0].dtype, output.dtype]))
    losses = next(trainer.step_losses())
    assert formats == [getattr(torch, precision)] * 10
    assert losses.dtype == getattr(torch, of_losses)
