"""Named sets of cases, from real decoders and from a grid.

A new preset is one entry in `PRESETS`; a new decoder is one in `DECODERS`. Each is made when it is
asked for: the cases of all of them make hundreds of plans.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.catalog.families import (
    adaptive_cases,
    avg_pool_cases,
    conv_transpose_case,
    cubic_case,
    fractional_cases,
    max_pool_cases,
    pool_cases,
)

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
    fused : tuple of str, optional
        Backends on which ours are measured fused as well.
    race : bool, optional
        Whether there is little time: what is slower for sure is sampled less, as `measure_case` of
        `bench.measure.rounds` does, a library that compiles is measured compiled alone, and Dask
        without its own functions. JAX takes a second to compile an eager call, operation by
        operation, and Dask milliseconds for any call.
    """

    cases: tuple[Case, ...]
    compiled: tuple[str, ...] = ("jax",)
    fused: tuple[str, ...] = ()
    race: bool = False

    def modes(self, label: str) -> tuple[str, ...]:
        """Return the modes to measure a backend in."""
        library, _, device = label.partition(":")
        fused = f"{library}:{device.partition(':')[0]}" in self.fused
        return ("eager", *fused * ("fused",), *(library in self.compiled) * ("compiled",))

    def wants(self, label: str, mode: str, implementation: str) -> bool:
        """Return whether a portable or native function is measured on a backend in a mode."""
        if not self.race:
            return True
        fastest = mode == self.modes(label)[-1]
        return fastest and (implementation == "portable" or not label.startswith("dask"))


@functools.cache
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
    >>> from unpool_xp.bench.catalog.presets import preset
    >>> preset("segnet").cases[1].name
    'max_pool-1x64x224x224-k2x2-s2x2-float32'
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]()


def _quick() -> tuple[Case, ...]:
    """Return five sizes of each operation in one setting, and another setting of some.

    The sizes go from what a call costs whatever it does to some MiB.
    """
    cases: list[Case] = []
    for batch, channels, size in ((1, 8, 16), (1, 16, 32), (1, 16, 64), (1, 32, 80), (2, 32, 96)):
        shape = (batch, channels, size, size)
        cases += (
            *pool_cases(shape, 2),
            cubic_case(shape, 2),
            *adaptive_cases(shape, 0.45),
            *fractional_cases(shape, 0.5),
        )
    for batch, size in ((1, 4), (1, 8), (1, 16), (1, 32), (2, 48)):
        cases.append(conv_transpose_case((batch, 32, size, size), 16, 2))
    middle = (1, 32, 48, 48)
    overlapping = *max_pool_cases(middle, 3, 2)[:2], avg_pool_cases(middle, 3, 2)[0]
    wide = *pool_cases(middle, 4)[2::2], cubic_case(middle, 3)
    convolution = conv_transpose_case((1, 32, 16, 16), 32, 4, 2, 1)
    return *cases, *overlapping, *wide, convolution


def _decoder(name: str, shape: tuple[int, ...], layers: Iterable[dict[str, Any]]) -> Case:
    return Case("decoder", shape, name=name, layers=tuple(layers))


def _convolution(out_channels: int, kernel: int = 1, **more: int) -> dict[str, Any]:
    given = {"kernel": kernel, "out_channels": out_channels, **more}
    return {"operation": "conv_transpose", **given}


def _segnet() -> Case:
    """Return the poolings of VGG16 and their ways back (arXiv 1511.00561).

    Where the channels change, a 1x1 convolution stands for those of the network.
    """
    layers: list[dict[str, Any]] = []
    channels = [count for count, _ in _VGG16_STAGES]
    for number, count in enumerate(channels, start=1):
        if count != channels[max(number - 2, 0)]:
            layers.append(_convolution(count))
        layers.append({"operation": "max_pool", "kernel": 2, "name": f"pool{number}"})
    for number, count in reversed([*enumerate(channels, start=1)]):
        if count != channels[min(number, len(channels) - 1)]:
            layers.append(_convolution(count))
        source = {"indices": f"pool{number}", "name": f"unpool{number}"}
        layers.append({"operation": "max_unpool", **source})
    return _decoder("segnet", (1, 64, 224, 224), layers)


def _unet() -> Case:
    """Return the up-convolutions of the decoder for a 224x224 picture (arXiv 1505.04597).

    In the network the encoder's map comes beside each, and two convolutions make of both together
    as many channels as before.
    """
    layers = [_convolution(channels, 2) for channels in (512, 256, 128, 64)]
    return _decoder("unet", (1, 1024, 14, 14), layers)


def _dcgan() -> Case:
    """Return the generator of 64x64 pictures from 100 random numbers (arXiv 1511.06434)."""
    layers = [_convolution(channels, 4, stride=2, padding=1) for channels in (512, 256, 128, 3)]
    return _decoder("dcgan", (16, 100, 1, 1), [_convolution(1024, 4, stride=1), *layers])


def _vae() -> Case:
    """Return the upsampling in a latent-diffusion decoder, to 512x512 (arXiv 2112.10752).

    A 1x1 convolution stands for those of the network where the channels change.
    """
    up = {"operation": "nearest_unpool", "scale": 2}
    return _decoder("vae", (1, 512, 64, 64), [up, up, _convolution(256), up])


DECODERS: dict[str, Callable[[], Case]] = {
    "segnet": _segnet,
    "unet": _unet,
    "dcgan": _dcgan,
    "vae": _vae,
}


def decoder_cases(decoder: Case) -> tuple[Case, ...]:
    """Return a decoder as a whole, then its layers, each once."""
    return (decoder, *dict.fromkeys(decoder.parts))


def _full() -> tuple[Case, ...]:
    cases: list[Case] = []
    sizes = ((1, 1, 16), (1, 16, 32), (1, 64, 64), (8, 64, 64), (8, 64, 256), (1, 3, 2048))
    for batch, channels, size in sizes:
        shape = (batch, channels, size, size)
        for kernel in (2, 3, 4, 8):
            cases += (*pool_cases(shape, kernel), cubic_case(shape, kernel))
        for ratio in (0.5, 0.625, 0.75):
            cases += fractional_cases(shape, ratio)
        for ratio in (0.45, 0.3):
            cases += adaptive_cases(shape, ratio)
    for size, (kernel, stride) in product((64, 256), ((3, 1), (3, 2), (5, 2), (8, 4))):
        cases += pool_cases((4, 32, size, size), kernel, stride)
    for (batch, channels, size), kernel in product(
        ((1, 16, 16), (1, 64, 64), (8, 64, 64)), (2, 3, 4)
    ):
        cases.append(conv_transpose_case((batch, channels, size, size), channels // 2, kernel))
    for size, (kernel, stride, padding) in product((16, 64), ((3, 2, 1), (4, 2, 1), (8, 4, 2))):
        cases.append(conv_transpose_case((4, 64, size, size), 32, kernel, stride, padding))
    for dtype in ("float64", "float16", "bfloat16", "uint8"):
        cases += max_pool_cases((8, 64, 128, 128), 2, dtype=dtype)
    for dtype in ("float64", "float16", "bfloat16"):
        cases += (
            *avg_pool_cases((8, 64, 128, 128), 2, dtype=dtype),
            cubic_case((8, 64, 128, 128), 2, dtype=dtype),
            *adaptive_cases((8, 64, 64, 64), 0.45, dtype=dtype),
            *fractional_cases((8, 64, 64, 64), 0.75, dtype=dtype),
            conv_transpose_case((8, 64, 32, 32), 32, 2, dtype=dtype),
        )
    others: tuple[tuple[int, ...], ...] = ((8, 64, 4096), (2, 16, 32, 64, 64))
    for other in others:  # one axis, three axes
        for of in (max_pool_cases, avg_pool_cases):
            cases += (*of(other, 2), *of(other, 3, 2))
        cases += (
            *adaptive_cases(other, 0.3),
            *fractional_cases(other, 0.75),
            conv_transpose_case(other, 8, 2),
        )
        cases.append(cubic_case(other, 2))
    for decoder in DECODERS.values():
        cases += decoder_cases(decoder())
    return tuple(dict.fromkeys(cases))


def _gpu() -> tuple[Case, ...]:
    """Return powers of two, from what fits into any cache to what fills a large device.

    The largest comes first because it says most about a GPU, then sizes around the crossover,
    then decoders, transposed convolutions, overlapping windows, half precision and gradients. The
    decoders and the cases of *quick* are those that are measured on a CPU, so that `choose
    --against` can set the rows of both side by side.
    """
    cases: list[Case] = []
    for power in (28, 22, 16, 25, 19):
        cases += pool_cases(_shape_of_size(power), 2)
    cases += (*decoder_cases(_segnet()), *decoder_cases(_unet()))
    for batch, channels, size in ((16, 256, 64), (4, 64, 64), (1, 32, 32)):
        shape = (batch, channels, size, size)
        cases.append(conv_transpose_case(shape, channels, 2))
        cases.append(conv_transpose_case(shape, channels, 4, 2, 1))
    for power in (28, 22, 16):
        filling = _shape_of_size(power)
        cases += pool_cases(filling, 3, 2)
        for of in (max_pool_cases, avg_pool_cases):
            cases += of(filling, 2, dtype="float16")
    for batch, channels, size in ((16, 256, 64), (1, 32, 32)):
        shape = (batch, channels, size, size)
        cases.append(conv_transpose_case(shape, channels, 2, dtype="float16"))
        cases.append(conv_transpose_case(shape, channels, 2).replace(backward=True))
    for power in (25, 19):
        cases += [case.replace(backward=True) for case in pool_cases(_shape_of_size(power), 2)]
    for power in (13, 30, 10):
        cases += pool_cases(_shape_of_size(power), 2)
    cases += _quick()
    return tuple(dict.fromkeys(cases))


def _shape_of_size(power: int) -> tuple[int, ...]:
    """Return a shape (N, C, n, n) of 2**power elements, at most 64 channels."""
    side = 2 ** min(power // 2 - (power > 18) * 3, 10)
    channels = min(2**power // side**2, 64)
    return (2**power // (side**2 * channels), channels, side, side)


def _whole_and_layers(decoder: Callable[[], Case]) -> Preset:
    return Preset(decoder_cases(decoder()))


PRESETS: dict[str, Callable[[], Preset]] = {
    "quick": lambda: Preset(_quick(), race=True),
    **{name: functools.partial(_whole_and_layers, made) for name, made in DECODERS.items()},
    "full": lambda: Preset(_full(), compiled=("jax", "torch", "mlx")),
    "gpu": lambda: Preset(_gpu(), compiled=("jax", "torch"), fused=("torch:cuda",)),
}
