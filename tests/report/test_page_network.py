"""The network in the page against the Python one, both with weights in 16 bits: 200 sequences of each kind."""

import json

import numpy as np
import pytest
import torch

from helpers.stored_runs import untrained
from iterhead.intervene.activations import compose
from iterhead.report.interventions import INTERVENTIONS
from iterhead.report.run_page import MOST_WEIGHT_BYTES, page_weights, rounded
from iterhead.tasks import SequenceLayout

SEQUENCES = 200
LENGTH = 5
VOCABULARY = 19

KINDS = {
    "published": {"width": 24, "dropout": 0.1},
    "pre-norm, two heads, three layers": {"width": 12, "residual": "pre-norm", "heads": 2, "layers": 3},
    "rotary in part, rms": {"width": 24, "positions": "rotary", "position_width": 12, "heads": 3, "norm": "rms"},
    "rotary, no norm": {"width": 8, "positions": "rotary", "norm": "none", "residual": "pre-norm"},
    "sinusoidal, narrow MLP": {"width": 10, "positions": "sinusoidal", "position_width": 7, "mlp_width": 9},
    "frozen, one layer": {"width": 14, "positions": "frozen", "layers": 1, "heads": 7},
    "no positions": {"width": 6, "positions": "none", "heads": 2, "residual": "pre-norm", "norm": "rms"},
}

MAPS = ["blocks.*.attn.hook_pattern"]

# Texts are passed, since Playwright takes seconds over arrays.
TRACE = """
  const look = (network, edit) => (tokens) => {
    network.begin();
    const steps = tokens.map((token) => network.step(token, edit));
    const rows = steps.map(({ rows }) => rows.map((heads) => heads.map((row) => Array.from(row))));
    return { predicted: steps.map(({ logits }) => argmax(logits)), rows };
  };
"""
RUN = f"""(text) => {{
  {TRACE}
  const {{ shape, bits, sequences, best, length, choices }} = JSON.parse(text);
  const weights = Object.entries(bits).map(([name, values]) => [name, fromFloat16(values)]);
  const network = new Network(shape, Object.fromEntries(weights));
  const edit = best ? new Intervention(new Layout(length, true), best, choices) : null;
  return JSON.stringify(sequences.map(look(network, edit)));
}}"""
OWN = f"(text) => {{ {TRACE} return JSON.stringify(JSON.parse(text).map(look(report.chain.network, null))); }}"


def some_tokens(model):
    return torch.randint(VOCABULARY, (SEQUENCES, model.context), generator=torch.Generator().manual_seed(3))


def same(still_page, model, tokens, logits, cache, intervention=None):
    """Whether the page, given a network, finds what Python traced: the same argmax, and attention within 1e-3."""
    names = ("width", "layers", "heads", "residual", "norm", "positions", "positions_on", "vocabulary")
    given = {
        "shape": {name: getattr(model.config, name) for name in names} | {"context": model.context},
        "bits": {name: array.view(np.uint16).ravel().tolist() for name, array in page_weights(model).items()},
        "sequences": tokens.tolist(),
    }
    found = json.loads(still_page.evaluate(RUN, json.dumps(given | (intervention or {}))))
    assert [one["predicted"] for one in found] == logits.argmax(-1).tolist()
    assert_maps(found, cache, model)


def assert_maps(found, cache, model):
    for layer in range(model.config.layers):
        expected = cache[f"blocks.{layer}.attn.hook_pattern"].numpy()
        maps = np.zeros_like(expected)
        for sequence, one in enumerate(found):
            for query, heads in enumerate(one["rows"]):
                maps[sequence, :, query, : query + 1] = heads[layer]
        np.testing.assert_allclose(maps, expected, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_computes_what_python_computes(still_page, kind):
    model = untrained(LENGTH, vocabulary=VOCABULARY, **KINDS[kind])
    with torch.no_grad():  # norms that are not 1, so that they count
        for name, weight in model.named_parameters():
            if name.endswith(".w"):
                weight.copy_(torch.linspace(0.5, 1.5, weight.numel()).view_as(weight))
    tokens = some_tokens(model)
    with torch.no_grad():
        logits, cache = rounded(model).run_with_cache(tokens, MAPS)
    same(still_page, model, tokens, logits, cache)


@pytest.mark.parametrize("names", [("ideal", "shifted"), ("shifted", "ideal"), ("off", "own"), ("own", "off")])
def test_the_page_intervenes_as_python_does(still_page, names):
    model = untrained(LENGTH, vocabulary=VOCABULARY, width=24, heads=2)
    layout, first, second = SequenceLayout(LENGTH), (0, 1), (1, 0)
    hooks = compose(INTERVENTIONS[names[0]](layout, "first", first), INTERVENTIONS[names[1]](layout, "second", second))
    tokens = some_tokens(model)[:40]
    with torch.no_grad():
        logits, cache = rounded(model).run_with_cache(tokens, MAPS, hooks=hooks)
    given = {"best": [first, second], "length": LENGTH, "choices": dict(zip(("first", "second"), names, strict=True))}
    same(still_page, model, tokens, logits, cache, given)


def test_a_runs_own_network(still_page, run):
    layout = SequenceLayout(LENGTH + 1)
    tokens = torch.from_numpy(run.dataset.test[layout.length][:, :-1]).repeat(8, 1)[:SEQUENCES]
    with torch.no_grad():
        logits, cache = rounded(run.model).run_with_cache(tokens, MAPS)
    found = json.loads(still_page.evaluate(OWN, json.dumps(tokens.tolist())))
    # Before EoI nothing is to be predicted, and the network set by hand has ties there.
    written = logits[:, layout.output_positions].argmax(-1)
    assert [one["predicted"][layout.output_positions] for one in found] == written.tolist()
    assert_maps(found, cache, run.model)


def test_exact_gelu(still_page):
    points = torch.linspace(-9, 9, 361, dtype=torch.float64)
    found = still_page.evaluate("(points) => points.map(gelu)", points.tolist())
    np.testing.assert_allclose(found, torch.nn.functional.gelu(points), atol=1e-14)


def test_every_16_bit_float(still_page):
    bits = np.arange(2**16, dtype=np.uint16)
    text = still_page.evaluate("() => fromFloat16(Uint16Array.from({length: 65536}, (_, i) => i)).join(' ')")
    found = np.array(text.replace("Infinity", "inf").split(), dtype=float)
    finite = np.isfinite(bits.view(np.float16))
    np.testing.assert_array_equal(found[finite], bits.view(np.float16)[finite].astype(float))


def test_weights_that_do_not_fit_are_left_out():
    message = page_weights(untrained(16, width=128))
    assert message.startswith("The network's weights take 0.8 MB even in 16 bits, more than the 0.48 MB")
    model = untrained(4, width=8)
    with torch.no_grad():
        model.embed.W_E[0, 0, 0] = 70_000.0
    assert "too large for 16 bits" in page_weights(model)
    assert sum(array.nbytes for array in page_weights(untrained(16, width=64)).values()) < MOST_WEIGHT_BYTES
