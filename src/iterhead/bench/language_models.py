"""Benchmarks of `LanguageModel`: what writing out attention maps costs, in time and in memory.

Time is measured in one process, where the ways of computing take turns; memory in one process for each way.
"""

import json
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from iterhead.bench.timing import Measurement, Turn, in_turns, peak_memory, printed_number, ratio
from iterhead.huggingface import require_transformers

LAYERS, HEADS, WIDTH, VOCABULARY = 12, 12, 768, 50257
"""GPT-2's (the small one)."""

PROMPTS, TOKENS, AT_ONCE, STEPS = 64, 512, 8, 16
"""Prompts and tokens of each, how many prompts a forward pass takes, and the steps of each: queries and logits."""

LONG = 8192
"""Tokens of the one long prompt."""

WAYS = {
    "sdpa": "transformers with sdpa, no maps",
    "iterhead": "iterhead, maps of the queries that write a state",
    "eager": "transformers with output_attentions=True",
    "transformer-lens": "TransformerLens with a cache of the maps",
}


def measure_scan(device: str) -> Iterator[Measurement]:
    """Time and memory of forward passes over 64 prompts of 512 tokens, and memory of one of 8,192 tokens."""
    require_transformers()
    ways = [way for way in WAYS if way != "transformer-lens" or find_spec("transformer_lens")]
    with torch.no_grad():
        seconds = in_turns({way: _turn(way, TOKENS, AT_ONCE, device) for way in ways}, rounds=5, turns=1)
    passes = PROMPTS // AT_ONCE
    for way in WAYS:
        taken = passes * median(seconds[way]) if way in seconds else None
        yield Measurement(f"{WAYS[way]}: {PROMPTS} prompts of {TOKENS} tokens", taken, "s")
    for way in ways[1:]:
        goal = "<= 1.3" if way == "iterhead" else ""
        yield Measurement(f"{WAYS[way]}: time against sdpa", ratio(seconds[way], seconds["sdpa"]), "x", goal)
    peaks = {way: _peak_memory(way, TOKENS, AT_ONCE) if device == "cpu" else None for way in ways}
    for way, peak in peaks.items():
        yield Measurement(f"{WAYS[way]}: peak memory", peak, "GB")
    plain, ours = peaks["sdpa"], peaks["iterhead"]
    yield Measurement("iterhead: memory against sdpa", ours / plain if ours and plain else None, "x", "<= 1.2")
    peak = _peak_memory("iterhead", LONG, 1) if device == "cpu" else None
    yield Measurement(f"iterhead: peak memory with a prompt of {LONG:,} tokens", peak, "GB", "<= 6")


def _turn(way: str, tokens: int, prompts: int, device: str) -> Turn:
    """Return one forward pass over `prompts` prompts."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(VOCABULARY, (prompts, tokens), generator=generator).to(device)
    queries = torch.arange(tokens - STEPS, tokens, device=device)
    return _MAKERS[way](_random_gpt2(max(tokens, TOKENS)).to(device), ids, queries)


def _random_gpt2(context: int) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(n_layer=LAYERS, n_head=HEADS, n_embd=WIDTH, n_positions=context, vocab_size=VOCABULARY)
    return GPT2LMHeadModel(config).eval()


def _sdpa(hf: Any, ids: Tensor, queries: Tensor) -> Turn:
    hf.set_attn_implementation("sdpa")
    return lambda: hf(ids, use_cache=False, logits_to_keep=queries)


def _iterhead(hf: Any, ids: Tensor, queries: Tensor) -> Turn:
    from iterhead.huggingface.language_model import LanguageModel
    from iterhead.model.hooks import PATTERN_HOOKS

    model = LanguageModel(hf)
    return lambda: model.run_with_cache(ids, PATTERN_HOOKS, output_positions=queries, query_positions=queries)


def _eager(hf: Any, ids: Tensor, queries: Tensor) -> Turn:
    hf.set_attn_implementation("eager")
    return lambda: hf(ids, use_cache=False, logits_to_keep=queries, output_attentions=True)


def _transformer_lens(hf: Any, ids: Tensor, _: Tensor) -> Turn:
    from transformer_lens.model_bridge import TransformerBridge  # type: ignore[import-not-found]

    from iterhead.huggingface.export import make_tokenizer
    from iterhead.tasks import Vocabulary, task

    with TemporaryDirectory() as folder:  # it opens folders only, with a tokenizer in them
        hf.save_pretrained(folder)
        make_tokenizer(task("parity"), Vocabulary(64)).save_pretrained(folder)
        bridge = TransformerBridge.boot_transformers(folder)
    return lambda: bridge.run_with_cache(ids, names_filter=lambda name: name.endswith("hook_pattern"))


_MAKERS: dict[str, Callable[[Any, Tensor, Tensor], Turn]] = {
    "sdpa": _sdpa,
    "iterhead": _iterhead,
    "eager": _eager,
    "transformer-lens": _transformer_lens,
}


def _peak_memory(way: str, tokens: int, prompts: int) -> float:
    """Return the peak memory in GB of a process that runs two forward passes."""
    arguments = json.dumps([way, tokens, prompts, "cpu"])
    return printed_number([sys.executable, str(Path(__file__).resolve()), arguments])


if __name__ == "__main__":  # the process of `_peak_memory`
    with torch.no_grad():
        turn = _turn(*json.loads(sys.argv[1]))
        turn()
        turn()
    print(peak_memory())
