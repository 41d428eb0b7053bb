"""Arrays with values and layouts at which operations break, and the text that makes them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import ml_dtypes  # noqa: F401 -- registers bfloat16 and the kinds of float8
import numpy as np


class Array(NamedTuple):
    """An array, and the Python that makes it again."""

    data: np.ndarray
    text: str


def made(shape: tuple[int, ...], dtype: str, seed: int, fill: str, layout: str = "C") -> Array:
    given = (shape, dtype, seed, fill, layout)
    return Array(make(*given), f"make{given}")


def make(
    shape: tuple[int, ...], dtype: str, seed: int, fill: str = "ties", layout: str = "C"
) -> np.ndarray:
    """Return values of a fill in a memory layout.

    The fills: few different values ("ties"), different ones ("normal"), NaN and infinities
    ("special"), NaN alone ("nan"), zeros of both signs ("zeros"), the ends of the dtype ("ends").
    """
    rng = np.random.default_rng(seed)
    kind = "f" if "float" in dtype else np.dtype(dtype).kind
    if kind == "b":
        values = rng.random(shape) < 0.5
    elif kind in "iu":
        values = rng.integers(0 if kind == "u" else -4, 5, shape)
        if fill == "ends":
            ends = np.iinfo(dtype)
            values = rng.choice(np.asarray([ends.min, ends.max, 0, 1], dtype), shape)
    else:
        values = _floating(rng, shape, fill, dtype)
        if kind == "c":
            values = values + 1j * _floating(rng, shape, fill, dtype)
    with np.errstate(over="ignore"):
        return _laid_out(np.asarray(values).astype(dtype), layout)


def _floating(
    rng: np.random.Generator, shape: tuple[int, ...], fill: str, dtype: str
) -> np.ndarray:
    if fill == "normal":
        return rng.standard_normal(shape)
    if fill == "zeros":
        return rng.choice(np.asarray([0.0, -0.0]), shape)
    values = rng.integers(-4, 5, shape).astype(float)
    if fill == "ends" and np.dtype(dtype).kind == "f":
        largest = float(np.finfo(dtype).max)
        return rng.choice(np.asarray([largest, -largest, 1.0]), shape)
    drawn = rng.random(shape)
    if fill in ("special", "nan"):
        values = np.where(drawn < 0.1, np.nan, values)
    if fill == "special":
        values = np.where((drawn >= 0.1) & (drawn < 0.35), -np.inf, values)
        values = np.where((drawn >= 0.35) & (drawn < 0.4), np.inf, values)
    return values


def _laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    if layout == "F":
        return np.asfortranarray(array)
    if layout == "channels_last":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
    if layout == "strided":
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if layout == "reversed":
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    if layout == "broadcast":
        return np.broadcast_to(array[:1], array.shape)
    if layout == "swapped":
        return array.astype(array.dtype.newbyteorder())
    return array


def made_indices(
    lead: tuple[int, ...], plane: tuple[int, ...], dtype: str, seed: int, cells: int, fill: str
) -> Array:
    given = (lead, plane, dtype, seed, cells, fill)
    return Array(make_indices(*given), f"make_indices{given}")


def make_indices(
    lead: tuple[int, ...], plane: tuple[int, ...], dtype: str, seed: int, cells: int, fill: str
) -> np.ndarray:
    """Return positions in planes of so many cells.

    The fills: each position once ("apart"), any ("any"), some outside the plane ("outside").
    """
    rng = np.random.default_rng(seed)
    count, planes = math.prod(plane), math.prod(lead)
    if fill == "apart":
        every = rng.permuted(np.tile(np.arange(cells), (planes, 1)), axis=1)
        indices: Any = every[:, :count]
    else:
        indices = rng.integers(0, max(cells, 1), (planes, count))
    indices = indices.astype(dtype)
    if fill == "outside":
        ends = np.iinfo(dtype)
        wrong = [number for number in (ends.min, ends.max, cells, -1) if _fits(number, cells, ends)]
        if wrong:
            outside = np.asarray(wrong, dtype)
            drawn = rng.random(indices.shape) < 0.3
            indices = np.where(drawn, rng.choice(outside, indices.shape), indices)
    return indices.reshape(*lead, *plane)


def _fits(number: int, cells: int, ends: Any) -> bool:
    return not 0 <= number < cells and ends.min <= number <= ends.max
