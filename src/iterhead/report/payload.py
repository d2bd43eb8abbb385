"""What a page holds beside its code: plain facts and arrays, as one compressed text.

Before compression: 4 bytes with the header's length, little endian; the header, which is JSON; then the arrays, each
from a multiple of 4 bytes on, in the order of the header. `page/data.js` reads it.
"""

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
"""Little-endian arrays of the types below, by name."""

TYPES = ("uint8", "uint16", "float16", "float32")

_ALIGNMENT = 4


def pack(facts: Mapping[str, Any], arrays: Arrays) -> str:
    """Return facts (JSON values, no NaN) and arrays as base64 of gzip; the same input gives the same text.

    Raises:
        ValueError: for NaN or infinity among the facts, or an array of another type.
    """
    places, parts, start = {}, [], 0
    for name, array in arrays.items():
        if array.dtype.name not in TYPES:
            raise ValueError(f"{name} has type {array.dtype}: expected one of {', '.join(TYPES)}")
        part = _padded(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
        places[name] = {"type": array.dtype.name, "shape": list(array.shape), "start": start}
        parts.append(part)
        start += len(part)
    text = json.dumps({"facts": facts, "arrays": places}, allow_nan=False, separators=(",", ":"))
    header = _padded(text.encode(), b" ")
    data = b"".join([len(header).to_bytes(4, "little"), header, *parts])
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def _padded(data: bytes, filler: bytes = b"\0") -> bytes:
    return data + filler * (-len(data) % _ALIGNMENT)
