"""The covariance matrix of array-api-extra, beside each library's own."""

import array_api_extra as xpx
import numpy as np

from unpool_xp.bench import Native, Operation

cov = Operation(
    name="cov",
    function=xpx.cov,
    inputs=lambda shape, dtype, parameters, rng: rng.standard_normal(shape),
    reference=np.cov,
    shapes=((8, 100), (64, 10_000)),
    flops=lambda case: 2 * case.shape[0] ** 2 * case.shape[1],
    natives=(
        Native("numpy", "numpy.cov", lambda case: ["y = np.cov(m)"]),
        Native("torch", "torch.cov", lambda case: ["y = torch.cov(m)"]),
        Native("jax", "jax.numpy.cov", lambda case: ["y = jnp.cov(m)"]),
        Native("dask", "dask.array.cov", lambda case: ["y = da.cov(m)"]),
    ),
)
