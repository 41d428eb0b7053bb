"""What the standard lacks: window views, setting by index, a look at values where there are any.

The one place with a branch on a library.
"""

from unpool_xp._array.blocks import blocks_pay, in_blocks, in_parts, planes_at_once, planes_in_cache
from unpool_xp._array.gather import lined_up, take_known, take_places
from unpool_xp._array.numeric import product
from unpool_xp._array.overlap_add import overlap_add
from unpool_xp._array.repeat import repeated
from unpool_xp._array.scatter import any_outside, cells_to_spare, scatter, scatter_refuses
from unpool_xp._array.traits import (
    at_hand,
    fuses_lookups,
    in_chunks,
    looked,
    number,
    plain,
    readable,
    smooth,
    writable,
)
from unpool_xp._array.views import (
    along,
    at,
    constant,
    interleaved,
    padded,
    raised,
    reshape_tail,
    stacked_taps,
    surrounded,
    take_slices,
    tap_views,
    times,
    window_views,
    zeros,
)
from unpool_xp._dask.graph import (
    More,
    by_chunks,
    chunk_like,
    chunks_index_dtype,
    without_empty_chunks,
)
from unpool_xp._primitives.lerp import blend_into, lerp_into

__all__ = [
    "More",
    "along",
    "any_outside",
    "at",
    "at_hand",
    "blend_into",
    "blocks_pay",
    "by_chunks",
    "cells_to_spare",
    "chunk_like",
    "chunks_index_dtype",
    "constant",
    "fuses_lookups",
    "in_blocks",
    "in_chunks",
    "in_parts",
    "interleaved",
    "lerp_into",
    "lined_up",
    "looked",
    "number",
    "overlap_add",
    "padded",
    "plain",
    "planes_at_once",
    "planes_in_cache",
    "product",
    "raised",
    "readable",
    "repeated",
    "reshape_tail",
    "scatter",
    "scatter_refuses",
    "smooth",
    "stacked_taps",
    "surrounded",
    "take_known",
    "take_places",
    "take_slices",
    "tap_views",
    "times",
    "window_views",
    "without_empty_chunks",
    "writable",
    "zeros",
]
