"""The padding of array-api-extra, beside each library's own."""

import array_api_extra as xpx
import numpy as np

from unpool_xp.bench import Native, Operation, Parameter

pad = Operation(
    name="pad",
    function=xpx.pad,
    parameters={"pad_width": Parameter(help="Elements at each end of an axis.", default=1)},
    reference=np.pad,
    tolerance=lambda case: 0,
    shapes=((1, 8, 32, 32), (8, 64, 56, 56)),
    natives=(
        Native("numpy", "numpy.pad", lambda case: [f"y = np.pad(x, {case.pad_width})"]),
        Native("jax", "jax.numpy.pad", lambda case: [f"y = jnp.pad(x, {case.pad_width})"]),
        Native("dask", "dask.array.pad", lambda case: [f"y = da.pad(x, {case.pad_width})"]),
    ),
)
