"""The device's own clock, its cache emptied, its allocator watched: on made-up devices."""

from __future__ import annotations

import subprocess
import sys
import types
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from tests.support.rows import make_row
from unpool_xp import backends
from unpool_xp.backends import Backend, cuda
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure import timer
from unpool_xp.bench.measure.device import Flush, device_sample
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.measure.memory import peak_bytes
from unpool_xp.bench.measure.session import Session
from unpool_xp.bench.measure.sweep import run_sweep
from unpool_xp.bench.report.ranked import ranked_cases
from unpool_xp.bench.report.view import _machine_facts
from unpool_xp.bench.rows.files import read_rows

CASE = Case("max_pool", (1, 2, 4, 4), kernel=2)


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


def test_what_is_rewritten_is_larger_than_the_cache() -> None:
    assert Flush(Logged(), 1000)._buffer.nbytes >= 2 * 1000


@pytest.mark.parametrize(
    ("moved", "cache", "needed"), [(3999, 1000, 1), (4000, 1000, 0), (1, None, 0)]
)
def test_only_what_would_fit_is_kept_out(moved: int, cache: int | None, needed: int) -> None:
    assert (Flush.if_needed(Logged(cache), moved) is not None) == bool(needed)


@pytest.mark.parametrize("label", ["numpy", "torch:cpu", "jax:cpu", "dask", "array_api_strict"])
def test_nothing_changes_on_the_host(label: str) -> None:
    backend = backends.load(label)
    assert backend.cache_bytes is None
    assert backend.device_clock() is None
    assert backend.peak_meter() is None


def test_a_row_of_a_device_has_both_clocks(fake_backends: None, tmp_path: Any) -> None:
    out = tmp_path / "run.jsonl"
    run_sweep([CASE], ["fake:cuda", "numpy"], out=out, rounds=2, cell_s=0.0, memory=True)
    rows = {row.backend: row for row in read_rows([out]).rows if row.checked}
    there, host = rows["fake:cuda"], rows["numpy"]
    assert len(there.device_samples_s) == 2
    assert there.device_samples_s == [0.05] * 2  # what the fake says
    assert host.device_samples_s == []
    assert there.peak_bytes == 1234
    assert there.clock_mhz is None  # there is no driver to ask


def test_a_failure_on_the_device_takes_back_both_clocks(
    fake_backends: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backends.load("fake:cuda")
    session = Session(backend, CASE)
    assert session.prepare(), session.measured.error
    session.sample(1)
    assert len(session.measured.device_samples_s) == 1
    monkeypatch.setattr(backend, "device_clock", lambda: 1 / 0)
    assert session.sample(1) == []
    assert session.measured.device_samples_s == session.measured.samples_s == []
    assert session.measured.error is not None
    assert "ZeroDivisionError" in session.measured.error


def test_an_allocator_that_is_asked_is_believed(fake_backends: None) -> None:
    assert peak_bytes(backends.load("fake:cuda"), CASE) == 1234


# --- the libraries, as their documentation has them ----------------------------------------------


class Event:
    """An event of CUDA: recorded at a moment, which must be waited for."""

    moments = iter(range(0, 10_000, 250))

    def __init__(self, **options: Any) -> None:
        self.options, self.at, self.done = options, -1, False

    def record(self) -> None:
        self.at = next(self.moments)

    def synchronize(self) -> None:
        self.done = True

    def elapsed_time(self, other: Event) -> float:
        assert other.done
        return float(other.at - self.at)


def test_milliseconds_of_events_become_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_cuda = types.SimpleNamespace(Event=Event, get_elapsed_time=lambda a, b: a.elapsed_time(b))
    library = types.SimpleNamespace(cuda=torch_cuda)
    monkeypatch.setattr(cuda.importlib, "import_module", lambda name: library)
    for events in (cuda.torch_events(), cuda.cupy_events()):
        events.start()
        events.stop()
        assert events.seconds() == 0.25
    assert cuda.torch_events()._first.options == {"enable_timing": True}


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


EXACT = """
import jax, torch
from unpool_xp.backends import cuda
torch.set_float32_matmul_precision("high")
cuda.disable_tf32_torch()
cuda.disable_tf32_jax()
assert torch.get_float32_matmul_precision() == "highest"
assert not torch.backends.cudnn.allow_tf32
assert jax.config.jax_default_matmul_precision == "float32"
text = str(jax.make_jaxpr(lambda a: a @ a)(jax.numpy.ones((2, 2))))
assert "HIGHEST" in text, text
"""


def test_products_of_float32_are_in_float32() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", EXACT], check=True, timeout=120)


# --- the report ----------------------------------------------------------------------------------


def test_a_report_says_what_the_device_says_of_itself() -> None:
    (case,) = ranked_cases([make_row(device_samples_s=[2e-6, 4e-6]), make_row(backend="dask")])
    (note,) = [note for note in case.notes if "clock of the device" in note]
    assert "3" in note
    assert "dask" not in note
    assert not [note for note in ranked_cases([make_row()])[0].notes if "clock" in note]
    told = structs.replace(this_machine(), gpu_facts=({"clocks.sm": "345 MHz"},))
    assert ("of a GPU", "clocks.sm 345 MHz") in _machine_facts(told)
