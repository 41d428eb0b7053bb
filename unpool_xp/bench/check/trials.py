"""Small trials of every operation, for every dtype, each with its expected result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import unpool_xp as ux
from unpool_xp import reference
from unpool_xp.capabilities import kind_of

NDArray: TypeAlias = npt.NDArray[Any]

PLANE = (7, 6)
SHAPE = (2, 3, *PLANE)


@dataclass(frozen=True)
class Trial:
    """One call of an operation."""

    operation: str
    note: str  # what the trial is about
    options: dict[str, Any]
    # From a dtype's name to the inputs on the host; those of float32 stand for bfloat16.
    arrays: Callable[[str], tuple[NDArray, ...]] = lambda dtype: (small_integers(SHAPE, dtype),)
    # From the inputs to the outputs. Default: that of the reference with the same options.
    reference_function: Callable[..., Any] | None = None
    exact: bool = True  # values are only moved, so that there is nothing to round

    @property
    def function(self) -> Callable[..., Any]:
        """The operation itself."""
        return getattr(ux, self.operation)  # type: ignore[no-any-return]

    def expected(self, arrays: tuple[NDArray, ...]) -> tuple[NDArray, ...]:
        """Return the expected outputs."""
        if self.reference_function is not None:
            outputs = self.reference_function(*arrays)
        else:
            outputs = getattr(reference, self.operation)(*arrays, **self.options)
        return tuple(outputs) if isinstance(outputs, tuple) else (outputs,)


def host_dtype(dtype: str) -> np.dtype[Any]:
    """Return NumPy's dtype for one, float32 for bfloat16."""
    return np.dtype("float32" if dtype == "bfloat16" else dtype)


def small_integers(shape: tuple[int, ...], dtype: str, seed: int = 0) -> NDArray:
    """Return small integers with many ties, exact in every dtype."""
    generator = np.random.default_rng(seed)
    low = 0 if kind_of(dtype) in "bu" else -4
    drawn = generator.integers(low, 5, shape)
    if kind_of(dtype) == "c":
        return (drawn + 1j * generator.integers(low, 5, shape)).astype(dtype)
    return drawn.astype(host_dtype(dtype))


def with_nan_and_inf(shape: tuple[int, ...], dtype: str) -> NDArray:
    """Return numbers with NaN and infinities among them, where the dtype has them."""
    array = small_integers(shape, dtype)
    if kind_of(dtype) == "f":
        drawn = np.random.default_rng(1).random(shape)
        array[drawn < 0.3] = -np.inf
        array[drawn < 0.1] = np.nan
    return array


def _pooled_inputs(dtype: str) -> tuple[NDArray, NDArray]:
    # Positions that overlapping windows share, as real ones do.
    values = small_integers((2, 3, 4, 3), dtype)
    indices = np.random.default_rng(2).integers(0, 42, values.shape)
    first = values.reshape(6, -1).copy()
    for plane, places in zip(first, indices.reshape(6, -1), strict=True):
        for i, place in enumerate(places):  # one value for one position: "any" has one answer
            plane[i] = plane[np.flatnonzero(places == place)[0]]
    return first.reshape(values.shape), indices


def _torch_indices(dtype: str) -> tuple[NDArray, ...]:
    return (np.random.default_rng(3).integers(0, 42, (2, 3, 3, 3)).astype(dtype),)


_ONE, _TWO, _PAD = (1, 1), (2, 2), ((1, 1), (1, 0))
_SAMPLES = np.random.default_rng(4).random((2, 3, 2))

TRIALS: tuple[Trial, ...] = (
    Trial(
        "max_pool",
        "overlapping, padded, ceil mode, NaN and infinities",
        {"kernel_size": (3, 2), "stride": 2, "padding": _PAD, "ceil_mode": True},
        lambda dtype: (with_nan_and_inf(SHAPE, dtype),),
        lambda x: reference.max_pool(x, (3, 2), _TWO, _PAD, _ONE, True),
    ),
    Trial(
        "max_pool",
        "dilated, one axis",
        {"kernel_size": (3,), "stride": (1,), "dilation": (2,)},
        lambda dtype: (small_integers((3, 9), dtype),),
        lambda x: reference.max_pool(x, (3,), (1,), ((0, 0),), (2,), False),
    ),
    Trial(
        "avg_pool",
        "overlapping, padded, ceil mode",
        {"kernel_size": (3, 2), "stride": 2, "padding": _PAD, "ceil_mode": True},
        reference_function=lambda x: reference.avg_pool(x, (3, 2), _TWO, _PAD, _ONE, True, True),
        exact=False,
    ),
    Trial(
        "adaptive_max_pool",
        "sizes that do not divide the plane, NaN and infinities",
        {"output_size": (3, 8)},
        lambda dtype: (with_nan_and_inf(SHAPE, dtype),),
        lambda x: reference.adaptive_max_pool(x, (3, 8)),
    ),
    Trial(
        "adaptive_avg_pool",
        "windows of two lengths along one axis, of one along the other",
        {"output_size": (5, 2)},
        reference_function=lambda x: reference.adaptive_avg_pool(x, (5, 2)),
        exact=False,
    ),
    Trial(
        "fractional_max_pool",
        "regions of each plane",
        {"kernel_size": 2, "output_size": (4, 3), "samples": _SAMPLES},
        reference_function=lambda x: reference.fractional_max_pool(x, _TWO, (4, 3), _SAMPLES),
    ),
    Trial("nearest_unpool", "whole factors", {"scale_factor": (2, 3)}),
    Trial(
        "nearest_unpool",
        "a size that is no multiple",
        {"output_size": (10, 4), "coordinates": "half_pixel"},
    ),
    Trial(
        "max_unpool",
        "shared positions",
        {"output_size": PLANE},
        _pooled_inputs,
        lambda values, indices: reference.max_unpool(values, indices, PLANE, "any"),
    ),
    Trial(
        "linear_unpool",
        "real factors, half_pixel",
        {"scale_factor": (1.5, 2.0), "coordinates": "half_pixel"},
        exact=False,
    ),
    Trial(
        "cubic_unpool",
        "up along one axis, down along the other, antialiased",
        {"scale_factor": (1.5, 0.5), "coefficient": -0.5, "antialias": True},
        exact=False,
    ),
    Trial(
        "fractional_max_unpool",
        "recorded positions",
        {"output_size": PLANE},
        _pooled_inputs,
        exact=False,
    ),
    Trial(
        "conv_transpose",
        "groups, output padding, bias",
        {"stride": _TWO, "padding": _PAD, "output_padding": _ONE, "groups": 2, "dilation": _ONE},
        lambda dtype: (
            small_integers((2, 4, 3, 4), dtype),
            small_integers((4, 2, 3, 2), dtype, 5),
            small_integers((4,), dtype, 6),
        ),
        exact=False,
    ),
    Trial(
        "convert_indices",
        "to TensorFlow's numbers",
        {"source": "torch", "target": "tensorflow_batch", "input_shape": SHAPE},
        _torch_indices,
    ),
)
