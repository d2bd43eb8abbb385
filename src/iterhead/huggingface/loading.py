"""Loading a model and its tokenizer from a folder or a hub, with one clear line for what goes wrong."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from iterhead.errors import UserError, nearest, shortened
from iterhead.huggingface import register_architecture
from iterhead.machine import find_device

DTYPES = {"auto": "auto", "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""The dtypes that a model can be loaded in; auto: the one that its weights were saved in."""


def load_pretrained(
    name: str,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase | None]:
    """Return a causal language model, and its tokenizer if it has one.

    Args:
        name: a folder, or a name on the Hugging Face hub.
        device: cpu, cuda, mps or auto.
        dtype: auto, float32, bfloat16 or float16.
        trust_remote_code: run the Python files that come with the model.
        allow_pickle: load pickled weights, which can run any code.

    Raises:
        UserError: there is no such model, it is no causal language model, its weights are missing or pickled, or it
            needs code that was not allowed.
    """
    if dtype not in DTYPES:
        raise UserError(f"dtype={dtype}: expected one of {', '.join(DTYPES)}{nearest(dtype, DTYPES)}")
    device = find_device(device)
    _check_folder(name, allow_pickle=allow_pickle)
    register_architecture()
    with quiet():
        config = _load(AutoConfig, name, trust_remote_code=trust_remote_code)
        config._attn_implementation = None  # a config may name a compiled kernel on the hub, to be fetched and run
        hf, report = _load(
            AutoModelForCausalLM,
            name,
            config=config,
            dtype=DTYPES[dtype],
            trust_remote_code=trust_remote_code,
            use_safetensors=None if allow_pickle else True,
            ignore_mismatched_sizes=True,  # reported below, in one line
            output_loading_info=True,
        )
        # transformers would draw such weights at random, with no more than a warning.
        for problem in ("missing_keys", "mismatched_keys"):
            for weight in sorted(key if isinstance(key, str) else key[0] for key in report[problem]):
                raise UserError(f"{name}: the weight {weight} is missing, or has another shape than config.json says")
        tokenizer = _tokenizer(name, trust_remote_code=trust_remote_code)
    return hf.to(device), tokenizer


def _check_folder(name: str, *, allow_pickle: bool) -> None:
    """Check what a local folder holds, where transformers would look on the hub or raise a long message."""
    folder = Path(name)
    if not _is_there(folder):
        if name.startswith((".", "/", "~")) or name.count("/") > 1:
            raise UserError(f"{name}: no such folder; expected a folder with config.json, or a name on the hub")
        try:
            is_cached = try_to_load_from_cache(name, "config.json") is not None
        except HFValidationError:
            expected = "a folder with config.json, or a name on the hub"
            raise UserError(
                f"{shortened(name)}: no such folder, and no name that the hub allows: expected {expected}"
            ) from None
        if not is_cached and not _hub_is_known():
            raise UserError(f"{name}: no such folder, and the hub cannot be reached")
        return
    if not (folder / "config.json").is_file():
        raise UserError(f"{name}: no config.json here: expected the folder of a Hugging Face model")
    if allow_pickle or any(folder.glob("*.safetensors")):
        return
    pickled = sorted(path.name for suffix in ("bin", "pt", "pth") for path in folder.glob(f"*.{suffix}"))
    if pickled:
        raise UserError(
            f"{name}: its weights are pickled ({pickled[0]}), and loading them can run any code: expected safetensors; "
            "if you trust their source, allow it with --allow-pickle"
        )
    raise UserError(f"{name}: no weights here: expected model.safetensors")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for a file
        return False


def _hub_is_known() -> bool:
    """Return whether the hub's address can be found; without a network, the hub's own retries take half a minute."""
    if constants.HF_HUB_OFFLINE:
        return False
    if getproxies():
        return True
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True


def _load(factory: Any, name: str, **options: Any) -> Any:
    try:
        return factory.from_pretrained(name, **options)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:  # of many types: transformers checks little of what is in config.json
        raise UserError(f"{name}: {_explain(error, name)}") from None


def _explain(error: BaseException, name: str) -> str:
    """Return in one line why a model cannot be loaded; transformers' messages have many."""
    text = " ".join(str(error).split())
    if isinstance(error, SafetensorError):
        return f"its weights cannot be read: {text}"
    if "trust_remote_code" in text:
        return "it needs code that comes with it: if you trust its source, allow it with --trust-remote-code"
    if "Unrecognized configuration class" in text:
        return "not a causal language model: expected one that AutoModelForCausalLM can load"
    if "safetensors" in text and "does not appear to have" in text:
        return "it has no weights in safetensors; if you trust its source, allow pickled ones with --allow-pickle"
    if "does not recognize this architecture" in text:
        return text[: text.index("does not recognize this architecture")] + "does not know it: a newer version may"
    if isinstance(error, OSError) and not _is_there(Path(name)):
        return "no such folder, and no such model on the hub"
    text = text if isinstance(error, OSError | ValueError) else f"it cannot be loaded: {type(error).__name__}: {text}"
    return text if len(text) <= 200 else text[:200] + "..."


def _tokenizer(name: str, *, trust_remote_code: bool) -> PreTrainedTokenizerBase | None:
    """Return the tokenizer, or None if there is none: for some models transformers then makes one without words."""
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        if any(Path(name).glob("tokenizer*")):
            raise UserError(f"{name}: its tokenizer cannot be read: {_explain(error, name)}") from None
        return None
    has_words = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
    return tokenizer if has_words else None


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' messages and progress bars within the block."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
