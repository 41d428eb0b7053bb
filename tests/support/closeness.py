"""Arrays that agree within the tolerance of their dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from unpool_xp.bench.cases.expected import differing
from unpool_xp.bench.cases.operation import TOLERANCE


def assert_close(got: Any, expected: Any) -> None:
    """Check that shape, dtype and values agree, relative to the largest magnitude."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    wrong = differing(got, expected, TOLERANCE.get(got.dtype.name, 0))
    assert not wrong.any(), f"{got[wrong]} should be {expected[wrong]}, at {np.argwhere(wrong)}"
