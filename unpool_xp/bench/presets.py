"""Named sets of cases, from real decoders and from a grid.

A new preset is one entry in `PRESETS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from unpool_xp.bench.cases import Case

# Channels and size before each of the five poolings of a 224x224 picture.
_VGG16_STAGES = ((64, 224), (128, 112), (256, 56), (512, 28), (512, 14))


@dataclass(frozen=True)
class Preset:
    """Cases, and on which libraries they are measured compiled as well as eager.

    Parameters
    ----------
    cases : tuple of Case
        What to measure.
    compiled : tuple of str, optional
        Libraries.
    """

    cases: tuple[Case, ...]
    compiled: tuple[str, ...] = ("jax",)

    def modes(self, label: str) -> tuple[str, ...]:
        """Return the modes to measure a backend in."""
        compiled = label.partition(":")[0] in self.compiled
        return ("eager", "compiled") if compiled else ("eager",)


def preset(name: str) -> Preset:
    """Return a preset.

    Parameters
    ----------
    name : str
        A name in `PRESETS`.

    Returns
    -------
    Preset
        The preset.

    Raises
    ------
    ValueError
        If it is unknown; the message lists the known ones.

    Examples
    --------
    >>> from unpool_xp.bench.presets import preset
    >>> preset("segnet").cases[0].name
    'max_pool-1x64x224x224-k2x2-s2x2-float32'
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]


def _pairs(
    shape: tuple[int, ...], size: int, step: int | None = None, dtype: str = "float32"
) -> tuple[Case, ...]:
    """Return the max pooling of a shape, and the ways back from what it gives."""
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


def _means(
    shape: tuple[int, ...], size: int, step: int | None = None, dtype: str = "float32"
) -> tuple[Case, ...]:
    """Return the mean pooling of a shape, and interpolation from what it gives."""
    rank = len(shape) - 2
    step = size if step is None else step
    padding = ((size - step + 1) // 2,) * rank
    pool = Case("avg_pool", shape, (size,) * rank, (step,) * rank, padding, dtype=dtype)
    if step == 1:
        return (pool,)
    return pool, Case("linear_unpool", pool.output_shape, scale=(step,) * rank, dtype=dtype)


def _fractions(shape: tuple[int, ...], ratio: float, dtype: str = "float32") -> tuple[Case, ...]:
    """Return the fractional pooling of a shape to this share of it, and the way back."""
    rank = len(shape) - 2
    pool = Case("fractional_max_pool", shape, (2,) * rank, scale=(ratio,) * rank, dtype=dtype)
    pooled, scale = pool.output_shape, (1 / ratio,) * rank
    return pool, Case("fractional_max_unpool", pooled, scale=scale, dtype=dtype)


def _up(
    shape: tuple[int, ...],
    channels: int,
    size: int,
    step: int | None = None,
    padding: int = 0,
    dtype: str = "float32",
) -> Case:
    """Return the transposed convolution of a shape to so many channels."""
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


def _quick() -> tuple[Case, ...]:
    # Three sizes, strides 2 to 4, and one of overlapping windows.
    small, middle, large = (1, 16, 32, 32), (2, 32, 96, 96), (4, 32, 128, 128)
    return (
        *(case for of in (_pairs, _means) for case in of(small, 2)),
        *(case for of in (_pairs, _means) for case in of(middle, 3)),
        *(case for of in (_pairs, _means) for case in of(large, 4)),
        *_pairs(middle, 3, 2),
        _means(middle, 3, 2)[0],
        *_fractions(small, 0.5),
        *_fractions(middle, 0.75),
        *_fractions(large, 0.5),
        _up((1, 32, 16, 16), 16, 2),
        _up((2, 64, 32, 32), 32, 3),
        _up((4, 64, 32, 32), 32, 4),
        _up((4, 64, 32, 32), 32, 4, 2, 1),
    )


def _segnet() -> tuple[Case, ...]:
    stages = [_pairs((1, channels, size, size), 2) for channels, size in _VGG16_STAGES]
    return tuple(case for operation in zip(*stages, strict=True) for case in operation)


def _unet() -> tuple[Case, ...]:
    """Return the up-convolutions of the decoder for a 224x224 picture (arXiv 1505.04597)."""
    stages = ((1024, 14), (512, 28), (256, 56), (128, 112))
    return tuple(_up((1, c, size, size), c // 2, 2) for c, size in stages)


def _dcgan() -> tuple[Case, ...]:
    """Return the generator of 64x64 pictures from 100 random numbers (arXiv 1511.06434)."""
    layers = ((1024, 512, 4), (512, 256, 8), (256, 128, 16), (128, 3, 32))
    return (
        _up((16, 100, 1, 1), 1024, 4, 1),
        *(_up((16, before, size, size), after, 4, 2, 1) for before, after, size in layers),
    )


def _vae() -> tuple[Case, ...]:
    """Return the upsampling in a latent-diffusion decoder, to 512x512 (arXiv 2112.10752)."""
    stages = ((512, 64), (512, 128), (256, 256))
    return tuple(Case("nearest_unpool", (1, c, size, size), scale=(2, 2)) for c, size in stages)


def _full() -> tuple[Case, ...]:
    cases: list[Case] = []
    sizes = ((1, 1, 16), (1, 16, 32), (1, 64, 64), (8, 64, 64), (8, 64, 256), (1, 3, 2048))
    for batch, channels, size in sizes:
        shape = (batch, channels, size, size)
        for kernel in (2, 3, 4, 8):
            cases += (*_pairs(shape, kernel), *_means(shape, kernel))
        for ratio in (0.5, 0.625, 0.75):
            cases += _fractions(shape, ratio)
    for size, (kernel, stride) in product((64, 256), ((3, 1), (3, 2), (5, 2), (8, 4))):
        shape = (4, 32, size, size)
        cases += (*_pairs(shape, kernel, stride), *_means(shape, kernel, stride))
    for (batch, channels, size), kernel in product(
        ((1, 16, 16), (1, 64, 64), (8, 64, 64)), (2, 3, 4)
    ):
        cases.append(_up((batch, channels, size, size), channels // 2, kernel))
    for size, (kernel, stride, padding) in product((16, 64), ((3, 2, 1), (4, 2, 1), (8, 4, 2))):
        cases.append(_up((4, 64, size, size), 32, kernel, stride, padding))
    for dtype in ("float64", "float16", "bfloat16", "uint8"):
        cases += _pairs((8, 64, 128, 128), 2, dtype=dtype)
    for dtype in ("float64", "float16", "bfloat16"):
        cases += (
            *_means((8, 64, 128, 128), 2, dtype=dtype),
            *_fractions((8, 64, 64, 64), 0.75, dtype=dtype),
            _up((8, 64, 32, 32), 32, 2, dtype=dtype),
        )
    others: tuple[tuple[int, ...], ...] = ((8, 64, 4096), (2, 16, 32, 64, 64))
    for other in others:  # one axis, three axes
        for of in (_pairs, _means):
            cases += (*of(other, 2), *of(other, 3, 2))
        cases += (*_fractions(other, 0.75), _up(other, 8, 2))
    for decoder in (_segnet, _unet, _dcgan, _vae):
        cases += decoder()
    return tuple(dict.fromkeys(cases))


PRESETS: dict[str, Preset] = {
    "quick": Preset(_quick()),
    "segnet": Preset(_segnet()),
    "unet": Preset(_unet()),
    "dcgan": Preset(_dcgan()),
    "vae": Preset(_vae()),
    "full": Preset(_full(), compiled=("jax", "torch")),
}
