"""What files hold, checked: JSON of one shape, tables with known columns, tensors with known shapes.

A checksum shows that a file is as it was written, not that its content is right. Every file that is read back goes
through one of these functions, with a description of what it must hold. They raise ContentError, which says what was
expected; the caller adds the file's name and what to do. torch and polars are imported by the calls that need them.
"""

import io
import math
import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from iterhead.errors import shortened

if TYPE_CHECKING:
    import polars
    import torch

T = TypeVar("T")

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
"""Of everything that is read from JSON: no other keys, no conversion of types, finite numbers only."""

Share = Annotated[float, Field(ge=0, le=1)]

MOST_JSON_BYTES = 2**28
"""Far more than any of our JSON files has."""

MOST_HEADER_BYTES = 2**24
"""Of a safetensors file, far more than ours have: about 100 bytes for each tensor."""

_DTYPES = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "I64": "int64", "U8": "uint8", "BOOL": "bool"}
"""Of safetensors, and of torch."""


class ContentError(ValueError):
    """What a file should hold and does not, in one line."""


class TensorSpec(NamedTuple):
    """What a tensor must be."""

    shape: tuple[int, ...]
    dtype: "torch.dtype"
    finite: bool = True
    least: float = -math.inf  # no value is smaller, and none is nan

    @classmethod
    def of(cls, tensors: "Mapping[str, torch.Tensor]") -> "dict[str, TensorSpec]":
        """Return what these tensors are, by name."""
        return {name: cls(tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}

    @property
    def bytes(self) -> int:
        """Size in a file."""
        return math.prod(self.shape) * self.dtype.itemsize


class Column(NamedTuple):
    """What a column of a table must be."""

    dtype: "polars.DataType | type[polars.DataType]"
    nullable: bool = False
    least: float = -math.inf
    most: float = math.inf
    nan: bool = False
    optional: bool = False  # the table may lack it
    among: tuple[str, ...] = ()  # the only values, if any are given


def parse_json(data: bytes, kind: type[T]) -> T:
    """Return JSON as a `kind`: a pydantic model, a dataclass with STRICT as its `__pydantic_config__`, or a type."""
    try:
        adapter: TypeAdapter[T] = _adapter(kind)  # type: ignore[arg-type]  # types can be hashed
        return adapter.validate_json(data)
    except ValidationError as error:
        raise ContentError(_why(error)) from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _why(error: ValidationError) -> str:
    """Return the first of pydantic's complaints, e.g. `epoch='x': Input should be a valid integer`."""
    first = error.errors(include_url=False)[0]
    place = ".".join(part if _is_plain(part) else shortened(part) for part in map(str, first["loc"]))
    if first["type"] == "json_invalid":
        return f"expected JSON: {first['ctx']['error']}"
    if isinstance(first["input"], str | int | float | None) and first["type"] not in ("missing", "extra_forbidden"):
        place += f"={shortened(first['input'])}"
    return f"{place}: {first['msg']}" if place else first["msg"]


def _is_plain(text: str) -> bool:
    return re.fullmatch(r"[\w.-]{1,60}", text) is not None


def parse_table(data: bytes, columns: Mapping[str, Column], *, most_rows: int = 10**7) -> "polars.DataFrame":
    """Return a Parquet table with these columns, in any order, and perhaps others; each is as its `Column` says."""
    import polars as pl

    try:
        lazy = pl.scan_parquet(io.BytesIO(data))
        schema = lazy.collect_schema()
        columns = {name: column for name, column in columns.items() if name in schema or not column.optional}
        for name, column in columns.items():
            if name not in schema:
                raise ContentError(f"expected a column {name}")
            if schema[name] != column.dtype and not (column.nullable and schema[name] == pl.Null):
                raise ContentError(f"column {name}: expected {column.dtype}, got {schema[name]}")
        table = lazy.head(most_rows + 1).collect()  # a few bytes may stand for any number of rows
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ContentError(f"expected a Parquet table ({str(error).partition(chr(10))[0]})") from None
    if table.height > most_rows:
        raise ContentError(f"expected at most {most_rows:,} rows")
    if not columns:
        return table
    wrong = table.select(*(_wrong_values(name, column) for name, column in columns.items())).row(0, named=True)
    for name, count in wrong.items():
        if count:
            raise ContentError(f"column {name}: {count:,} of {table.height:,} values are missing or out of range")
    return table


def _wrong_values(name: str, column: Column) -> "polars.Expr":
    """Return how many values of a column are missing, not finite or out of range."""
    import polars as pl

    values = pl.col(name)
    is_wrong = pl.lit(False) if column.nullable else values.is_null()
    if column.among:
        is_wrong = is_wrong | ~values.is_in(column.among)
    if column.dtype.is_numeric():
        outside = (values < column.least) | (values > column.most)
        if column.dtype.is_float():
            outside = (outside & ~values.is_nan()) if column.nan else (outside | ~values.is_finite())
        is_wrong = is_wrong | outside.fill_null(False)
    return is_wrong.sum().alias(name)


class _Entry(BaseModel):
    """What is read of a tensor in the header of a safetensors file."""

    model_config = ConfigDict(strict=True)
    dtype: str
    shape: list[int]


def parse_tensors(data: bytes, expected: Mapping[str, TensorSpec]) -> "dict[str, torch.Tensor]":
    """Return the tensors of a safetensors file, on the CPU: exactly the expected ones.

    Names, shapes and dtypes are compared before memory is taken for any tensor.
    """
    from safetensors.torch import load

    header = _header(data)
    for name in [*header, *expected]:
        if name not in expected:
            raise ContentError(f"unexpected tensor {shortened(name)}")
        if name not in header:
            raise ContentError(f"expected a tensor {name}")
    for name, spec in expected.items():
        shape, dtype = header[name].shape, _DTYPES.get(header[name].dtype, header[name].dtype)
        wanted = str(spec.dtype).removeprefix("torch.")
        if (tuple(shape), dtype) != (spec.shape, wanted):
            got = f"{shortened(shape)} of {shortened(dtype)}"
            raise ContentError(f"tensor {name}: expected shape {list(spec.shape)} of {wanted}, got {got}")
    try:
        tensors = load(data)
    except Exception as error:  # of many types
        raise ContentError(f"expected a safetensors file ({error})") from None
    for name, spec in expected.items():
        if spec.finite and not tensors[name].isfinite().all():
            raise ContentError(f"tensor {name}: expected finite numbers")
        if spec.least > -math.inf and not (tensors[name] >= spec.least).all():
            raise ContentError(f"tensor {name}: expected numbers of at least {spec.least:g}")
    return tensors


def _header(data: bytes) -> dict[str, _Entry]:
    """Return what the header says of each tensor: 8 bytes with its length, little endian, then JSON."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(len(data) - 8, MOST_HEADER_BYTES):
        raise ContentError(f"expected a safetensors file, got {len(data):,} bytes with a header of {size:,}")
    try:
        entries = parse_json(data[8 : 8 + size], dict[str, _Entry | dict[str, str]])
    except ContentError as error:
        raise ContentError(f"expected a safetensors file: header: {error}") from None
    return {name: entry for name, entry in entries.items() if isinstance(entry, _Entry)}
