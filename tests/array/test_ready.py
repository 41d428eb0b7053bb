"""What is made ready for a kind of call serves that kind alone, and looks at every value."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import unpool_xp as ux
from tests.support.calls import CALLS, every_call, outputs
from unpool_xp import convolution, indices, pooling, resizing, unpooling
from unpool_xp._plan import cache

X = np.random.default_rng(0).standard_normal((1, 2, 4, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def of_library(library: str, arrays: Any) -> list[Any]:
    convert = {"numpy": np.copy, "torch": torch.tensor, "jax": jnp.asarray}[library]
    return [convert(array) for array in arrays]


@every_call
@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_the_second_call_of_a_kind_is_not_inspected(
    library: str, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, arrays, options = call
    wanted = outputs(function(*of_library(library, arrays), **options))

    def inspect(*_: Any, **__: Any) -> None:
        raise AssertionError("inspected")

    for module in (convolution, indices, pooling, resizing, unpooling):
        monkeypatch.setattr(module, "inspect_inputs", inspect)
    got = outputs(function(*of_library(library, arrays), **options))
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    with pytest.raises(AssertionError, match="inspected"):
        function(*[array[:1] for array in of_library(library, arrays)], **options)


@every_call
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_nothing_of_an_array_is_kept(library: str, call: Any) -> None:
    function, arrays, options = call
    given = of_library(library, arrays)
    kept = [weakref.ref(array) for array in given]
    outputs(function(*given, **options))
    assert cache._plans.functions
    del given
    gc.collect()
    assert [array() for array in kept] == [None] * len(kept)


@every_call
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_each_dtype_has_its_own(library: str, call: Any) -> None:
    function, arrays, options = call
    for dtype in ("float32", "float64", "float16"):
        given = of_library(library, [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays])
        got = outputs(function(*given, **options))
        if function is not ux.convert_indices:
            assert got[0].dtype == given[0].dtype
        cache.clear()
        for one, other in zip(got, outputs(function(*given, **options)), strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_each_byte_order_has_its_own() -> None:
    for order in "<>":
        x = X.astype(f"{order}f4")
        assert ux.max_pool(x, 2).values.dtype == ux.avg_pool(x, 2).dtype == x.dtype


def test_options_that_are_equal_but_of_another_type_are_checked() -> None:
    ux.max_pool(X, 1, ceil_mode=True)
    for kernel, ceil_mode in ((1.0, True), (True, True), (1, 1)):
        with pytest.raises(TypeError, match="max_pool: "):
            ux.max_pool(X, kernel, ceil_mode=ceil_mode)
    ux.max_pool(X, (1, 1))
    with pytest.raises(TypeError, match="kernel_size"):
        ux.max_pool(X, (1, 1.0))
    for _ in range(2):  # of what is wrong nothing is kept
        with pytest.raises(ValueError, match="coefficient=nan"):
            ux.cubic_unpool(X, 2, coefficient=float("nan"))
    for kernel_size in (np.int64(2), [2, 2], (np.int8(2), 2)):
        np.testing.assert_array_equal(ux.max_pool(X, kernel_size).values, ux.max_pool(X, 2).values)


def test_values_are_looked_at_in_each_call() -> None:
    for library in ("numpy", "torch", "jax"):
        x, spoilt = of_library(library, (X, np.where(X.max() > X, X, np.nan)))
        infinite = of_library(library, [np.where(X.max() > X, X, np.inf)])[0]
        pooled = ux.max_pool(x, 2)
        assert np.isnan(np.asarray(ux.max_pool(spoilt, 2).values)).sum() == 1
        ux.linear_unpool(x, 2)
        made = np.asarray(ux.linear_unpool(infinite, 2))
        assert np.isinf(made).any()
        assert not np.isnan(made).any()
        ux.max_unpool(*pooled, 2)
        with pytest.raises(IndexError, match="2 of 12 indices lie outside"):
            ux.max_unpool(pooled.values, pooled.indices + 24 * (pooled.indices < 3), 2)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_tensors_are_told_apart_by_what_they_take_part_in() -> None:
    x = torch.tensor(X)
    plain = ux.linear_unpool(x, 2), *ux.max_pool(x, 3, stride=2, padding=1)
    for leaf in (x.clone().requires_grad_(), torch.nn.Parameter(x.clone())):
        with_gradient = ux.linear_unpool(leaf, 2), *ux.max_pool(leaf, 3, stride=2, padding=1)
        (with_gradient[0].sum() + with_gradient[1].sum()).backward()
        assert leaf.grad is not None
        for one, other in zip(plain, with_gradient, strict=True):
            torch.testing.assert_close(one, other)
    assert ux.linear_unpool(x.to("meta"), 2).is_meta
    with pytest.raises(TypeError, match="dense"):
        ux.linear_unpool(x.to_sparse(), 2)
    with pytest.raises(TypeError, match="nested"):
        ux.linear_unpool(torch.nested.nested_tensor([x[0]]), 2)
    with pytest.raises(ValueError, match="one device"):
        ux.conv_transpose(x, torch.ones(2, 1, 2, 2, device="meta"))


@every_call
def test_a_call_in_inference_mode_spoils_no_gradient(call: Any) -> None:
    function, arrays, options = call
    given = [torch.tensor(array) for array in arrays]
    with torch.inference_mode():
        function(*given, **options)
    if given[0].dtype.is_floating_point:
        leaf = given[0].clone().requires_grad_()
        outputs(function(leaf, *given[1:], **options))[0].sum().backward()
        assert leaf.grad is not None


def test_autocast_allows_nothing_after_it() -> None:
    x, weight = torch.tensor(X), torch.ones(2, 1, 2, 2, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ux.conv_transpose(x, weight)
        ux.conv_transpose(x, weight)
    with pytest.raises(TypeError, match="one dtype"):
        ux.conv_transpose(x, weight)


def test_indices_of_jax_have_the_dtype_of_the_moment() -> None:
    x, before = jnp.asarray(X), jax.config.jax_enable_x64
    try:
        for wide in (False, True, False):
            jax.config.update("jax_enable_x64", wide)
            assert ux.max_pool(x, 2).indices.dtype == (jnp.int64 if wide else jnp.int32)
    finally:
        jax.config.update("jax_enable_x64", before)


@every_call
def test_a_call_within_a_trace_of_jax_leaves_no_tracer(call: Any) -> None:
    function, arrays, options = call
    given = of_library("jax", arrays)  # constants of the trace
    jax.jit(lambda one: outputs(function(*given, **options))[0] + one)(1)
    got = outputs(function(*given, **options))
    cache.clear()
    for one, other in zip(got, outputs(function(*given, **options)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_ready_goes_with_its_plan() -> None:
    for size in range(4, 40):
        ux.cubic_unpool(np.ones((1, 1, 300)), output_size=300 + size)
    plans = cache._plans
    assert len(plans.functions) == 36
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "_MAX_BYTES", plans.n_bytes // 2)
        ux.cubic_unpool(np.ones((1, 1, 300)), output_size=1000)
        assert plans.n_bytes <= cache._MAX_BYTES
    assert 0 < len(plans.functions) < 36
    kept = {key for entry in plans.entries.values() for key in entry.functions}
    assert kept == set(plans.functions)
    cache.clear()
    assert not plans.functions
    assert not plans.owners
    assert plans.n_bytes == 0


def test_eight_threads_make_ready_at_once() -> None:
    calls = [(f, a, o) for f, a, o in CALLS if f is not ux.fractional_max_pool]
    wanted = [outputs(function(*arrays, **options)) for function, arrays, options in calls]
    start = threading.Barrier(8, timeout=60)

    def compute(number: int) -> bool:
        start.wait()
        same = []
        for i in range(len(calls)):
            place = (i + number) % len(calls)
            function, arrays, options = calls[place]
            got = outputs(function(*arrays, **options))
            same += [np.array_equal(a, b) for a, b in zip(got, wanted[place], strict=True)]
        return all(same)

    cache.clear()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(compute, range(8)))
    entries = cache._plans.entries.values()
    assert cache._plans.n_bytes == sum(entry.n_bytes for entry in entries)
