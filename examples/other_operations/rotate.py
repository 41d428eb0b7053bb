"""SciPy's rotation of vectors, each by a quaternion of its own."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # before SciPy is imported

import numpy as np
from scipy.spatial.transform import Rotation

from unpool_xp.bench import Operation


def by_cross_products(quat, vectors):
    u, w = np.split(quat / np.linalg.norm(quat, axis=1, keepdims=True), [3], axis=1)
    return vectors + 2 * np.cross(u, np.cross(u, vectors) + w * vectors)


rotate = Operation(
    name="rotate",
    function=lambda quat, vectors: Rotation.from_quat(quat).apply(vectors),
    inputs=lambda shape, _, __, rng: (rng.normal(size=shape), rng.normal(size=(shape[0], 3))),
    reference=by_cross_products,
    shapes=((100, 4), (100_000, 4)),
)
