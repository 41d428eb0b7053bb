"""What a photograph shows of the unpooling methods: the same on every machine, made anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

import unpool_xp as ux
from unpool_xp.bench.cases.inputs import NDArray

STRIDES = (2, 4, 8)


@dataclass(frozen=True)
class Shown:
    """A method's way back from one pooling of the photograph.

    Attributes
    ----------
    psnr, ssim : float
        To the photograph: decibels, and 1 for the same picture.
    at_maxima : float
        The largest error at the positions of the maxima, from 0 to 1.
    blockiness : float
        The share of the squared steps that lies on the borders of windows, over that share in the
        photograph: 1 where nothing can be seen of the windows.
    variation : float
        The mean step between neighbours, over that of the photograph.
    """

    psnr: float
    ssim: float
    at_maxima: float
    blockiness: float
    variation: float


@cache
def pictures() -> Mapping[int, Mapping[str, Shown]]:
    """Return, by stride and by method, what the ways back from max pooling show.

    Returns
    -------
    mapping of int to mapping of str to Shown
        The methods are "nearest_unpool", "max_unpool" and "fractional_max_unpool", each with the
        window the size of the stride.
    """
    from skimage import data

    astronaut = data.astronaut()  # type: ignore[no-untyped-call]
    photograph = np.moveaxis(astronaut, -1, 0).astype(np.float32) / 255
    found = {}
    for stride in STRIDES:
        size = (stride, stride)
        values, indices = ux.max_pool(photograph, size)
        ways: dict[str, NDArray] = {
            "nearest_unpool": ux.nearest_unpool(values, size),
            "max_unpool": ux.max_unpool(values, indices, size),
            "fractional_max_unpool": ux.fractional_max_unpool(values, scale_factor=size),
        }
        found[stride] = {
            name: _shown(photograph, back, values, indices, stride) for name, back in ways.items()
        }
    return found


def _shown(
    photograph: NDArray, back: NDArray, values: NDArray, indices: NDArray, stride: int
) -> Shown:
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    ssim = float(
        structural_similarity(photograph, back, data_range=1, channel_axis=0)  # type: ignore[no-untyped-call]
    )
    flat = [array.reshape(len(photograph), -1) for array in (back, indices, values)]
    at_maxima = np.take_along_axis(flat[0], flat[1], axis=1) - flat[2]
    return Shown(
        float(peak_signal_noise_ratio(photograph, back, data_range=1)),  # type: ignore[no-untyped-call]
        ssim,
        float(np.abs(at_maxima).max()),
        _border_share(back, stride) / _border_share(photograph, stride),
        _mean_step(back) / _mean_step(photograph),
    )


def _border_share(picture: NDArray, stride: int) -> float:
    across = total = 0.0
    for axis in (-2, -1):
        steps = np.moveaxis(np.diff(picture, axis=axis) ** 2, axis, 0)
        across += float(steps[stride - 1 :: stride].sum(dtype=np.float64))
        total += float(steps.sum(dtype=np.float64))
    return across / total


def _mean_step(picture: NDArray) -> float:
    return sum(float(np.abs(np.diff(picture, axis=axis)).mean()) for axis in (-2, -1))
