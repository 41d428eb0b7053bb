"""The pairs of pooling and unpooling that the gallery compares."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import unpool_xp as ux

RoundTrip: TypeAlias = Callable[[Any, float], Any]


@dataclass(frozen=True)
class Method:
    """A pooling and the unpooling that follows it."""

    pooling: str
    unpooling: str
    apply: RoundTrip = field(repr=False)  # to an array (channel, row, column), by a stride
    fractional: bool = False  # whether it takes fractional strides

    @property
    def name(self) -> str:
        """Both functions on one line."""
        return f"{self.pooling}, {self.unpooling}"


def _max(unpool: Callable[[Any, Any, tuple[int, int]], Any]) -> RoundTrip:
    def apply(x: Any, stride: float) -> Any:
        size = (int(stride), int(stride))
        return unpool(*ux.max_pool(x, size), size)

    return apply


def _avg(unpool: Callable[[Any, tuple[int, int]], Any]) -> RoundTrip:
    def apply(x: Any, stride: float) -> Any:
        size = (int(stride), int(stride))
        return unpool(ux.avg_pool(x, size), size)

    return apply


def _linear(coordinates: Any) -> RoundTrip:
    return _avg(lambda means, size: ux.linear_unpool(means, size, coordinates=coordinates))


def _fractional(*, indices: bool) -> RoundTrip:
    def apply(x: Any, stride: float) -> Any:
        kernel = (math.ceil(stride),) * 2
        out = tuple(int(n / stride) for n in x.shape[-2:])
        # The same regions for all channels, so that colours stay aligned.
        pooled = ux.fractional_max_pool(x, kernel, output_size=out, samples=(0.5, 0.5))
        inputs = pooled if indices else pooled[:1]
        return ux.fractional_max_unpool(*inputs, output_size=tuple(x.shape[-2:]))

    return apply


METHODS = (
    Method("max_pool", "max_unpool", _max(lambda v, i, size: ux.max_unpool(v, i, size))),
    Method("max_pool", "nearest_unpool", _max(lambda v, i, size: ux.nearest_unpool(v, size))),
    Method("avg_pool", "nearest_unpool", _avg(ux.nearest_unpool)),
    Method("avg_pool", "linear_unpool asymmetric", _linear("asymmetric")),
    Method("avg_pool", "linear_unpool half_pixel", _linear("half_pixel")),
    Method("avg_pool", "linear_unpool align_corners", _linear("align_corners")),
    Method("fractional_max_pool", "fractional_max_unpool", _fractional(indices=False), True),
    Method(
        "fractional_max_pool", "fractional_max_unpool with indices", _fractional(indices=True), True
    ),
)


def find_method(pooling: str, unpooling: str) -> Method:
    """Return the entry of `METHODS` with these two labels."""
    return next(m for m in METHODS if (m.pooling, m.unpooling) == (pooling, unpooling))
