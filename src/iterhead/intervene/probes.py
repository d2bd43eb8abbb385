"""Linear probes: can t, L, x_t, s_{t-1} or s_t be read from an activation by a linear map?

Probes are fitted on training sequences, at the positions from which the states are written (queries EoI, s_1 ..
s_{L-1}; t = 1 .. L), and scored on held-out sequences. There are two controls: labels shuffled in training, and the
same table for an untrained network, passed as another model.

What a probe of t can show. Before the first MLP the stream holds the query's position q and EoI's position e as two
one-hot vectors, and t = q - e + 1. Multinomial logistic regression reads t there without error, as its logits
-(t' - t)^2 are linear in q and e up to a term that all classes share, so it gives MLP 1 no credit. Ridge regression on
the one-hot label needs a direction for each t that is large for that t alone, and sums f(q) + g(e) give none: (q, e)
and (q', e') with equal t have the same sum as (q, e') and (q', e), whose t differ. So ridge, the default, reads t only
after something has subtracted. It is solved in closed form, as good elsewhere in a tenth of the time (0.01 s against
0.03-0.3 s for 4,000 tokens at width 64). On networks that had learned the polynomial (p 5 and 11, L <= 8) ridge gave
0.91 and 0.89 for t before MLP 1 and 1.00 after it, logistic regression 1.00 at both.

Letters: `B` sequences, `T` tokens, `L` inputs, `N` tokens probed, `D` width of an activation.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from iterhead.errors import UserError, nearest
from iterhead.intervene.activations import is_map
from iterhead.intervene.effects import Sequences
from iterhead.model.hooks import HookedModel
from iterhead.seeds import IntegerStream
from iterhead.tasks import SequenceLayout

LABELS = ("t", "L", "x_t", "s_{t-1}", "s_t")
"""What probes read; EoI stands for s_0."""

PENALTY = 1.0
"""Ridge penalty, on standardized features; for logistic regression it is 1 / C."""

MOST_STEPS = 10_000
"""Limit of logistic regression's solver; it took 20 to 350 here."""

Method = Literal["ridge", "logistic"]


@dataclass(frozen=True)
class ProbeScore:
    """How well one label is read from one activation.

    Attributes:
        name: the activation's hook name.
        label: one of `LABELS`.
        accuracy: share of held-out tokens whose label is predicted right, 0 .. 1.
        control_shuffled: the same after fitting to shuffled labels.
        chance: share of held-out tokens with the label that is most common in training.
        n: held-out tokens.
    """

    name: str
    label: str
    accuracy: float
    control_shuffled: float
    chance: float
    n: int

    def __repr__(self) -> str:
        controls = f"shuffled {self.control_shuffled:.3f}, chance {self.chance:.3f}"
        return f"ProbeScore({self.label} at {self.name}: {self.accuracy:.3f}; {controls}; {self.n} tokens)"


class ProbeData(NamedTuple):
    """Activations [N, D] by hook name and labels [N] of the tokens probed."""

    features: Mapping[str, NDArray[np.float64]]
    labels: Mapping[str, NDArray[np.int64]]


def probe_labels(layout: SequenceLayout, tokens: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Return each label of whole sequences [B, size] at the probed positions EoI, s_1 .. s_{L-1}: [B, L].

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
    model: HookedModel,
    train: Sequences,
    test: Sequences,
    name: str,
    label: str,
    *,
    seed: int = 0,
    tokens: int = 4000,
    method: Method = "ridge",
) -> ProbeScore:
    """Return how well one label is read from one activation. Arguments and errors as for `probe_table`."""
    table = probe_table(model, train, test, [name], [label], seed=seed, tokens=tokens, method=method)
    return ProbeScore(**table.row(0, named=True))


def probe_table(
    model: HookedModel,
    train: Sequences,
    test: Sequences,
    names: Sequence[str],
    labels: Sequence[str] = LABELS,
    *,
    seed: int = 0,
    tokens: int = 4000,
    method: Method = "ridge",
) -> pl.DataFrame:
    """Return a table with the columns of `ProbeScore` and a row for each hook name and label.

    Args:
        model: one network, trained or (as a control) not.
        train: whole sequences by length to fit on, which the network was trained on.
        test: held-out sequences by length to score on.
        names: hook names, where `*` stands for any text; no attention maps. Heads are probed together.
        labels: some of `LABELS`.
        seed: of the shuffled control.
        tokens: most tokens to fit on, and to score on: all L steps of equally many sequences of each length.
        method: "ridge", or "logistic" for multinomial logistic regression; see above for how they differ.

    Raises:
        UserError: for an unknown label, method or hook name, attention maps, or too few tokens for the lengths.
    """
    for label in labels:
        if label not in LABELS:
            raise UserError(f"label {label!r}: expected one of {', '.join(LABELS)}{nearest(label, LABELS)}")
    if method not in ("ridge", "logistic"):
        raise UserError(f"method={method!r}: expected ridge or logistic")
    fitted, held_out = (probe_data(model, sequences, names, tokens) for sequences in (train, test))
    scores = [
        _score(name, label, fitted, held_out, IntegerStream(seed, "probe", name, label), method)
        for name in fitted.features
        for label in labels
    ]
    return pl.DataFrame([asdict(score) for score in scores])


def probe_checkpoints(
    models: Iterable[tuple[int, HookedModel]], train: Sequences, test: Sequences, names: Sequence[str], **options: Any
) -> pl.DataFrame:
    """Return `probe_table` for each (epoch, network) with a first column `epoch`: *when* a label becomes readable.

    Networks are used one at a time, so a generator that loads them keeps one in memory. `options` are those of
    `probe_table`.
    """
    tables = [
        probe_table(model, train, test, names, **options).select(pl.lit(epoch, pl.Int32).alias("epoch"), pl.all())
        for epoch, model in models
    ]
    return pl.concat(tables)


@torch.no_grad()
def probe_data(model: HookedModel, sequences: Sequences, names: Sequence[str], tokens: int) -> ProbeData:
    """Return activations and labels at every step of equally many sequences of each length."""
    each = tokens // sum(sequences)
    if not each:
        raise UserError(f"tokens={tokens}: expected at least {sum(sequences)}, one sequence of each length")
    features: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)
    labels: defaultdict[str, list[NDArray[np.int64]]] = defaultdict(list)
    for length, rows in sequences.items():
        layout, rows = SequenceLayout(length), rows[:each]
        _, cache = model.run_with_cache(torch.from_numpy(rows[:, :-1]).to(model.device), names)
        for name, x in cache.items():
            if is_map(name):
                raise UserError(f"{name} holds attention maps: a probe needs a vector at each position")
            vectors = x[:, layout.second_pairs[0]].flatten(2).flatten(0, 1)
            features[name].append(vectors.double().cpu().numpy())
        for label, values in probe_labels(layout, rows).items():
            labels[label].append(values.ravel())
    return ProbeData(
        {name: np.concatenate(parts) for name, parts in features.items()},
        {label: np.concatenate(parts) for label, parts in labels.items()},
    )


def _score(
    name: str, label: str, train: ProbeData, test: ProbeData, stream: IntegerStream, method: Method
) -> ProbeScore:
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]  # takes a second to import

    scaler = StandardScaler().fit(train.features[name])
    x_train, x_test = (scaler.transform(part.features[name]) for part in (train, test))
    y_train, y_test = train.labels[label], test.labels[label]
    values, counts = np.unique(y_train, return_counts=True)
    shuffled = y_train[stream.permutation(len(y_train))]
    accuracy, control = (float((_predict(x_train, y, x_test, method) == y_test).mean()) for y in (y_train, shuffled))
    return ProbeScore(name, label, accuracy, control, float((y_test == values[counts.argmax()]).mean()), len(y_test))


def _predict(
    x_train: NDArray[np.float64], y: NDArray[np.int64], x_test: NDArray[np.float64], method: Method
) -> NDArray[np.int64]:
    """Return the labels that a probe fitted to (x_train, y) predicts for x_test; if all labels are equal, that one."""
    from sklearn.linear_model import LogisticRegression, RidgeClassifier  # type: ignore[import-untyped]

    if (y == y[0]).all():
        return np.full(len(x_test), y[0])
    ridge = method == "ridge"
    classifier = RidgeClassifier(alpha=PENALTY) if ridge else LogisticRegression(C=1 / PENALTY, max_iter=MOST_STEPS)
    return np.asarray(classifier.fit(x_train, y).predict(x_test))
