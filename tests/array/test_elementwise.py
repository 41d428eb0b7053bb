"""The door of elementwise functions, and what the made-up cupy.fuse refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.support.fake_cupy import FakeCuPy, cupy_info
from unpool_xp._array.elementwise import elementwise, max_views

X = np.arange(12.0).reshape(3, 4)


@elementwise
def scaled(info: Any, x: Any, factor: Any, *, sign: bool) -> Any:
    return -x * factor if sign else x * factor


def test_on_cupy_each_setting_is_a_kernel(fake_cupy: FakeCuPy) -> None:
    two = np.full((1,), 2.0)
    for sign, x in ((True, X), (False, X), (True, X[:2])):
        got = scaled(cupy_info(), x, two, sign=sign)
        np.testing.assert_array_equal(got, (-2 if sign else 2) * x)
    assert fake_cupy.launched == [("unpool_xp_scaled", 3)] * 3


def test_results_may_be_written_to_views(fake_cupy: FakeCuPy) -> None:
    @elementwise
    def both(info: Any, x: Any, y: Any) -> Any:
        return x + y, x - y

    output = np.zeros((3, 8))
    both(cupy_info(), X, np.ones((1,)), outputs=[output[:, ::2], output[:, 1::2]])
    np.testing.assert_array_equal(output[:, ::2], X + 1)
    np.testing.assert_array_equal(output[:, 1::2], X - 1)
    assert fake_cupy.launched == [("unpool_xp_both", 4)]


def decides(info: Any, x: Any) -> Any:
    return x if x > 0 else -x


def asks_for_the_shape(info: Any, x: Any) -> Any:
    return x * x.shape[0]


def takes_a_part(info: Any, x: Any) -> Any:
    return x[1:]


def takes_a_number(info: Any, x: Any) -> Any:
    return x * 2.0


def takes_an_array_of_its_own(info: Any, x: Any) -> Any:
    return x + np.ones((3, 4))


def reduces(info: Any, x: Any) -> Any:
    return info.xp.sum(x)


def reshapes(info: Any, x: Any) -> Any:
    return info.xp.reshape(x, (4, 3))


def widens(info: Any, x: Any) -> Any:
    return info.xp.astype(x, np.longdouble)


REFUSED = (
    decides,
    asks_for_the_shape,
    takes_a_part,
    takes_a_number,
    takes_an_array_of_its_own,
    reduces,
    reshapes,
    widens,
)


@pytest.mark.parametrize("function", REFUSED)
def test_what_fuse_refuses(fake_cupy: FakeCuPy, function: Callable[..., Any]) -> None:
    with pytest.raises((TypeError, AttributeError)):
        elementwise(function)(cupy_info(), X)
    assert fake_cupy.launched == []


@pytest.mark.parametrize("x", [X.astype(np.longdouble), [1.0], 2.0, np.ma.asarray(X)])
def test_which_arguments_fuse_refuses(fake_cupy: FakeCuPy, x: Any) -> None:
    def total(info: Any, x: Any, y: Any) -> Any:
        return x + y

    with pytest.raises(TypeError):
        elementwise(total)(cupy_info(), X, x)


@pytest.mark.parametrize("ndim", [1, 2, 4, 6])
def test_a_kernel_takes_so_many_arrays(fake_cupy: FakeCuPy, ndim: int) -> None:
    def total(info: Any, *views: Any) -> Any:
        return sum(views[1:], views[0])

    views = [np.ones((1,) * ndim)] * max_views(ndim)
    elementwise(total)(cupy_info(), *views[1:])  # and the result
    with pytest.raises(RuntimeError, match="parameter space"):
        elementwise(total)(cupy_info(), *views)
