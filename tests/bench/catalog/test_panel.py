"""The panel by which commits are compared."""

from __future__ import annotations

import pytest

from unpool_xp import backends
from unpool_xp.bench.catalog import SINGLE_OPERATIONS
from unpool_xp.bench.catalog.panel import SIZES, STRIDES, panel_case
from unpool_xp.bench.suites.asv import BACKEND_MODES

CASES = [
    case for operation in SINGLE_OPERATIONS.values() for case in operation.panel(operation).values()
]


def test_every_operation_has_both_sizes_and_both_strides() -> None:
    assert len(set(CASES)) == len(CASES) == len(SINGLE_OPERATIONS) * len(SIZES) * len(STRIDES)
    assert [case.operation for case in CASES[:: len(SIZES) * len(STRIDES)]] == list(
        SINGLE_OPERATIONS
    )


@pytest.mark.parametrize("operation", SINGLE_OPERATIONS)
@pytest.mark.parametrize("stride", STRIDES)
def test_large_is_larger_and_a_stride_is_a_stride(operation: str, stride: int) -> None:
    small, large = (panel_case(operation, size, stride) for size in SIZES)
    assert large.bytes_moved > 20 * small.bytes_moved
    plane, output = large.shape[-1], large.output_shape[-1]
    if operation.startswith("adaptive"):  # windows of two lengths
        assert stride < plane / output < stride + 1
        assert plane % output
    else:
        assert max(plane, output) == stride * min(plane, output)


def test_the_names_are_the_history() -> None:
    # Renaming or changing a case loses every time that was ever taken of it.
    assert [case.name for case in CASES][:4] == [
        "max_pool-1x16x36x36-k2x2-s2x2-float32",
        "max_pool-1x16x36x36-k3x3-s3x3-float32",
        "max_pool-4x32x192x192-k2x2-s2x2-float32",
        "max_pool-4x32x192x192-k3x3-s3x3-float32",
    ]


def test_the_backends_are_known() -> None:
    assert {backend_mode.label for backend_mode in BACKEND_MODES} <= {*backends.known()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("max_poll", "small", 2), "unknown operation 'max_poll'; known: max_pool"),
        (("max_pool", "tiny", 2), "unknown size 'tiny'; known: small, large"),
        (("max_pool", "small", 5), "unknown stride 5; known: 2, 3"),
    ],
)
def test_unknown_arguments_are_named(arguments: tuple[str, str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        panel_case(*arguments)
