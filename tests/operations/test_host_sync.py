"""What is copied between the host and the device: nothing but what is said."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import unpool_xp as ux
from tests.support import minimal_library
from tests.support.calls import CALLS, every_call, outputs
from unpool_xp._array import repeat
from unpool_xp._array.adapted.functions import matmul_by_sums
from unpool_xp._array.namespace import inspect_inputs
from unpool_xp._array.traits import ArrayTraits

CHECKED = (ux.max_unpool, ux.fractional_max_unpool, ux.convert_indices)


def looks_wanted(call: Any) -> int:
    """Return how many numbers come back to the host: one where indices are checked."""
    function, arrays, options = call
    checks = function in CHECKED and (len(arrays) == 2 or function is ux.convert_indices)
    return int(checks and options.get("check_indices", True))


# --- a library nobody has heard of, that counts --------------------------------------------------

HOST_VALUES = ["bool", "int", "float", "index", "complex", "array", "dlpack", "iter", "len"]


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what arrays of the minimal library give to the host, and what it gives to them."""
    counted: Counter[str] = Counter()
    array = minimal_library.Array
    for name in HOST_VALUES:
        convert = getattr(array, f"__{name}__", None)

        def looked(self: Any, *args: Any, _convert: Any = convert, **kwargs: Any) -> Any:
            counted["looks"] += 1
            if _convert is None:
                raise TypeError("no such conversion")
            return _convert(self, *args, **kwargs)

        monkeypatch.setattr(array, f"__{name}__", looked, raising=False)
    asarray = minimal_library.asarray

    def uploaded(value: Any, **options: Any) -> Any:
        counted["uploads"] += not isinstance(value, array)
        return asarray(value, **options)

    monkeypatch.setattr(minimal_library, "asarray", uploaded)
    return counted


@every_call
def test_how_many_numbers_come_back_to_the_host(call: Any, copies: Counter[str]) -> None:
    function, arrays, options = call
    function(*(minimal_library.Array(array) for array in arrays), **options)
    assert copies["looks"] == looks_wanted(call)


def test_the_count_counts(copies: Counter[str]) -> None:
    one = minimal_library.Array(np.ones(1))
    assert bool(one)
    minimal_library.asarray([1.0])
    minimal_library.asarray(one)
    assert copies == {"looks": 1, "uploads": 1}


# --- PyTorch, as if its tensors were not on the host ---------------------------------------------


class Watch(TorchDispatchMode):
    """Take down every number that is read back, and every tensor made of numbers of the host."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[str] = []
        self.uploads: list[str] = []

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(call)
        if "_local_scalar_dense" in name or "equal.default" in name or "nonzero" in name:
            self.looks.append(name)
        if "lift_fresh" in name:
            self.uploads.append(name)
        return call(*args, **(kwargs or {}))


@contextlib.contextmanager
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Treat tensors of the host like those of another device, and watch."""
    with monkeypatch.context() as patched:
        patched.setattr(ArrayTraits, "on_host", False)
        with Watch() as watch:
            yield watch


def tensors(arrays: Any) -> list[torch.Tensor]:
    return [torch.from_numpy(array.copy()) for array in arrays]


@every_call
def test_what_pytorch_copies(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    function, arrays, options = call
    given = tensors(arrays)
    wanted = outputs(function(*arrays, **options))
    with elsewhere(monkeypatch):
        got = outputs(function(*given, **options))
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-5, atol=1e-5)
    with elsewhere(monkeypatch) as watch:
        function(*given, **options)
    assert len(watch.looks) == looks_wanted(call)
    # Regions that are drawn, or given, are numbers of the host.
    drawn = function is ux.fractional_max_pool
    assert bool(watch.uploads) == drawn


def test_the_watch_sees() -> None:
    with Watch() as watch:
        tensor = torch.asarray([1.0, 2.0])
        assert bool(tensor[0] == 1)
        torch.asarray(np.ones(3), dtype=torch.float32)
    assert len(watch.looks) == 1
    assert len(watch.uploads) == 2


# --- what a GPU takes another way for ------------------------------------------------------------


@pytest.mark.parametrize("repeats", [(2, 2), (3, 4), (2, 3), (1, 2), (4, 1)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int64", "complex64"])
def test_pairs_of_cells_are_what_single_ones_are(
    repeats: tuple[int, int], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.arange(120).reshape(2, 3, 4, 5).astype(dtype)
    if x.dtype.kind == "f":
        x[0, 0, 0, :2] = np.nan, -0.0
    want = x.repeat(repeats[0], -2).repeat(repeats[1], -1)
    # CuPy's form, in NumPy, which has the same functions.
    monkeypatch.setitem(repeat._PAIRS, "numpy", repeat._PAIRS["cupy"])
    for given in (x, torch.from_numpy(x)):
        info = inspect_inputs("nearest_unpool", x=given)
        got = np.asarray(repeat._repeat_in_one_pass(info, given, repeats))
        assert got.dtype == x.dtype
        assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64])
def test_integers_are_multiplied_without_a_matrix_product(dtype: torch.dtype) -> None:
    a, b = (torch.randint(-9, 9, shape).to(dtype) for shape in ((2, 3, 5, 4), (2, 3, 4, 6)))
    assert torch.equal(matmul_by_sums(a, b), torch.matmul(a, b))


# --- CUDA itself ---------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")
@pytest.mark.parametrize("call", [c for c in CALLS if c[0] is not ux.fractional_max_pool])
def test_nothing_waits_on_cuda(call: Any) -> None:
    function, arrays, options = call
    given = [tensor.cuda() for tensor in tensors(arrays)]
    if looks_wanted(call) and function is not ux.max_unpool:
        pytest.skip("has its check always")
    options = options | ({"check_indices": False} if function is ux.max_unpool else {})
    function(*given, **options)  # makes the plan, and what it keeps on the device
    torch.cuda.synchronize()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Synchronization debug mode")
        torch.cuda.set_sync_debug_mode("error")
    try:
        function(*given, **options)
    finally:
        torch.cuda.set_sync_debug_mode("default")
