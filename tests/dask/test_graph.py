"""Arrays in chunks: a task for each chunk of the output, strips, and the bits of the whole."""

from __future__ import annotations

import pickle
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import unpool_xp as ux
from tests.conftest import forbid_compute
from tests.support.calls import chunked, every_call, outputs
from tests.support.strategies import (
    PoolingArguments,
    convolutions,
    poolings,
    resizes,
    seeds,
    values,
)
from unpool_xp._dask import graph as chunks_module
from unpool_xp._dask.graph import _HaloSlice, _Task
from unpool_xp._impl import interpolation
from unpool_xp._plan import cache
from unpool_xp._plan.index_conventions import CONVENTIONS

few = settings(max_examples=20)


def chunks_of(shape: tuple[int, ...], seed: int) -> tuple[tuple[int, ...], ...]:
    """Return a random way to cut each axis, into single cells and empty chunks now and then."""
    rng = np.random.default_rng(seed)
    found = []
    for n in shape:
        share = rng.choice([0.0, 0.3, 0.6, 1.0])
        cuts = [0, *(i for i in range(1, n) if rng.random() < share), n]
        if rng.random() < 0.2:  # selections leave such chunks behind
            cuts = sorted([*cuts, int(rng.choice(cuts))])
        found.append(tuple(np.diff(cuts).tolist()))
    return tuple(found)


def lazily(function: Any, *arrays: Any, **options: Any) -> tuple[np.ndarray, ...]:
    with forbid_compute():
        got = outputs(function(*arrays, **options))
    assert all(isinstance(one, da.Array) for one in got)
    with np.errstate(all="ignore"):  # the tasks run in this thread
        computed = dask.compute(*got, scheduler="synchronous")
    for one, array in zip(got, computed, strict=True):
        assert one.shape == array.shape
        assert one.dtype == array.dtype
    return computed


def assert_same_bits(got: Any, wanted: Any) -> None:
    for one, other in zip(outputs(got), outputs(wanted), strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        if other.dtype.kind == "f":  # the sign and the payload of a NaN say nothing
            np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
            one, other = (np.where(np.isnan(array), 0, array) for array in (one, other))
        assert one.tobytes() == other.tobytes()


@pytest.fixture
def slices_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory no output is small enough for a matrix product, whose last bit is BLAS's."""
    monkeypatch.setattr(interpolation, "_MAX_MATMUL_SIZE", 0)
    cache.clear()  # what is ready has decided already


# --- the same bits as in memory ------------------------------------------------------------------


@few
@given(pooling=poolings(), seed=seeds, special=st.booleans())
def test_pooling(pooling: PoolingArguments, seed: int, special: bool) -> None:
    x = values(pooling.shape, "float32", seed, special=special)
    lazy = da.from_array(x, chunks=chunks_of(x.shape, seed))
    wanted = ux.max_pool(x, **pooling.options)
    assert_same_bits(lazily(ux.max_pool, lazy, **pooling.options), wanted)
    fractions = x + x / np.float32(3)
    lazy = da.from_array(fractions, chunks=chunks_of(x.shape, seed))
    for include in (True, False):
        options = pooling.options | {"count_include_pad": include}
        with np.errstate(all="ignore"):
            wanted_mean = ux.avg_pool(fractions, **options)
        assert_same_bits(lazily(ux.avg_pool, lazy, **options), wanted_mean)


@few
@given(pooling=poolings(), seed=seeds, duplicates=st.sampled_from(["any", "sum"]))
@example(  # windows wider than the plane: an offset in a window says nothing of a place
    pooling=PoolingArguments((1, 3, 2), (3, 3), (1, 1), ((2, 2), (2, 2)), (1, 1), False),
    seed=1,
    duplicates="any",
)
def test_max_unpooling(pooling: PoolingArguments, seed: int, duplicates: Any) -> None:
    x = values(pooling.shape, "int64", seed).astype(np.float32) / np.float32(3)
    pooled, indices = ux.max_pool(x, **pooling.options)
    options = {"output_size": pooling.plane, "duplicates": duplicates}
    options |= {k: v for k, v in pooling.options.items() if k != "ceil_mode"}
    wanted = ux.max_unpool(pooled, indices, **options)
    lazy = [  # each cut in its own way
        da.from_array(array, chunks=chunks_of(array.shape, seed + i))
        for i, array in enumerate((pooled, indices))
    ]
    assert_same_bits(lazily(ux.max_unpool, *lazy, **options), wanted)
    if pooling.plane_says_rank:
        options = {"output_size": pooling.plane, "duplicates": duplicates}
        assert_same_bits(lazily(ux.max_unpool, *lazy, **options), wanted)


@few
@given(
    shape=st.tuples(st.integers(0, 3), *[st.integers(1, 6)] * 2),
    plane=st.tuples(*[st.integers(1, 7)] * 2),
    seed=seeds,
    duplicates=st.sampled_from(["any", "sum"]),
)
def test_arbitrary_indices(shape: Any, plane: Any, seed: int, duplicates: Any) -> None:
    # Different values for one place: the last one stays, or the sum has its order.
    rng = np.random.default_rng(seed)
    given, places = rng.standard_normal(shape), rng.integers(0, plane[0] * plane[1], shape)
    options = {"output_size": plane, "duplicates": duplicates}
    lazy = [da.from_array(array, chunks=chunks_of(shape, seed)) for array in (given, places)]
    got = lazily(ux.max_unpool, *lazy, **options)
    assert_same_bits(got, ux.max_unpool(given, places, **options))


@few
@given(resize=resizes(), seed=seeds, special=st.booleans())
def test_resizing(resize: Any, seed: int, special: bool, slices_at_any_size: None) -> None:
    shape, options = resize
    x = values(shape, "float32", seed, special=special) / np.float32(3)
    lazy = da.from_array(x, chunks=chunks_of(shape, seed))
    for way in ("asymmetric", "half_pixel", "align_corners"):
        ways = options | {"coordinates": way}
        wanted = ux.nearest_unpool(x, **ways)
        assert_same_bits(lazily(ux.nearest_unpool, lazy, **ways), wanted)
        wanted = ux.linear_unpool(x, **ways)
        assert_same_bits(lazily(ux.linear_unpool, lazy, **ways), wanted)
        ways |= {"antialias": bool(seed % 2)}
        wanted = ux.cubic_unpool(x, **ways)
        assert_same_bits(lazily(ux.cubic_unpool, lazy, **ways), wanted)


@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel"])
def test_a_small_output_is_the_same_where_nothing_is_rounded(coordinates: Any) -> None:
    x = np.random.default_rng(0).integers(-99, 99, (2, 3, 8, 9)).astype(np.float32)
    lazy = da.from_array(x, chunks=(1, 2, 3, 4))
    got = lazily(ux.linear_unpool, lazy, 4, coordinates=coordinates)
    assert_same_bits(got, ux.linear_unpool(x, 4, coordinates=coordinates))


@pytest.mark.parametrize(("kernel", "stride"), [(70, 70), (84, 36), (31, 4), (64, 65)])
def test_long_windows(kernel: int, stride: int) -> None:
    x = values((2, 2, 3, 160), "float32", kernel) / np.float32(3)
    lazy = da.from_array(x, chunks=(1, 2, 3, 43))
    options = {"kernel_size": (1, kernel), "stride": (1, stride), "padding": ((0, 0), (15, 20))}
    assert_same_bits(lazily(ux.max_pool, lazy, **options), ux.max_pool(x, **options))
    assert_same_bits(lazily(ux.avg_pool, lazy, **options), ux.avg_pool(x, **options))


@few
@given(
    shape=st.tuples(*[st.integers(0, 3)] * 2, *[st.integers(4, 12)] * 2),
    output=st.tuples(*[st.integers(1, 14)] * 2),
    seed=seeds,
)
def test_adaptive(shape: Any, output: Any, seed: int, slices_at_any_size: None) -> None:
    x = values(shape, "float32", seed) / np.float32(3)
    lazy = da.from_array(x, chunks=chunks_of(shape, seed))
    assert_same_bits(lazily(ux.adaptive_max_pool, lazy, output), ux.adaptive_max_pool(x, output))
    assert_same_bits(lazily(ux.adaptive_avg_pool, lazy, output), ux.adaptive_avg_pool(x, output))


@few
@given(
    shape=st.tuples(*[st.integers(0, 3)] * 2, *[st.integers(4, 12)] * 2),
    kernel=st.integers(1, 3),
    seed=seeds,
    alike=st.booleans(),
)
def test_fractional(
    shape: Any, kernel: int, seed: int, alike: bool, slices_at_any_size: None
) -> None:
    x = values(shape, "float32", seed) / np.float32(3)
    draw = {"samples": (0.3, 0.8)} if alike else {"seed": seed}
    options = {"kernel_size": kernel, "output_size": (2, shape[3] - kernel)} | draw
    wanted = ux.fractional_max_pool(x, **options)
    lazy = da.from_array(x, chunks=chunks_of(shape, seed))
    assert_same_bits(lazily(ux.fractional_max_pool, lazy, **options), wanted)
    chunks = chunks_of(wanted.values.shape, seed + 1)
    pooled = [da.from_array(array, chunks=chunks) for array in wanted]
    size = {"output_size": shape[2:]}
    for count in (1, 2):
        got = lazily(ux.fractional_max_unpool, *pooled[:count], **size)
        assert_same_bits(got, ux.fractional_max_unpool(*wanted[:count], **size))


def test_a_plane_smaller_than_the_maxima_takes_them_all() -> None:
    values, indices = np.arange(1.0, 13).reshape(1, 3, 4), np.full((1, 3, 4), -1)
    indices[0, 2, 3] = 3
    arrays = [da.from_array(array, chunks=-1) for array in (values, indices)]
    (got,) = lazily(ux.fractional_max_unpool, *arrays, output_size=(1, 7))
    assert got[0, 0, 3] == 12


@few
@given(convolution=convolutions(longest=9), seed=seeds)
def test_transposed_convolution(convolution: Any, seed: int) -> None:
    shapes, options = convolution
    arrays = [values(shape, "float32", seed + i) for i, shape in enumerate(shapes)]
    lazy = [da.from_array(array, chunks=chunks_of(array.shape, seed)) for array in arrays]
    got = lazily(ux.conv_transpose, *lazy, **options)
    assert_same_bits(got, ux.conv_transpose(*arrays, **options))


def test_a_chunk_that_no_tap_reaches_has_the_bias_alone() -> None:
    x, weight, bias = np.ones((1, 2), "float32"), np.ones((1, 1, 1), "float32"), np.ones(1, "f4")
    options = {"dilation": 2, "output_padding": 1}
    lazy = [da.from_array(x, chunks=((1,), (1, 1, 0))), *map(da.from_array, (weight, bias))]
    got = lazily(ux.conv_transpose, *lazy, **options)
    assert got[0].tolist() == [[2, 2, 1]]
    assert_same_bits(got, ux.conv_transpose(x, weight, bias, **options))
    assert lazily(ux.conv_transpose, *lazy[:2], **options)[0].tolist() == [[1, 1, 0]]


@few
@given(
    pooling=poolings(max_rank=2),
    lead=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    ways=st.tuples(*[st.sampled_from(CONVENTIONS)] * 2),
    seed=seeds,
)
def test_conversion(pooling: PoolingArguments, lead: Any, ways: tuple[Any, Any], seed: int) -> None:
    x = values((*lead, *pooling.plane), "int32", seed)
    options = {k: v for k, v in pooling.options.items() if k != "ceil_mode"}
    options["input_shape"] = x.shape
    indices = ux.max_pool(x, **pooling.options).indices
    given = ux.convert_indices(indices, "torch", ways[0], **options)
    lazy = da.from_array(given, chunks=chunks_of(given.shape, seed))
    got = lazily(ux.convert_indices, lazy, source=ways[0], target=ways[1], **options)
    assert_same_bits(got, ux.convert_indices(given, *ways, **options))


@every_call
def test_every_operation_on_any_chunks(call: Any, slices_at_any_size: None) -> None:
    function, arrays, options = call
    if function is ux.conv_transpose:  # whose products BLAS may round otherwise in other shapes
        arrays = tuple(np.round(4 * array) for array in arrays)
    wanted = function(*arrays, **options)
    for seed in range(3):
        lazy = [da.from_array(array, chunks=chunks_of(array.shape, seed)) for array in arrays]
        assert_same_bits(lazily(function, *lazy, **options), wanted)


@every_call
def test_chunks_over_the_leading_axes_are_kept(call: Any) -> None:
    function, arrays, options = call
    inputs = chunked(
        arrays, (1, 2, -1, -1) if function.__name__ != "conv_transpose" else (1, -1, -1, -1)
    )
    with forbid_compute():
        got = function(*inputs, **options)
    for one, wanted in zip(outputs(got), outputs(function(*arrays, **options)), strict=True):
        assert isinstance(one, da.Array)
        assert one.dtype == wanted.dtype
        assert one.chunks[0] == (1, 1)
        if function.__name__ not in ("conv_transpose", "convert_indices"):
            assert one.chunks[1] == (2, 2)
        np.testing.assert_allclose(one.compute(), wanted, rtol=1e-5, atol=1e-5)


# --- what is built -------------------------------------------------------------------------------

X = da.zeros((2, 3, 64, 96), chunks=(1, 3, 8, 8), dtype=np.float32)
NOWHERE = da.full(X.shape, -1, chunks=X.chunks, dtype=np.int64)  # indices outside any plane
W = da.ones((3, 2, 3, 3), dtype=np.float32)
# Tasks for each chunk of the output: its own, its strips, and with two outputs one to pick each.
TASKS: list[tuple[Any, tuple[Any, ...], dict[str, Any], int]] = [
    (ux.max_pool, (X,), {"kernel_size": 2}, 1 + 2),
    (ux.max_pool, (X,), {"kernel_size": 3, "stride": 2, "padding": 1}, 1 + 2 + 3),
    (ux.avg_pool, (X,), {"kernel_size": 2}, 1),
    (ux.avg_pool, (X,), {"kernel_size": 3, "stride": 1, "padding": 1}, 1 + 8),
    (
        ux.fractional_max_pool,
        (X,),
        {"kernel_size": 2, "output_size": (32, 48), "seed": 0},
        1 + 2 + 8,
    ),
    (ux.nearest_unpool, (X,), {"scale_factor": 2}, 1),
    (ux.nearest_unpool, (X,), {"scale_factor": 1.5, "coordinates": "half_pixel"}, 1 + 3),
    (ux.linear_unpool, (X,), {"scale_factor": 2}, 1 + 3),
    (ux.linear_unpool, (X,), {"scale_factor": 2, "coordinates": "half_pixel"}, 1 + 8),
    (ux.linear_unpool, (X,), {"output_size": (150, 190), "coordinates": "align_corners"}, 1 + 8),
    (ux.cubic_unpool, (X,), {"scale_factor": 2}, 1 + 8),
    (ux.max_unpool, (X, NOWHERE), {"kernel_size": 2}, 1),
    (ux.max_unpool, (X, NOWHERE), {"kernel_size": 3, "stride": 2, "padding": 1}, 1 + 2 * 3),
    (ux.fractional_max_unpool, (X,), {"scale_factor": 1.7}, 1 + 8),
    (ux.conv_transpose, (X, W), {"stride": 3}, 1),
    (ux.conv_transpose, (X, W), {"stride": 1, "padding": 1}, 1 + 8),
]

every_task = pytest.mark.parametrize(
    "call", TASKS, ids=[f"{f.__name__}-{i}" for i, (f, *_) in enumerate(TASKS)]
)


@every_task
def test_tasks_for_each_chunk(call: Any) -> None:
    function, arrays, options, most = call
    got = outputs(function(*arrays, **options))
    tasks = dict(da.Array.__dask_graph__(got[0]))
    for one in got[1:]:
        tasks |= dict(one.dask)
    given = sum(len(dict(array.dask)) for array in arrays)
    assert got[0].npartitions == X.npartitions
    assert len(tasks) - given <= most * got[0].npartitions


def test_arbitrary_indices_cost_a_task_for_each_pair_of_chunks_of_a_plane() -> None:
    got = ux.max_unpool(X, NOWHERE, output_size=(64, 96))
    own = len(dict(got.dask)) - 2 * X.npartitions
    each_plane = 8 * 12
    assert own == got.npartitions * (each_plane + 1)
    one = X.rechunk((1, 3, 64, 96))
    got = ux.max_unpool(one, one.astype(np.int64), output_size=(64, 96))
    assert len(got.dask.layers[got.name]) == got.npartitions == 2


@every_task
def test_no_piece_is_larger_than_its_chunk_and_a_halo(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, arrays, options, _ = call
    pieces, strips = [], []
    join = chunks_module._Gather.__call__
    cut = _HaloSlice.__call__

    def joined(gather: Any, given: Any) -> Any:
        found = join(gather, given)
        pieces.extend(array.shape for array in found[0])
        return found

    def strip(self: Any, chunk: Any) -> Any:
        found = cut(self, chunk)
        assert not np.shares_memory(found, chunk)
        strips.append(found.shape)
        return found

    monkeypatch.setattr(chunks_module._Gather, "__call__", joined)
    monkeypatch.setattr(_HaloSlice, "__call__", strip)
    got = outputs(function(*arrays, **options))
    dask.compute(*got, scheduler="synchronous")
    assert len(pieces) >= got[0].npartitions
    assert all(shape[:2] == (1, 3) and max(shape[2:]) <= 8 + 4 for shape in pieces)
    assert all(min(shape[2:]) <= 2 and max(shape[2:]) <= 8 for shape in strips)


@every_task
def test_a_task_takes_its_part_of_the_plan_alone(call: Any) -> None:
    function, arrays, options, _ = call
    sizes = []
    for times in (1, 4):
        large = [
            da.tile(array, (1, 1, times, times)) if array.ndim == 4 and array is not W else array
            for array in arrays
        ]
        given = dict(options)
        if "output_size" in given:
            given["output_size"] = tuple(times * n for n in given["output_size"])
        got = outputs(function(*large, **given))[0]
        tasks = [t[0] for layer in got.dask.layers.values() for t in layer.values() if _ours(t)]
        sizes.append(max(len(pickle.dumps(task)) for task in tasks))
    assert sizes[1] <= sizes[0] + 200


def _ours(task: Any) -> bool:
    return isinstance(task, tuple) and isinstance(task[0], _Task)


def test_chunks_follow_those_of_the_input() -> None:
    x = da.zeros((2, 3, 40, 24), chunks=((1, 1), (2, 1), (8, 16, 16), (12, 12)))
    assert ux.max_pool(x, 2).values.chunks == ((1, 1), (2, 1), (4, 8, 8), (6, 6))
    same = ux.max_pool(x, 3, stride=1, padding=1)
    assert same.values.chunks == same.indices.chunks == x.chunks
    for twice in (ux.linear_unpool(x, 2, coordinates="half_pixel"), ux.nearest_unpool(x, 2)):
        assert twice.chunks == ((1, 1), (2, 1), (16, 32, 32), (24, 24))
    spread = ux.conv_transpose(x, da.ones((3, 5, 4, 4)), stride=2, padding=1)
    assert spread.chunks == ((1, 1), (5,), (16, 32, 32), (24, 24))
    back = ux.max_unpool(*ux.max_pool(x, 2), 2)
    assert back.chunks == x.chunks


def test_the_same_call_has_the_same_name() -> None:
    one, two, other = (ux.max_pool(X, k).values.name for k in (2, 2, 4))
    assert one == two != other
    drawn = [ux.fractional_max_pool(X, 2, output_size=9, seed=s).values.name for s in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_it_computes_on_threads_and_after_pickling() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32))
    lazy = da.from_array(x, chunks=(1, 3, 8, 8))
    got = ux.max_unpool(*ux.max_pool(lazy, 3, stride=2), 3, stride=2, output_size=(32, 32))
    wanted = ux.max_unpool(*ux.max_pool(x, 3, stride=2), output_size=(32, 32))
    assert_same_bits(pickle.loads(pickle.dumps(got)).compute(scheduler="threads"), wanted)


# --- far places, wrong places --------------------------------------------------------------------


def test_indices_beyond_what_32_bits_count() -> None:
    side = 2**17  # 2**34 cells, 64 GiB
    x = da.zeros((1, 1, side, side), chunks=(1, 1, 4096, 4096), dtype=np.float32)
    x = x + da.arange(side, chunks=4096) % 2
    pooled = ux.max_pool(x.astype(np.float32), 2)
    far = pooled.indices[..., -2048:, -2048:]
    assert far.numblocks == (1, 1, 1, 1)
    corner = far[..., -1:, -1:].compute()
    assert corner.item() == (side - 2) * side + side - 1 > 2**33
    # All the way back, computing the last chunk alone.
    back = ux.max_unpool(*pooled, 2)[..., -2:, -4:].compute()
    assert back.tolist() == [[[[0, 1, 0, 1], [0, 0, 0, 0]]]]


def wrong_pair(place: int) -> list[Any]:
    pooled, indices = np.ones((1, 1, 4, 4)), np.arange(64).reshape(1, 1, 8, 8)[..., ::2, ::2].copy()
    indices[0, 0, 1, 1] = place
    return [da.from_array(array, chunks=(1, 1, 2, 2)) for array in (pooled, indices)]


@pytest.mark.parametrize("place", [0, 17])
def test_an_index_of_another_window_of_the_chunk_serves(place: int) -> None:
    lazy = wrong_pair(place)
    whole = [array.compute() for array in lazy]
    np.testing.assert_array_equal(ux.max_unpool(*lazy, 2).compute(), ux.max_unpool(*whole, 2))


@pytest.mark.parametrize("place", [20, 34, 63])
def test_an_index_of_another_window_is_an_error_that_says_what_to_do(place: int) -> None:
    lazy = wrong_pair(place)
    with forbid_compute():
        got = ux.max_unpool(*lazy, 2)
    with pytest.raises(IndexError, match=f"first is {place}.*leave kernel_size out"):
        got.compute(scheduler="synchronous")
    whole = [array.compute() for array in lazy]
    right = ux.max_unpool(*lazy, output_size=8).compute()
    np.testing.assert_array_equal(right, ux.max_unpool(*whole, output_size=8))


def test_a_cell_around_the_end_of_a_line_is_not_in_the_window() -> None:
    x = np.random.default_rng(0).standard_normal((1, 1, 8, 8))
    pooled, indices = ux.max_pool(x, 3, stride=2, padding=1)
    indices[0, 0, 1, 0] = 7  # one before the start of row 1, where the window covers padding
    lazy = [da.from_array(array, chunks=(1, 1, 2, 2)) for array in (pooled, indices)]
    got = ux.max_unpool(*lazy, 3, stride=2, padding=1, output_size=8)
    with pytest.raises(IndexError, match="first is 7"):
        got.compute()


@pytest.mark.parametrize("place", [-1, -9, 64, 65, 2**40])
@pytest.mark.parametrize("options", [{"kernel_size": 2}, {"output_size": 8}])
def test_an_index_outside_the_plane_is_dropped(place: int, options: Any) -> None:
    got = ux.max_unpool(*wrong_pair(place), **options).compute()
    assert got.sum() == 15
    assert got[0, 0, 2, 2] == 0


def test_windows_beyond_the_plane_are_looked_at_too() -> None:
    # output_size may be any that holds the indices, so these windows may lie beyond it.
    pooled, places = np.ones((1, 1, 8)), np.asarray([[[0, 2, 9, 9, 9, 9, 9, 1]]])
    lazy = [da.from_array(array, chunks=(1, 1, 2)) for array in (pooled, places)]
    with pytest.raises(IndexError, match="first is 1"):
        ux.max_unpool(*lazy, 2, output_size=4).compute()
    lazy[1] = lazy[1] + 8 * (da.arange(8, chunks=2) == 7)
    assert ux.max_unpool(*lazy, 2, output_size=4).compute().tolist() == [[[1, 0, 1, 0]]]


@pytest.mark.parametrize("name", ["x", "indices"])
def test_chunks_of_unknown_size_are_named(name: str) -> None:
    x = da.ones((4, 3, 8, 8), chunks=(2, 3, 4, 4))
    unknown = x[da.ones(4, chunks=2) > 0]
    function, arrays = ux.max_pool, (unknown,)
    if name == "indices":
        function, arrays = ux.max_unpool, (x, unknown.astype(np.int64))
    with pytest.raises(ValueError, match=f"{name} has axes of unknown size.*compute_chunk_sizes"):
        function(*arrays, 2)
