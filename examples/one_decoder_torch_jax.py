"""One decoder, trained with PyTorch and with JAX
==============================================

For training. The decoder is written once, with the functions of unpool_xp. NumPy runs it forward;
PyTorch and JAX also differentiate it. All three give the same numbers, before and after training.
"""

# %%
from importlib.resources import files

import jax
import jax.numpy as jnp
import numpy as np
import torch
from skimage.io import imread

import unpool_xp as ux


def decode(values, indices, weight):
    """Maxima back in their places, then a learned convolution that fills the gaps."""
    return ux.conv_transpose(ux.max_unpool(values, indices, 2), weight, padding=2)


def mean_square(difference):
    return (difference * difference).mean()


photograph = imread(str(files("skimage") / "data" / "chelsea.png"))[90:154, 150:214]
target = np.moveaxis(photograph, -1, 0)[None].astype(np.float32) / 255
values, indices = ux.max_pool(target, 2)
# From three channels to three; at first each keeps what it got.
weight = np.zeros((3, 3, 5, 5), dtype=np.float32)
weight[[0, 1, 2], [0, 1, 2], 2, 2] = 1
print("pooled", values.shape, "weights", weight.size)

# %%
# Forward, in three libraries.

# %%
in_numpy = decode(values, indices, weight)
in_torch = decode(*(torch.asarray(a) for a in (values, indices, weight)))
in_jax = decode(*(jnp.asarray(a) for a in (values, indices, weight)))
for name, there in (("torch", in_torch), ("jax", in_jax)):
    print(f"{name} gives NumPy's numbers:", np.allclose(np.asarray(there), in_numpy, atol=1e-6))

STEPS, RATE = 60, 1.0

# %%
# PyTorch takes tensors, and ``backward`` works as usual.

# %%
maxima, places, goal = (torch.asarray(a) for a in (values, indices, target))
learned = torch.asarray(weight.copy()).requires_grad_()
torch_losses = []
for _ in range(STEPS):
    loss = mean_square(decode(maxima, places, learned) - goal)
    loss.backward()
    with torch.no_grad():
        learned -= RATE * learned.grad
        learned.grad = None
    torch_losses.append(loss.item())

# %%
# JAX: the same function under ``grad`` and ``jit``. All arrays are arguments of ``step``.


# %%
def loss_of(weight, values, indices, target):
    return mean_square(decode(values, indices, weight) - target)


@jax.jit
def step(weight, *arrays):
    loss, gradient = jax.value_and_grad(loss_of)(weight, *arrays)
    return loss, weight - RATE * gradient


arrays = [jnp.asarray(a) for a in (values, indices, target)]
there = jnp.asarray(weight)
jax_losses = []
for _ in range(STEPS):
    loss, there = step(there, *arrays)
    jax_losses.append(float(loss))

# %%
# The loss falls along the same path.

# %%
for number in (0, 4, 19, STEPS - 1):
    print(f"step {number + 1:3}: torch {torch_losses[number]:.4f}, jax {jax_losses[number]:.4f}")
print("the same path:", np.allclose(torch_losses, jax_losses, rtol=1e-3))

# %%
# Back in NumPy, with the weights that PyTorch learned: the signal-to-noise ratio of the result,
# compared with unpooling that learned nothing.


# %%
def psnr(picture):
    return -10 * np.log10(mean_square(picture - target))


trained = decode(values, indices, learned.detach().numpy())
print(f"max_unpool alone   {psnr(in_numpy):5.1f} dB")
print(f"nearest_unpool     {psnr(ux.nearest_unpool(values, 2)):5.1f} dB")
print(f"trained decoder    {psnr(trained):5.1f} dB")

# %%
# A single convolution of 5x5 learns to fill most of the gaps in a few steps, and stays below
# nearest neighbour: it has the same weights wherever the maxima are. A real decoder has more
# layers, and more to learn from than one picture.
