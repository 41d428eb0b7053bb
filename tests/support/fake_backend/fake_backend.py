"""A library whose results are ready only after a delay, and backends that misbehave.

Put this folder on PYTHONPATH and the labels in its entry points can be loaded.
"""

from __future__ import annotations

import hashlib
import math
import operator
import os
import queue
import signal
import sys
import threading
import time
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from tests.support import minimal_library
from unpool_xp.backends import Backend, BackendUnavailableError, DeviceFacts

DELAY = float(os.environ.get("FAKE_DELAY", "0.02"))
FATAL_LENGTH = 3  # a first axis of this length is what the bad backends cannot stand

_stream: queue.SimpleQueue[tuple[float, threading.Event]] = queue.SimpleQueue()


def _complete_work() -> None:
    while True:
        due, ready = _stream.get()
        time.sleep(max(due - time.perf_counter(), 0))
        ready.set()


threading.Thread(target=_complete_work, daemon=True).start()


class Array(minimal_library.Array):
    """An array that is ready DELAY seconds after it was asked for."""

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.ready = threading.Event()
        _stream.put((time.perf_counter() + DELAY, self.ready))

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return xp

    def __bool__(self) -> bool:
        self.ready.wait()
        return super().__bool__()

    def __int__(self) -> int:
        self.ready.wait()
        return super().__int__()


xp = ModuleType("fake_library")
vars(xp).update(minimal_library.names_of(Array), add=operator.add)  # add is the ceilings' alone


class Fake(Backend):
    """The base: late, but right."""

    distribution = "fake-backend"

    @property
    def facts(self) -> DeviceFacts:
        return DeviceFacts("fake device", None, 1)

    def asarray(self, array: np.ndarray) -> Any:
        return Array(array)

    def to_numpy(self, array: Any) -> np.ndarray:
        array.ready.wait()
        return array._data.copy()

    def synchronize(self, *arrays: Any) -> None:
        for array in arrays:
            array.ready.wait()


class _Wrong(Fake):
    def to_numpy(self, array: Any) -> np.ndarray:
        host = super().to_numpy(array)
        host.reshape(-1)[-1] += 1
        return host


class _Bad(Fake):
    def __init__(self, label: str, act: Any) -> None:
        super().__init__(label, xp)
        self._misbehave = act

    def asarray(self, array: np.ndarray) -> Any:
        if array.shape[0] == FATAL_LENGTH:
            self._misbehave()
        return super().asarray(array)

    def compile(self, function: Any) -> Any:
        calls = []

        def compiled(*arrays: Any) -> Any:
            calls.append(1)
            if len(calls) > 3:  # after it was checked and calibrated
                self._misbehave()
            return function(*arrays)

        return compiled


def _crash() -> None:
    print("the fake library's last words", file=sys.stderr, flush=True)
    os._exit(7)


class _Clock:
    """Marks in the queue of the device."""

    def start(self) -> None:
        self.first = Array(0)

    def stop(self) -> None:
        self.second = Array(0)

    def seconds(self) -> float:
        self.first.ready.wait()
        self.second.ready.wait()
        return DELAY


class _Device(Fake):
    """A device with little memory, whose errors are those of CUDA."""

    freed = 0

    @property
    def facts(self) -> DeviceFacts:
        return DeviceFacts("fake device", 20_000, None)

    def asarray(self, array: np.ndarray) -> Any:
        if array.shape[0] == FATAL_LENGTH:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if array.shape[0] == FATAL_LENGTH + 1 and not self.freed:
            raise MemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().asarray(array)

    def free_memory(self) -> None:
        self.freed += 1

    @property
    def cache_bytes(self) -> int:
        return 1000

    def device_clock(self) -> Any:
        return _Clock()

    def peak_meter(self) -> Any:
        return lambda: 1234


class _Noisy(Fake):
    def asarray(self, array: np.ndarray) -> Any:
        print("a library that prints", flush=True)
        os.write(1, b"and one that writes to the descriptor\n")
        return super().asarray(array)


class _Threads:
    """A namespace with a thread that spins after a product, and that takes time to wake."""

    SPIN_SECONDS, WAKE_SECONDS = 0.05, 0.2

    def __init__(self) -> None:
        self.asarray = vars(xp)["asarray"]
        self._called = self._burnt = math.inf

    def matmul(self, one: Any, other: Any) -> Any:
        if self._called == math.inf:
            threading.Thread(target=self._spin, daemon=True).start()
        elif time.perf_counter() - self._called > 0.2:
            time.sleep(self.WAKE_SECONDS)
        self._called, self._burnt = time.perf_counter(), 0.0
        return one[:1]  # not the product: the threads of a real one would add their own times

    def _spin(self) -> None:
        while True:
            start = time.thread_time()
            resting = time.perf_counter() - self._called > 0.02  # not to slow calls down here
            if resting and self._burnt < self.SPIN_SECONDS:
                hashlib.pbkdf2_hmac("sha256", b"", b"", 1000)  # lets other threads run
            else:
                time.sleep(0.001)
            self._burnt += time.thread_time() - start


class _Threaded(Fake):
    @property
    def facts(self) -> DeviceFacts:
        return DeviceFacts("fake processor", None, 2)


load_async = partial(Fake, "fake:async", xp)
load_wrong = partial(_Wrong, "fake:wrong", xp)
load_noisy = partial(_Noisy, "fake:noisy", xp)
load_device = partial(_Device, "fake:cuda", xp)
load_threaded = partial(_Threaded, "fake:threaded", _Threads())
load_dies = _crash
load_crash = partial(_Bad, "fake:crash", _crash)
load_kill = partial(_Bad, "fake:kill", lambda: os.kill(os.getpid(), signal.SIGKILL))
load_hang = partial(_Bad, "fake:hang", lambda: time.sleep(3600))


def load_missing() -> Backend:
    raise BackendUnavailableError("fake:missing: pip install the missing part")
