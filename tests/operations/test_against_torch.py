"""Equal to PyTorch over generated arguments, in one, two and three dimensions.

The operations are compared, and so is the reference that they are checked against elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- its name everywhere
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import unpool_xp as ux
from tests.support.calls import outputs
from tests.support.closeness import assert_close
from tests.support.strategies import (
    BATCH,
    PoolingArguments,
    convolutions,
    mixed_values,
    poolings,
    real_values,
    resizes,
    seeds,
    values,
)
from unpool_xp import reference

many = settings(max_examples=20)  # the fuzzer draws thousands more
REAL = st.sampled_from(["float64", "float32", "float16", "int64", "int32", "int8", "uint8"])
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}

Ints = tuple[int, ...]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Arrays this small leave nothing for a second thread but to be waited for."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(array.copy()) for array in arrays]


def exactly(got: Any, wanted: Any) -> None:
    np.testing.assert_array_equal(got, wanted, strict=True)


def compare(ours: Any, expected: Any, theirs: Any, check: Callable[[Any, Any], None]) -> None:
    """Check the operation and the reference against PyTorch; each gives one array or a tuple."""
    wanted = [tensor.numpy() for tensor in outputs(theirs)]
    assert all(isinstance(one, torch.Tensor) for one in outputs(ours))
    for got in ([tensor.numpy() for tensor in outputs(ours)], outputs(expected)):
        for one, other in zip(got, wanted, strict=True):
            check(one, other)


# --- pooling -------------------------------------------------------------------------------------


def half_the_kernel(kernel: int, extent: int) -> st.SearchStrategy[tuple[int, int]]:
    """PyTorch's limit of the padding is half of the kernel, however far its dilation spreads it."""
    return st.integers(0, kernel // 2).map(lambda padding: (padding, padding))


POOLINGS = poolings(lead=st.one_of(st.tuples(st.integers(1, 2)), BATCH), sides=half_the_kernel)


def native_options(case: PoolingArguments) -> dict[str, Any]:
    return case.options | {"padding": tuple(before for before, _ in case.padding)}


@many
@given(case=POOLINGS, dtype=REAL, seed=seeds)
def test_max_pool(case: PoolingArguments, dtype: str, seed: int) -> None:
    x = mixed_values(case.shape, seed, dtype)
    theirs = getattr(F, f"max_pool{len(case.kernel)}d")
    compare(
        ux.max_pool(*tensors(x), **case.options),
        reference.max_pool(x, *dataclasses.astuple(case)[1:]),
        theirs(*tensors(x), **native_options(case), return_indices=True),
        exactly,
    )


@many
@given(
    case=POOLINGS,
    include=st.booleans(),
    divisor=st.one_of(st.none(), st.integers(-3, 9).filter(bool)),
    seed=seeds,
)
def test_avg_pool(case: PoolingArguments, include: bool, divisor: int | None, seed: int) -> None:
    rank = len(case.kernel)
    divisor = None if rank == 1 else divisor  # PyTorch's avg_pool1d has none
    case = dataclasses.replace(case, dilation=(1,) * rank)
    # PyTorch's avg_pool3d refuses a kernel longer than the axis, with padding too.
    assume(rank < 3 or all(n >= k for n, k in zip(case.plane, case.kernel, strict=True)))
    x = mixed_values(case.shape, seed)
    options = native_options(case) | {"count_include_pad": include}
    options |= {"divisor_override": divisor} if divisor else {}
    del options["dilation"]
    compare(
        ux.avg_pool(*tensors(x), **case.options, count_include_pad=include, divisor=divisor),
        reference.avg_pool(x, *dataclasses.astuple(case)[1:], include, divisor),
        getattr(F, f"avg_pool{rank}d")(*tensors(x), **options),
        assert_close,
    )


# --- unpooling -----------------------------------------------------------------------------------


def interpolate(x: np.ndarray, options: dict[str, Any], **native: Any) -> torch.Tensor:
    names = {"output_size": "size", "scale_factor": "scale_factor"}
    return F.interpolate(*tensors(x), **{names[k]: v for k, v in options.items()}, **native)


def has_scale_of_its_own(plane: Ints, options: dict[str, Any], *ignored: int) -> bool:
    """Return whether no factor gives the size that one of the `ignored` whole ones gives."""
    factors = options.get("scale_factor", ())
    return not any(
        int(n * factor) == n * whole != n * factor
        for n, factor in zip(plane, factors, strict=bool(factors))
        for whole in ignored
    )


def certain(n: int, scale: float | None, out: int, half: Fraction) -> np.ndarray:
    """Return for which output cells float32 finds the right source index."""
    exact = Fraction(out, n) if scale is None else Fraction(scale)
    step = 1 / exact
    sources = [(o + half) * step for o in range(out)]
    if exact.denominator == 1 or Fraction(float(np.float32(float(step)))) == step:
        return np.ones(out, dtype=bool)
    return np.asarray([abs(source - round(source)) > Fraction(1, 10**5) for source in sources])


@many
@given(
    case=resizes(lead=BATCH),
    half=st.booleans(),
    dtype=st.sampled_from(["float64", "float32", "uint8"]),
    seed=seeds,
)
def test_nearest_unpool(case: Any, half: bool, dtype: str, seed: int) -> None:
    shape, options = case
    plane = shape[2:]
    # Which cells a factor such as 1.1 or 2.1 gives, where the size comes out as by 1 or 2, depends
    # in PyTorch's "nearest" on the rank and the memory format: a plane gets those of 1 or 2, one
    # or three axes in order get those of the formula, which are ours.
    assume(len(plane) != 2 or has_scale_of_its_own(plane, options, 1, 2))
    ours = options | {"coordinates": "half_pixel" if half else "asymmetric"}
    x = mixed_values(shape, seed, dtype)
    wanted = interpolate(x, options, mode="nearest-exact" if half else "nearest")
    # PyTorch finds its source index in float32. A cell whose exact source coordinate is all but
    # an integer can so fall to the neighbour: only the others are compared, and every cell where
    # the factor is whole or its inverse a float32.
    kept = np.ones((), dtype=bool)
    scales = options.get("scale_factor", (None,) * len(plane))
    for axis in zip(plane, scales, wanted.shape[2:], strict=True):
        kept = kept[..., None] & certain(*axis, Fraction(int(half), 2))
    compare(
        ux.nearest_unpool(*tensors(x), **ours),
        reference.nearest_unpool(x, **ours),
        wanted,
        lambda one, other: exactly(one[..., kept], other[..., kept]),
    )


def compare_linear(
    x: np.ndarray, options: dict[str, Any], corners: bool, check: Callable[[Any, Any], None]
) -> None:
    ours = options | {"coordinates": "align_corners" if corners else "half_pixel"}
    compare(
        ux.linear_unpool(*tensors(x), **ours),
        reference.linear_unpool(x, **ours),
        interpolate(x, options, mode=LINEAR[x.ndim - 2], align_corners=corners),
        check,
    )


@many
@given(case=resizes(lead=BATCH), corners=st.booleans(), seed=seeds)
def test_linear_unpool(case: Any, corners: bool, seed: int) -> None:
    shape, options = case
    # Finite values: a neighbour of weight zero makes NaN of an infinity, and at a factor such as
    # 3 rounding alone tells whether a weight is zero. The two tests below have the others.
    compare_linear(real_values(shape, seed), options, corners, assert_close)


@many
@given(
    case=resizes(lead=BATCH).filter(lambda case: len(case[0]) == 4),
    coordinates=st.sampled_from(["half_pixel", "align_corners"]),
    antialias=st.booleans(),
    seed=seeds,
)
def test_two_dimensions(case: Any, coordinates: Any, antialias: bool, seed: int) -> None:
    shape, options = case
    x = real_values(shape, seed)
    corners = {"align_corners": coordinates == "align_corners"}
    ours: dict[str, Any] = options | {"coordinates": coordinates}
    if antialias:
        # PyTorch's antialiasing adds half a step to aligned corners, and its first pass takes the
        # strides of a result one column wide for those of a plane.
        assume(coordinates == "half_pixel")
        assume(interpolate(x, options, mode="bilinear").shape[-1] > 1)
        ours |= {"antialias": True}
        wanted = interpolate(x, options, mode="bilinear", antialias=True)
        compare(
            ux.linear_unpool(*tensors(x), **ours),
            reference.linear_unpool(x, **ours),
            wanted,
            assert_close,
        )
        ours |= {"coefficient": -0.5}
    wanted = interpolate(x, options, mode="bicubic", antialias=antialias, **corners)
    compare(
        ux.cubic_unpool(*tensors(x), **ours),
        reference.cubic_unpool(x, **ours),
        wanted,
        assert_close,
    )


PLANES = st.lists(st.integers(2, 4), min_size=1, max_size=3).map(tuple)


@many
@given(plane=PLANES, lead=BATCH, by_size=st.booleans(), corners=st.booleans(), seed=seeds)
def test_linear_unpool_to_the_same_size_keeps_nan_where_it_is(
    plane: Ints, lead: Ints, by_size: bool, corners: bool, seed: int
) -> None:
    options = {"output_size": plane} if by_size else {"scale_factor": (1.0,) * len(plane)}
    # Without infinities, of which PyTorch makes NaN even here.
    x = values((*lead, *plane), "float64", seed, special=True)
    compare_linear(np.where(np.isinf(x), 9.0, x), options, corners, exactly)


@many
@given(plane=PLANES, lead=BATCH, data=st.data(), seed=seeds)
def test_linear_unpool_carries_nan_and_infinities_as_far(
    plane: Ints, lead: Ints, data: st.DataObject, seed: int
) -> None:
    # By an even factor no cell of "half_pixel" meets an element, so no weight is zero but where
    # cells before the first element are brought to it.
    factors = tuple(data.draw(st.sampled_from([2.0, 4.0])) for _ in plane)
    x = values((*lead, *plane), "float64", seed, special=True)

    def check(one: Any, other: Any) -> None:
        # There PyTorch makes NaN of an infinity.
        zeros = np.isnan(other) & ~np.isnan(one)
        assert_close(np.where(zeros, 0, one), np.where(zeros, 0, other))

    compare_linear(x, {"scale_factor": factors}, False, check)


@many
@given(
    case=POOLINGS, sized=st.booleans(), dtype=st.sampled_from(["float64", "float32"]), seed=seeds
)
def test_max_unpool(case: PoolingArguments, sized: bool, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = len(case.kernel)
    padding = tuple(before for before, _ in case.padding)
    options: dict[str, Any] = {"kernel_size": case.kernel, "stride": case.stride}
    options["padding"] = padding
    # The shape of the case is that of the values here.
    plane = np.asarray(case.plane)
    plane = (plane - 1) * case.stride - 2 * np.asarray(padding) + case.kernel
    assume(plane.min() > 0)
    if sized:  # PyTorch takes what is less than a stride from the default
        plane = np.maximum(1, plane + rng.integers(1 - np.asarray(case.stride), case.stride))
        options["output_size"] = tuple(plane.tolist())
    cells, wanted = int(np.prod(plane)), int(np.prod(case.plane))
    # Without room there are duplicates, of which each library may keep another.
    assume(wanted <= cells)
    lead = case.shape[:-rank]
    order = rng.permuted(np.tile(np.arange(cells), (int(np.prod(lead)), 1)), axis=1)
    arrays = mixed_values(case.shape, seed, dtype), order[:, :wanted].reshape(case.shape)
    compare(
        ux.max_unpool(*tensors(*arrays), **options),
        reference.max_unpool(*arrays, tuple(plane.tolist()), "any"),
        getattr(F, f"max_unpool{rank}d")(*tensors(*arrays), **options),
        exactly,
    )


# --- transposed convolution ----------------------------------------------------------------------


@many
@given(case=convolutions(symmetric=True, left=1), seed=seeds)
def test_conv_transpose(case: Any, seed: int) -> None:
    shapes, options = case
    arrays = [real_values(shape, seed + i) for i, shape in enumerate(shapes)]
    native = options | {"padding": tuple(before for before, _ in options["padding"])}
    theirs = getattr(F, f"conv_transpose{len(options['stride'])}d")
    compare(
        ux.conv_transpose(*tensors(*arrays), **options),
        reference.conv_transpose(*arrays, **options),
        theirs(*tensors(*arrays), **native),
        assert_close,
    )
