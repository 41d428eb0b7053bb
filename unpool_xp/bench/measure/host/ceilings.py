"""What the device itself can do: the rate of a plain copy and of a matrix product.

The two ceilings of the roofline: no operation that moves bytes is faster than the copy, none that
multiplies is faster than the product.
"""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unpool_xp.backends import Backend
from unpool_xp.bench.measure.timer import time_calls

COPY_BYTES = 2**28  # well beyond the last-level cache of a desktop or a server core
PRODUCT_SIZE = 1536
_CACHE_MULTIPLE = 16


@dataclass(frozen=True)
class Ceilings:
    """Measured limits of a backend, float32.

    Attributes
    ----------
    copy_gb_s : float
        Bytes read plus bytes written by a copy, in 1e9 bytes per second.
    product_gflop_s : float
        A square matrix product, in 1e9 floating-point operations per second.
    """

    copy_gb_s: float
    product_gflop_s: float


def ceilings(
    backend: Backend, *, copy_bytes: int = COPY_BYTES, product_size: int = PRODUCT_SIZE
) -> Ceilings:
    """Measure the copy and the matrix product of a backend.

    Parameters
    ----------
    backend : Backend
        Where to measure.
    copy_bytes : int, optional
        The size of the array that is copied, at least; on a device also many times its cache.
    product_size : int, optional
        The number of rows and columns of the two matrices.

    Returns
    -------
    Ceilings
        The medians of a few repetitions.
    """
    # On a GPU, enough that neither its cache nor the start of the copy counts.
    copy_bytes = max(copy_bytes, _CACHE_MULTIPLE * (backend.cache_bytes or 0))
    seconds = _median_seconds(backend, *plain_copy(backend, copy_bytes))
    copy_rate = 2 * copy_bytes / seconds / 1e9

    generator = np.random.default_rng(0)
    square = backend.asarray(generator.random((product_size, product_size), dtype=np.float32))
    seconds = _median_seconds(backend, lambda a: backend.xp.matmul(a, a), square)
    return Ceilings(copy_rate, 2 * product_size**3 / seconds / 1e9)


def plain_copy(backend: Backend, nbytes: int) -> tuple[Callable[[Any], Any], Any]:
    """Return the quickest copy of a library into new memory, and an array of so many bytes."""
    elements = max(nbytes // 4, 1)
    some = np.random.default_rng(0).random(min(elements, 2**22), dtype=np.float32)
    source = backend.asarray(np.resize(some, elements))
    if backend.library == "dask":  # whose own copy is the same lazy graph again
        return lambda array: array.map_blocks(np.copy), source
    if backend.library == "cupy":  # whose asarray copies by a kernel, at a third of the rate
        return _driver_copy, source
    if backend.library == "mlx":  # whose asarray copies at two thirds of the rate
        return lambda array: array + 0, source

    def copy(array: Any) -> Any:
        return backend.xp.asarray(array, copy=True)

    # Eager, JAX spends longer on the way to a small copy than on a compiled operation.
    return backend.compile(copy) if backend.library == "jax" else copy, source


def _driver_copy(array: Any) -> Any:
    cupy = importlib.import_module("cupy")
    copy = cupy.empty_like(array)
    cupy.copyto(copy, array)
    return copy


def _median_seconds(backend: Backend, function: Callable[[Any], Any], array: Any) -> float:
    samples = [time_calls(function, (array,), backend.synchronize) for _ in range(6)]
    return statistics.median(samples[1:])  # the first warms up
