"""MLX as a backend: what it lacks, its lazy arrays, its compiler, gradients and memory."""

from __future__ import annotations

import shutil
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import unpool_xp as ux
from unpool_xp import backends
from unpool_xp.backends import mlx, registry
from unpool_xp.capabilities import DTYPES, LIBRARIES

mx = pytest.importorskip("mlx.core", reason="MLX has no build for this system")


@pytest.fixture
def backend() -> backends.Backend:
    return backends.load("mlx:cpu")


def test_the_library_alone_means_the_device_that_it_takes_itself() -> None:
    assert registry.full_label("mlx") == f"mlx:{mlx.DEFAULT_DEVICE}"
    assert mx.is_available(getattr(mx, mlx.DEFAULT_DEVICE))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_goes_there_and_back_but_complex128(
    backend: backends.Backend, dtype: str
) -> None:
    reason = backend.why_no_dtype(dtype)
    assert (reason is not None) == (dtype in LIBRARIES["mlx"].missing)
    host = np.arange(6).reshape(2, 3)[:, ::-1].astype(getattr(ml_dtypes, dtype, dtype))
    if reason is not None:
        assert reason == f"mlx:cpu has no dtype {dtype}"
        with pytest.raises(TypeError, match=f"no dtype {dtype}"):  # and is not made narrower
            backend.asarray(host)
        return
    array = backend.asarray(host)
    assert array.dtype == backend.dtype(dtype)
    back = backend.to_numpy(array)
    assert back.dtype == ("float32" if dtype == "bfloat16" else dtype)
    np.testing.assert_array_equal(back, host.astype(back.dtype))
    assert backend.asarray(host[0, 0]).shape == ()


def test_the_gpu_has_no_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = mlx._MLX("mlx:gpu", mx, mx.gpu).why_no_dtype("float64")
    assert reason == "mlx:gpu has no dtype float64: MLX has it on the CPU alone"
    monkeypatch.setattr(mx, "is_available", lambda device: device == mx.cpu)
    with pytest.raises(backends.BackendUnavailableError, match=r"mlx:gpu: MLX finds no GPU; .*Mac"):
        backends.load("mlx:gpu")


def test_nothing_is_computed_before_it_is_waited_for(backend: backends.Backend) -> None:
    x = backend.asarray(np.zeros(2**18, np.float32))
    meter = backend.peak_meter()
    y = x + 1
    assert meter is not None
    assert meter() < 2**10  # the number
    backend.synchronize(y)
    assert 2**20 <= meter() < 2**21


def test_gradients_by_some_inputs_of_some_outputs(backend: backends.Backend) -> None:
    def function(x: Any, w: Any) -> Any:
        return x * w, mx.argsort(x), x + 2 * w

    x, w, first, last = (backend.asarray(np.full(3, n)) for n in (2.0, 5.0, 1.0, 100.0))
    for compiled in (False, True):
        call = backend.with_gradients(function, [1, 0], [2, 0], compiled=compiled)
        *values, by_w, by_x = [backend.to_numpy(one)[0] for one in call(x, w, last, first)]
        assert (values, by_w, by_x) == ([10, 0, 12], 202, 105)


def test_compiling_asks_for_the_compiler_without_which_mlx_would_compile_nothing(
    backend: backends.Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(backends.CompileUnavailableError, match=r"mlx:cpu: .*g\+\+"):
        backend.compile(lambda x: x)


def test_an_index_outside_the_plane_is_an_error_and_is_dropped_where_it_cannot_be_looked_at(
    backend: backends.Backend,
) -> None:
    values, indices = backend.asarray(np.ones((1, 2))), backend.asarray(np.asarray([[1, 9]]))

    def unpool(values: Any, indices: Any) -> Any:
        return ux.max_unpool(values, indices, output_size=(4,))

    with pytest.raises(IndexError, match=r"1 of 2 indices .* 9"):
        unpool(values, indices)
    got = backend.compile(unpool)(values, indices)
    assert backend.to_numpy(got).tolist() == [[0, 1, 0, 0]]
