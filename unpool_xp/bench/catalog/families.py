"""Related cases: pooling a shape and unpooling the result, and those that the tax is taken on."""

from __future__ import annotations

from unpool_xp.bench.cases.case import Case

# --- of the tax
# Of the operation's first array, from what a core's own cache holds to what none does.
SHAPES = ((1, 16, 32, 32), (2, 32, 64, 64), (4, 64, 112, 112))
# (kernel, stride, padding): windows side by side, and overlapping.
WINDOWS = ((2, 2, 0), (3, 3, 0), (3, 2, 1))
FACTORS = (2, 3)
# Shape and output channels, and (kernel, stride, padding), of transposed convolutions.
CONV_TRANSPOSE_INPUTS = (((1, 32, 32, 32), 32), ((2, 128, 32, 32), 64), ((1, 256, 28, 28), 256))
KERNELS = ((2, 2, 0), (3, 2, 1), (4, 2, 1))


def max_pool_cases(
    shape: tuple[int, ...], size: int, step: int | None = None, dtype: str = "float32"
) -> tuple[Case, ...]:
    """Return max pooling of a shape, then max and nearest unpooling of the result."""
    pool = _window_case("max_pool", shape, size, step, dtype)
    pooled = pool.output_shape
    unpool = pool.replace(operation="max_unpool", shape=pooled)
    if step == 1:
        return pool, unpool
    return pool, unpool, Case("nearest_unpool", pooled, scale=pool.stride, dtype=dtype)


def avg_pool_cases(
    shape: tuple[int, ...], size: int, step: int | None = None, dtype: str = "float32"
) -> tuple[Case, ...]:
    """Return average pooling of a shape, then linear unpooling of the result."""
    pool = _window_case("avg_pool", shape, size, step, dtype)
    if step == 1:
        return (pool,)
    return pool, Case("linear_unpool", pool.output_shape, scale=pool.stride, dtype=dtype)


def pool_cases(shape: tuple[int, ...], size: int, step: int | None = None) -> tuple[Case, ...]:
    """Return max pooling and average pooling of a shape, each with its unpoolings."""
    return (*max_pool_cases(shape, size, step), *avg_pool_cases(shape, size, step))


def _window_case(
    operation: str, shape: tuple[int, ...], size: int, step: int | None, dtype: str
) -> Case:
    rank, step = len(shape) - 2, step or size
    padding = ((size - step + 1) // 2,) * rank
    return Case(operation, shape, kernel=(size,) * rank, stride=step, padding=padding, dtype=dtype)


def adaptive_cases(
    shape: tuple[int, ...], ratio: float, dtype: str = "float32"
) -> tuple[Case, ...]:
    """Return adaptive pooling of a shape by a ratio, of the maximum and of the mean."""
    scale = (ratio,) * (len(shape) - 2)
    operations = ("adaptive_max_pool", "adaptive_avg_pool")
    return tuple(Case(operation, shape, scale=scale, dtype=dtype) for operation in operations)


def fractional_cases(
    shape: tuple[int, ...], ratio: float, dtype: str = "float32"
) -> tuple[Case, ...]:
    """Return fractional pooling of a shape by a ratio, then the matching unpooling."""
    rank = len(shape) - 2
    pool = Case("fractional_max_pool", shape, kernel=2, scale=ratio, dtype=dtype)
    pooled, scale = pool.output_shape, (1 / ratio,) * rank
    return pool, Case("fractional_max_unpool", pooled, scale=scale, dtype=dtype)


def cubic_case(shape: tuple[int, ...], size: int, dtype: str = "float32") -> Case:
    """Return cubic unpooling of what pooling a shape leaves, back to the shape."""
    pooled = max_pool_cases(shape, size)[0].output_shape
    return Case("cubic_unpool", pooled, scale=(size,) * (len(shape) - 2), dtype=dtype)


def conv_transpose_case(
    shape: tuple[int, ...],
    channels: int,
    size: int,
    step: int | None = None,
    padding: int = 0,
    dtype: str = "float32",
) -> Case:
    """Return a transposed convolution of a shape to the given number of channels."""
    kernel, stride, pads = ((n,) * (len(shape) - 2) for n in (size, step or size, padding))
    return Case(
        "conv_transpose",
        shape,
        kernel=kernel,
        stride=stride,
        padding=pads,
        out_channels=channels,
        dtype=dtype,
    )


def tax_cases(quick: bool = False) -> tuple[Case, ...]:
    """Return the cases by which the tax is taken, in float32; `quick` omits the middle size."""
    step = 2 if quick else 1
    shapes, convolved = SHAPES[::step], CONV_TRANSPOSE_INPUTS[::step]
    windowed = [
        Case(operation, shape, kernel=kernel, stride=stride, padding=padding)
        for operation in ("max_pool", "avg_pool", "max_unpool")
        for shape in shapes
        for kernel, stride, padding in WINDOWS
    ]
    scaled = [
        Case(operation, shape, scale=(factor,) * 2)
        for operation in ("nearest_unpool", "linear_unpool")
        for shape in shapes
        for factor in FACTORS
    ]
    transposed = [
        conv_transpose_case(shape, channels, kernel, stride, padding)
        for shape, channels in convolved
        for kernel, stride, padding in KERNELS
    ]
    return (*windowed, *scaled, *transposed)
