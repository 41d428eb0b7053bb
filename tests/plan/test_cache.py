"""Plans are kept by value and bounded in bytes."""

from __future__ import annotations

import http
import itertools
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unpool_xp as ux
from tests.support.expectations import fails
from unpool_xp._array import blocks
from unpool_xp._array.namespace import inspect_inputs
from unpool_xp._array.views import cached_array
from unpool_xp._impl import interpolation
from unpool_xp._plan import cache


@dataclass(frozen=True)
class Plan:
    """A plan of an array, with a place for others."""

    array: np.ndarray
    arrays: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)


class Index:
    """A number by `__index__`, printed by its address."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def arguments_as_given(*args: Any) -> Any:
    """Return a new object that knows its arguments."""
    return [args]


def test_values_that_hash_alike_have_plans_of_their_own() -> None:
    alike = [2, 2.0, (2,), (2.0,), ((2, 2),), ((2.0, 2),), "2", None, ("x", 2), ("x", 2.0)]
    alike += [1, True, 1.0, (1,), (True,), (1.0,), ((1, 0),), ((True, 0),), (), ((),)]
    plans = [cache.cached(arguments_as_given, "pool", value) for value in alike]
    for value, (given,) in zip(alike, plans, strict=True):
        assert repr(given) == repr(("pool", value))
    again = [cache.cached(arguments_as_given, "pool", value) for value in alike]
    assert all(one is other for one, other in zip(plans, again, strict=True))
    assert cache.cached(lambda *_: [], "pool", 2) is not plans[0]


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (np.int64(2), 2),
        (Index(2), 2),
        ([2, (np.uint8(3), Index(4))], (2, (3, 4))),
        (np.float32(1.5), 1.5),
        (Fraction(3, 2), 1.5),
        ((np.float64(2), 2), (2.0, 2)),
        (np.str_("floor"), "floor"),
        (http.HTTPStatus.OK, 200),
    ],
)
def test_numbers_are_plain_before_they_are_looked_up(given: Any, plain: Any) -> None:
    first = cache.cached(arguments_as_given, "pool", given)
    assert repr(first[0]) == repr(("pool", plain))
    assert cache.cached(arguments_as_given, "pool", plain) is first


@pytest.mark.parametrize("value", [np.array(2), np.array([1, 2]), object(), 2j, {2}, np.True_])
def test_what_is_not_plain_is_not_kept(value: Any) -> None:
    first = cache.cached(arguments_as_given, "pool", value)
    assert first[0][1] is value
    assert cache.cached(arguments_as_given, "pool", value) is not first


def test_near_factors_have_results_of_their_own() -> None:
    # 0-d arrays and tensors are refused; numbers that print alike are not the same.
    x = np.zeros(100_000)
    for factor in (1.33333, 1.33329, np.float64(1.33333), Fraction(133329, 100000)):
        assert ux.nearest_unpool(x, (factor,)).shape == (int(100_000 * float(factor)),)
    with np.printoptions(precision=2):
        sizes = [ux.nearest_unpool(np.zeros(1000), (np.float64(f),)).shape for f in (1.231, 1.234)]
    assert sizes == [(1231,), (1234,)]
    lengths = [ux.max_pool(np.zeros((1, 1, 12)), Index(n)).values.shape[-1] for n in (2, 3, 4, 6)]
    assert lengths == [6, 4, 3, 2]


def test_plans_are_bounded_in_bytes() -> None:
    made: list[int] = []

    def plan(number: int) -> Plan:
        made.append(number)
        return Plan(np.zeros(2**20, np.uint8))

    for number in range(200):
        cache.cached(plan, number)
        cache.cached(plan, 0)  # in use, so it stays
        assert 0 < cache._plans.n_bytes <= 2**26
    assert made == list(range(200))
    cache.cached(plan, 199)
    assert made == list(range(200))
    cache.cached(plan, 1)
    assert made == [*range(200), 1]
    entries = cache._plans.entries.values()
    assert cache._plans.n_bytes == sum(entry.n_bytes for entry in entries)
    owned = [owned for entry in entries for owned in (entry.plan, entry.plan.arrays)]
    assert set(cache._plans.owners) == set(map(id, owned))


def test_arrays_that_plans_keep_are_counted() -> None:
    info = inspect_inputs("pool", x=np.zeros(1))

    def plan(number: int) -> Plan:
        return Plan(np.zeros(1))

    plans = [cache.cached(plan, number) for number in range(100)]
    for one in plans:
        for name in "ab":
            cached_array(info, one.arrays, name, lambda: np.zeros(2**20, np.uint8))
        assert cache._plans.n_bytes <= 2**26
    assert cache.cached(plan, 99) is plans[99]
    assert cache.cached(plan, 0) is not plans[0]
    before = cache._plans.n_bytes  # what was dropped counts no more
    cached_array(info, plans[0].arrays, "c", lambda: np.zeros(2**20, np.uint8))
    assert cache._plans.n_bytes == before


def test_a_plan_beyond_the_limit_is_used_but_not_kept() -> None:
    small = cache.cached(arguments_as_given, "small")
    large = cache.cached(lambda: Plan(np.zeros(2**26, np.uint8)))
    assert large.array.nbytes == 2**26
    assert next(iter(cache._plans.entries.values())).plan is small
    assert len(cache._plans.entries) == 1
    assert cache.cached(arguments_as_given, "small") is small


def test_the_newest_plan_stays_where_it_takes_most_of_the_limit() -> None:
    cache.cached(lambda: Plan(np.zeros(2**24, np.uint8)))
    newest = cache.cached(lambda: Plan(np.zeros(2**26 - 2**20, np.uint8)))
    assert [entry.plan for entry in cache._plans.entries.values()] == [newest]


def test_of_two_plans_for_the_same_arguments_the_first_is_kept() -> None:
    made: list[str] = []

    def plan(size: int) -> list[str]:
        if not made:  # before it is done, another thread makes the same
            made.append("slow")
            assert cache.cached(plan, size) == ["fast"]
            return ["slow"]
        return ["fast"]

    assert cache.cached(plan, 2) == ["fast"]
    assert len(cache._plans.entries) == 1


def test_bytes_are_those_of_numbers_and_arrays() -> None:
    def n_bytes(value: Any) -> int:
        return cache._n_bytes(value, [])

    assert n_bytes(Plan(np.zeros(1000))) >= 8000
    assert n_bytes((np.zeros(1000), [np.zeros(1000)])) >= 16000
    many = tuple(float(i) for i in range(1000))
    assert sys.getsizeof(many) + 1000 * 24 <= n_bytes(many) <= 64 * 1000
    assert n_bytes(tuple(slice(i, i + 1) for i in range(1000))) >= 1000 * 100
    arrays: list[Any] = []
    inner = Plan(np.zeros(1))
    cache._n_bytes((inner, (Plan(np.zeros(1)),)), arrays)
    assert len(arrays) == 2
    assert arrays[0] is inner.arrays


def test_threads_share_plans() -> None:
    numbers = itertools.cycle(range(40))
    wrong: list[Any] = []

    def plan(number: int) -> tuple[int, np.ndarray]:
        return number, np.zeros(2**22, np.uint8)

    def use() -> None:
        for number in itertools.islice(numbers, 60):
            got, _ = cache.cached(plan, number)
            wrong.extend([number] * (got != number))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    entries = cache._plans.entries.values()
    assert cache._plans.n_bytes == sum(entry.n_bytes for entry in entries) <= 2**26


def test_arrays_of_the_operations_are_counted() -> None:
    ux.avg_pool(np.zeros((1, 1, 9_000)), 2, padding=1, count_include_pad=False)
    ux.max_pool(np.zeros((1, 1, 9_000)), 3, padding=1)
    kept = [
        array.nbytes
        for entry in cache._plans.entries.values()
        for arrays in entry.arrays
        for array in arrays.values()
        if hasattr(array, "nbytes")
    ]
    assert 2**16 < sum(kept) <= cache._plans.n_bytes


def test_what_blocks_are_sums_of_is_counted_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_BLOCK", 4000)  # some 100 of these
    monkeypatch.setattr(interpolation, "_MAX_MATMUL_SIZE", 0)
    x = np.random.default_rng(0).standard_normal((1, 1, 400, 60))
    before = cache._plans.n_bytes
    got = ux.cubic_unpool(x, (2, 1))
    kept = [
        value
        for entry in cache._plans.entries.values()
        for arrays in entry.arrays
        for value in arrays.values()
        if isinstance(value, interpolation._Sums)
    ]
    assert 32 < len(kept) <= interpolation._MAX_KEPT
    assert cache._plans.n_bytes - before > sum(cache._n_bytes(value, []) for value in kept)
    np.testing.assert_array_equal(ux.cubic_unpool(x, (2, 1)), got)
    cache.clear()
    assert cache._plans.n_bytes == 0


X = np.ones((1, 1, 4, 4))
WEIGHT = np.ones((1, 1, 2, 2))


@pytest.mark.parametrize(
    ("function", "arrays", "options", "said"),
    [
        (ux.max_pool, (X,), {"kernel_size": 2, "stride": 2**70}, f"stride={2**70}"),
        (ux.max_pool, (X,), {"kernel_size": 2**70}, f"kernel_size={2**70}"),
        (ux.avg_pool, (X,), {"kernel_size": 2, "padding": ((0, 2**70), 0)}, "padding="),
        (ux.conv_transpose, (X, WEIGHT), {"stride": 2**70}, f"stride={2**70}"),
        (ux.conv_transpose, (X, WEIGHT), {"stride": 2**40}, f"stride={2**40} needs"),
        (ux.max_unpool, (X, X.astype(int)), {"output_size": 2**40}, f"output_size={2**40} needs"),
        (ux.max_unpool, (X, X.astype(int), 2), {"output_size": (4, 2**70)}, "output_size=(4, "),
        (ux.fractional_max_pool, (X, 2), {"output_size": 2**70}, f"output_size={2**70}"),
        (ux.nearest_unpool, (X, (2.0**31, 2**30)), {}, "scale_factor=(2147483648.0, 1073741824)"),
        (ux.linear_unpool, (X, 2.0**30), {}, "scale_factor=1073741824.0"),
        (ux.linear_unpool, (X,), {"output_size": (2**40, 2**40)}, "output_size=(1099511627776, "),
        (
            ux.convert_indices,
            (X.astype(int), "torch", "onnx"),
            {"input_shape": (1, 1, 4, 2**70)},
            "input_shape=(1, 1, 4, ",
        ),
    ],
)
def test_a_size_that_no_array_has_is_named(
    function: Any, arrays: Any, options: Any, said: str
) -> None:
    for_jax = [jnp.asarray(a) if isinstance(a, np.ndarray) else a for a in arrays]
    message = (ValueError, f"{function.__name__}: {said}", "(array of shape (1, 1, 4, 4))")
    with fails(*message):
        function(*arrays, **options)
    with fails(*message):  # while JAX traces, too
        jax.eval_shape(lambda first: function(first, *for_jax[1:], **options), for_jax[0])
