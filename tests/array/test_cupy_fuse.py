"""CuPy's own `fuse` traces our elementwise functions to one kernel each, which takes no GPU.

It is asked through its internals: what traces is called, and not what compiles.
"""

from __future__ import annotations

import itertools
import types
from collections.abc import Callable
from typing import Any

import array_api_compat.numpy
import cupy
import numpy as np
import pytest
from cupy._core import _fusion_thread_local, fusion

import unpool_xp as ux
from tests.support.closeness import assert_close
from tests.support.fake_cupy import FakeCuPy, cupy_info
from tests.support.strategies import real_values, values
from unpool_xp._array import elementwise, namespace

_MEMORY = np.zeros(64, np.uint8)


class Tracing(FakeCuPy):
    """Traces each launch by CuPy's own code, then computes it on NumPy."""

    def _launch(self, name: str, function: Callable[..., Any], *arrays: np.ndarray) -> Any:
        kernel = trace(name, function, arrays)
        results = super()._launch(name, function, *arrays)
        many = () if results is None else results if isinstance(results, tuple) else (results,)
        assert [np.dtype(one.dtype) for one in kernel.out_params] == [one.dtype for one in many]
        assert kernel.nin == len(arrays)
        return results


def trace(name: str, function: Callable[..., Any], arrays: Any) -> Any:
    """Return the kernel that CuPy makes of a function for arrays of these dtypes and axes."""
    memory = cupy.cuda.UnownedMemory(_MEMORY.ctypes.data, _MEMORY.nbytes, _MEMORY, device_id=0)
    pointer = cupy.cuda.MemoryPointer(memory, 0)
    placed = tuple([cupy.ndarray((1,) * a.ndim, a.dtype, memptr=pointer) for a in arrays])
    history, local = fusion._FusionHistory(), _fusion_thread_local.thread_local
    local.history, local.is_old_fusing = history, True
    try:
        kernel, _ = history.get_fusion(function, placed, name)
    finally:
        local.history, local.is_old_fusing = None, False
    assert isinstance(kernel, cupy.ElementwiseKernel)
    return kernel


def where(condition: Any, x: Any, y: Any) -> Any:
    """Return what the library of the condition makes of it."""
    library = cupy if isinstance(condition, fusion._FusionVarScalar) else np
    return library.where(condition, x, y)


def astype(x: Any, dtype: Any, **options: Any) -> Any:
    return x.astype(dtype, **options)


@pytest.fixture
def tracing(monkeypatch: pytest.MonkeyPatch) -> Tracing:
    """Take NumPy's arrays for CuPy's, fused by what CuPy has."""
    xp = types.ModuleType("array_api_compat.numpy")
    vars(xp).update(vars(array_api_compat.numpy), where=where, astype=astype)
    traced, info = Tracing(), cupy_info()._replace(xp=xp)
    monkeypatch.setattr(cupy, "fuse", traced.fuse)
    monkeypatch.setattr(namespace, "_numpy_info", lambda: info)
    monkeypatch.setattr(elementwise, "_kernels", {})
    return traced


FLOATS = ("float16", "float32", "float64")


@pytest.mark.parametrize("dtype", [*FLOATS, "int8", "int64", "uint8"])
@pytest.mark.parametrize(("kernel", "padding"), [((2, 2), 0), ((3, 3), 1), ((5, 4), (2, 1))])
def test_maxima(tracing: Tracing, dtype: str, kernel: Any, padding: Any) -> None:
    x = values((2, 3, 9, 8), dtype, 0, special=True)
    got = ux.max_pool(x, kernel, stride=2, padding=padding)
    assert len(tracing.launched) == 1 + (kernel == (5, 4))
    with ux.set_fusion("off"):
        wanted = ux.max_pool(x, kernel, stride=2, padding=padding)
    np.testing.assert_array_equal(got.values, wanted.values, strict=True)
    np.testing.assert_array_equal(got.indices, wanted.indices, strict=True)


@pytest.mark.parametrize(("dtype", "padding"), [*itertools.product(FLOATS, (0, 1))])
def test_means(tracing: Tracing, dtype: str, padding: int) -> None:
    x = real_values((2, 3, 9, 8), 0, dtype)
    got = ux.avg_pool(x, 3, stride=2, padding=padding, count_include_pad=False)
    assert len(tracing.launched) == 1
    with ux.set_fusion("off"):
        wanted = ux.avg_pool(x, 3, stride=2, padding=padding, count_include_pad=False)
    np.testing.assert_array_equal(got, wanted, strict=True)


@pytest.mark.parametrize(("dtype", "factor"), [*itertools.product(FLOATS, (2, 3, 9))])
def test_interpolation(tracing: Tracing, dtype: str, factor: int) -> None:
    x = real_values((2, 3, 5, 4), 0, dtype)
    got = ux.linear_unpool(x, factor, coordinates="half_pixel")
    assert len(tracing.launched) == 1 + (factor == 9)
    with ux.set_fusion("off"):
        assert_close(got, ux.linear_unpool(x, factor, coordinates="half_pixel"))


def decides(x: Any) -> Any:
    return x if x > 0 else -x


def asks_for_the_shape(x: Any) -> Any:
    return x * x.shape[0]


def takes_a_part(x: Any) -> Any:
    return x[1:]


@pytest.mark.parametrize("function", [decides, asks_for_the_shape, takes_a_part])
def test_cupy_refuses_what_the_made_up_one_does(function: Callable[..., Any]) -> None:
    with pytest.raises(Exception, match=r"bool|shape|subscriptable"):
        trace("refused", function, [np.ones((3, 4))])
