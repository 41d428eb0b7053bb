"""Generated shapes and options for the tests of the operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:  # it imports every library, which the tests of the plans do without
    from tests.conftest import Target


def examples(number: int, **arguments: Any) -> Callable[[Callable[..., None]], Any]:
    """Run a test of a target on generated arguments, as many as the target can afford."""

    def decorate(test: Callable[..., None]) -> Callable[[Target], None]:
        def run(target: Target) -> None:
            @settings(max_examples=target.share_of(number))
            @given(**arguments)
            def check(**drawn: Any) -> None:
                test(target, **drawn)

            check()

        run.__name__ = test.__name__
        return run

    return decorate


Pairs = tuple[tuple[int, int], ...]
seeds = st.integers(0, 2**31)


@dataclass(frozen=True)
class PoolingArguments:
    """The arguments of a pooling, as given and as the oracle takes them."""

    shape: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    ceil_mode: bool

    @property
    def options(self) -> dict[str, Any]:
        return {
            "kernel_size": self.kernel,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
        }

    @property
    def plane(self) -> tuple[int, ...]:
        return self.shape[len(self.shape) - len(self.kernel) :]

    @property
    def plane_says_rank(self) -> bool:
        """Whether max_unpool knows the plane without a kernel: it is not the full shape."""
        return len(self.plane) < max(len(self.shape), 3)


LEAD = st.lists(st.integers(0, 3), max_size=2)
BATCH = st.tuples(st.integers(1, 2), st.integers(1, 2))


def two_sides(kernel: int, extent: int) -> st.SearchStrategy[tuple[int, int]]:
    """Draw a padding below what the dilated kernel spans."""
    return st.tuples(st.integers(0, extent - 1), st.integers(0, extent - 1))


@st.composite
def poolings(
    draw: st.DrawFn, *, max_rank: int = 3, lead: Any = LEAD, sides: Any = two_sides
) -> PoolingArguments:
    """Draw a pooling of one to three axes whose every window holds an element."""
    rank = draw(st.integers(1, max_rank))
    ints = st.integers(1, 3)
    kernel = tuple(draw(ints) for _ in range(rank))
    dilation = tuple(draw(ints) for _ in range(rank))
    stride = tuple(draw(st.integers(1, 4)) for _ in range(rank))
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(draw(sides(k, extent)) for k, extent in zip(kernel, extents, strict=True))
    # An axis at least as long as the dilation: no window can step over all of it.
    plane = tuple(
        draw(st.integers(max(d, extent - before - after, 1), max(d, extent) + 6))
        for d, extent, (before, after) in zip(dilation, extents, padding, strict=True)
    )
    shape = (*draw(lead), *plane)
    return PoolingArguments(shape, kernel, stride, padding, dilation, draw(st.booleans()))


@st.composite
def fractions(draw: st.DrawFn, *, lead: Any = LEAD) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Draw a shape, and options of a fractional pooling whose regions are given."""
    rank = draw(st.integers(1, 3))
    leading = tuple(draw(lead))
    plane = tuple(draw(st.integers(2, 9)) for _ in range(rank))
    kernel = tuple(draw(st.integers(1, min(3, n))) for n in plane)
    output = tuple(draw(st.integers(1, n - k + 1)) for n, k in zip(plane, kernel, strict=True))
    samples = np.random.default_rng(draw(seeds)).random((*leading, rank))
    if draw(st.booleans()):  # the same for every plane
        samples = np.asarray([draw(st.floats(0, 1, exclude_max=True)) for _ in plane])
    options = {"kernel_size": kernel, "output_size": output, "samples": samples}
    return (*leading, *plane), options


@st.composite
def adaptive_sizes(draw: st.DrawFn, *, lead: Any = LEAD) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Draw a shape and an adaptive pooling's output size, smaller or larger than the plane."""
    plane = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    output = tuple(draw(st.one_of(st.integers(1, n), st.integers(1, 12))) for n in plane)
    return (*draw(lead), *plane), output


@st.composite
def resizes(draw: st.DrawFn, *, lead: Any = LEAD) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Draw a shape and either scale_factor or output_size, up and down."""
    rank = draw(st.integers(1, 3))
    plane = tuple(draw(st.integers(1, 6)) for _ in range(rank))
    shape = (*draw(lead), *plane)
    if draw(st.booleans()):
        return shape, {"output_size": tuple(draw(st.integers(1, 9)) for _ in plane)}
    whole = st.integers(1, 4).map(float)
    real = st.floats(1.0, 3.5).map(lambda value: round(value, 3))
    down = st.sampled_from([0.5, 0.75, 1.0]).filter(
        lambda value: all(n * value >= 1 for n in plane)
    )
    factor = st.one_of(whole, real, down) if min(plane) > 1 else st.one_of(whole, real)
    return shape, {"scale_factor": tuple(draw(factor) for _ in plane)}


@st.composite
def convolutions(
    draw: st.DrawFn, *, longest: int = 4, symmetric: bool = False, left: int = 0
) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
    """Draw the shapes of x, weight and bias, and the options; `left`: cells that padding leaves."""
    rank = draw(st.integers(1, 3))
    small = st.integers(1, 3)
    groups, per_group_in, per_group_out = draw(st.integers(1, 2)), draw(small), draw(small)
    kernel = tuple(draw(small) for _ in range(rank))
    stride = tuple(draw(small) for _ in range(rank))
    dilation = tuple(draw(small) for _ in range(rank))
    extra = tuple(
        draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
    )
    plane = tuple(draw(st.integers(1, longest)) for _ in range(rank))
    padding = []
    for n, k, s, d in zip(plane, kernel, stride, dilation, strict=True):
        size = (n - 1) * s + d * (k - 1) + 1
        before = draw(st.integers(0, (size - left) // (1 + symmetric)))
        after = draw(st.integers(0, size - left - before))
        padding.append((before, before if symmetric else after))
    shapes = [
        (draw(st.integers(0, 2)), groups * per_group_in, *plane),
        (groups * per_group_in, per_group_out, *kernel),
    ]
    if draw(st.booleans()):
        shapes.append((groups * per_group_out,))
    options = {
        "stride": stride,
        "padding": tuple(padding),
        "output_padding": extra,
        "groups": groups,
        "dilation": dilation,
    }
    return shapes, options


def values(shape: tuple[int, ...], dtype: str, seed: int, *, special: bool = False) -> np.ndarray:
    """Return few different values, so that there are ties; with NaN and infinities if asked."""
    generator = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    if kind == "b":
        return generator.random(shape) < 0.5
    low = 0 if kind == "u" else -4
    array = generator.integers(low, 5, shape).astype(dtype)
    if kind == "c":
        array = array + 1j * generator.integers(low, 5, shape).astype(dtype)
    if special and kind == "f":
        drawn = generator.random(shape)
        array = np.where(drawn < 0.08, np.nan, array)
        array = np.where((drawn >= 0.08) & (drawn < 0.4), -np.inf, array)
        array = np.where((drawn >= 0.4) & (drawn < 0.45), np.inf, array)
    return array.astype(dtype)


def real_values(shape: tuple[int, ...], seed: int, dtype: str = "float64") -> np.ndarray:
    """Return values without ties."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def mixed_values(shape: tuple[int, ...], seed: int, dtype: str = "float64") -> np.ndarray:
    """Return values without ties, or few different ones, or those with NaN and infinities."""
    if seed % 3 == 0 and np.dtype(dtype).kind == "f":
        return real_values(shape, seed, dtype)
    return values(shape, dtype, seed, special=seed % 3 == 1)
