"""The scores of the gallery, by hand and on every backend."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest

import unpool_xp as ux
from tests.conftest import Target, jax_without_64_bits
from unpool_xp import backends
from unpool_xp.gallery.methods import METHODS, find_method
from unpool_xp.gallery.photographs import Photograph, shipped_photograph
from unpool_xp.gallery.scores import Gallery, best_shift, make_gallery, psnr, quantize, ssim

NUMPY = backends.load("numpy")


def test_psnr_by_hand() -> None:
    # A mean squared error of 0.01 is a hundredth of the peak's square: 20 dB.
    original = np.full((1, 16, 16), 0.5)
    assert psnr(original, original + 0.1) == pytest.approx(20)
    # One cell of 256 is wrong by 0.5: 10*log10(256 / 0.25).
    picture = original.copy()
    picture[0, 3, 4] = 1
    assert psnr(original, picture) == pytest.approx(10 * math.log10(1024))
    assert psnr(original, original) == math.inf


def test_ssim_is_the_mean_of_the_channels() -> None:
    a, b = np.random.default_rng(0).random((2, 3, 24, 20))
    assert ssim(a, a) == pytest.approx(1)
    channels = [ssim(a[i : i + 1], b[i : i + 1]) for i in range(3)]
    assert ssim(a, b) == pytest.approx(np.mean(channels))


def test_blockiness_and_variation_by_hand() -> None:
    ramp = np.tile(np.arange(16.0) / 15, (1, 16, 1))  # 15 equal steps, 7 of them on borders
    methods = [find_method("max_pool", "nearest_unpool")]
    gallery = make_gallery(Photograph("ramp", ramp, (8, 8)), NUMPY, [2], methods=methods)
    (entry,) = gallery.entries  # 7 steps of double height, all on borders
    assert entry.blockiness == pytest.approx(15 / 7)
    assert entry.variation == pytest.approx(14 / 15)


def test_pairs_by_hand() -> None:
    # Each 2x2 window has two ones and two zeros: a mean of 0.5, off by 0.5 everywhere.
    stripes = np.tile([0.0, 1.0], (1, 32, 16))
    gallery = make_gallery(Photograph("stripes", stripes, (8, 8)), NUMPY, [2])
    found = {entry.method.name: entry for entry in gallery.entries}
    decibels = {name: entry.psnr for name, entry in found.items()}
    assert decibels["avg_pool, nearest_unpool"] == pytest.approx(10 * math.log10(4), abs=1e-3)
    # The maximum everywhere is off by 1 in every second cell.
    assert decibels["max_pool, nearest_unpool"] == pytest.approx(10 * math.log10(2), abs=1e-3)
    # Of the two ones one is back, the other is zero: off by 1 in every fourth cell.
    assert decibels["max_pool, max_unpool"] == pytest.approx(10 * math.log10(4), abs=1e-3)
    assert found["max_pool, max_unpool"].error_at_maxima == 0
    assert found["avg_pool, nearest_unpool"].error_at_maxima == pytest.approx(0.5, abs=1e-4)


def test_each_method_is_there_once_for_each_stride(made: Gallery) -> None:
    assert made.strides == [2, 3, 2.5]
    counts = {stride: sum(e.stride == stride for e in made.entries) for stride in made.strides}
    assert counts == {2: 8, 3: 8, 2.5: 2}
    assert len({method.name for method in METHODS}) == len(METHODS)
    for entry in made.entries:
        assert entry.picture.shape == entry.original.shape
        whole = entry.stride.is_integer()
        assert entry.picture.shape[1] == (103 - 103 % int(entry.stride) if whole else 103)
        assert psnr(entry.original, entry.picture) == entry.psnr


def test_the_best_psnr_comes_first(made: Gallery) -> None:
    means = [np.mean([made.entry(m, s).psnr for s in (2, 3)]) for m in made.methods()]  # type: ignore[union-attr]
    assert means == sorted(means, reverse=True)
    assert made.methods()[0].unpooling == "linear_unpool half_pixel"
    assert made.methods()[-1].unpooling == "max_unpool"


def test_indices_restore_the_maxima(small: Photograph, made: Gallery) -> None:
    method = find_method("fractional_max_pool", "fractional_max_unpool with indices")
    entry = made.entry(method, 2.5)
    assert entry is not None
    size = tuple(int(n / 2.5) for n in small.size)
    pooled = ux.fractional_max_pool(small.pixels, (3, 3), output_size=size, samples=(0.5, 0.5))
    flat = entry.picture.reshape(3, -1)
    restored = np.take_along_axis(flat, pooled.indices.reshape(3, -1), 1)
    np.testing.assert_allclose(restored, pooled.values.reshape(3, -1), atol=1e-5)


def test_every_backend_gives_the_same_pictures(
    eager: Target, small: Photograph, made: Gallery
) -> None:
    strides = [2, 2.5] if eager.compiles else made.strides  # a whole one and another
    with jax_without_64_bits():  # which a gallery needs, and leaves as it is
        there = make_gallery(small, eager.backend, strides)
        assert not jax.config.jax_enable_x64
    assert there.backend == eager.label
    wanted = [entry for entry in made.entries if entry.stride in strides]
    for ours, theirs in zip(wanted, there.entries, strict=True):
        np.testing.assert_array_equal(ours.picture, theirs.picture, ours.method.name)
        assert (ours.psnr, ours.ssim) == (theirs.psnr, theirs.ssim)


def test_quantize_hides_the_last_bits_of_ties() -> None:
    ties = (np.arange(100) + 0.5) / 65535
    for error in (-1e-15, 0, 1e-15):
        np.testing.assert_array_equal(quantize(ties + error), np.arange(1, 101) / 65535)
    np.testing.assert_array_equal(quantize(np.asarray([-0.1, 1.1])), [0, 1])


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_asymmetric_is_half_a_cell_off_and_half_pixel_is_not(stride: int) -> None:
    names = ["linear_unpool asymmetric", "linear_unpool half_pixel"]
    methods = [find_method("avg_pool", name) for name in names]
    gallery = make_gallery(shipped_photograph("camera"), NUMPY, [stride], methods=methods)
    shifts = [best_shift(e.original, e.picture, stride) for e in gallery.entries]
    assert shifts == pytest.approx([(stride - 1) / 2, 0], abs=0.05)


def test_bad_strides_are_named(small: Photograph) -> None:
    for stride in (1, 0, -2, 15, math.nan, math.inf):
        with pytest.raises(ValueError, match="must be above 1 and at most 14 for the 103 rows"):
            make_gallery(small, NUMPY, [stride])
    with pytest.raises(ValueError, match="none given"):
        make_gallery(small, NUMPY, [])
