"""The device's own clock, its cache emptied, its allocator watched: on made-up devices."""

from __future__ import annotations

import types
from typing import Any

import jax
import numpy as np
import pytest
import torch
from msgspec import structs

from tests.bench.measure.conftest import GOOD
from tests.support.rows import make_row
from unpool_xp import backends
from unpool_xp.backends import Backend, cuda
from unpool_xp.bench.cases.inputs import numpy_dtype
from unpool_xp.bench.measure import timer
from unpool_xp.bench.measure.device import Flush, device_sample
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.measure.session import PINNED_COPIES, Session
from unpool_xp.bench.report.ranked import ranked_cases
from unpool_xp.bench.report.view import _machine_facts


class Logged(Backend):
    """Takes down what is put into the queue of its device, and each wait."""

    def __init__(self, cache: int | None = 1000) -> None:
        self.log: list[str] = []
        self.cache = cache
        xp = types.SimpleNamespace(add=lambda a, b: self.log.append("flush"))
        super().__init__("logged:cuda", xp)

    @property
    def cache_bytes(self) -> int | None:
        return self.cache

    def asarray(self, array: np.ndarray) -> Any:
        return array

    def synchronize(self, *arrays: Any) -> None:
        self.log.append("wait")

    def device_clock(self) -> Any:
        log = self.log
        return types.SimpleNamespace(
            start=lambda: log.append("start"),
            stop=lambda: log.append("stop"),
            seconds=lambda: log.append("read") or 2.0,
        )


def test_the_clock_stands_around_the_call_alone_and_the_host_does_not_wait() -> None:
    backend = Logged()
    flush = Flush(backend, 1000)
    backend.log.clear()
    assert device_sample(backend, lambda: backend.log.append("call"), (), 2, flush) == [2.0]
    once = ["flush", "start", "call", "stop"]
    assert backend.log == [*once, *once, "read", "read"]


def test_the_cache_is_emptied_before_the_clock_of_the_host_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = Logged()
    flush = Flush(backend, 1000)
    backend.log.clear()
    clock = types.SimpleNamespace(perf_counter=lambda: backend.log.append("clock") or 1.0)
    monkeypatch.setattr(timer, "time", clock)
    timer.time_calls(
        lambda: backend.log.append("call"), (), backend.synchronize, 2, before=flush.wait
    )
    assert backend.log == ["flush", "wait", "clock", "call", "wait", "clock"] * 2


@pytest.mark.parametrize(
    ("moved", "cache", "needed"), [(3999, 1000, True), (4000, 1000, False), (1, None, False)]
)
def test_only_what_would_fit_is_kept_out(moved: int, cache: int | None, needed: bool) -> None:
    flush = Flush.if_needed(Logged(cache), moved)
    assert (flush is not None) == needed
    assert flush is None or flush._buffer.nbytes >= 2 * 1000


@pytest.mark.parametrize("label", ["numpy", "torch:cpu", "jax:cpu", "dask", "array_api_strict"])
def test_nothing_changes_on_the_host(label: str) -> None:
    backend = backends.load(label)
    assert backend.cache_bytes is None
    assert backend.device_clock() is None
    assert backend.peak_meter() is None
    assert backend.free_memory() is None


def test_pinned_copies_are_timed_where_there_is_such_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = backends.load("fake:cuda")
    session = Session(backend, GOOD)
    assert session.prepare(), session.measured.error
    for what in PINNED_COPIES:
        assert session.take(1, what).samples_s == []
    session, copied = Session(backend, GOOD), []
    monkeypatch.setattr(backend, "pinned", lambda array: array.copy())
    monkeypatch.setattr(backend, "to_pinned", lambda array, target: copied.append(target.shape))
    assert session.prepare(), session.measured.error
    assert len(session.take(2, "to_device_pinned").samples_s) == 2
    assert copied == []
    assert len(session.take(1, "from_device_pinned").samples_s) == 1
    assert copied
    assert set(copied) == {GOOD.output_shape}
    monkeypatch.setattr(backend, "to_pinned", lambda array, target: 1 / 0)
    assert session.take(1, "from_device_pinned").samples_s == []
    assert session.measured.checked  # the times of the calls stay


def test_torch_pins_memory_and_copies_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = backends.load("torch:cpu")
    host = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert backend.pinned(host) is None
    empty, asked = torch.empty, []

    def pinned_empty(*sizes: Any, pin_memory: bool, **options: Any) -> torch.Tensor:
        asked.append(pin_memory)
        return empty(*sizes, **options)

    monkeypatch.setattr(torch, "empty", pinned_empty)
    monkeypatch.setattr(backend, "device", torch.device("cuda", 0))
    for dtype in ("float32", "int64", "bfloat16"):
        array = host.astype(numpy_dtype(dtype))
        target = backend.pinned(array)
        assert asked.pop()
        np.testing.assert_array_equal(target, array, strict=True)
        tensor = torch.asarray(host).to(getattr(torch, dtype)) + 1
        backend.to_pinned(tensor, target)
        np.testing.assert_array_equal(target.astype(np.float32), host + 1)


def test_a_failure_on_the_device_takes_back_both_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = backends.load("fake:cuda")
    session = Session(backend, GOOD)
    assert session.prepare(), session.measured.error
    session.sample(1)
    assert len(session.measured.device_samples_s) == 1
    monkeypatch.setattr(backend, "device_clock", lambda: 1 / 0)
    assert session.sample(1) == []
    assert session.measured.device_samples_s == session.measured.samples_s == []
    assert session.measured.error is not None
    assert "ZeroDivisionError" in session.measured.error


# --- the libraries, as their documentation has them ----------------------------------------------


class Event:
    """An event of CUDA: recorded at a moment, which must be waited for."""

    moments = iter(range(0, 10_000, 250))

    def __init__(self, **options: Any) -> None:
        self.options, self.at, self.done, self.streams = options, -1, False, ()

    def record(self, *streams: str) -> None:
        self.at, self.streams = next(self.moments), streams

    def synchronize(self) -> None:
        self.done = True

    def elapsed_time(self, other: Event) -> float:
        assert other.done
        return float(other.at - self.at)


def test_milliseconds_of_events_become_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    library_cuda = types.SimpleNamespace(
        Event=Event,
        get_elapsed_time=lambda a, b: a.elapsed_time(b),
        current_stream=lambda device: f"the queue of {device}",
    )
    library = types.SimpleNamespace(cuda=library_cuda)
    monkeypatch.setattr(cuda.importlib, "import_module", lambda name: library)
    of_second = cuda.torch_events("cuda:1")
    for events in (of_second, cuda.cupy_events()):
        events.start()
        events.stop()
        assert events.seconds() == 0.25
    assert of_second._first.options == {"enable_timing": True}
    assert of_second._first.streams == of_second._second.streams == ("the queue of cuda:1",)


def test_cupys_hook_counts_what_is_out_at_most() -> None:
    cupy = pytest.importorskip("cupy")
    most = cuda.cupy_peak()
    (hook,) = cupy.cuda.memory_hook.get_memory_hooks().values()
    for size in (512, 1024):
        hook.malloc_postprocess(device_id=0, size=size, mem_size=size, mem_ptr=1, pmem_id=1)
    hook.free_postprocess(device_id=0, mem_size=1024, mem_ptr=1, pmem_id=1)
    hook.malloc_postprocess(device_id=0, size=600, mem_size=600, mem_ptr=1, pmem_id=1)
    hook.malloc_postprocess(device_id=0, size=9999, mem_size=9999, mem_ptr=0, pmem_id=0)
    assert most() == 1536
    assert not cupy.cuda.memory_hook.get_memory_hooks()


def test_jaxs_peak_is_beyond_what_the_inputs_hold() -> None:
    counted = {"bytes_in_use": 100, "peak_bytes_in_use": 150}
    device = types.SimpleNamespace(memory_stats=lambda: counted)
    most = cuda.jax_peak(device)
    assert most is not None
    counted["peak_bytes_in_use"] = 400
    assert most() == 300
    assert cuda.jax_peak(types.SimpleNamespace(memory_stats=lambda: None)) is None


def test_torchs_peak_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"reset": 0}
    torch_cuda = types.SimpleNamespace(
        reset_peak_memory_stats=lambda device: now.update(reset=1),
        memory_allocated=lambda device: 100,
        max_memory_allocated=lambda device: 170,
    )
    library = types.SimpleNamespace(cuda=torch_cuda)
    monkeypatch.setattr(cuda.importlib, "import_module", lambda name: library)
    assert cuda.torch_peak("cuda:0")() == 70
    assert now["reset"]


def test_products_of_float32_are_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    torch.set_float32_matmul_precision("high")
    before = jax.config.jax_default_matmul_precision
    try:
        cuda.disable_tf32_torch()
        cuda.disable_tf32_jax()
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
        assert jax.config.jax_default_matmul_precision == "float32"
        text = str(jax.make_jaxpr(lambda a: a @ a)(jax.numpy.ones((2, 2), dtype="float32")))
        assert "HIGHEST" in text, text
    finally:
        jax.config.update("jax_default_matmul_precision", before)


# --- the report ----------------------------------------------------------------------------------


def test_a_report_says_what_the_device_says_of_itself() -> None:
    (case,) = ranked_cases([make_row(device_samples_s=[2e-6, 4e-6]), make_row(backend="dask")])
    (note,) = [note for note in case.notes if "clock of the device" in note]
    assert "3" in note
    assert "dask" not in note
    assert not [note for note in ranked_cases([make_row()])[0].notes if "clock" in note]
    told = structs.replace(this_machine(), gpu_facts=({"clocks.sm": "345 MHz"},))
    assert ("of a GPU", "clocks.sm 345 MHz") in _machine_facts(told)
