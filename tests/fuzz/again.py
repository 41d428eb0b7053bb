"""Make a call of the fuzzer again, from the line that it printed."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np
from numpy import array

from tests.fuzz.arrays import Array, make, make_indices
from tests.fuzz.judge import expected_from
from tests.fuzz.libraries import TARGETS, run
from tests.fuzz.natives import NATIVES
from tests.fuzz.pieces import Call

__all__ = ["again", "array", "inf", "make", "make_indices", "nan", "np"]


def again(
    label: str, operation: str, arrays: list[Any], options: dict[str, Any], plain: dict[str, Any]
) -> None:
    """Print what becomes of a call on NumPy and on what it was compared with."""
    call = Call(operation, tuple(Array(one, "") for one in arrays), options, plain)
    ours = run("numpy", call)
    print("numpy:", ours)
    if label in TARGETS:
        print("right there:", expected_from(call, ours, label))
    print(f"{label}:", run(label, call) if label in TARGETS else NATIVES[label](call))
