"""Other architectures in our training loop: against transformers' own model on padded batches, killed, resumed."""

import pytest

pytest.importorskip("transformers")

import torch
from polars.testing import assert_frame_equal
from torch.nn import functional as F

from helpers.architectures import architecture_run
from iterhead.data.batches import IGNORED
from iterhead.errors import UserError
from iterhead.runs import checkpointing
from iterhead.runs.run import STATE, checkpoint_name
from iterhead.runs.training import train, train_population
from iterhead.settings import RunConfig, parse_config
from iterhead.training.plain import PlainTrainer
from iterhead.training.trainer import Trainer

KINDS = [
    *(("gpt2", 2, None), ("gpt-neox", 2, None), ("qwen3", 2, None), ("mistral", 4, 2)),
    *(("llama", 2, None), ("llama", 4, 1)),
]

every_kind = pytest.mark.parametrize(("architecture", "heads", "kv_heads"), KINDS, ids=lambda value: str(value))


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch):
    """Drawing takes most of the time of runs as small as these, and is tested elsewhere."""
    monkeypatch.setattr(checkpointing, "run_figure_files", lambda *_: {"figure.png": b"drawn"})


def larger_weights(trainer):
    """Move the weights away from their start, where maps are all uniform and biases are 0."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(trainer.optimizer.weights.shape, generator=generator)
    trainer.optimizer.weights.add_(0.2 * noise)


@every_kind
def test_a_step_has_the_loss_and_the_gradient_of_a_plain_loop(architecture, heads, kv_heads):
    trainer = Trainer([architecture_run(architecture, heads, kv_heads, dropout=0.0, short_epochs=0)])
    larger_weights(trainer)
    batches = trainer.phase(0).batches
    assert not batches.packing.is_full
    plain = trainer.model.hf().requires_grad_(True)
    plain.set_attn_implementation("eager")
    taken = []
    trainer.optimizer.step = taken.append  # keeps the gradient, and leaves the weights as they are
    for step, (loss, (inputs, targets)) in enumerate(
        zip(trainer.step_losses(), batches.padded(0), strict=True), start=1
    ):
        logits = plain(inputs, use_cache=False).logits
        expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        assert float(loss) == pytest.approx(expected.item(), abs=1e-5)
        gradient = torch.cat([part.flatten() for part in torch.autograd.grad(expected, list(plain.parameters()))])
        assert gradient.abs().max() > 1e-2
        assert torch.allclose(taken[-1][0], gradient, atol=1e-5)
        if step == 3:
            break


def test_dropout_is_that_of_the_embedding():
    """Dropping is multiplying the embedding by 0 or 1 / (1 - p): so by factors of one the loss is that of p = 0."""
    dropped, whole = (Trainer([architecture_run(dropout=dropout)]) for dropout in (0.5, 0.0))
    tokens, _ = next(iter(whole.phase(0).batches.epoch(0)))
    words = torch.zeros(1, 2, dtype=torch.int32)
    context = dropped.phase(0).step_context(words, torch.float32)
    shape = context.dropout.shape
    assert set(context.dropout.unique().tolist()) == {0.0, 2.0}
    plain = whole.phase(0).step_context(words, torch.float32)
    assert plain.dropout is None
    object.__setattr__(context, "dropout", torch.ones(shape))
    assert torch.equal(dropped.model.logits(tokens, context), whole.model.logits(tokens, plain))
    object.__setattr__(context, "dropout", torch.zeros(shape))
    nothing = dropped.model.logits(tokens, context)
    assert torch.allclose(nothing, nothing[:, :, :1].expand_as(nothing), atol=1e-6)


@every_kind
def test_a_population_learns_what_its_networks_learn_alone(architecture, heads, kv_heads):
    configs = [architecture_run(architecture, heads, kv_heads, seed=seed, lr=lr) for seed, lr in ((3, 1e-3), (5, 3e-3))]
    together = Trainer(configs)
    losses = [together.train_epoch() for _ in range(2)]
    for network, config in enumerate(configs):
        alone = Trainer([config])
        for both in losses:
            assert both[network] == pytest.approx(alone.train_epoch()[0], abs=1e-6)
        for name, weight in alone.weights(0).items():
            assert torch.allclose(weight, together.weights(network)[name], atol=1e-5)


def test_it_learns_and_in_bfloat16_too():
    for precision in ("float32", "bfloat16"):
        trainer = Trainer([architecture_run(lr=1e-2, precision=precision)])
        first, *_, last = (trainer.train_epoch()[0] for _ in range(8))
        assert last < first - 0.5
        assert trainer.model.dtype == torch.float32


class StopAfter:
    def __init__(self, epoch):
        self.epoch = epoch

    def started(self, run, evaluations):
        self.seen = evaluations[-1].epoch

    def evaluated(self, run, evaluation):
        if evaluation.epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("architecture", ["gpt2", "qwen3"])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, architecture):
    config = architecture_run(architecture)
    whole = train(config, out=tmp_path / "whole", threads=1)
    for epoch in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            train(config, out=tmp_path / "stopped", threads=1, observer=StopAfter(epoch))
    resumed = train(config, out=tmp_path / "stopped", threads=1)
    assert resumed.status.state == "finished"
    assert_frame_equal(resumed.measurements, whole.measurements, check_exact=True)
    for name in (STATE, checkpoint_name(1), checkpoint_name(3)):
        assert resumed.folder.read(name) == whole.folder.read(name)
    other = train(architecture_run(architecture, seed=4), out=tmp_path / "whole", threads=1)
    assert not other.measurements["value"].equals(whole.measurements["value"])


def test_runs_of_a_population_that_ends_at_different_epochs(tmp_path):
    configs = [architecture_run(seed=3, epochs=2), architecture_run(seed=4, epochs=3)]
    runs = train_population(configs, out=tmp_path, threads=1)
    assert [run.status.epoch for run in runs] == [2, 3]
    tokens = runs[0].tokens(5)
    assert runs[1].model(tokens).shape == (len(tokens), 12, 13)


def test_a_run_starts_from_another(tmp_path):
    parent = train(architecture_run("gpt2", epochs=1), out=tmp_path, threads=1)
    values = architecture_run("gpt2", epochs=1, seed=9).model_dump()
    # Shorter sequences, so fewer positions: the first rows of the table are taken.
    values |= {"start": {"run": parent.name}, "data": values["data"] | {"max_length": 4}}
    child = train(parse_config(values), out=tmp_path, threads=1)
    table = "transformer.wpe.weight"
    assert torch.equal(child.weights_at(0)[table], parent.weights_at(1)[table][:, :11])
    longer = values | {"data": values["data"] | {"max_length": 6}}
    with pytest.raises(UserError, match="knows 13 positions: expected at most as many"):
        train(parse_config(longer), out=tmp_path, threads=1)


def test_a_run_does_not_start_from_another_architecture(tmp_path):
    parent = train(architecture_run("llama", epochs=1), out=tmp_path, threads=1)
    values = architecture_run("qwen3", epochs=1).model_dump() | {"start": {"run": parent.name}}
    with pytest.raises(UserError, match=r"model\.architecture=qwen3: the network to start from has architecture=llama"):
        train(parse_config(values), out=tmp_path, threads=1)


def test_what_is_only_for_our_own_architecture():
    with pytest.raises(UserError, match=r"compiled=True: only for model\.architecture=iterhead, not llama"):
        Trainer([architecture_run()], compiled=True)
    with pytest.raises(UserError, match=r"model\.architecture=llama: the plain twin supports only iterhead"):
        PlainTrainer(architecture_run())


@pytest.mark.parametrize(("model", "message"), [
    ({"residual": "pre-norm"}, "model.residual=pre-norm: only for architecture=iterhead, not llama"),
    ({"norm": "rms"}, "model.norm=rms: only for architecture=iterhead, not llama"),
    ({"positions": "rotary"}, "model.positions=rotary: only for architecture=iterhead, not llama"),
    ({"position_width": 8}, "model.position_width=8: only for architecture=iterhead, not llama"),
    ({"heads": 4, "kv_heads": 3}, "model.kv_heads=3: expected a divisor of heads=4"),
    ({"width": 9, "heads": 3}, "model.heads=3: rotary positions of llama need heads whose width is a multiple of 2"),
    ({"architecture": "gpt-neox", "heads": 16}, "need heads whose width is a multiple of 8, not 4"),
    ({"architecture": "gpt2", "kv_heads": 1}, "model.kv_heads=1: only for architecture=llama, qwen3, mistral"),
    ({"architecture": "iterhead", "kv_heads": 1}, "model.kv_heads=1: only for architecture=llama, qwen3, mistral"),
    ({"architecture": "gpt3"}, "model.architecture='gpt3': expected 'iterhead', 'gpt2', "),
])  # fmt: skip
def test_settings_that_do_not_fit_the_architecture(model, message):
    with pytest.raises(UserError) as error:
        parse_config({"model": {"architecture": "llama", **model}})
    assert message in str(error.value)


def test_parts_are_trained_alone_only_in_our_own_architecture():
    with pytest.raises(UserError, match=r"training\.train=last-mlp: expected all"):
        parse_config({"model": {"architecture": "llama"}, "training": {"train": "last-mlp"}})


def test_names_of_runs_without_these_settings_are_as_they_were():
    """As of version 0.1.0, before there were other architectures."""
    assert RunConfig().digest == "5953669aac"
    assert parse_config({"training": {"train": "last-mlp"}}).digest == "d048ad8479"
    assert parse_config({"start": {"run": "abc"}}).digest == "3fcd16d15d"
    old = RunConfig().model_dump()
    del old["model"]["architecture"], old["model"]["kv_heads"]
    assert parse_config(old) == RunConfig()
    digests = {architecture_run(*kind).digest for kind in KINDS} | {RunConfig().digest}
    assert len(digests) == len(KINDS) + 1
