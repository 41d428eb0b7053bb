"""Work in pieces that fit the cache gives what work in one piece gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import unpool_xp as ux
from unpool_xp import reference
from unpool_xp._array import blocks, scatter
from unpool_xp._array.namespace import inspect_inputs
from unpool_xp._impl import conv_transpose, interpolation, max_pool
from unpool_xp._plan import cache
from unpool_xp._plan.windows import plan_windows

rng = np.random.default_rng(0)
X = rng.standard_normal((3, 7, 11, 10), dtype=np.float32)
WEIGHT = rng.standard_normal((7, 5, 4, 3), dtype=np.float32)


@pytest.fixture(autouse=True)
def decided_anew() -> Iterator[None]:
    """What is ready for a kind of call was decided with the constants of its time."""
    cache.clear()
    yield
    cache.clear()


def weight_of(x: Any) -> Any:
    return torch.from_numpy(WEIGHT) if isinstance(x, torch.Tensor) else WEIGHT


def indices_of(x: Any) -> Any:
    indices = np.random.default_rng(1).permuted(np.tile(np.arange(-5, 605), (21, 1)), axis=1)
    indices = indices[:, :110].reshape(X.shape)
    return torch.from_numpy(indices) if isinstance(x, torch.Tensor) else indices


CALLS: dict[str, Callable[[Any], Any]] = {
    "nearest_unpool": lambda x: ux.nearest_unpool(x, (2, 3)),
    "nearest_unpool by 2": lambda x: ux.nearest_unpool(x, 2),
    "nearest_unpool of volumes": lambda x: ux.nearest_unpool(x, (1, 3, 2)),
    "nearest_unpool of columns": lambda x: ux.nearest_unpool(x, (1, 2)),
    "max_unpool": lambda x: ux.max_unpool(*ux.max_pool(x, 2), 2, output_size=X.shape[2:]),
    "max_unpool, added": lambda x: ux.max_unpool(
        *ux.max_pool(x, 3, stride=1), output_size=X.shape[2:], duplicates="sum"
    ),
    "max_pool": lambda x: ux.max_pool(x, 3, stride=2, padding=1),
    "max_pool, long": lambda x: ux.max_pool(x, (9, 4), stride=1, padding=((4, 3), (0, 2))),
    "max_pool, ceil_mode": lambda x: ux.max_pool(x, 2, stride=3, dilation=2, ceil_mode=True),
    "avg_pool, ceil_mode": lambda x: ux.avg_pool(x, 3, stride=2, padding=1, ceil_mode=True),
    "adaptive_max_pool": lambda x: ux.adaptive_max_pool(x, (7, 4)),
    "adaptive_avg_pool": lambda x: ux.adaptive_avg_pool(x, (3, 9)),
    "fractional_max_pool": lambda x: ux.fractional_max_pool(x, 2, output_size=6, seed=0),
    "fractional_max_pool, shared": lambda x: ux.fractional_max_pool(
        x, (3, 2), output_size=6, samples=(0.3, 0.8)
    ),
    "max_unpool, unchecked": lambda x: ux.max_unpool(
        x, indices_of(x), output_size=(20, 30), check_indices=False
    ),
    "avg_pool": lambda x: ux.avg_pool(x, 2, padding=1, count_include_pad=False),
    "linear_unpool": lambda x: ux.linear_unpool(x, 2, coordinates="half_pixel"),
    "linear_unpool by 1.7": lambda x: ux.linear_unpool(x, 1.7),
    "cubic_unpool": lambda x: ux.cubic_unpool(x, (0.4, 2), antialias=True),
    "conv_transpose": lambda x: ux.conv_transpose(x, weight_of(x), stride=2, padding=1),
    "conv_transpose apart": lambda x: ux.conv_transpose(
        x, weight_of(x), stride=4, output_padding=2
    ),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("block", [1, 2000, 10_000])
@pytest.mark.parametrize("layout", ["contiguous", "strided"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_pieces_give_the_whole(
    name: str, block: int, layout: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = X if layout == "contiguous" else np.ascontiguousarray(X.mT).mT
    x = given if library == "numpy" else torch.from_numpy(given)
    monkeypatch.setattr(blocks, "_BLOCK", 2**40)
    whole = CALLS[name](x)
    cache.clear()  # what is ready has decided for the whole
    monkeypatch.setattr(conv_transpose, "_LARGE_PLANE", 0)
    monkeypatch.setattr(scatter, "_LONG_ROW", 1 if block == 2000 else 2**40)
    for constant, value in (("_BLOCK", block), ("_SHARED_BLOCK", block), ("_ALLOCATOR_CACHE", 0)):
        monkeypatch.setattr(blocks, constant, value)
    pieces = CALLS[name](x)
    for one, other in zip(parts(whole), parts(pieces), strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def parts(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def test_a_nan_in_one_piece_is_found_there(monkeypatch: pytest.MonkeyPatch) -> None:
    x = X.copy()
    x[1, 2, 4:6, 4:6] = np.nan
    monkeypatch.setattr(blocks, "_BLOCK", 1000)
    values, indices = ux.max_pool(x, 2)
    assert np.argwhere(np.isnan(values)).tolist() == [[1, 2, 2, 2]]
    assert indices[1, 2, 2, 2] == 5 * 10 + 5  # the last NaN


@pytest.mark.parametrize(("block", "planes"), [(2000, [4] * 5 + [1]), (3000, [3] * 4), (4000, [3])])
def test_a_batch_goes_through_in_some_planes_if_these_are_few_else_in_rows(
    block: int, planes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    monkeypatch.setattr(blocks, "_BLOCK", block)

    def compute(x: Any) -> tuple[Any]:
        sizes.append(x.shape[0])
        return (x,)

    axes, info = plan_windows("max_pool", X.shape, 1, None, 0, 1, False), inspect_inputs("p", x=X)
    (same,) = blocks.by_window_blocks(info, lambda _: compute, axes, X, 1.0)(X)
    assert np.array_equal(same, X)
    assert sizes == planes


def test_parts_of_a_convolution_that_are_alike_are_made_ready_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = rng.standard_normal((1, 2, 64, 5), dtype=np.float32)
    wanted = ux.conv_transpose(x, WEIGHT[:2], stride=2, padding=1)
    cache.clear()
    made = []
    prepare = conv_transpose._prepare_whole
    monkeypatch.setattr(conv_transpose, "_LARGE_PLANE", 0)
    monkeypatch.setattr(conv_transpose, "_prepare_whole", lambda *a: made.append(a) or prepare(*a))
    monkeypatch.setattr(blocks, "_BLOCK", 2000)
    got = ux.conv_transpose(x, WEIGHT[:2], stride=2, padding=1)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    sizes = [plan.axes[0].size for _, plan, *_ in made]
    assert len(sizes) <= 3  # at the start, within and at the end
    assert 64 // max(sizes) > 3


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("special", [0.0, np.nan, -np.inf])
def test_windows_stacked_give_what_windows_folded_give(
    library: str, dtype: str, special: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = rng.integers(-2, 3, X.shape).astype(dtype)  # so that there are ties
    given[rng.random(X.shape) < 0.4] = special
    x = given if library == "numpy" else torch.from_numpy(given)
    for options in ({"stride": 2, "padding": 1}, {"dilation": 2, "ceil_mode": True}, {}):
        cache.clear()
        with monkeypatch.context() as patched:
            patched.setattr(max_pool, "_stacked", never)
            patched.setattr(max_pool, "_MAX_WINDOW_SIZE", 0)
            folded = ux.max_pool(x, 3, **options)
        cache.clear()
        stacked = ux.max_pool(x, 3, **options)
        np.testing.assert_array_equal(stacked.values, folded.values)
        np.testing.assert_array_equal(stacked.indices, folded.indices)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "float16", ">i2", "<f4", ">f4", "f8", "c8"])
@pytest.mark.parametrize("block", [1, 2000])
def test_pairs_of_cells_have_the_bits_of_their_element(
    dtype: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_BLOCK", block)
    bits = rng.integers(0, 256, (3, 5, 7, 12 * 16), dtype=np.uint8)
    x = bits[..., :12] > 127 if dtype == "bool" else bits.view(dtype)[..., ::2][..., :6]
    for scale in ((2, 2), (3, 2), (2,), (1, 2, 2)):
        wanted = x
        for axis, times in enumerate(scale, -len(scale)):
            wanted = wanted.repeat(times, axis=axis)
        got = ux.nearest_unpool(x, scale)
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
        assert got.tobytes() == wanted.tobytes()


def never(*_: Any) -> None:
    raise AssertionError("stacked")


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("block", [1, 2000, 2**40])
@pytest.mark.parametrize("scale", [(2,), (2, 3), (1, 2), (3, 1), (2, 1, 2), (1.5, 0.7)])
@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel"])
def test_interpolation_written_into_its_place_is_that_of_the_oracle(
    library: str,
    block: int,
    scale: tuple[float, ...],
    coordinates: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interpolation, "_MAX_MATMUL_SIZE", 0)
    for constant, value in (("_BLOCK", block), ("_SHARED_BLOCK", block), ("_ALLOCATOR_CACHE", 0)):
        monkeypatch.setattr(blocks, constant, value)
    woven: list[Any] = []
    write = interpolation._interpolate_in_place
    monkeypatch.setattr(
        interpolation, "_interpolate_in_place", lambda *a: woven.append(a) or write(*a)
    )
    x = X if library == "numpy" else torch.from_numpy(X)
    got = ux.linear_unpool(x, scale, coordinates=coordinates)
    assert woven
    wanted = reference.linear_unpool(X, scale_factor=scale, coordinates=coordinates)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


LARGER = rng.standard_normal((1, 3, 48, 36), dtype=np.float32)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("scale", [(2,), (2, 3), (1, 4), (1.5, 2), (0.75, 1.25), (2, 2, 2)])
@pytest.mark.parametrize(
    ("operation", "options"),
    [
        ("linear_unpool", {}),
        ("linear_unpool", {"coordinates": "half_pixel"}),
        ("linear_unpool", {"coordinates": "half_pixel_symmetric"}),
        ("cubic_unpool", {}),
        ("cubic_unpool", {"coordinates": "asymmetric", "coefficient": -0.5}),
        ("cubic_unpool", {"exclude_outside": True}),
    ],
)
def test_phases_give_what_the_reference_gives_with_the_same_bits_in_any_blocks(
    library: str,
    special: bool,
    scale: tuple[float, ...],
    operation: str,
    options: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = LARGER.transpose(1, 2, 0, 3)[:2, :9] if len(scale) == 3 else LARGER
    given = given.repeat(9, axis=2) if len(scale) == 3 else given
    if special:
        given = given.copy()
        given[..., 0, 3:5], given[..., 7, 0], given[..., -1, -1] = np.inf, -np.inf, np.nan
    x = given if library == "numpy" else torch.from_numpy(given)
    monkeypatch.setattr(interpolation, "_MAX_MATMUL_SIZE", 0)
    wanted = getattr(reference, operation)(given, scale_factor=scale, **options)
    found = []
    for block in (1, 2000, 20_000, 2**40):
        for constant, size in (
            ("_BLOCK", block),
            ("_SHARED_BLOCK", block),
            ("_ALLOCATOR_CACHE", 0),
        ):
            monkeypatch.setattr(blocks, constant, size)
        got = getattr(ux, operation)(x, scale, **options)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
        found.append(np.asarray(got).tobytes())
    assert len(set(found)) == 1
