"""Resizing against the reference, on every backend."""

from __future__ import annotations

import tracemalloc
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

import unpool_xp as ux
from tests.conftest import Target
from tests.support.closeness import assert_close
from tests.support.strategies import examples, real_values, resizes, seeds, values
from unpool_xp import reference
from unpool_xp._array import gather
from unpool_xp._impl import interpolation
from unpool_xp._plan.arguments import Coordinates, Rounding

ANY_DTYPE = st.sampled_from(["float32", "float64", "int16", "int64", "uint8", "bool", "complex64"])
COORDINATES = st.sampled_from(get_args(Coordinates))


@examples(
    60,
    case=resizes(),
    coordinates=COORDINATES,
    rounding=st.sampled_from((None, *get_args(Rounding))),
    dtype=ANY_DTYPE,
    seed=seeds,
)
def test_nearest_unpool(
    target: Target, case: Any, coordinates: str, rounding: str | None, dtype: str, seed: int
) -> None:
    shape, options = case
    options |= {"coordinates": coordinates, "rounding": rounding}
    x = values(shape, dtype, seed)
    got = target(ux.nearest_unpool, x, **options)
    np.testing.assert_array_equal(got, reference.nearest_unpool(x, **options), strict=True)


@examples(60, case=resizes(), coordinates=COORDINATES, antialias=st.booleans(), seed=seeds)
def test_linear_unpool(
    target: Target, case: Any, coordinates: str, antialias: bool, seed: int
) -> None:
    shape, options = case
    options |= {"coordinates": coordinates, "antialias": antialias}
    x = real_values(shape, seed)
    got = target(ux.linear_unpool, x, **options)
    assert_close(got, reference.linear_unpool(x, **options))


@examples(
    40,
    case=resizes(),
    coordinates=COORDINATES,
    antialias=st.booleans(),
    coefficient=st.sampled_from([-0.75, -0.5, 0]),
    seed=seeds,
)
def test_cubic_unpool(
    target: Target, case: Any, coordinates: str, antialias: bool, coefficient: float, seed: int
) -> None:
    shape, options = case
    options |= {"coordinates": coordinates, "antialias": antialias, "coefficient": coefficient}
    x = real_values(shape, seed)
    got = target(ux.cubic_unpool, x, **options)
    assert_close(got, reference.cubic_unpool(x, **options))


INF = np.inf
SPECIAL: list[tuple[Any, list[float], dict[str, Any], list[float]]] = [
    (ux.linear_unpool, [1, INF], {"scale_factor": 2}, [1, INF, INF, INF]),
    (ux.linear_unpool, [-INF] * 3, {"scale_factor": 3, "coordinates": "half_pixel"}, [-INF] * 9),
    (ux.linear_unpool, [1, 2, INF], {"output_size": 5, "coordinates": "align_corners"},
     [1, 1.5, 2, INF, INF]),
    (ux.linear_unpool, [0, INF, 0, 7], {"output_size": 6}, [0, INF, INF, 0, 14 / 3, 7]),
    (ux.linear_unpool, [1, INF, 3, 4], {"scale_factor": 1.2}, [1, INF, 3, 4]),
    (ux.linear_unpool, [np.nan, 1, 2, 3], {"scale_factor": 0.5}, [np.nan, 2]),
    (ux.cubic_unpool, [1, INF, 2, 3], {"output_size": 4}, [1, INF, 2, 3]),
    (ux.cubic_unpool, [1, 2, INF, 4], {"scale_factor": 0.5, "coordinates": "asymmetric"}, [1, INF]),
    (ux.cubic_unpool, [9, 9, 9, 9, 9, 9, INF, 9],
     {"scale_factor": 0.25, "antialias": True, "coefficient": 0}, [9, INF]),
]  # fmt: skip


@pytest.mark.parametrize("case", SPECIAL, ids=range(len(SPECIAL)))
def test_a_neighbour_of_weight_zero_spoils_nothing(target: Target, case: Any) -> None:
    function, x, options, wanted = case
    got = target(function, np.asarray([[x]], dtype=np.float64), **options)
    np.testing.assert_allclose(got, [[wanted]], rtol=1e-5)


def test_infinities_are_no_error_of_numpy() -> None:
    with np.errstate(all="raise"):
        for function in (ux.linear_unpool, ux.cubic_unpool):
            function(np.asarray([[[1.0, np.inf, 2.0, -np.inf]]]), 2)
            got = function(np.full((1, 1, 4), 3e38, np.float32), 2)
            np.testing.assert_allclose(got, np.full((1, 1, 8), 3e38), rtol=1e-6)


LONG: list[Any] = [
    lambda x: ux.nearest_unpool(x, 1.5),
    lambda x: ux.linear_unpool(x, 1.5),
    lambda x: ux.linear_unpool(x, 2, coordinates="half_pixel"),
    lambda x: ux.cubic_unpool(x, 1.5),
    lambda x: ux.cubic_unpool(x, output_size=x.shape[-1] + 1),
    lambda x: ux.linear_unpool(x, 0.1, antialias=True),
]


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("call", LONG, ids=range(len(LONG)))
def test_a_long_axis_goes_piece_by_piece(
    call: Any, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = real_values((1, 2, 20_001), 0, "float32")
    given: Any = x if library == "numpy" else torch.from_numpy(x)
    whole = call(given)
    for module in (gather, interpolation):
        monkeypatch.setattr(module, "MAX_CACHED_TAPS", 0)
    monkeypatch.setattr(gather, "_MAX_CACHED_PLACES", 1000)
    np.testing.assert_array_equal(call(given), whole)


@pytest.mark.parametrize("call", LONG[:-1], ids=range(len(LONG) - 1))
def test_a_long_axis_takes_little_more_memory_than_its_arrays(call: Any) -> None:
    x = np.ones((1, 1, 2_000_000), np.float32)
    tracemalloc.start()
    output = call(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * output.nbytes
