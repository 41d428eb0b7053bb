"""A segmentation decoder in plain NumPy
=====================================

SegNet's idea without a framework: the encoder remembers where each maximum was, and the decoder
puts it back there. How much of an outline does that save, compared with a decoder that repeats
each value?

The scores "coin" and "no coin" of each pixel are pooled twice by 2x2, brought back in two ways,
and the larger one wins. The truth is the winner before any pooling.
"""

# %%
from importlib.resources import files

import numpy as np
from skimage.filters import gaussian, threshold_otsu
from skimage.io import imread
from skimage.morphology import dilation, erosion

import unpool_xp as ux

photograph = imread(str(files("skimage") / "data" / "coins.png")) / 255.0
photograph = gaussian(photograph[:300, :384], 1)
level = threshold_otsu(photograph)
# One map for each class, shape (1, 2, 300, 384): by how much it is brighter, or darker.
scores = np.maximum(np.stack([level - photograph, photograph - level]), 0)[None]
truth = scores.argmax(1)[0]
print("shape", scores.shape, "coins cover", f"{truth.mean():.0%}")

# %%
# The encoder: two poolings, each with its indices.

# %%
first, first_indices = ux.max_pool(scores, 2)
second, second_indices = ux.max_pool(first, 2)
print("pooled to", second.shape, "- one value in", scores.size // second.size)


# %%
# Two decoders. After ``max_unpool`` most cells are zero; a network fills them with convolutions
# that it learned. Here each takes the mean of the maxima around it, which needs no training: the
# sum of the values in a 3x3 window over the number of them.


# %%
def fill(values, mask):
    box = np.ones((values.shape[1], 1, 3, 3))
    around = {"padding": 1, "groups": values.shape[1]}
    return ux.conv_transpose(values, box, **around) / np.maximum(
        ux.conv_transpose(mask, box, **around), 1
    )


def with_indices(values, indices):
    mask = ux.max_unpool(np.ones_like(values), indices, 2)
    return fill(ux.max_unpool(values, indices, 2), mask)


by_indices = with_indices(with_indices(second, second_indices), first_indices)
by_nearest = ux.nearest_unpool(ux.nearest_unpool(second, 2), 2)
by_linear = ux.linear_unpool(second, 4, coordinates="half_pixel")

# %%
# How well does each agree with the truth? Once everywhere, and once on the outlines only (three
# pixels wide), where unpooling can lose something. IoU: intersection over union of the coins.

# %%
outline = dilation(truth, np.ones((3, 3))) != erosion(truth, np.ones((3, 3)))


def iou(found, wanted):
    return (found & wanted).sum() / (found | wanted).sum()


print(f"{'decoder':24} {'IoU':>6} {'on outlines':>12} {'wrong pixels':>13}")
for name, back in (
    ("max_unpool and fill", by_indices),
    ("nearest_unpool", by_nearest),
    ("linear_unpool", by_linear),
):
    found = back.argmax(1)[0] == 1
    wanted = truth == 1
    everywhere, edges = iou(found, wanted), iou(found & outline, wanted & outline)
    print(f"{name:24} {everywhere:6.3f} {edges:12.3f} {(found != wanted).mean():13.2%}")

# %%
# The positions save a part of the outlines that repeating each value loses. They are not better
# than plain linear interpolation here, which needs none: a little better over all, a little worse
# on the outlines. What a network learns instead of the mean in ``fill`` takes training to find
# out.

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 4, figsize=(12, 2.8), layout="constrained")
shown = {"photograph": photograph, "truth": truth, "max_unpool and fill": by_indices.argmax(1)[0]}
shown["nearest_unpool"] = by_nearest.argmax(1)[0]
for axis, (title, picture) in zip(axes, shown.items(), strict=True):
    axis.imshow(picture, cmap="gray")
    axis.set_title(title)
    axis.axis("off")
