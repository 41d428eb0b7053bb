"""SciPy's whitening, beside a line for each library."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # before SciPy is imported

from scipy.cluster.vq import whiten as scipy_whiten

from unpool_xp.bench import Native, Operation

whiten = Operation(
    name="whiten",
    function=scipy_whiten,
    inputs=lambda shape, dtype, parameters, rng: rng.standard_normal(shape),
    reference=lambda obs: obs / obs.std(axis=0),
    tolerance=lambda case: {"float64": 1e-12, "float32": 1e-4}.get(case.dtype, 3e-2),
    shapes=((1000, 16), (100_000, 16)),  # NumPy's float16 is wrong in the second: check says so
    natives=(
        Native("numpy", "numpy.std", lambda case: ["y = obs / obs.std(axis=0)"]),
        Native("torch", "torch.std", lambda case: ["y = obs / obs.std(dim=0, correction=0)"]),
        Native("jax", "jax.numpy.std", lambda case: ["y = obs / obs.std(axis=0)"]),
    ),
)
