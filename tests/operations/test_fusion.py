"""Operations whose elementwise functions are fused: on a made-up CuPy, and by torch.compile."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unpool_xp as ux
from tests.support.closeness import assert_close
from tests.support.fake_cupy import FakeCuPy
from tests.support.strategies import (
    PoolingArguments,
    poolings,
    real_values,
    seeds,
    values,
)
from unpool_xp import reference
from unpool_xp._array import elementwise, namespace
from unpool_xp._array.namespace import inspect_inputs
from unpool_xp._impl import fused, interpolation

DTYPES = st.sampled_from(["float16", "float32", "float64", "int8", "int64", "uint8"])


def same_bits(got: Any, wanted: Any) -> None:
    np.testing.assert_array_equal(got, wanted, strict=True)
    if got.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(got), np.signbit(wanted))


@settings(max_examples=100)
@given(case=poolings(), dtype=DTYPES, seed=seeds)
def test_fused_maxima_are_those_of_the_reference(
    fake_cupy: FakeCuPy,
    case: PoolingArguments,
    dtype: str,
    seed: int,
) -> None:
    x = values(case.shape, dtype, seed, special=True)
    got = ux.max_pool(x, **case.options)
    wanted = reference.max_pool(
        x, case.kernel, case.stride, case.padding, case.dilation, case.ceil_mode
    )
    same_bits(got.values, wanted[0])
    np.testing.assert_array_equal(got.indices, wanted[1], strict=True)


@settings(max_examples=60)
@given(case=poolings(), include=st.booleans(), seed=seeds)
def test_fused_means_have_the_bits_of_plain_ones(
    fake_cupy: FakeCuPy,
    case: PoolingArguments,
    include: bool,
    seed: int,
) -> None:
    for dtype in ("float16", "float32", "float64"):
        x = real_values(case.shape, seed, dtype)
        got = ux.avg_pool(x, **case.options, count_include_pad=include)
        with ux.set_fusion("off"):
            wanted = ux.avg_pool(x, **case.options, count_include_pad=include)
        np.testing.assert_array_equal(got, wanted, strict=True)


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 5, 4), (1, 2, 3, 4, 3), (2, 1, 1, 1)])
@pytest.mark.parametrize("factor", [2, 3, 4, 9])
@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel"])
def test_fused_interpolation(
    fake_cupy: FakeCuPy,
    shape: tuple[int, ...],
    factor: int,
    coordinates: Any,
) -> None:
    for dtype in ("float16", "float32", "float64"):
        x = real_values(shape, 0, dtype)
        got = ux.linear_unpool(x, factor, coordinates=coordinates)
        factors = (factor,) * (len(shape) - 2)
        wanted = reference.linear_unpool(x, scale_factor=factors, coordinates=coordinates)
        assert_close(got, wanted.astype(dtype))
    assert {name for name, _ in fake_cupy.launched} == {"unpool_xp_blend_phases"}


def test_a_fused_infinity_stays_where_it_is(fake_cupy: FakeCuPy) -> None:
    x = np.asarray([[[-np.inf, 1.0, np.nan, 2.0, np.inf]]])
    got = ux.linear_unpool(x, 2, coordinates="half_pixel")
    with ux.set_fusion("off"):
        np.testing.assert_array_equal(got, ux.linear_unpool(x, 2, coordinates="half_pixel"))


@pytest.mark.parametrize(
    ("kernel", "stride", "kernels"),
    [
        ((2, 2), 2, [10]),  # four taps, two positions along each axis, values and positions
        ((3, 3), 2, [17]),
        ((4, 4), 4, [26]),
        ((5, 4), 5, [10, 17]),  # beyond 16 taps the last axis first
        ((2, 17), 17, []),
        ((1, 16), 4, []),  # in pairs
    ],
)
def test_how_many_kernels_windows_take(
    fake_cupy: FakeCuPy,
    kernel: tuple[int, int],
    stride: int,
    kernels: list[int],
) -> None:
    x = real_values((2, 3, 20, 20), 0, "float32")
    ux.max_pool(x, kernel, stride=stride)
    expected = [("unpool_xp_first_maxima", arrays) for arrays in kernels]
    assert fake_cupy.launched == expected


def test_a_kernel_is_made_once_for_all_sizes(fake_cupy: FakeCuPy) -> None:
    for size in (6, 8, 10):
        ux.avg_pool(real_values((2, 3, size, size), 0, "float64"), (3, 2), padding=1)
    assert fake_cupy.made == ["unpool_xp_mean"]
    assert len(fake_cupy.launched) == 3


def test_without_fusion_nothing_is_fused(
    fake_cupy: FakeCuPy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = real_values((2, 3, 6, 6), 0, "float32")
    with ux.set_fusion("off"):
        ux.max_pool(x, 2)
    monkeypatch.setenv("UNPOOL_XP_FUSION", "off")
    ux.avg_pool(x, 2)
    assert fake_cupy.launched == []
    with ux.set_fusion("auto"):
        ux.linear_unpool(x, 2)
    assert len(fake_cupy.launched) == 1


# --- PyTorch -------------------------------------------------------------------------------------


@pytest.fixture
def taken_for_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fuse on tensors of the CPU as on those of a GPU."""

    def is_fused(info: Any, x: Any) -> bool:
        return not info.traits.needs_grad and ux.get_fusion() == "auto"

    monkeypatch.setattr(fused, "is_fused", is_fused)
    monkeypatch.setattr(elementwise, "_kernels", {})
    monkeypatch.setattr(namespace, "find_kinds", lambda arrays: None)  # nothing is kept for a CPU's
    # What is small is a matrix product on the CPU, and on no GPU.
    monkeypatch.setattr(interpolation, "_should_multiply", lambda *_: False)


@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_torch_compiles_the_functions_alone(
    taken_for_cuda: None, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    torch._dynamo.reset()
    compiled = []

    def compile_with(function: Any, **options: Any) -> Any:
        compiled.append(function)
        return whole(function, backend=backend, **options)

    whole = torch.compile
    monkeypatch.setattr(torch, "compile", compile_with)
    for number, shape in enumerate([(2, 3, 8, 6), (1, 2, 9, 10)]):
        x = real_values(shape, number, "float32")
        calls = [
            functools.partial(ux.max_pool, kernel_size=2),
            functools.partial(ux.avg_pool, kernel_size=3, stride=2, padding=1),
            functools.partial(ux.linear_unpool, scale_factor=2, coordinates="half_pixel"),
        ]
        for call in calls:
            with ux.set_fusion("auto"):
                got = call(torch.asarray(x))
            wanted = call(x)
            for one, other in zip(
                got if isinstance(got, tuple) else (got,),
                wanted if isinstance(wanted, tuple) else (wanted,),
                strict=True,
            ):
                assert_close(one.numpy(), other)
    assert len(compiled) == 3
    ux.max_pool(torch.asarray(x), 2)  # only where the user says so
    leaf = torch.asarray(x, requires_grad=True)
    with ux.set_fusion("auto"):
        ux.max_pool(leaf, 2).values.sum().backward()
    assert len(compiled) == 3


# --- the setting ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("fusion", "error"), [("on", ValueError), (True, TypeError)])
def test_what_set_fusion_refuses(fusion: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"fusion=.* must be"), ux.set_fusion(fusion):
        pass


def test_the_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ux.get_fusion() is None
    monkeypatch.setenv("UNPOOL_XP_FUSION", "auto")
    assert ux.get_fusion() == "auto"
    with ux.set_fusion("off"):
        assert ux.get_fusion() == "off"
    monkeypatch.setenv("UNPOOL_XP_FUSION", "yes")
    with pytest.raises(ValueError, match="UNPOOL_XP_FUSION='yes' must be 'auto' or 'off'"):
        ux.get_fusion()


def test_without_a_gpu_nothing_is_fused() -> None:
    x = torch.ones(1, 1, 4, 4)
    with ux.set_fusion("auto"):
        assert not elementwise.is_fused(inspect_inputs("test", x=x.numpy()), x.numpy())
        assert not elementwise.is_fused(inspect_inputs("test", x=x), x)
