"""Feature maps of the photograph."""

from __future__ import annotations

import numpy as np
import pytest

from unpool_xp.bench.cases.inputs import feature_map, numpy_dtype


@pytest.mark.parametrize(
    "shape", [(17,), (2, 3, 40), (2, 3, 8, 9), (1, 2, 3, 8, 9), (1, 1, 600, 2)]
)
def test_a_feature_map_has_ties_both_signs_and_no_two_items_alike(shape: tuple[int, ...]) -> None:
    made = feature_map(shape)
    assert made.shape == shape
    assert made.dtype == np.float32
    assert made.min() < 0 < made.max()
    assert (made == made.min()).sum() > 1 or made.size < 20
    planes = made.reshape(-1, shape[-1])
    assert len(np.unique(planes, axis=0)) > len(planes) / 2


def test_a_feature_map_is_deterministic_read_only_and_kept() -> None:
    made = feature_map((1, 2, 5, 5), seed=3)
    assert feature_map((1, 2, 5, 5), seed=3) is made
    assert not made.flags.writeable
    assert not np.array_equal(made, feature_map((1, 2, 5, 5), seed=4))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float16", "bfloat16", "float64"])
def test_a_feature_map_in_any_real_dtype(dtype: str) -> None:
    made = feature_map((1, 4, 16, 16), dtype)
    assert made.dtype == numpy_dtype(dtype)
    assert len(np.unique(made.astype(np.float64))) > 20


def test_a_bad_feature_map_is_named() -> None:
    with pytest.raises(ValueError, match=r"shape=\(2, 0\)"):
        feature_map((2, 0))
    with pytest.raises(ValueError, match="rank=3"):
        feature_map((2, 2), rank=3)
    with pytest.raises(ValueError, match="dtype='complex64'"):
        feature_map((2, 2), "complex64")
