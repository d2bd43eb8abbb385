"""Linear probes: can t, L, x_t, s_{t-1} or s_t be read off an activation by a linear map?

Probes are fitted at the positions from which the states are written (queries EoI, s_1 .. s_{L-1}; t = 1 .. L) of
training sequences and scored on held-out ones. Two controls: labels shuffled in training (what a probe of this size
gets by chance), and the same table for an untrained network, passed as another model.

What a probe of t can and cannot show. Before the first MLP the circuit's stream holds its own position q and EoI's
position e as two one-hot vectors, and t = q - e + 1. That is already linear in them as a *number*, so a multinomial
logistic regression, whose logits -(t' - t)^2 are linear but for a term that all classes share, names t without error
there, and gives MLP 1 no credit. Ridge regression on the one-hot label wants a direction for each t, large for that t
alone. Sums f(q) + g(e) can't be that: two cells with one t, (q, e) and (q', e'), have together the same sum as (q, e')
and (q', e), which have others. So it reads t only from where something has subtracted. Ridge is the default for that
reason, is solved in closed form, and was as good elsewhere at a tenth of the time (0.01 s against 0.03-0.3 s for 4,000
tokens at width 64). On networks that had learned the polynomial (p 5 and 11, L <= 8) ridge gave 0.91 and 0.89 for t
before MLP 1 and 1.00 behind it, logistic regression 1.00 at both.

Letters: `B` sequences, `T` tokens, `L` inputs, `N` tokens probed, `D` width of a site.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from iterhead.errors import UserError, nearest
from iterhead.intervene.activations import is_map
from iterhead.intervene.effects import Sequences
from iterhead.model import Transformer
from iterhead.seeds import IntegerStream
from iterhead.tasks import SequenceLayout

LABELS = ("t", "L", "x_t", "s_{t-1}", "s_t")
"""What probes read; s_0 is EoI, which plays its part."""

PENALTY = 1.0
"""Ridge's, on standardised features; logistic regression's is the same, 1 / C."""

MOST_STEPS = 10_000
"""Of logistic regression's solver; it took 20 to 350 here."""

Labels = Mapping[str, NDArray[np.int64]]
Method = Literal["ridge", "logistic"]


@dataclass(frozen=True)
class ProbeScore:
    """How well one label is read at one site.

    Attributes:
        site: where.
        label: one of `LABELS`.
        accuracy: share of held-out tokens whose label is named right, 0 .. 1.
        control_shuffled: the same after fitting to shuffled labels.
        chance: share of held-out tokens with the label that is commonest in training.
        n: held-out tokens.
    """

    site: str
    label: str
    accuracy: float
    control_shuffled: float
    chance: float
    n: int


@dataclass(frozen=True)
class _Tokens:
    """Activations [N, D] at each site and labels [N] of the tokens probed."""

    features: Mapping[str, NDArray[np.float64]]
    labels: Labels


def probe_labels(layout: SequenceLayout, tokens: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Return each label of whole sequences [B, size] at the positions probed, [B, L]: EoI, s_1 .. s_{L-1}.

    Raises:
        UserError: for a layout without chain of thought.
    """
    queries, keys = layout.second_pairs
    shape = (len(tokens), layout.length)
    return {
        "t": np.broadcast_to(np.arange(1, layout.length + 1), shape),
        "L": np.full(shape, layout.length),
        "x_t": tokens[:, keys],
        "s_{t-1}": tokens[:, queries],
        "s_t": tokens[:, queries + 1],
    }


def probe(
    model: Transformer,
    train: Sequences,
    test: Sequences,
    site: str,
    label: str,
    *,
    seed: int = 0,
    tokens: int = 4000,
    method: Method = "ridge",
) -> ProbeScore:
    """Return how well one label is read at one site; see `probe_table` for the arguments."""
    return _scores(model, train, test, [site], [label], seed, tokens, method)[0]


def probe_table(
    model: Transformer,
    train: Sequences,
    test: Sequences,
    sites: Sequence[str],
    labels: Sequence[str] = LABELS,
    *,
    seed: int = 0,
    tokens: int = 4000,
    method: Method = "ridge",
) -> pl.DataFrame:
    """Return a tidy table with the columns of `ProbeScore`, a row for each site and label.

    Args:
        model: one network, trained or (as a control) not.
        train: whole sequences by length to fit on, those that the network was trained on.
        test: held-out ones to score on.
        sites: names, where `*` stands for any text; no attention maps. Heads are probed together.
        labels: some of `LABELS`.
        seed: of the shuffled control.
        tokens: how many to fit on, and to score on, at most: all L steps of equally many sequences of each length.
        method: "ridge", or "logistic" for multinomial logistic regression (see above for what tells them apart).

    Raises:
        UserError: for an unknown label or method, a site without positions, or too few tokens for the lengths.
    """
    return pl.DataFrame([asdict(score) for score in _scores(model, train, test, sites, labels, seed, tokens, method)])


def probe_checkpoints(
    models: Iterable[tuple[int, Transformer]], train: Sequences, test: Sequences, sites: Sequence[str], **options: Any
) -> pl.DataFrame:
    """Return `probe_table` of each (epoch, network) with a first column `epoch`: *when* a label becomes readable.

    Networks are taken one at a time, so a generator that loads them keeps one in memory. `options` are `probe_table`'s.
    """
    tables = [
        probe_table(model, train, test, sites, **options).select(pl.lit(epoch, pl.Int32).alias("epoch"), pl.all())
        for epoch, model in models
    ]
    return pl.concat(tables)


def _scores(
    model: Transformer,
    train: Sequences,
    test: Sequences,
    sites: Sequence[str],
    labels: Sequence[str],
    seed: int,
    tokens: int,
    method: Method,
) -> list[ProbeScore]:
    for label in labels:
        if label not in LABELS:
            raise UserError(f"label {label!r}: expected one of {', '.join(LABELS)}{nearest(label, LABELS)}")
    if method not in ("ridge", "logistic"):
        raise UserError(f"method={method!r}: expected ridge or logistic")
    fitted, held_out = (_collect(model, sequences, sites, tokens) for sequences in (train, test))
    return [
        _score(site, label, fitted, held_out, IntegerStream(seed, "probe", site, label), method)
        for site in fitted.features
        for label in labels
    ]


@torch.no_grad()
def _collect(model: Transformer, sequences: Sequences, sites: Sequence[str], tokens: int) -> _Tokens:
    """Return activations and labels at every step of equally many sequences of each length."""
    each = tokens // sum(sequences)
    if not each:
        raise UserError(f"tokens={tokens}: expected at least {sum(sequences)}, one sequence of each length")
    features: dict[str, list[NDArray[np.float64]]] = {}
    labels: dict[str, list[NDArray[np.int64]]] = {label: [] for label in LABELS}
    for length, rows in sequences.items():
        layout, rows = SequenceLayout(length), rows[:each]
        _, cache = model.run_with_cache(torch.from_numpy(rows[:, :-1]).to(model.embed.W_E.device), sites)
        for site, x in cache.items():
            if is_map(site):
                raise UserError(f"{site} holds attention maps: a probe needs a vector at each position")
            read = x[:, layout.second_pairs[0]].flatten(2).flatten(0, 1)
            features.setdefault(site, []).append(read.double().cpu().numpy())
        for label, values in probe_labels(layout, rows).items():
            labels[label].append(values.ravel())
    return _Tokens(
        {site: np.concatenate(parts) for site, parts in features.items()},
        {label: np.concatenate(parts) for label, parts in labels.items()},
    )


def _score(site: str, label: str, train: _Tokens, test: _Tokens, stream: IntegerStream, method: Method) -> ProbeScore:
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]  # a second that hooks do not need

    scaler = StandardScaler().fit(train.features[site])
    x_train, x_test = (scaler.transform(part.features[site]) for part in (train, test))
    known, truth = train.labels[label], test.labels[label]
    values, counts = np.unique(known, return_counts=True)
    shuffled = known[stream.permutation(len(known))]
    right, by_chance = (float((_read(x_train, y, x_test, method) == truth).mean()) for y in (known, shuffled))
    return ProbeScore(site, label, right, by_chance, float((truth == values[counts.argmax()]).mean()), len(truth))


def _read(
    x_train: NDArray[np.float64], y: NDArray[np.int64], x_test: NDArray[np.float64], method: Method
) -> NDArray[np.int64]:
    """Return the labels that a probe fitted to (x_train, y) names for x_test; with one class, that class."""
    from sklearn.linear_model import LogisticRegression, RidgeClassifier  # type: ignore[import-untyped]

    if (y == y[0]).all():
        return np.full(len(x_test), y[0])
    ridge = method == "ridge"
    classifier = RidgeClassifier(alpha=PENALTY) if ridge else LogisticRegression(C=1 / PENALTY, max_iter=MOST_STEPS)
    return np.asarray(classifier.fit(x_train, y).predict(x_test))
