"""Numbers that are close, in arrays of the same shape and dtype."""

from __future__ import annotations

from typing import Any

import numpy as np


def assert_close(got: Any, wanted: Any, *, rtol: float, atol: float) -> None:
    """Do what ``np.testing.assert_allclose(strict=True)`` does, which NumPy has from 2.0 on."""
    assert np.shape(got) == np.shape(wanted), f"shape {np.shape(got)}, not {np.shape(wanted)}"
    dtypes = np.asarray(got).dtype, np.asarray(wanted).dtype
    assert dtypes[0] == dtypes[1], f"dtype {dtypes[0]}, not {dtypes[1]}"
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=atol)
