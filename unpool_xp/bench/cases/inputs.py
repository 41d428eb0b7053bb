"""Inputs for the benchmarks: those of a case, by default a feature map of a photograph.

The photograph ships with scikit-image.

Random numbers would have no ties and no smooth regions, zeros have no memory pages behind them.
"""

from __future__ import annotations

import inspect
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from unpool_xp.bench.cases.case import Case
    from unpool_xp.bench.cases.operation import Arrays, Layout, Operation

NDArray: TypeAlias = np.ndarray[Any, Any]

_FLOOR = -0.25  # in standard deviations
_LARGEST = 127  # of the quantised values: fits the narrowest integer
_MAX_SAMPLED_PIXELS = 2**16  # pixels that tell how strong the answer of a filter is
_CACHE_BYTES = 2**29

_feature_maps: OrderedDict[tuple[tuple[int, ...], str, int, int], NDArray] = OrderedDict()
_lock = Lock()


class OperationError(ValueError):
    """A user's operation is malformed; the message gives the reason in one line."""


def feature_map(
    shape: tuple[int, ...], dtype: str = "float32", seed: int = 0, *, rank: int | None = None
) -> NDArray:
    """Return a feature map of a photograph: deterministic, never constant.

    Each channel is the picture under a 3x3 filter of its own; each item of the batch is the
    picture shifted and perhaps flipped. One spatial axis is a row of it, three are a stack of
    shifted pictures.

    Parameters
    ----------
    shape : tuple of int
        Shape ``(..., channels, *spatial)``.
    dtype : str, optional
        A real dtype by name; "bfloat16" needs ml_dtypes.
    seed : int, optional
        Of the filters, the shifts and the flips.
    rank : int, optional
        The number of spatial axes. Default: all after the first two.

    Returns
    -------
    ndarray
        Read-only, since it is kept for the next caller.

    Raises
    ------
    ValueError
        If `shape` has an entry below 1, `rank` is not one of its axes, or `dtype` is not a real
        dtype.

    Examples
    --------
    >>> from unpool_xp.bench.cases.inputs import feature_map
    >>> feature_map((1, 8, 16, 16)).shape
    (1, 8, 16, 16)
    """
    shape = tuple(shape)
    rank = max(len(shape) - 2, 1) if rank is None else rank
    if not shape or min(shape) < 1:
        raise ValueError(f"feature_map: shape={shape!r} must have entries >= 1")
    if not 1 <= rank <= len(shape):
        raise ValueError(f"feature_map: rank={rank!r} must be 1 to {len(shape)} (shape {shape})")
    key = (shape, dtype, seed, rank)
    with _lock:
        if key in _feature_maps:
            _feature_maps.move_to_end(key)
            return _feature_maps[key]
    made = _quantize(_make_feature_map(shape, seed, rank), dtype)
    made.flags.writeable = False
    with _lock:
        _feature_maps[key] = made
        while (
            len(_feature_maps) > 1
            and sum(kept.nbytes for kept in _feature_maps.values()) > _CACHE_BYTES
        ):
            _feature_maps.popitem(last=False)
    return made


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Return the NumPy dtype of that name.

    Parameters
    ----------
    name : str
        Such as "float32"; "bfloat16" comes from ml_dtypes.

    Returns
    -------
    numpy.dtype
        The dtype.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name == "bfloat16":
        import ml_dtypes

        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    try:
        return np.dtype(name)
    except TypeError as error:
        raise ValueError(f"dtype={name!r} is not the name of a dtype") from error


@cache
def _photo() -> NDArray:
    from skimage import data

    picture: NDArray = data.astronaut()  # type: ignore[no-untyped-call]
    return picture.transpose(2, 0, 1).astype(np.float32) / 255


def _make_feature_map(shape: tuple[int, ...], seed: int, rank: int) -> NDArray:
    lead, spatial = shape[: len(shape) - rank], shape[len(shape) - rank :]
    channels, items = (lead[-1] if lead else 1), math.prod(lead[:-1])
    rows = spatial[-2] if rank > 1 else 1
    slices = math.prod(spatial[:-2])
    rng = np.random.default_rng(seed)
    filters = rng.standard_normal((channels, 27), dtype=np.float32)
    filters -= filters.mean(axis=1, keepdims=True)  # no answer to a flat region

    out = np.empty((items, channels, slices, rows, spatial[-1]), dtype=np.float32)
    for item in range(items):
        shift, flips = rng.integers(512, size=2), rng.integers(2, size=2)
        for depth in range(slices):
            patches = _patches(rows, spatial[-1], shift + 3 * depth, flips)
            answer = out[item, :, depth].reshape(channels, -1)
            if item == depth == 0:
                some = filters @ patches[:, :: max(patches.shape[1] // _MAX_SAMPLED_PIXELS, 1)]
                filters /= np.maximum(some.std(axis=1, keepdims=True), np.float32(0.1))
            np.matmul(filters, patches, out=answer)
            # A ReLU with its floor below zero: ties as after any ReLU, and a padding that is
            # zero where it should be -inf shows.
            np.maximum(answer, np.float32(_FLOOR), out=answer)
    return out.reshape(shape)


def _patches(rows: int, columns: int, shift: NDArray, flips: NDArray) -> NDArray:
    """Return the 3x3 neighbourhood, in three colours, of each pixel of a shifted picture."""
    picture = _photo()
    size = picture.shape[1]

    def mirrored_indices(count: int, start: int, flip: int) -> NDArray:
        # Fewer than the photo has: evenly picked; more: to and fro over it.
        steps = np.arange(-1, count + 1) * max(size // count, 1) + start
        there = steps % (2 * size)
        there = np.where(there < size, there, 2 * size - 1 - there)
        folded: NDArray = size - 1 - there if flip else there
        return folded

    ys, xs = (
        mirrored_indices(n, int(s), int(f))
        for n, s, f in zip((rows, columns), shift, flips, strict=True)
    )
    near = picture[:, ys[:, None], xs]
    views = [
        near[:, y : y + rows, x : x + columns].reshape(3, -1) for y in range(3) for x in range(3)
    ]
    patches: NDArray = np.concatenate(views)
    return patches


def _quantize(values: NDArray, name: str) -> NDArray:
    dtype = numpy_dtype(name)
    if dtype.kind in "iu":
        low = 0 if dtype.kind == "u" else -_LARGEST
        values = np.clip(np.rint(values * 32), low, _LARGEST)
        return values.astype(dtype)
    if dtype.kind == "f" or name == "bfloat16":
        return values.astype(dtype, copy=False)
    raise ValueError(f"feature_map: dtype={name!r} must be a real dtype")


def make_arrays(case: Case) -> Arrays:
    """Return the inputs of a case by name; floating-point ones are of the dtype of the case.

    Raises
    ------
    OperationError
        If what makes them raises, or gives anything but arrays of NumPy.
    """
    operation = case.definition
    rng = np.random.default_rng(0)
    made = operation.call("inputs", case.shape, case.dtype, case.all_parameters, rng)
    if not isinstance(made, Mapping):
        arrays = made if isinstance(made, tuple) else (made,)
        made = dict(zip(_argument_names(operation, len(arrays)), arrays, strict=True))
    if not made or not all(_is_plain(array) for array in made.values()):
        raise OperationError(
            f"{operation.name}: inputs returned {kinds_of(made.values())}; it must return a NumPy "
            "array of numbers, a tuple of them, or a dict"
        )
    dtype = numpy_dtype(case.dtype)
    to_cast = "f" if dtype.kind in "fV" else ""  # bfloat16 is of the kind V
    return {
        name: array.astype(dtype, copy=False) if array.dtype.kind in to_cast else array
        for name, array in made.items()
    }


def _is_plain(array: object) -> bool:
    """Return whether it is an array of numbers or of truth values."""
    if type(array) is not np.ndarray:
        return False
    return array.dtype.kind in "biufc" or array.dtype.name == "bfloat16"


def kinds_of(values: Any) -> str:
    """Return what values are, in words."""
    named = (
        f"an array of {one.dtype}" if isinstance(one, np.ndarray) else type(one).__name__
        for one in values
    )
    return ", ".join(named) or "nothing"


def _argument_names(operation: Operation, count: int) -> list[str]:
    """Return the names of the function's arrays: its first arguments."""
    try:
        signature = inspect.signature(operation.function)
    except (TypeError, ValueError):  # of a function in C
        names = []
    else:
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        names = [one.name for one in signature.parameters.values() if one.kind in kinds]
    names = [name for name in names if name not in operation.parameters]
    return names[:count] if len(names) >= count else [f"x{n + 1}" for n in range(count)]


def input_layout(case: Case) -> Layout:
    """Return the shapes and the dtypes of the inputs of a case, from making them."""
    return _input_layout(case.definition.inputs, case)


@lru_cache(maxsize=64)
def _input_layout(inputs: Callable[..., Any], case: Case) -> Layout:
    return {name: (array.shape, array.dtype.name) for name, array in make_arrays(case).items()}
