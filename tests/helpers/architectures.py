"""Settings of small runs of other architectures."""

from iterhead.settings import RunConfig, parse_config


def architecture_run(
    architecture: str = "llama",
    heads: int = 2,
    kv_heads: int | None = None,
    *,
    seed: int = 3,
    dropout: float = 0.1,
    **training: object,
) -> RunConfig:
    """Lengths 1 .. 5 at three of each a batch, so that the middle length has a filler."""
    model = {"architecture": architecture, "width": 32, "heads": heads, "kv_heads": kv_heads}
    return parse_config(
        {
            "task": "polynomial:p=5",
            "seed": seed,
            "data": {"max_length": 5, "train_per_length": 45, "test_per_length": 20},
            "model": {**model, "vocabulary": 13, "mlp_width": 29, "dropout": dropout},
            "training": {"batch_size": 15, "epochs": 3, "short_epochs": 1, "early_stop": False, **training},
        }
    )
