"""Dask: lazy to the end, chunks over the leading axes kept, chunks over space right too."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest

from tests.conftest import forbid_compute
from tests.support.calls import chunked, every_call, outputs


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


@every_call
@pytest.mark.parametrize("sizes", [(1, 2, 2, 4), (2, 4, 1, 5), (2, 3, (1, 4, 1), (2, 7))])
def test_chunks_over_space_give_the_same(call: Any, sizes: Any) -> None:
    function, arrays, options = call
    inputs = [
        da.from_array(
            a,
            chunks=tuple(
                s if isinstance(s, int) or sum(s) == n else -1
                for s, n in zip(sizes, a.shape, strict=False)
            ),
        )
        if a.ndim == 4 and a.shape[:2] == (2, 4)
        else da.from_array(a)
        for a in arrays
    ]
    with forbid_compute():
        got = function(*inputs, **options)
    for one, wanted in zip(outputs(got), outputs(function(*arrays, **options)), strict=True):
        np.testing.assert_allclose(one.compute(), wanted, rtol=1e-5, atol=1e-5)


@every_call
def test_the_graph_is_only_as_large_as_the_chunks_ask(call: Any) -> None:
    function, arrays, options = call
    one = outputs(function(*chunked(arrays, (-1, -1, -1, -1)), **options))[0]
    two = outputs(function(*chunked(arrays, (1, -1, -1, -1)), **options))[0]
    assert len(dict(two.dask)) <= 2.5 * len(dict(one.dask)) + 20
