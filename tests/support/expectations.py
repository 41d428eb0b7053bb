"""Expectations of plans: messages, and whole numbers."""

from __future__ import annotations

import re
from typing import Any

import pytest


def fails(error: type[Exception], *said: str) -> Any:
    """Expect an error of an operation, which it names first, whose message says this in order."""
    return pytest.raises(error, match="^(?=[a-z_]+: ).*" + ".*".join(map(re.escape, said)))


def whole(*numbers: Any) -> bool:
    """Tell whether all are ints: 2.0 == 2 would hide a division, True == 1 a comparison."""
    return all(type(number) is int for number in numbers)
