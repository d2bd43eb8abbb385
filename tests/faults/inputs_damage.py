"""Damage to the files of a folder: bytes, JSON values, tables and tensors. The checksums are right afterwards.

A `Damage` is drawn without looking at the files: indices are taken modulo what there is.
"""

import hashlib
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from hypothesis import strategies as st
from safetensors.torch import load, save

from faults.inputs_oracle import STRANGER

RAW = {
    "@nan": "NaN",
    "@infinity": "-Infinity",
    "@huge": "9" * 5000,
    "@exponent": "1e999",
    "@nested": "[" * 900 + "]" * 900,
    "@deeper": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "@twice": '{"a": 1, "a": 2}',
    "@surrogate": '"\\ud800"',
    "@broken": "}",
    "@bytes": '"\x00\x1b"',
}
"""JSON texts that Python's writer does not write."""

VALUES = (
    *RAW,
    *(
        None,
        True,
        False,
        0,
        1,
        2,
        3,
        -1,
        7,
        0.5,
        -0.0,
        1e308,
        10**9,
        2**31,
        2**63,
        10**30,
        "",
        "x",
        "x" * 5000,
        "a\nb",
        "é",
        "../x",
    ),
    *(
        "/etc/passwd",
        f"{STRANGER}:t",
        "<script>",
        "running",
        "finished",
        "diverged",
        "copy",
        "polynomial:p=1021",
        "parity:x",
        [],
        {},
        [1],
        {"a": 1},
    ),
    *([[0, 0], [0, 0]], [-1, 99], [[]], "cuda", "float64", "bfloat16", "none", "nan", "0" * 64, "bbbb", "1e400"),
)


@dataclass(frozen=True)
class Damage:
    """One change: of which file, where in it, and what is put there."""

    file: int
    how: str
    place: int
    value: Any = None

    def applied(self, name: str, data: bytes) -> bytes:
        """Return the damaged content."""
        kind = {".json": _json, ".parquet": _table, ".safetensors": _tensors}.get(Path(name).suffix)
        if self.how in _BYTES or kind is None:
            return _BYTES.get(self.how, _flipped)(data, self.place)
        try:
            return kind(data, self)
        except Exception:  # no such change of this file, or it is damaged already
            return data


def damages(hows: tuple[str, ...] = ()) -> st.SearchStrategy[Damage]:
    """A change of any kind."""
    shapes = hows or ("value", "value", "value", "value", "key", "drop", "add", "wrap", *_BYTES)
    values = st.sampled_from(VALUES) | st.integers(-3, 40) | st.text(max_size=5) | st.floats()
    return st.builds(Damage, st.integers(0, 99), st.sampled_from(shapes), st.integers(0, 10**6), values)


def _flipped(data: bytes, place: int) -> bytes:
    index = place % max(1, len(data))
    return data[:index] + bytes([data[index] ^ (1 << place % 8)]) + data[index + 1 :] if data else b"x"


_BYTES = {
    "flip": _flipped,
    "cut": lambda data, place: data[: place % max(1, len(data))],
    "empty": lambda data, place: b"",
    "insert": lambda data, place: data[: place % (len(data) + 1)] + b"\x00\xff\n" + data[place % (len(data) + 1) :],
    "zeros": lambda data, place: bytes(len(data)),
    "append": lambda data, place: data + b"}\n" * (1 + place % 3),
    "start": lambda data, place: data[:8] if place % 2 else b"\xff" * 8 + data[8:],
    "bom": lambda data, place: b"\xef\xbb\xbf" + data,
    "utf-16": lambda data, place: data.decode("latin-1").encode("utf-16"),
}


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside a JSON value, and its own."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in _places(item, (*path, key)))]


def _json(data: bytes, damage: Damage) -> bytes:
    value = json.loads(data)
    places = _places(value)
    *parents, last = places[damage.place % len(places)] or (None,)
    new: Any = damage.value
    if last is None:
        return _text(new if damage.how != "wrap" else [value])
    container = value
    for key in parents:
        container = container[key]
    if damage.how == "value":
        container[last] = new
    elif damage.how == "wrap":
        container[last] = [container[last]]
    elif damage.how == "drop":
        del container[last]
    elif damage.how == "add" and isinstance(container, dict):
        container[f"{last}2" if damage.place % 2 else str(new)[:40]] = new
    elif damage.how == "key" and isinstance(container, dict):
        container[str(new)[:40]] = container.pop(last)
    else:
        container.append(new)
    return _text(value)


def _text(value: Any) -> bytes:
    text = json.dumps(value)
    for name, raw in RAW.items():
        text = text.replace(f'"{name}"', raw)
    return text.encode("utf-8", "surrogatepass")


def _table(data: bytes, damage: Damage) -> bytes:
    table = pl.read_parquet(io.BytesIO(data))
    column = table.columns[damage.place % len(table.columns)]
    row = damage.place // 7 % max(1, len(table))
    if damage.how == "drop":
        table = (table.drop(column), table.head(row), table.filter(pl.int_range(pl.len()) != row), table.clear())[
            damage.place % 4
        ]
    elif damage.how == "add":
        table = (
            pl.concat([table, table[row : row + 1]])
            if damage.place % 2
            else table.with_columns(pl.lit(1).alias("more"))
        )
    elif damage.how == "key":
        table = table.rename({column: str(damage.value)[:40]})
    elif damage.how == "wrap":
        kinds = (pl.String, pl.Float32, pl.List(pl.Int8), pl.Categorical, pl.Boolean, pl.Object, pl.Null, pl.Int8)
        table = table.with_columns(pl.col(column).cast(kinds[damage.place % len(kinds)], strict=False))
    else:
        new = damage.value
        if table.schema[column].is_float():
            new = new if isinstance(new, float) else (math.nan, math.inf, -1.0, 2.0, None, 1e308)[damage.place % 6]
        elif table.schema[column].is_integer():
            new = new if isinstance(new, int) else (None, -1, 0, 7, 10**9, 1024)[damage.place % 6]
        is_row = pl.int_range(pl.len()) == row
        table = table.with_columns(
            pl.when(is_row | (damage.place % 3 == 0))
            .then(pl.lit(new, dtype=table.schema[column]))
            .otherwise(pl.col(column))
            .alias(column)
        )
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def _tensors(data: bytes, damage: Damage) -> bytes:
    size = int.from_bytes(data[:8], "little")
    if damage.place % 2 and damage.how in ("value", "key", "add", "wrap", "drop"):  # the header, which is JSON
        header = _json(data[8 : 8 + size], damage)
        return len(header).to_bytes(8, "little") + header + data[8 + size :]
    metadata = json.loads(data[8 : 8 + size]).get("__metadata__")
    tensors = load(data)
    names = sorted(tensors)
    name = names[damage.place // 2 % len(names)]
    tensor = tensors[name]
    if damage.how == "drop":
        del tensors[name]
    elif damage.how == "add":
        tensors[f"{name}2"] = tensor.clone()
    elif damage.how == "key":
        tensors[str(damage.value)[:40]] = tensors.pop(name)
    elif damage.how == "wrap":
        tensors[name] = (
            tensor[None].clone(),
            tensor.double(),
            tensor.long(),
            tensor.bool(),
            tensor.flatten()[:1].clone(),
            tensor.flatten()[:0].clone(),
            tensor.bfloat16(),
        )[damage.place // 2 % 7]
    else:
        new = (math.nan, math.inf, 0.0, 1e30, -1.0, 1e-30, 255.0)[damage.place // 2 % 7]
        tensors[name] = torch.full_like(
            tensor,
            new if tensor.is_floating_point() else min(int(new), 255) if math.isfinite(new) and abs(new) < 256 else 99,
        )
    return save(tensors, metadata)


def damage(folder: Path, damage: Damage) -> str:
    """Damage a file of a folder, put its digest into the checksums, and return the file's name."""
    names = sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")
    )
    # JSON, tables and tensors more often than pictures and pages, which are not read.
    read = [name for name in names if name.endswith((".json", ".parquet", ".safetensors"))]
    name = (read * 3 + names)[damage.file % len(read * 3 + names)]
    path = folder / name
    data = damage.applied(name, path.read_bytes())
    path.write_bytes(data)
    checksums = next(
        (parent / "checksums.json" for parent in path.parents if (parent / "checksums.json").exists()), None
    )
    if checksums and path != checksums:
        try:
            table = json.loads(checksums.read_bytes())
            table[str(path.relative_to(checksums.parent))] = [hashlib.sha256(data).hexdigest()]
            checksums.write_text(json.dumps(table))
        except (ValueError, TypeError, RecursionError):  # damaged before
            pass
    return name
