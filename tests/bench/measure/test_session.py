"""A time is of a checked result that is ready; everything else is a reason."""

from __future__ import annotations

import gc
import sys
from typing import Any

import numpy as np
import pytest

from tests.conftest import jax_without_64_bits
from unpool_xp import backends
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.memory import peak_bytes
from unpool_xp.bench.measure.session import SAMPLE_SECONDS, DeviceInputs, Session, describe_error

CASE = Case("max_pool", (1, 2, 4, 4), kernel=2)
TIMES = ("first_call_s", "to_device_s", "from_device_s", "calls_per_sample", "check_scope")

pytestmark = pytest.mark.usefixtures("fake_backends")


def delay() -> float:
    return float(sys.modules["fake_backend"].DELAY)


@pytest.mark.parametrize(
    "case",
    [
        CASE,
        Case("max_unpool", (1, 2, 2, 2), kernel=2),
        Case("nearest_unpool", (1, 2, 4, 4), scale=2),
    ],
    ids=lambda case: case.operation,
)
def test_every_time_waits_for_the_result(case: Case) -> None:
    session = Session(backends.load("fake:async"), case)
    assert session.prepare(), session.measured.error
    session.sample(2)
    measured = session.finish()
    assert len(measured.samples_s) == 2
    for seconds in (*measured.samples_s, measured.first_call_s, measured.to_device_s):
        assert seconds >= delay()


def test_many_calls_a_sample_are_each_waited_for() -> None:
    session = Session(backends.load("fake:async"), CASE)
    session.prepare()
    session.measured.calls_per_sample = 3
    # A call that started before the last was ready would make the mean shorter than the delay.
    assert session.sample(1)[0] >= delay()


def test_a_lazy_library_computes_within_the_time() -> None:
    from dask.callbacks import Callback

    session = Session(backends.load("dask"), CASE)
    assert session.prepare()
    session.measured.calls_per_sample = 2
    runs: list[Any] = []
    with Callback(start=runs.append):
        session.sample(3)
    assert len(runs) == 2 * 3


def test_a_wrong_result_has_a_reason_and_no_time() -> None:
    session = Session(backends.load("fake:wrong"), CASE)
    assert not session.prepare()
    assert session.sample(5) == []
    measured = session.finish()
    assert not measured.checked
    assert measured.samples_s == []
    assert all(getattr(measured, name) is None for name in TIMES)
    assert (measured.error or "").startswith("wrong result: values[0, 1, 1, 1] is ")


def test_a_call_that_fails_takes_back_the_samples_before_it() -> None:
    session = Session(backends.load("numpy"), CASE)
    assert session.prepare()
    assert len(session.sample(2)) == 2
    monkey = session._call

    def broken(x: Any) -> Any:
        raise MemoryError("no more")

    session._call = broken
    assert session.sample(1) == []
    assert monkey is not None
    measured = session.finish()
    assert (measured.checked, measured.error) == (False, "MemoryError: no more")
    assert measured.samples_s == []
    assert all(getattr(measured, name) is None for name in TIMES)


def test_an_exception_is_a_reason_in_one_line() -> None:
    assert describe_error(ValueError("two\nlines")) == "ValueError: two lines"
    assert describe_error(MemoryError()) == "MemoryError"
    assert len(describe_error(ValueError("x" * 10_000))) <= 400


@pytest.mark.parametrize(
    ("label", "mode", "implementation", "reason"),
    [
        ("numpy", "compiled", "portable", "numpy: numpy has no compiler"),
        ("numpy", "fast", "portable", "mode='fast' is not eager or compiled"),
        ("numpy", "eager", "mine", "implementation='mine' is not portable or native"),
        ("numpy", "eager", "native", "numpy has no native ''"),
    ],
)
def test_what_cannot_be_measured_says_why(
    label: str, mode: str, implementation: str, reason: str
) -> None:
    session = Session(backends.load(label), CASE, mode, implementation)
    assert not session.prepare()
    assert session.measured.error is not None
    assert reason in session.measured.error


def test_compiled_is_measured_where_there_is_a_compiler() -> None:
    session = Session(backends.load("jax:cpu"), CASE, "compiled")
    assert session.prepare(), session.measured.error
    measured = session.finish()
    assert session.function == "unpool_xp.max_pool"
    assert measured.first_call_s > 0


def test_a_sample_of_a_short_call_has_many_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(backends.load("numpy"), CASE)
    session.prepare()
    assert session.measured.calls_per_sample is not None
    assert session.measured.calls_per_sample >= 1
    assert session.measured.calls_per_sample * session.call_s >= SAMPLE_SECONDS * 0.999


def test_the_collector_rests_while_the_clock_runs() -> None:
    seen = []
    session = Session(backends.load("numpy"), CASE)
    session.prepare()
    call = session._call
    assert call is not None

    def watched(*arrays: Any) -> Any:
        seen.append(gc.isenabled())
        return call(*arrays)

    session._call = watched
    session.sample(1)
    assert set(seen) == {False}
    assert gc.isenabled()


def test_sessions_share_inputs() -> None:
    backend = backends.load("numpy")
    inputs = DeviceInputs(backend, CASE)
    sessions = [Session(backend, CASE, inputs=inputs) for _ in range(2)]
    assert all(session.prepare() for session in sessions)
    np.testing.assert_array_equal(inputs.device[0], CASE.arrays()["x"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is Linux's")
def test_peak_memory_is_at_least_the_output_and_not_the_input() -> None:
    case = Case("nearest_unpool", (1, 64, 64, 64), scale=4)
    output = 64 * 256 * 256 * 4
    peak = peak_bytes(backends.load("numpy"), case)
    assert peak is not None
    assert output <= peak + 2**21  # the kernel counts resident pages a little late
    assert peak < 8 * output


@pytest.mark.parametrize(
    ("label", "dtype", "reason"),
    [
        ("numpy", "bfloat16", "numpy has no bfloat16"),
        ("torch:cpu", "uint16", "torch compares no unsigned integers but uint8"),
        ("jax:cpu", "float64", "jax makes float32 of float64; set JAX_ENABLE_X64=1"),
    ],
)
def test_what_cannot_be_measured_says_so_in_the_words_of_the_declaration(
    label: str, dtype: str, reason: str
) -> None:
    case = Case("max_pool", (1, 2, 4, 4), kernel=(2, 2), dtype=dtype)
    with jax_without_64_bits():
        session = Session(backends.load(label), case)
        assert not session.prepare()
    assert session.measured.error == reason
    assert session.finish().samples_s == []
