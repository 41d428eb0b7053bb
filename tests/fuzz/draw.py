"""Draw a call of an operation, now and then with a mistake in its options."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np

from tests.fuzz.operations import DRAWS
from tests.fuzz.pieces import Call, parameters


def draw(rng: Random, operations: list[str]) -> Call:
    """Return a call of one of the operations."""
    operation = rng.choice(operations)
    call = DRAWS[operation](rng)
    known = parameters(call.operation)
    call.options = {name: value for name, value in call.options.items() if name in known}
    if rng.random() < 0.06:
        _make_a_mistake(rng, call)
    return call


_NO_SIZE = (True, 2.0, "2", None, 1j, b"2", np.bool_(True), (2, "2"), (2.5,))
_MISTAKES: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("kernel_size", "stride", "dilation"), (0, -1, (), (1,) * 6, 2**70, *_NO_SIZE)),
    "padding": (-1, (), ((1, 2, 3),), "valid", 2**70, *_NO_SIZE[:3]),
    "output_size": (-1, (), (1,) * 7, *_NO_SIZE[:3]),
    "scale_factor": (0, -1.0, math.nan, math.inf, 1e300, True, "2", 1j, (), np.asarray([1.5, 1.5])),
    "coordinates": ("halfpixel", None, 1, ["half_pixel"]),
    "rounding": ("nearest", None, 0),
    "ceil_mode": ("no", None, 2),
    "count_include_pad": ("no", None, 2),
    "divisor": (0, 2.0, "2", True),
    "duplicates": ("last", None, True),
    "check_indices": ("no", None, 2),
    "groups": (0, -1, 2.0, True, "1"),
    "output_padding": (-1, 99, *_NO_SIZE[:3]),
    "samples": ([1.0], [-0.1], [math.nan], [[0.1]] * 9, "half", [0.5] * 5),
    "output_ratio": (0, 1.5, -1, math.nan, "half", True),
    "coefficient": ("a", None, math.nan, math.inf),
    "antialias": ("no", None, 2),
    "exclude_outside": ("no", None, 2),
    "source": ("caffe", None, 1),
    "target": ("caffe", None, 1),
    "input_shape": (4, (1, 1, -4, 4), (1,), "4", (1, 1, 2.0)),
}


def _make_a_mistake(rng: Random, call: Call) -> None:
    """Put a value into an option that no operation can take, other than None for its default."""
    known = parameters(call.operation)
    names = [name for name in known if name in _MISTAKES]
    name = rng.choice(names)
    value = rng.choice(_MISTAKES[name])
    if value is None and known[name].default is None:
        return
    call.options = call.options | {name: value}
    call.odd = isinstance(value, int) and value == 2**70
    call.mistake = not call.odd
