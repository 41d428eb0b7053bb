"""The overlap of a transposed convolution, and the upsamplers with and without a checkerboard."""

from __future__ import annotations

import math

import numpy as np
import pytest

import unpool_xp as ux
from unpool_xp import backends
from unpool_xp.gallery.checkerboard import checkerboard, overlap, unevenness
from unpool_xp.gallery.photographs import Photograph

NUMPY = backends.load("numpy")


@pytest.mark.parametrize("kernel", range(1, 9))
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_overlap_is_a_transposed_convolution_of_ones(kernel: int, stride: int) -> None:
    counts = ux.conv_transpose(np.ones((1, 20)), np.ones((1, 1, kernel)), stride=stride)[0]
    inner = counts[8 * stride : 12 * stride].reshape(-1, stride)
    np.testing.assert_array_equal(inner, np.tile(overlap(kernel, stride), (4, 1)))
    assert (unevenness(inner) == 0) == (kernel % stride == 0)


def test_only_a_kernel_that_the_stride_does_not_divide_is_uneven(small: Photograph) -> None:
    results = {(r.upsampler.name, r.upsampler.kernel): r for r in checkerboard(small, NUMPY)}
    uneven = {key for key, result in results.items() if result.unevenness > 0}
    assert uneven == {("conv_transpose", 3), ("conv_transpose", 5)}
    # 4, 2, 2, 1: mean 9/4, mean square 25/4, variance 25/4 - 81/16 = 19/16.
    assert results["conv_transpose", 3].unevenness == pytest.approx(math.sqrt(19) / 9)
    assert set(results["conv_transpose", 3].counts.flat) == {1, 2, 4}
    assert max(result.psnr for key, result in results.items() if key in uneven) < 20
    assert min(result.psnr for key, result in results.items() if key not in uneven) > 20
    brightness = small.pixels[:, 8:-8, 8:-8].mean()
    for result in results.values():
        assert result.picture[:, 8:-8, 8:-8].mean() == pytest.approx(brightness, rel=0.05)


def test_a_photograph_without_an_inside_is_refused() -> None:
    flat = Photograph("flat", np.full((1, 20, 20), 0.5), (9, 9))
    with pytest.raises(ValueError, match="flat must have at least 32 rows"):
        checkerboard(flat, NUMPY)
