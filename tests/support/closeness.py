"""Numbers that are close, in arrays of the same shape and dtype."""

from __future__ import annotations

from typing import Any

import numpy as np


def assert_close(got: Any, expected: Any, *, rtol: float, atol: float) -> None:
    """Do what ``np.testing.assert_allclose(strict=True)`` does, which NumPy has from 2.0 on."""
    assert np.shape(got) == np.shape(expected), f"shape {np.shape(got)}, not {np.shape(expected)}"
    dtypes = np.asarray(got).dtype, np.asarray(expected).dtype
    assert dtypes[0] == dtypes[1], f"dtype {dtypes[0]}, not {dtypes[1]}"
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)
