"""The backends that come with the package: NumPy, PyTorch, JAX, Dask and array-api-strict."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unpool_xp._array.compat import Array
from unpool_xp.backends import cuda
from unpool_xp.backends.base import (
    Backend,
    BackendBrokenError,
    BackendUnavailableError,
    CompileUnavailableError,
    DeviceClock,
    DeviceFacts,
    as_tuple,
    cpu_name,
    host_memory,
    usable_cores,
)


class _NumPy(Backend):
    distribution = "numpy"


class _Strict(Backend):
    distribution = "array-api-strict"


class _Torch(Backend):
    distribution = "torch"
    _compiles_backward = True

    @property
    def facts(self) -> DeviceFacts:
        torch = importlib.import_module("torch")
        if self.device.type == "cuda":
            properties = torch.cuda.get_device_properties(self.device)
            return DeviceFacts(properties.name, properties.total_memory, None)
        if self.device.type == "mps":
            get_name = getattr(torch.backends.mps, "get_name", cpu_name)  # since 2.9
            return DeviceFacts(get_name(), torch.mps.recommended_max_memory(), None)
        return DeviceFacts(cpu_name(), host_memory(), torch.get_num_threads())

    def set_threads(self, threads: int) -> None:
        importlib.import_module("torch").set_num_threads(threads)

    def dtype(self, name: str) -> Any:
        if name in ("float64", "complex128") and self.device.type == "mps":
            raise TypeError(f"{self.label} has no dtype {name}: Metal has no float64")
        return super().dtype(name)

    def asarray(self, array: np.ndarray[Any, Any]) -> Array:
        torch = importlib.import_module("torch")
        if array.dtype.name == "bfloat16":  # NumPy's protocol has no bfloat16: go by the bits
            bits = torch.tensor(array.view(np.int16), device=self.device)
            return bits.view(torch.bfloat16)
        return torch.tensor(array, device=self.device)

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        host = array.detach().cpu()
        if host.dtype == self.xp.bfloat16:
            host = host.float()
        return host.numpy()  # type: ignore[no-any-return]

    def pinned(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
        if self.device.type != "cuda":
            return None
        torch = importlib.import_module("torch")
        target: np.ndarray[Any, Any] = (
            torch.empty(array.nbytes, dtype=torch.uint8, pin_memory=True).numpy().view(array.dtype)
        )
        target = target.reshape(array.shape)
        target[...] = array
        return target

    def to_pinned(self, array: Array, target: np.ndarray[Any, Any]) -> None:
        torch = importlib.import_module("torch")
        if array.dtype == self.xp.bfloat16:  # which NumPy's protocol lacks, as above
            array, target = array.view(torch.int16), target.view(np.int16)
        torch.from_numpy(target).copy_(array)

    def synchronize(self, *arrays: Array) -> None:
        if self.device.type == "cuda":
            importlib.import_module("torch").cuda.synchronize(self.device)
        elif self.device.type == "mps":
            importlib.import_module("torch").mps.synchronize()

    def free_memory(self) -> None:
        if self.device.type in ("cuda", "mps"):
            getattr(importlib.import_module("torch"), self.device.type).empty_cache()

    @property
    def cache_bytes(self) -> int | None:
        if self.device.type != "cuda":
            return None
        properties = importlib.import_module("torch").cuda.get_device_properties(self.device)
        return getattr(properties, "L2_cache_size", None)  # since 2.5

    def device_clock(self) -> DeviceClock | None:
        return cuda.torch_events(self.device) if self.device.type == "cuda" else None

    def peak_meter(self) -> Callable[[], int] | None:
        return cuda.torch_peak(self.device) if self.device.type == "cuda" else None

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        torch = importlib.import_module("torch")
        if self.device.type == "cpu" and not _has_cpp_compiler():
            raise CompileUnavailableError(
                f"{self.label}: torch.compile needs a C++ compiler; install one (Debian: g++) "
                "or name it in the environment variable CXX"
            )
        return torch.compile(function, fullgraph=True, dynamic=False)  # type: ignore[no-any-return]

    def _differentiate(
        self, function: Callable[..., Any], wrt: Sequence[int], outputs: Sequence[int]
    ) -> Callable[..., tuple[Array, ...]]:
        torch = importlib.import_module("torch")

        def call(*arrays: Array) -> tuple[Array, ...]:
            given = list(arrays[: -len(outputs)])
            for n in wrt:  # a leaf of its own, so that no input changes
                given[n] = given[n].detach().requires_grad_()
            results = as_tuple(function(*given))
            gradients = torch.autograd.grad(
                [results[n] for n in outputs],
                [given[n] for n in wrt],
                arrays[-len(outputs) :],
            )
            return (*results, *gradients)

        return call


class _Jax(Backend):
    distribution = "jax"

    @property
    def facts(self) -> DeviceFacts:
        if self.device.platform != "cpu":
            memory = (self.device.memory_stats() or {}).get("bytes_limit")
            return DeviceFacts(self.device.device_kind, memory, None)
        return DeviceFacts(cpu_name(), host_memory(), _xla_threads())

    def asarray(self, array: np.ndarray[Any, Any]) -> Array:
        jax = importlib.import_module("jax")
        # On the CPU, JAX keeps an aligned host array as it is, whatever may_alias says.
        host = array.copy() if self.device.platform == "cpu" else array
        return jax.block_until_ready(jax.device_put(host, self.device))

    def synchronize(self, *arrays: Array) -> None:
        importlib.import_module("jax").block_until_ready(arrays)

    @property
    def cache_bytes(self) -> int | None:
        # JAX does not say; as much as the largest second-level cache of a GPU so far.
        return None if self.device.platform == "cpu" else 2**27

    def peak_meter(self) -> Callable[[], int] | None:
        return None if self.device.platform == "cpu" else cuda.jax_peak(self.device)

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return importlib.import_module("jax").jit(function)  # type: ignore[no-any-return]

    def _differentiate(
        self, function: Callable[..., Any], wrt: Sequence[int], outputs: Sequence[int]
    ) -> Callable[..., tuple[Array, ...]]:
        jax = importlib.import_module("jax")

        def call(*arrays: Array) -> tuple[Array, ...]:
            given = list(arrays[: -len(outputs)])

            def differentiated(*chosen: Array) -> Any:
                traced = dict(zip(wrt, chosen, strict=True))
                results = as_tuple(function(*(traced.get(n, a) for n, a in enumerate(given))))
                return tuple(results[n] for n in outputs), results

            _, pullback, results = jax.vjp(differentiated, *(given[n] for n in wrt), has_aux=True)
            return (*results, *pullback(arrays[-len(outputs) :]))

        return call


class _Dask(Backend):
    distribution = "dask"
    eager_only = "dask has no compiler; it runs the blocks of a lazy graph"

    @property
    def facts(self) -> DeviceFacts:
        return DeviceFacts(cpu_name(), host_memory(), _dask_threads())

    def dtype(self, name: str) -> Any:
        # Its blocks are NumPy's, whose half precision the namespace does not list.
        return np.dtype(name) if name == "float16" else super().dtype(name)

    def asarray(self, array: np.ndarray[Any, Any]) -> Array:
        dask_array = importlib.import_module("dask.array")
        # Chunks over the leading axes, enough of them to keep every thread busy.
        chunks, wanted = list(array.shape), _dask_threads()
        for axis in range(min(2, array.ndim - 1)):
            pieces = min(wanted, array.shape[axis]) or 1
            chunks[axis] = -(-array.shape[axis] // pieces)
            wanted = -(-wanted // pieces)
        return dask_array.from_array(array.copy(), chunks=tuple(chunks)).persist()

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        return np.asarray(array.compute())

    def synchronize(self, *arrays: Array) -> None:
        # A lazy result is ready once its chunks are computed; they are dropped, not glued.
        importlib.import_module("dask").persist(*arrays)


def _xla_threads() -> int:
    """Return how many threads XLA computes with on the CPU."""
    wanted = os.environ.get("PJRT_NPROC") or os.environ.get("NPROC") or ""
    return int(wanted) if wanted.isdecimal() else usable_cores()


def _dask_threads() -> int:
    """Return how many threads Dask's own scheduler starts."""
    wanted = importlib.import_module("dask.config").get("num_workers", None)
    return int(wanted or importlib.import_module("dask.system").CPU_COUNT)


def _import(label: str, module: str, install: str) -> Any:
    name = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a library does
        if isinstance(error, ModuleNotFoundError) and error.name in (name, module):
            reason = f"{label}: {name} is not installed here; {install}"
            raise BackendUnavailableError(reason) from error
        raise BackendBrokenError(
            f"{label}: {name} is installed but does not import: {own_words(error)}"
        ) from error


def own_words(error: BaseException) -> str:
    """Return what an error says, in one line, with its type unless the words are enough."""
    text = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        return f"it called sys.exit({text})"
    if isinstance(error, ImportError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _load_numpy() -> Backend:
    return _NumPy("numpy", importlib.import_module("array_api_compat.numpy"))


def _load_strict() -> Backend:
    install = 'pip install "unpool-xp[strict]"'
    return _Strict("array_api_strict", _import("array_api_strict", "array_api_strict", install))


def _load_dask() -> Backend:
    _import("dask", "dask.array", 'pip install "unpool-xp[dask]"')
    return _Dask("dask", importlib.import_module("array_api_compat.dask.array"))


def _numbered_label(label: str, number: int, count: int) -> str:
    """Return the label of a library's device by its number; the first one needs none."""
    if number >= count:
        raise BackendUnavailableError(
            f"{label}:{number}: {label.partition(':')[0]} finds {count} CUDA devices, numbered "
            "from 0"
        )
    return f"{label}:{number}" if number else label


def _load_torch(device: str, number: int = 0) -> Backend:
    label = f"torch:{device}"
    torch = _import(label, "torch", 'pip install "unpool-xp[torch]"')
    if device == "cuda" and not torch.cuda.is_available():
        reason = (
            "this build of torch has no CUDA; install one that has"
            if torch.version.cuda is None
            else "torch finds no CUDA device; check the driver with nvidia-smi"
        )
        raise BackendUnavailableError(f"{label}: {reason}")
    if device == "mps" and not torch.backends.mps.is_available():
        reason = (
            "torch finds no Metal device; it needs macOS 14 or newer on Apple silicon"
            if torch.backends.mps.is_built()
            else "this build of torch has no Metal (MPS), as on a Mac with Apple silicon"
        )
        raise BackendUnavailableError(f"{label}: {reason}")
    if device == "cuda":
        cuda.disable_tf32_torch()
        label = _numbered_label(label, number, torch.cuda.device_count())
    xp = importlib.import_module("array_api_compat.torch")
    where = torch.device(device, number) if device == "cuda" else torch.device(device)
    return _Torch(label, xp, where)


def _load_jax(device: str, number: int = 0) -> Backend:
    label = f"jax:{device}"
    jax = _import(label, "jax", 'pip install "unpool-xp[jax]"')
    try:
        found = jax.devices(device)
    except Exception as error:  # an AssertionError where no platform is left
        chosen = os.environ.get("JAX_PLATFORMS")
        if chosen:  # by the user, so it is no want of a plugin
            reason = f"JAX_PLATFORMS={chosen} leaves none that works ({own_words(error)})"
            raise BackendBrokenError(f"{label}: jax finds no {device} device: {reason}") from error
        if device == "cpu" or not isinstance(error, RuntimeError):
            reason = f"{label}: jax finds no {device} device: {own_words(error)}"
            raise BackendBrokenError(reason) from error
        raise BackendUnavailableError(
            f"{label}: jax finds no {device} device; it needs a plugin for it, "
            'for example pip install "jax[cuda12]"'
        ) from error
    if device != "cpu":
        cuda.disable_tf32_jax()
        label = _numbered_label(label, number, len(found))
    return _Jax(label, importlib.import_module("jax.numpy"), found[number])


def _has_cpp_compiler() -> bool:
    names = [os.environ.get("CXX", ""), "g++", "clang++", "c++", "cl"]
    return any(name and shutil.which(name.split()[0]) for name in names)
