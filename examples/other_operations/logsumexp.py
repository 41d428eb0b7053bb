"""SciPy's log(sum(exp(a))) along an axis, beside those of PyTorch and JAX."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # before SciPy is imported

import numpy as np
from scipy import special

from unpool_xp.bench import Native, Operation, Parameter

logsumexp = Operation(
    name="logsumexp",
    function=special.logsumexp,
    parameters={"axis": Parameter(help="Axis to sum over.", default=-1)},
    inputs=lambda shape, dtype, parameters, rng: rng.standard_normal(shape),
    reference=lambda a, axis: np.log(np.exp(a).sum(axis)),
    shapes=((64, 1000), (1000, 1000)),
    natives=(
        Native("torch", "torch.logsumexp", lambda case: [f"y = torch.logsumexp(a, {case.axis})"]),
        Native("jax", "jax.nn.logsumexp", lambda case: [f"y = jax.nn.logsumexp(a, {case.axis})"]),
    ),
)
