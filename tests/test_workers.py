"""Several threads share the planes of NumPy arrays: the same bits, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unpool_xp as ux
from tests.support.calls import CALLS, every_call, outputs
from unpool_xp import workers
from unpool_xp._array import blocks
from unpool_xp._impl import interpolation
from unpool_xp._plan import cache

X = np.random.default_rng(0).standard_normal((6, 4, 31, 33)).astype(np.float32)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Share what is small, too, in many blocks."""
    monkeypatch.setattr(blocks, "_MIN_SHARED", 1)
    monkeypatch.setattr(blocks, "_BLOCK", 2000)
    cache.clear()  # what is ready has decided already
    yield
    cache.clear()


def ours() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("unpool_xp")]


@every_call
def test_any_number_gives_the_same_bits(call: Any, small_blocks: None) -> None:
    function, arrays, options = call
    wanted = outputs(function(*arrays, **options))
    for number in (2, 4):
        with ux.set_workers(number):
            found = outputs(function(*arrays, **options))
        assert [one.tobytes() for one in found] == [one.tobytes() for one in wanted]
    assert not ours()


@settings(max_examples=30)
@given(
    lead=st.lists(st.integers(0, 5), max_size=2),
    plane=st.tuples(st.integers(5, 40), st.integers(5, 40)),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    block=st.integers(1, 10_000),
)
def test_any_shape_gives_the_same_bits(
    lead: list[int], plane: tuple[int, int], kernel: int, stride: int, block: int
) -> None:
    x = np.random.default_rng(0).standard_normal((*lead, *plane))
    x[..., 2, 3] = np.nan

    def compute() -> list[bytes]:
        pooled = ux.max_pool(x, (kernel, kernel), stride=stride)
        made = (
            *pooled,
            ux.max_unpool(*pooled, output_size=plane, duplicates="sum"),
            ux.avg_pool(x, (kernel, kernel), stride=stride),
            ux.linear_unpool(x, (stride, 1.3)),
            ux.nearest_unpool(x, (stride, kernel)),
        )
        return [one.tobytes() for one in made]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_MIN_SHARED", 1)
        patch.setattr(blocks, "_BLOCK", block)
        cache.clear()
        wanted = compute()
        for number in (2, 4):
            with ux.set_workers(number):
                assert compute() == wanted
    cache.clear()


def test_threads_share_the_work_and_end_with_the_block(small_blocks: None) -> None:
    seen, both = set(), threading.Barrier(2, timeout=30)

    def compute(start: int) -> None:
        seen.add(threading.get_ident())
        if start < 2:
            both.wait()  # one thread alone would never get here twice

    with ux.set_workers(2):
        workers.run_shared(workers.current_scope(), compute, range(5))
        assert len(ours()) == 1
    assert len(seen) == 2
    assert not ours()
    with contextlib.suppress(ZeroDivisionError), ux.set_workers(3):
        ux.nearest_unpool(X, 2)
        raise ZeroDivisionError
    assert not ours()


def test_an_error_of_one_ends_the_others_and_is_raised() -> None:
    done = []

    def compute(start: int) -> None:
        if start == 3:
            raise ValueError("of the fourth")
        done.append(start)

    with ux.set_workers(2), pytest.raises(ValueError, match="of the fourth"):
        workers.run_shared(workers.current_scope(), compute, range(100_000))
    assert len(done) < 100_000
    indices = np.full(X.shape, 9999)
    with ux.set_workers(2), pytest.raises(IndexError, match="outside"):
        ux.max_unpool(X, indices, output_size=(70, 70))


def test_errors_of_floating_point_are_those_of_the_caller(small_blocks: None) -> None:
    x = np.full((8, 1, 64, 64), np.finfo(np.float32).max, np.float32)
    with np.errstate(all="raise"), ux.set_workers(2):
        assert np.isinf(ux.avg_pool(x, 2)).all()


def test_eight_threads_of_a_user_at_once(small_blocks: None) -> None:
    wanted = ux.max_pool(X, 3, stride=2).values.tobytes()

    def compute(number: int) -> bool:
        with ux.set_workers(1 + number % 3):
            same = ux.max_pool(X, 3, stride=2).values.tobytes() == wanted
            return same and ux.get_workers() == 1 + number % 3

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(compute, range(40)))
    assert not ours()


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(workers.VARIABLE, "4")
    yield
    for scope in workers._of_environment.values():
        scope.close()
    workers._of_environment.clear()


def test_the_environment_asks_for_them_in_the_main_thread_alone(four: None) -> None:
    assert ux.get_workers() == 4
    with ux.set_workers(2):
        assert ux.get_workers() == 2
        with ux.set_workers(1):
            assert ux.get_workers() == 1
        assert ux.get_workers() == 2
        # As in the tasks of joblib, which are such threads.
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(ux.get_workers).result() == 1
        assert dask.delayed(ux.get_workers)().compute(scheduler="threads") == 1
    assert dask.delayed(ux.get_workers)().compute(scheduler="threads") == 1
    code = (
        "import multiprocessing as mp, os, unpool_xp as ux\n"
        "if __name__ == '__main__':\n"
        "    with mp.get_context('spawn').Pool(1) as pool: print(pool.apply(ux.get_workers))\n"
        "    with ux.set_workers(3):\n"
        "        if os.fork() == 0: print(ux.get_workers(), flush=True); os._exit(0)\n"
        "        os.wait()\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["1", "1"]


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (0, ValueError, r"workers=0 must be at least 1, or from -1 to -\d+"),
        (-10_000, ValueError, "workers=-10000 must be at least 1"),
        (2.0, TypeError, "workers=2.0 must be an integer"),
        (True, TypeError, "workers=True must be an integer"),
        ("2", TypeError, "workers='2' must be an integer"),
    ],
)
def test_what_is_no_number_of_workers_is_named(given: Any, error: type, said: str) -> None:
    with pytest.raises(error, match=f"set_workers: {said}"), ux.set_workers(given):
        pass


@pytest.mark.parametrize("text", ["two", "0", "1.5"])
def test_an_environment_without_a_number_is_named(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(workers.VARIABLE, text)
    with pytest.raises(ValueError, match=f"UNPOOL_XP_WORKERS='{text}' must be a number of workers"):
        ux.get_workers()


def test_below_zero_is_counted_from_the_processors() -> None:
    with ux.set_workers(-1):
        assert ux.get_workers() == os.cpu_count()


def test_what_is_small_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    with ux.set_workers(2):
        for function, arrays, options in CALLS:
            function(*arrays, **options)
        assert not ours()
    large = np.ones((16, 16, 32, 32), np.float32)
    ux.nearest_unpool(large, 2)  # what this makes ready asks each time
    assert not ours()
    with ux.set_workers(2):
        ux.nearest_unpool(large, 2)
        assert len(ours()) == 1


@pytest.mark.parametrize(
    ("call", "shape", "factors"),
    [
        (ux.linear_unpool, (600, 600), (2, 2)),
        (ux.cubic_unpool, (600, 600), (2, 2)),
        (ux.nearest_unpool, (600, 600), (2, 2)),
        (ux.nearest_unpool, (600, 600), (3, 4)),
        (ux.nearest_unpool, (360_000,), (3,)),
    ],
)
def test_the_rows_of_one_large_plane_are_shared(
    call: Any, shape: tuple[int, ...], factors: tuple[int, ...]
) -> None:
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    wanted = call(x, factors).tobytes()
    with ux.set_workers(2):
        assert call(x, factors).tobytes() == wanted
        assert len(ours()) == 1


@pytest.mark.parametrize(("number", "blocks"), [(1, 4), (2, 2)])
def test_several_workers_have_larger_blocks(
    monkeypatch: pytest.MonkeyPatch, number: int, blocks: int
) -> None:
    """With as many calls as one worker has, two took half as long again: they wait in between."""
    counts, run_blocks = [], interpolation.run_blocks

    def counted(compute: Callable[[int, int], None], count: int, *rest: Any) -> None:
        counts.append(count)
        run_blocks(compute, count, *rest)

    monkeypatch.setattr(interpolation, "run_blocks", counted)
    x = np.ones((1, 4, 301, 301), np.float32)
    with ux.set_workers(number):
        ux.linear_unpool(x, scale_factor=1.7)
    assert counts == [blocks]
