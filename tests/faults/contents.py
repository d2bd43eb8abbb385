"""What is in a tree of folders, so that two trainings can be compared: everything but the times they took."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors import safe_open

from helpers.pages import arrays_of, facts_of

NOT_COMPARED = {".lock", ".holder.json", "calibration.json"}
"""Files that hold nothing, who had a lock last, or how fast the machine was."""

TEMPORARY = re.compile(r"\..+\.tmp(\.old)?")
_IS_TIME = re.compile(r"(.+_)?seconds")


def contents(folder: Path) -> dict[str, Any]:
    """Return what is in each file of a folder and those below it, by its path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in NOT_COMPARED)
    return {str(path.relative_to(folder)): _content(path) for path in files}


def temporaries(folder: Path) -> list[str]:
    """Return the temporary files and folders that a killed process left."""
    return [str(path.relative_to(folder)) for path in folder.rglob(".*") if TEMPORARY.fullmatch(path.name)]


def differences(first: Any, second: Any, tolerance: float = 0.0, at: str = "") -> list[str]:
    """Return in words where two values, as `contents` gives them, differ. Numbers may differ by a tolerance."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        found = [f"{at}/{name} is on one side only" for name in sorted(first.keys() ^ second.keys())]
        for name in sorted(first.keys() & second.keys()):
            found += differences(first[name], second[name], tolerance, f"{at}/{name}")
        return found
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        pairs = enumerate(zip(first, second, strict=True))
        return [text for i, (a, b) in pairs for text in differences(a, b, tolerance, f"{at}/{i}")]
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        same = first.shape == second.shape and _are_close(first, second, tolerance)
    elif isinstance(first, float) and isinstance(second, float):
        same = _are_close(np.asarray(first), np.asarray(second), tolerance)
    else:
        same = type(first) is type(second) and first == second
    return [] if same else [f"{at}: {str(first)[:80]!r} and {str(second)[:80]!r}"]


def _are_close(first: np.ndarray, second: np.ndarray, tolerance: float) -> bool:
    is_number = first.dtype.kind == "f" and tolerance
    if is_number:
        return np.allclose(first, second, rtol=tolerance, atol=tolerance, equal_nan=True)
    return np.array_equal(first, second, equal_nan=first.dtype.kind == "f")


def _content(path: Path) -> Any:
    if path.name == "checksums.json":  # the digests are checked by reading each file; those of times differ
        return [name for name in sorted(json.loads(path.read_bytes())) if (path.parent / name).exists()]
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_bytes()))
    if path.suffix == ".parquet":
        table = pl.read_parquet(path)
        return {name: table[name].to_list() for name in table.columns if not _IS_TIME.fullmatch(name)}
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118 - no mapping
            return tensors | {"metadata": _timeless(metadata)}
    if path.suffix == ".html":
        return _page(path.read_bytes())
    if path.suffix == ".md":
        return re.sub(r"[0-9.]+ (s|minutes) on one core", "", path.read_text())
    return path.read_bytes()


def _page(page: bytes) -> Any:
    """Return a page's text without its data, and its data without times."""
    arrays = {name: array for name, array in arrays_of(page).items() if not _IS_TIME.fullmatch(name)}
    text = re.sub(r'(id="data">)[^<]*<', r"\1<", page.decode())
    return {"text": text, "facts": _timeless(facts_of(page)), "arrays": arrays}


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(part) for name, part in value.items() if not _IS_TIME.fullmatch(name)}
    return [_timeless(part) for part in value] if isinstance(value, list) else value
