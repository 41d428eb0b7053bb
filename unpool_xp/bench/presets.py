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
    """Return the pooling of a shape, and the ways back from what it gives."""
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


def _quick() -> tuple[Case, ...]:
    # Three sizes, strides 2 to 4, and one of overlapping windows.
    return (
        *_pairs((1, 16, 32, 32), 2),
        *_pairs((4, 32, 96, 96), 3),
        *_pairs((4, 64, 128, 128), 2),
        *_pairs((4, 64, 128, 128), 4),
        *_pairs((4, 32, 96, 96), 3, 2),
    )


def _segnet() -> tuple[Case, ...]:
    stages = [_pairs((1, channels, size, size), 2) for channels, size in _VGG16_STAGES]
    return tuple(case for operation in zip(*stages, strict=True) for case in operation)


def _full() -> tuple[Case, ...]:
    cases: list[Case] = []
    sizes = ((1, 1, 16), (1, 16, 32), (1, 64, 64), (8, 64, 64), (8, 64, 256), (1, 3, 2048))
    for (batch, channels, size), kernel in product(sizes, (2, 3, 4, 8)):
        cases += _pairs((batch, channels, size, size), kernel)
    for size, (kernel, stride) in product((64, 256), ((3, 1), (3, 2), (5, 2), (8, 4))):
        cases += _pairs((4, 32, size, size), kernel, stride)
    for dtype in ("float64", "float16", "bfloat16", "uint8"):
        cases += _pairs((8, 64, 128, 128), 2, dtype=dtype)
    for shape in ((8, 64, 4096), (2, 16, 32, 64, 64)):  # one axis, three axes
        cases += (*_pairs(shape, 2), *_pairs(shape, 3, 2))
    cases += _segnet()
    return tuple(dict.fromkeys(cases))


PRESETS: dict[str, Preset] = {
    "quick": Preset(_quick()),
    "segnet": Preset(_segnet()),
    "full": Preset(_full(), compiled=("jax", "torch")),
}
