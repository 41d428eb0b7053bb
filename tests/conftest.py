"""One fixture for all backends: every operation's tests run on each, eager and compiled."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import jax
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

from tests.support.command import decide_at_once
from tests.support.fake_cupy import fake_cupy
from unpool_xp import backends
from unpool_xp._array.compat import library
from unpool_xp.bench.cases import loading
from unpool_xp.bench.measure import workers

# Looking for examples imports a file, and puts its folder on the path: with a distribution there,
# its faulty backends would be known to every test after that.
collect_ignore = ["support"]

# Without it JAX turns float64 and int64 into their halves; test_dtypes.py runs it without, too.
jax.config.update("jax_enable_x64", True)

# Time says nothing on a shared machine; the same examples each run make a failure repeatable.
settings.register_profile(
    "ci", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    """Keep what JAX compiles from one run to the next: generated shapes are the same each time."""
    if config.pluginmanager.hasplugin("cacheprovider") and config.cache is not None:
        jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("jax")))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the pages and their examples, the longest of all: nobody waits for them alone."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/docs/"))


__all__ = ["fake_cupy"]

# MLX has no build for Windows.
MLX = ("mlx:cpu",) if importlib.util.find_spec("mlx") else ()
CPU = ("numpy", "torch:cpu", "jax:cpu", "dask", "array_api_strict", *MLX)
GPU = ("torch:cuda", "cupy:cuda", "jax:cuda")
COMPILED = ("torch:cpu", "jax:cpu", "torch:cuda", "jax:cuda")


class Target:
    """A backend in a mode: runs an operation on host arrays and gives host arrays back."""

    def __init__(self, label: str, mode: str) -> None:
        self.backend = backends.load(label)
        self.label, self.mode = label, mode

    def __repr__(self) -> str:
        return f"{self.label}-{self.mode}"

    @property
    def xp(self) -> Any:
        return self.backend.xp

    @property
    def index_dtype(self) -> type[np.integer[Any]]:
        """The default index dtype, as NumPy has it."""
        return np.int32 if self.backend.library == "mlx" else np.int64

    @property
    def lazy(self) -> bool:
        """Whether an operation cannot look at values here."""
        return self.mode == "compiled" or self.label == "dask"

    @property
    def compiles(self) -> bool:
        """Whether each new shape is compiled: JAX does so for each step of an eager call."""
        return self.mode == "compiled" or self.backend.library == "jax"

    def share_of(self, examples: int) -> int:
        """Return how many examples to generate: fewer where each new shape is compiled.

        The fuzzer compares the libraries and their compilers over many more.
        """
        return examples // 10 if self.compiles else examples

    def asarray(self, array: np.ndarray) -> Any:
        return self.backend.asarray(array)

    def call(self, function: Callable[..., Any], *arrays: Any, **options: Any) -> Any:
        """Call the function on arrays of the backend: compiled, or forbidden to compute."""

        def bound(*arrays: Any) -> Any:
            return function(*arrays, **options)

        if self.mode == "compiled":
            return self._compile(bound)(*arrays)
        with forbid_compute() if self.label == "dask" else contextlib.nullcontext():
            return bound(*arrays)

    def _compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if self.backend.library == "jax":
            return jax.jit(function)
        # Capture only: whether it compiles without a break is asked for every case, what the
        # real compiler makes of it for a few (test_compiled.py).
        torch._dynamo.reset()
        return torch.compile(function, fullgraph=True, backend="eager")

    def __call__(self, function: Callable[..., Any], *arrays: np.ndarray, **options: Any) -> Any:
        """Run on host arrays; hold what every operation promises; return host arrays."""
        inputs = [self.asarray(array) for array in arrays]
        outputs = self.call(function, *inputs, **options)
        for array, kept in zip(inputs, arrays, strict=True):
            np.testing.assert_array_equal(self.backend.to_numpy(array), kept, "input changed")
        many = outputs if isinstance(outputs, tuple) else (outputs,)
        for output in many:
            assert library(output) == library(inputs[0])
            if hasattr(output, "device"):
                assert str(output.device) == str(inputs[0].device)
        host = [self.backend.to_numpy(output) for output in many]
        return type(outputs)(*host) if isinstance(outputs, tuple) else host[0]


@contextlib.contextmanager
def forbid_compute() -> Iterator[None]:
    """Fail where anything computes while a graph is built."""

    def scheduler(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a lazy operation computed something")

    with dask.config.set(scheduler=scheduler):
        yield


@contextlib.contextmanager
def jax_without_64_bits() -> Iterator[None]:
    """JAX as it is by default; its own context for this is younger than the oldest JAX allowed."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


def _params() -> Iterator[Any]:
    for label in (*CPU, *GPU):
        for mode in ("eager", "compiled"):
            if mode == "eager" or label in COMPILED:
                yield pytest.param((label, mode), id=f"{label}-{mode}")


def _load_target(label: str, mode: str) -> Target:
    try:
        return Target(label, mode)
    except backends.BackendUnavailableError as missing:
        if label in GPU:
            pytest.skip(f"needs a GPU: {missing}")
        raise


@pytest.fixture(autouse=True)
def own_operations(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let go of the operations that a test loads: all commands of the process know them."""
    monkeypatch.setenv(loading.VARIABLE, "")
    yield
    if os.environ.get(loading.VARIABLE):
        loading._loaded.cache_clear()


@pytest.fixture
def fake_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the labels of the fake backend known, here and in child processes."""
    folder = Path(__file__).parent / "support" / "fake_backend"
    monkeypatch.syspath_prepend(folder)
    for path in (folder.parents[2], folder):
        monkeypatch.setenv("PYTHONPATH", str(path), prepend=os.pathsep)


@pytest.fixture
def fault_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the labels of the fault injector known; a worker that does nothing for 2 s hangs."""
    folder = Path(__file__).parent / "support" / "faults"
    monkeypatch.syspath_prepend(folder)
    for path in (folder, folder.parents[2]):
        monkeypatch.setenv("PYTHONPATH", str(path), prepend=os.pathsep)
    for name in ("_IDLE_SHARE", "_DEVICE_IDLE_SHARE"):
        monkeypatch.setattr(workers, name, 0.0)
    monkeypatch.setattr(workers, "_MIN_IDLE_SECONDS", 2.0)


@pytest.fixture(params=list(_params()))
def target(request: pytest.FixtureRequest) -> Target:
    """Every backend here, eager and compiled."""
    return _load_target(*request.param)


@pytest.fixture(params=[label for label in (*CPU, *GPU) if label in COMPILED])
def compiled(request: pytest.FixtureRequest) -> Target:
    """Every backend here that compiles, compiled."""
    return _load_target(request.param, "compiled")


@pytest.fixture(params=[*CPU, *GPU])
def eager(request: pytest.FixtureRequest) -> Target:
    """Every backend here, eager."""
    return _load_target(request.param, "eager")


@pytest.fixture
def ctrl_c_is_heard() -> Iterator[None]:
    """Interrupts end this process and those it starts: a shell has jobs behind & ignore them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure each cell in one process: several start one after the other, a second each."""
    for name in ("measure.sweep", "portability.measure", "budget"):
        monkeypatch.setattr(f"unpool_xp.bench.{name}.PROCESSES", 1)


@pytest.fixture
def decided_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no budget decide what is measured: on a busy machine that would be less."""
    decide_at_once(monkeypatch)
