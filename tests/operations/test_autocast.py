"""Under torch.autocast nothing is computed below the precision of the inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import unpool_xp as ux
from tests.support.calls import every_call, outputs
from tests.support.strategies import real_values


def tensor(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.from_numpy(real_values(shape, seed, "float32"))


@every_call
def test_autocast_changes_no_bit(call: Any) -> None:
    function, arrays, options = call
    inputs = [torch.asarray(array) for array in arrays]
    wanted = outputs(function(*inputs, **options))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = outputs(function(*inputs, **options))
    for one, right in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, right, rtol=0, atol=0)


@pytest.mark.parametrize("size", [4, 64])
def test_interpolation_does_not_depend_on_the_size(size: int) -> None:
    x = tensor((1, 2, size, size), 0)
    indices = torch.arange(size * size).reshape(1, 1, size, size).expand(x.shape)
    exact = functional.interpolate(x.double(), scale_factor=2, mode="bilinear")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = ux.linear_unpool(x, 2, coordinates="half_pixel")
        assert got.dtype == functional.interpolate(x, scale_factor=2, mode="bilinear").dtype
        torch.testing.assert_close(got.double(), exact, rtol=0, atol=1e-6)
        mixed = ux.fractional_max_unpool(x, indices, output_size=2 * size)
    torch.testing.assert_close(
        mixed, ux.fractional_max_unpool(x, indices, output_size=2 * size), rtol=0, atol=0
    )


HALVES = (torch.bfloat16, torch.float16)


@pytest.mark.parametrize("autocast", HALVES)
@pytest.mark.parametrize("kernel", [2, 4])  # whose taps meet, and do not, in a stride of 2
def test_a_convolution_takes_mixed_dtypes_as_the_native_does(
    autocast: torch.dtype, kernel: int
) -> None:
    x, weight, bias = tensor((1, 3, 6, 6), 0), tensor((3, 4, kernel, kernel), 1), tensor((4,), 2)
    mixed = [
        (x, weight, bias),
        (x.bfloat16(), weight, bias),
        (x, weight.half(), bias.bfloat16()),
        (x.half(), weight.half(), None),
    ]
    for arrays in mixed:
        wide = [None if a is None else a.double() for a in arrays]
        exact = functional.conv_transpose2d(*wide, stride=2)
        with torch.autocast("cpu", dtype=autocast):
            functional.conv_transpose2d(*arrays, stride=2)  # takes them, too
            got = ux.conv_transpose(*arrays, stride=2)
        assert got.dtype == arrays[0].dtype
        # Summed in float32 and rounded once.
        low, high = ((exact + lost).to(got.dtype) for lost in (-1e-5, 1e-5))
        assert ((low <= got) & (got <= high)).all()


def test_a_network_trains_under_autocast() -> None:
    x = tensor((1, 3, 6, 6), 0).requires_grad_()
    weight = tensor((3, 4, 2, 2), 1).requires_grad_()

    def loss(x: Any) -> Any:
        return ux.linear_unpool(ux.conv_transpose(x.bfloat16(), weight, stride=2), 2).float().sum()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        eager = torch.autograd.grad(loss(x), (x, weight))
        compiled = torch.compile(loss, fullgraph=True, backend="eager")
        for one, other in zip(torch.autograd.grad(compiled(x), (x, weight)), eager, strict=True):
            torch.testing.assert_close(one, other)
    assert [gradient.dtype for gradient in eager] == [torch.float32] * 2


def test_64_bits_and_integers_keep_their_dtype_and_are_not_mixed() -> None:
    x, weight = np.ones((1, 2, 3)), np.ones((2, 1, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for dtype in (torch.float64, torch.int32):
            arrays = (torch.asarray(x, dtype=dtype), torch.asarray(weight, dtype=dtype))
            assert ux.conv_transpose(*arrays).dtype == dtype
        with pytest.raises(TypeError, match=r"one dtype, got x: torch\.float64"):
            ux.conv_transpose(torch.asarray(x), torch.asarray(weight, dtype=torch.float32))
    with pytest.raises(TypeError, match="must have one dtype"):
        ux.conv_transpose(torch.ones(1, 1, 2), torch.ones(1, 1, 2, dtype=torch.bfloat16))
