"""What the standard lacks: window views, setting by index, a look at values where there are any.

The one place with a branch on a library.
"""

from unpool_xp._primitives.blocks import blocks_pay, in_blocks, in_parts
from unpool_xp._primitives.capability import (
    at_hand,
    interleaves,
    number,
    readable,
    smooth,
    writable,
)
from unpool_xp._primitives.scatter import any_outside, scatter, scatter_refuses
from unpool_xp._primitives.spread import overlap_add
from unpool_xp._primitives.take import lined_up, take_known, take_places
from unpool_xp._primitives.views import (
    along,
    at,
    constant,
    interleaved,
    padded,
    raised,
    reshape_tail,
    take_slices,
    times,
    window_views,
    zeros,
)

__all__ = [
    "along",
    "any_outside",
    "at",
    "at_hand",
    "blocks_pay",
    "constant",
    "in_blocks",
    "in_parts",
    "interleaved",
    "interleaves",
    "lined_up",
    "number",
    "overlap_add",
    "padded",
    "raised",
    "readable",
    "reshape_tail",
    "scatter",
    "scatter_refuses",
    "smooth",
    "take_known",
    "take_places",
    "take_slices",
    "times",
    "window_views",
    "writable",
    "zeros",
]
