"""Arrays in chunks: of one spec, never computed, and regular where axes are merged and split."""

from __future__ import annotations

import gc
import itertools
import math
import weakref
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

import unpool_xp as ux
from tests.support import minimal_library
from unpool_xp import backends, reference
from unpool_xp._array.adapted.chunks import in_whole_planes, reshape_chunked
from unpool_xp.bench.check.run import check_operation
from unpool_xp.capabilities import OPERATIONS


class Chunked(NamedTuple):
    """As much of an array in chunks as decides how it is cut."""

    shape: tuple[int, ...]
    chunksize: tuple[int, ...]

    def rechunk(self, chunks: Any) -> Chunked:
        return Chunked(self.shape, chunks)


SHAPES = [
    ((2, 3, 4), (6, 4)),
    ((2, 3, 4), (2, 12)),
    ((6, 4), (2, 3, 4)),
    ((2, 3, 4), (4, 6)),
    ((2, 1, 3), (2, 3)),
    ((2, 3), (1, 2, 1, 3, 1)),
    ((2, 3, 7, 2, 6), (2, 3, 14, 6)),
    ((1, 1), (1,)),
]


def reshaped(x: Chunked, shape: tuple[int, ...]) -> list[tuple[Chunked, tuple[int, ...]]]:
    """Return the arrays that a library is given to reshape, and the shapes."""
    calls = []

    def reshape(x: Chunked, shape: tuple[int, ...]) -> Chunked:
        calls.append((x, shape))
        return Chunked(shape, shape)

    assert reshape_chunked(SimpleNamespace(reshape=reshape), x, shape).shape == shape
    return calls


@pytest.mark.parametrize(("old", "new"), SHAPES)
def test_every_chunk_is_a_regular_one_of_the_new_shape(
    old: tuple[int, ...], new: tuple[int, ...]
) -> None:
    every = itertools.product(*(range(1, n + 1) for n in old))
    for x, shape in itertools.chain.from_iterable(reshaped(Chunked(old, c), new) for c in every):
        assert all(1 <= wide <= n for wide, n in zip(x.chunksize, x.shape, strict=True))
        numbers = np.arange(math.prod(x.shape)).reshape(x.shape)
        starts = [range(0, n, wide) for n, wide in zip(x.shape, x.chunksize, strict=True)]
        boxes = set()
        for corner in itertools.product(*starts):
            part = tuple(slice(i, i + w) for i, w in zip(corner, x.chunksize, strict=True))
            places = np.asarray(np.unravel_index(numbers[part].ravel(), shape))
            sides = places.max(axis=1) - places.min(axis=1) + 1
            assert math.prod(sides) == numbers[part].size  # a box of the new shape
            boxes.add((tuple(places.min(axis=1)), tuple(sides)))
        # The boxes of each axis are as long as the first, but for the last.
        for axis, n in enumerate(shape):
            sides_by_start = {start[axis]: side[axis] for start, side in boxes}
            first = sides_by_start[0]
            assert sides_by_start == {k: min(first, n - k) for k in range(0, n, first)}


def test_axes_that_stay_keep_their_chunks_and_planes_are_whole() -> None:
    x = Chunked((4, 6, 5), (2, 3, 2))
    ((cut, _),) = reshaped(x, (4, 30))
    assert cut.chunksize == (2, 3, 5)
    ((cut, _),) = reshaped(x, (4, 2, 3, 5))
    assert cut is x
    assert in_whole_planes(x, 2).chunksize == (2, 6, 5)
    assert in_whole_planes(x, 0) is x


# --- a library in chunks -------------------------------------------------------------------------


class Planned(minimal_library.Array):
    """An array of a graph, with a spec: whoever asks for a value computes it."""

    spec: Any = "default"
    chunksize = property(lambda self: self.shape)

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return LIBRARY

    def rechunk(self, chunks: Any) -> Planned:
        return self

    def compute(self) -> np.ndarray:
        return np.array(self._data)

    def __bool__(self) -> bool:
        raise AssertionError("computed")

    __int__ = __float__ = __index__ = __bool__  # type: ignore[assignment]


def can_step(shape: tuple[int, ...], key: tuple[Any, ...]) -> bool:
    """Return whether Cubed can slice an array of one chunk: what it makes must fill a whole one."""
    slices = [one for one in key if isinstance(one, slice)]
    axes = shape[-len(slices) :] if key[0] is ... else shape[: len(slices)]
    for n, cells in zip(axes, slices, strict=True):
        step, count = cells.step or 1, len(range(n)[cells])
        per_chunk = max(n // step, 1)
        if step > 1 and count and per_chunk * step % min(per_chunk, count):
            return False
    return True


def planned(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes arrays of one spec, which is that of its result."""

    def call(*args: Any, spec: Any = None, chunks: Any = None, **options: Any) -> Any:
        several = [one if isinstance(one, list | tuple) else [one] for one in args]
        arrays = [one for one in itertools.chain(*several) if isinstance(one, Planned)]
        specs = {array.spec for array in arrays} | {spec} - {None}
        assert len(specs) < 2, f"{name}: arrays must have the same spec, got {specs}"
        if name == "take":
            assert isinstance(args[1], np.ndarray), "an index that would be computed"
            if len(args[1]) == args[0].shape[options["axis"]]:  # as Cubed does
                return args[0]
        if name == "__getitem__":
            assert can_step(args[0].shape, args[1]), "steps that end before the chunk"
        if name in ("__add__", "__mul__", "__sub__", "__truediv__"):
            assert len({array.dtype.kind for array in arrays}) == 1, "numbers of two kinds"
        result = function(*args, **options)
        if isinstance(result, Planned):
            result.spec = specs.pop() if specs else Planned.spec
        return result

    return call


LIBRARY = ModuleType("planned")
for _name, _value in minimal_library.names_of(Planned).items():
    _is_function = _name in minimal_library.FUNCTIONS
    setattr(LIBRARY, _name, planned(_name, _value) if _is_function else _value)
_asarray = LIBRARY.asarray


def _asarray_as_it_is(values: Any, *, dtype: Any = None, **options: Any) -> Any:
    # As Cubed's: that of a NumPy array stays.
    return _asarray(values, dtype=None if isinstance(values, np.ndarray) else dtype, **options)


LIBRARY.asarray = _asarray_as_it_is
_OTHERS = "__init__", "__array_namespace__", "__bool__", "__int__"
for _name, _value in vars(minimal_library.Array).items():
    if callable(_value) and _name not in _OTHERS:
        setattr(Planned, _name, planned(_name, _value))


class Backend(backends.Backend):
    """Arrays of another spec than new ones have."""

    def asarray(self, array: Any) -> Any:
        made = Planned(array)
        made.spec = "given"
        return made

    def to_numpy(self, array: Any) -> Any:
        assert array.spec == "given"
        return array.compute()


BACKEND = Backend("planned", LIBRARY)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_new_arrays_have_the_spec_of_the_inputs(operation: str) -> None:
    dtype = "int64" if operation == "convert_indices" else "float32"
    (result,) = check_operation(BACKEND, operation, dtype)
    assert result.outcome == "passed", result.detail


def test_means_of_windows_of_two_lengths_have_floating_divisors() -> None:
    x = np.arange(8.0)
    got = BACKEND.to_numpy(ux.adaptive_avg_pool(BACKEND.asarray(x), (3,)))
    np.testing.assert_allclose(got, reference.adaptive_avg_pool(x, (3,)))


def test_a_long_window_takes_no_index_that_would_be_computed() -> None:
    x = np.random.default_rng(0).random((2, 300))
    values, indices = map(BACKEND.to_numpy, ux.max_pool(BACKEND.asarray(x), (150,)))
    expected, places = reference.max_pool(x, (150,), (150,), ((0, 0),), (1,), False)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(indices, places)


def test_as_many_places_as_cells_are_taken_where_they_are() -> None:
    x = np.random.default_rng(0).random((2, 8))
    options = {"scale_factor": (1.1,), "coordinates": "half_pixel"}
    got = BACKEND.to_numpy(ux.cubic_unpool(BACKEND.asarray(x), **options))
    expected = reference.cubic_unpool(x, **options)
    assert expected.shape == x.shape
    np.testing.assert_allclose(got, expected)


def test_windows_that_leave_cells_at_the_end_are_cut_first() -> None:
    x = np.random.default_rng(0).random((2, 8))
    values, indices = map(
        BACKEND.to_numpy, ux.max_pool(BACKEND.asarray(x), (2,), stride=2, padding=1, dilation=3)
    )
    expected, places = ux.max_pool(x, (2,), stride=2, padding=1, dilation=3)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(indices, places)


def test_inputs_of_two_specs_are_an_error() -> None:
    values, indices = Planned(np.ones((1, 2))), BACKEND.asarray(np.ones((1, 2), np.int64))
    with pytest.raises(ValueError, match=r"max_unpool: all .* got values: default, indices: given"):
        ux.max_unpool(values, indices, output_size=(4,))


def test_no_spec_is_kept() -> None:
    class Spec:
        pass

    x = Planned(np.ones((2, 4)))
    x.spec = Spec()
    kept = weakref.ref(x.spec)
    ux.max_pool(x, (2,))
    ux.linear_unpool(x, (2,))
    del x
    gc.collect()
    assert kept() is None
