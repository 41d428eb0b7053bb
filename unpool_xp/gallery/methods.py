"""The pairs of pooling and unpooling that the gallery shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import unpool_xp as ux

Way: TypeAlias = Callable[[Any, float], Any]


@dataclass(frozen=True)
class Method:
    """A pooling and the unpooling that undoes it.

    Attributes
    ----------
    pooling, unpooling : str
        What is called, in words.
    way : callable
        From an array of shape (channel, row, column) and a stride to what comes back.
    whole : bool
        Whether only whole strides will do.
    """

    pooling: str
    unpooling: str
    way: Way = field(repr=False)
    whole: bool = True

    @property
    def name(self) -> str:
        """Both, in one line."""
        return f"{self.pooling}, {self.unpooling}"


def _maxima(unpool: Callable[[Any, Any, tuple[int, int]], Any]) -> Way:
    def way(x: Any, stride: float) -> Any:
        size = (int(stride), int(stride))
        return unpool(*ux.max_pool(x, size), size)

    return way


def _means(unpool: Callable[[Any, tuple[int, int]], Any]) -> Way:
    def way(x: Any, stride: float) -> Any:
        size = (int(stride), int(stride))
        return unpool(ux.avg_pool(x, size), size)

    return way


def _linear(coordinates: Any) -> Way:
    return _means(lambda means, size: ux.linear_unpool(means, size, coordinates=coordinates))


def _fractional(*, indices: bool) -> Way:
    def way(x: Any, stride: float) -> Any:
        kernel = (math.ceil(stride),) * 2
        out = tuple(int(n / stride) for n in x.shape[-2:])
        # One sample for all channels: a colour stays together.
        pooled = ux.fractional_max_pool(x, kernel, output_size=out, samples=(0.5, 0.5))
        given = pooled if indices else pooled[:1]
        return ux.fractional_max_unpool(*given, output_size=tuple(x.shape[-2:]))

    return way


METHODS = (
    Method("max_pool", "max_unpool", _maxima(lambda v, i, size: ux.max_unpool(v, i, size))),
    Method("max_pool", "nearest_unpool", _maxima(lambda v, i, size: ux.nearest_unpool(v, size))),
    Method("avg_pool", "nearest_unpool", _means(ux.nearest_unpool)),
    Method("avg_pool", "linear_unpool asymmetric", _linear("asymmetric")),
    Method("avg_pool", "linear_unpool half_pixel", _linear("half_pixel")),
    Method("avg_pool", "linear_unpool align_corners", _linear("align_corners")),
    Method("fractional_max_pool", "fractional_max_unpool", _fractional(indices=False), whole=False),
    Method(
        "fractional_max_pool",
        "fractional_max_unpool with indices",
        _fractional(indices=True),
        whole=False,
    ),
)
