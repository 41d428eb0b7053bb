"""The rule for each gradient equals finite differences of the portable function."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.support.cases import SMALL
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.expected import ExpectedGradients, MismatchError
from unpool_xp.bench.cases.gradients import directional_derivative
from unpool_xp.bench.cases.loading import operations

DECODER = Case(
    "decoder",
    (2, 3, 7, 6),
    name="small",
    layers=[
        {"operation": "max_pool", "kernel": 2, "name": "pool"},
        {"operation": "conv_transpose", "kernel": 1, "out_channels": 3},
        {"operation": "max_unpool", "indices": "pool"},
        {"operation": "conv_transpose", "kernel": 3, "stride": 2, "padding": 1, "out_channels": 2},
        {"operation": "linear_unpool", "scale": 1.5},
    ],
    backward=True,
)
DIFFERENTIABLE = [
    *(case.replace(backward=True) for case in SMALL if case.dtype.startswith("float")),
    Case("avg_pool", (1, 2, 3000), kernel=(700,), stride=3, padding=300, backward=True),
    Case("linear_unpool", (2, 3, 5), scale=0.45, backward=True),
    Case("conv_transpose", (3, 4, 3), kernel=2, stride=3, out_channels=2, backward=True),
    DECODER,
]
ids = [case.name for case in DIFFERENTIABLE]


def drawn(case: Case, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the inputs in float64 without ties, and a direction."""
    rng = np.random.default_rng(seed)
    inputs = {n: a for n, a in case.arrays().items() if n in case.forward.inputs}
    moving = [name for name in inputs if inputs[name].dtype.kind == "f"]
    along = {name: rng.standard_normal(inputs[name].shape) for name in moving}
    if "indices" in inputs:  # what may be in one cell moves as one
        cells = rng.standard_normal((*case.lead, np.prod(case.output_plane)))
        places = inputs["indices"].reshape(*case.lead, -1)
        along["values"] = np.take_along_axis(cells, places, -1).reshape(case.shape)
    else:
        inputs |= {name: rng.standard_normal(inputs[name].shape) for name in moving}
    return {
        n: a.astype(np.int64 if a.dtype.kind == "i" else float) for n, a in inputs.items()
    }, along


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=ids)
def test_the_rule_of_a_gradient_equals_finite_differences(case: Case) -> None:
    operation, options = case.definition, case.options()
    for seed in range(5):
        inputs, along = drawn(case, seed)
        cotangent = np.random.default_rng(9).standard_normal(case.output_shape)
        gradients = operation.gradients(case, inputs | {"cotangent": cotangent})
        assert gradients is not None
        assert [g.shape for g in gradients] == [shape for shape, _ in case.gradients.values()]
        want = directional_derivative(
            lambda *arrays: operation.function(*arrays, **options), inputs, along, {0: cotangent}
        )
        got = sum(np.vdot(g, v) for g, v in zip(gradients, along.values(), strict=True))
        scale = sum(
            np.linalg.norm(g) * np.linalg.norm(v)
            for g, v in zip(gradients, along.values(), strict=True)
        )
        assert got == pytest.approx(want, abs=1e-7 * scale)


def test_every_operation_has_a_rule() -> None:
    assert {case.operation for case in DIFFERENTIABLE} == {
        name for name, of in operations().items() if of.backward
    }


# Finite differences see both sides of a tie.
CHECKED = [
    *((case, True) for case in DIFFERENTIABLE),
    *((case, False) for case in DIFFERENTIABLE[::3] if "max_" not in case.operation),
]


@pytest.mark.parametrize(
    ("case", "has_rule"),
    CHECKED,
    ids=[f"{case.name}-{'rule' if has_rule else 'differences'}" for case, has_rule in CHECKED],
)
def test_one_wrong_element_of_a_gradient_is_found(case: Case, has_rule: bool) -> None:
    arrays = case.arrays()
    right = ExpectedGradients(case, arrays)._expected
    if not has_rule:
        without = dataclasses.replace(case.definition, gradients=lambda *_: None)
        case = case.replace(operation=without)
    expected = ExpectedGradients(case, arrays)
    gradients = [g.astype(case.dtype, order="C") for g in right]
    expected.check(gradients)
    for name, gradient in zip(case.gradients, gradients, strict=True):
        for place in (0, -1):
            kept = gradient.reshape(-1)[place]
            gradient.reshape(-1)[place] += np.abs(gradient).max() / 4
            message = rf"{name}\[.* is .*, should be" if has_rule else f"along a direction.*{name}"
            with pytest.raises(MismatchError, match=message):
                expected.check(gradients)
            gradient.reshape(-1)[place] = kept
