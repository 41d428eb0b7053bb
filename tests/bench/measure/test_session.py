"""A time is of a checked result that is ready; everything else is a reason."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from dask.callbacks import Callback

from tests.bench.measure.conftest import GOOD
from tests.conftest import jax_without_64_bits
from unpool_xp import backends
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.memory import peak_bytes
from unpool_xp.bench.measure.session import DeviceInputs, Session, describe_error
from unpool_xp.bench.measure.timer import SAMPLE_SECONDS, WARM_CALLS

TIMES = ("first_call_s", "calls_per_sample", "check_scope")


def prepared(label: str, mode: str = "eager", **options: Any) -> Session:
    session = Session(backends.load(label), GOOD, mode, **options)
    assert session.prepare(), session.measured.error
    return session


def test_every_time_waits_for_the_result() -> None:
    session = prepared("fake:async")
    delay = sys.modules["fake_backend"].DELAY
    assert len(session.sample(2)) == 2
    session._timed["call"].calls = 3
    # A call that started before the last was ready would make the mean shorter than the delay.
    session.sample(1)
    measured = session.finish()
    assert len(measured.samples_s) == 3
    for seconds in (*measured.samples_s, measured.first_call_s):
        assert seconds >= delay


def test_copies_and_cold_calls_are_sampled_like_calls() -> None:
    session, delay = prepared("fake:async"), sys.modules["fake_backend"].DELAY
    for what in ("to_device", "cold"):
        assert min(session.take(2, what).samples_s) >= delay
    # What is copied back is ready before: the copy itself is quick.
    assert max(session.take(2, "from_device").samples_s) < delay
    assert session.measured.samples_s == []


@pytest.mark.parametrize("label", ["numpy", "torch:cpu", "jax:cpu", "dask"])
def test_the_limit_is_a_copy_of_as_many_bytes_as_the_call_moves(label: str) -> None:
    session = prepared(label)
    copy = session._plain_copy()
    (source,) = copy.arrays
    made = session.backend.to_numpy(copy.call(source))
    assert 2 * made.nbytes == GOOD.bytes_moved // 8 * 8
    np.testing.assert_array_equal(made, session.backend.to_numpy(source))
    assert len(session.take(2, "copy").samples_s) == 2


def test_a_limit_that_cannot_be_measured_leaves_the_times(monkeypatch: pytest.MonkeyPatch) -> None:
    session = prepared("numpy")

    def broken(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("unpool_xp.bench.measure.session.plain_copy", broken)
    assert session.take(1, "copy").samples_s == []
    assert session.measured.error is None
    assert len(session.sample()) == 1


def test_a_lazy_library_computes_within_the_time() -> None:
    session = prepared("dask")
    session._timed["call"].calls = 2
    runs: list[Any] = []
    with Callback(start=runs.append):
        session.sample(3)
    assert len(runs) >= WARM_CALLS + 2 * 3


def test_a_wrong_result_has_a_reason_and_no_time() -> None:
    session = Session(backends.load("fake:wrong"), GOOD)
    assert not session.prepare()
    assert session.sample(5) == []
    measured = session.finish()
    assert not measured.checked
    assert measured.samples_s == []
    assert all(getattr(measured, name) is None for name in TIMES)
    assert (measured.error or "").startswith("wrong result: values[0, 1, 1, 1] is ")


def test_a_call_that_fails_takes_back_the_samples_before_it() -> None:
    session = prepared("numpy")
    assert len(session.sample(2)) == 2

    def broken(x: Any) -> Any:
        raise MemoryError("no more")

    session._timed["call"].call = broken
    assert session.sample(1) == []
    measured = session.finish()
    assert (measured.checked, measured.error) == (False, "MemoryError: no more")
    assert measured.samples_s == []
    assert all(getattr(measured, name) is None for name in TIMES)


def test_an_exception_is_a_reason_in_one_line() -> None:
    assert describe_error(ValueError("two\nlines")) == "ValueError: two lines"
    assert describe_error(MemoryError()) == "MemoryError"
    assert len(describe_error(ValueError("x" * 10_000))) <= 400


@pytest.mark.parametrize(
    ("label", "dtype", "options", "reason"),
    [
        ("numpy", "float32", {"mode": "compiled"}, "numpy: numpy has no compiler"),
        ("numpy", "float32", {"mode": "fast"}, "mode='fast' is not one of eager, fused, compiled"),
        ("numpy", "float32", {"implementation": "mine"}, "'mine' is not portable or native"),
        ("numpy", "float32", {"implementation": "native"}, "numpy has no native ''"),
        ("numpy", "bfloat16", {}, "numpy has no bfloat16"),
        ("fake:async", "bfloat16", {}, "fake:async has no dtype bfloat16"),
        ("torch:cpu", "uint16", {}, "torch compares no unsigned integers but uint8"),
        ("jax:cpu", "float64", {}, "jax makes float32 of float64; set JAX_ENABLE_X64=1"),
    ],
)
def test_what_cannot_be_measured_says_why(
    label: str, dtype: str, options: dict[str, str], reason: str
) -> None:
    case = Case("max_pool", (1, 2, 4, 4), kernel=2, dtype=dtype)
    with jax_without_64_bits():
        session = Session(backends.load(label), case, **options)
        assert not session.prepare()
    assert reason in (session.measured.error or "")
    assert session.finish().samples_s == []


def test_compiled_is_measured_where_there_is_a_compiler() -> None:
    session = prepared("jax:cpu", "compiled")
    assert session.function == "unpool_xp.max_pool"
    assert session.finish().first_call_s > 0


def test_a_sample_of_a_short_call_has_many_without_the_garbage_collector() -> None:
    session = prepared("numpy")
    timed, calls = session._timed["call"], session.measured.calls_per_sample
    assert calls * session.call_s >= SAMPLE_SECONDS / 2
    call, seen = timed.call, []

    def watched(*arrays: Any) -> Any:
        seen.append(gc.isenabled())
        return call(*arrays)

    timed.call = watched
    session.sample(1)
    assert set(seen) == {False}
    assert len(seen) >= WARM_CALLS + calls
    assert gc.isenabled()


def test_each_sample_says_what_else_went_on() -> None:
    taken = prepared("numpy").take(3)
    assert len(taken.disturbed) == 3
    for values in (getattr(taken.conditions, name) for name in taken.conditions.__struct_fields__):
        assert len(values) == 3
        assert min(values) >= 0


def test_sessions_share_inputs() -> None:
    inputs = DeviceInputs(backends.load("numpy"), GOOD)
    for _ in range(2):
        prepared("numpy", inputs=inputs)
    np.testing.assert_array_equal(inputs.device[0], GOOD.arrays()["x"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is Linux's")
def test_peak_memory_is_at_least_the_output_and_not_the_input() -> None:
    case = Case("nearest_unpool", (1, 64, 64, 64), scale=4)
    output = 64 * 256 * 256 * 4
    peak = peak_bytes(backends.load("numpy"), case)
    assert peak is not None
    assert output <= peak + 2**21  # the kernel counts resident pages a little late
    assert peak < 8 * output


_COUNT_PAGE_FAULTS = """
import resource
from unpool_xp import backends
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.session import Session

case = Case("conv_transpose", (2, 16, 28, 28), kernel=2, out_channels=16)
session = Session(backends.load("numpy"), case)
assert session.prepare(), session.measured.error
call = session.caller()
call()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    call()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators keep memory")
def test_calls_are_timed_in_memory_that_the_process_keeps() -> None:
    """As docs/noise.rst has it: 164 page faults a call where no large array was freed before."""
    command = [sys.executable, "-c", _COUNT_PAGE_FAULTS]
    # A cluster of Dask in this process may have left such variables.
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000
