"""Elements at places are taken along any axis, however many there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from unpool_xp._array import gather
from unpool_xp._array.namespace import inspect_inputs


@pytest.mark.parametrize("axis", [-1, -2, -3])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("few", [0, 2**14])
def test_tensors_are_taken_from_as_arrays_are(
    axis: int, dtype: Any, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "_MIN_GATHERED", few)
    x, places = np.arange(120).astype(dtype).reshape(2, 3, 4, 5), np.asarray([2, 0, 0, 1])
    tensor = torch.from_numpy(x)
    info = inspect_inputs("nearest_unpool", x=tensor)
    got = gather.take(info, tensor, torch.from_numpy(places), axis)
    assert got.dtype == tensor.dtype
    np.testing.assert_array_equal(got, np.take(x, places, axis=axis))
