"""Related cases: pooling a shape, and unpooling the result."""

from __future__ import annotations

from unpool_xp.bench.cases.case import Case


def max_pool_cases(
    shape: tuple[int, ...], size: int, step: int | None = None, dtype: str = "float32"
) -> tuple[Case, ...]:
    """Return max pooling of a shape, then max and nearest unpooling of the result."""
    rank = len(shape) - 2
    step = size if step is None else step
    kernel, stride = (size,) * rank, (step,) * rank
    padding = ((size - step + 1) // 2,) * rank
    pool = Case("max_pool", shape, kernel, stride, padding, dtype=dtype)
    pooled = pool.output_shape
    unpool = Case("max_unpool", pooled, kernel, stride, padding, dtype=dtype)
    if step == 1:
        return pool, unpool
    return pool, unpool, Case("nearest_unpool", pooled, scale=stride, dtype=dtype)


def avg_pool_cases(
    shape: tuple[int, ...], size: int, step: int | None = None, dtype: str = "float32"
) -> tuple[Case, ...]:
    """Return average pooling of a shape, then linear unpooling of the result."""
    rank = len(shape) - 2
    step = size if step is None else step
    padding = ((size - step + 1) // 2,) * rank
    pool = Case("avg_pool", shape, (size,) * rank, (step,) * rank, padding, dtype=dtype)
    if step == 1:
        return (pool,)
    return pool, Case("linear_unpool", pool.output_shape, scale=(step,) * rank, dtype=dtype)


def fractional_cases(
    shape: tuple[int, ...], ratio: float, dtype: str = "float32"
) -> tuple[Case, ...]:
    """Return fractional pooling of a shape by a ratio, then the matching unpooling."""
    rank = len(shape) - 2
    pool = Case("fractional_max_pool", shape, (2,) * rank, scale=(ratio,) * rank, dtype=dtype)
    pooled, scale = pool.output_shape, (1 / ratio,) * rank
    return pool, Case("fractional_max_unpool", pooled, scale=scale, dtype=dtype)


def conv_transpose_case(
    shape: tuple[int, ...],
    channels: int,
    size: int,
    step: int | None = None,
    padding: int = 0,
    dtype: str = "float32",
) -> Case:
    """Return a transposed convolution of a shape to the given number of channels."""
    rank = len(shape) - 2
    return Case(
        "conv_transpose",
        shape,
        (size,) * rank,
        (size if step is None else step,) * rank,
        (padding,) * rank,
        out_channels=channels,
        dtype=dtype,
    )
