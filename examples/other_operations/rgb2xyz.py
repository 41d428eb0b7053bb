"""A function of one's own, sRGB to CIE XYZ, checked against scikit-image."""

from array_api_compat import array_namespace
from skimage import color

from unpool_xp.bench import Operation


def rgb2xyz(rgb):
    xp = array_namespace(rgb)
    linear = xp.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    return linear @ xp.asarray(color.colorconv.xyz_from_rgb.T, dtype=rgb.dtype)


xyz = Operation(
    name="rgb2xyz",
    function=rgb2xyz,
    inputs=lambda shape, dtype, parameters, rng: rng.random(shape),
    reference=color.rgb2xyz,
    shapes=((32, 32, 3), (512, 512, 3)),
)
