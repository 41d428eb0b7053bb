"""Labels, what they load, and what they say where something is missing."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import CPU, Target
from unpool_xp import backends
from unpool_xp.backends import base, cupy, libraries, registry


def test_known_labels_come_in_the_order_of_the_documentation() -> None:
    labels = "numpy torch:cpu torch:cuda torch:mps cupy:cuda jax:cpu jax:cuda mlx:cpu mlx:gpu"
    labels += " dpnp:cpu dpnp:gpu dask array_api_strict"
    assert backends.known()[:13] == labels.split()


def test_cpu_backends_are_available() -> None:
    assert set(CPU) <= set(backends.available())


@pytest.mark.parametrize("short", ["torch", "jax"])
def test_a_library_alone_means_its_cpu(short: str) -> None:
    assert backends.load(short).label == f"{short}:cpu"


def test_an_unknown_label_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown backend 'tensorflow'; known: numpy, torch:cpu"):
        backends.load("tensorflow")


@pytest.mark.parametrize("offset", [0, 4], ids=["aligned", "unaligned"])
def test_round_trip_copies(eager: Target, offset: int) -> None:
    # At 64 bytes JAX takes over the host's memory where it is let to.
    memory = np.zeros(24 * 4 + 128, dtype=np.uint8)
    start = -memory.ctypes.data % 64 + offset
    host = memory[start : start + 24 * 4].view(np.float32).reshape(2, 3, 4)
    host[...] = np.arange(24).reshape(2, 3, 4)
    array = eager.backend.asarray(host)
    host[0, 0, 0] = 99
    back = eager.backend.to_numpy(array)
    assert back[0, 0, 0] == 0
    assert back.dtype == np.float32
    assert back.shape == (2, 3, 4)


def test_facts_and_version(eager: Target) -> None:
    facts = eager.backend.facts
    assert facts.name
    assert facts.memory_bytes is None or facts.memory_bytes > 2**20
    assert facts.threads is None or facts.threads >= 1
    assert eager.backend.version[0].isdigit()


def test_synchronize_takes_any_arrays(eager: Target) -> None:
    a = eager.backend.asarray(np.ones((2, 2)))
    eager.backend.synchronize(a, a + a)
    eager.backend.synchronize()


def test_dask_synchronize_computes() -> None:
    import dask.array

    computed = []

    def note(block: np.ndarray) -> np.ndarray:
        computed.append(block.shape)
        return block

    backend = backends.load("dask")
    array = backend.asarray(np.ones((2, 2))).map_blocks(note, meta=np.ones((0, 0)))
    assert computed == []
    backend.synchronize(array)
    assert computed
    assert isinstance(array, dask.array.Array)


def test_dask_keeps_the_plane_in_one_chunk_and_every_core_busy() -> None:
    array = backends.load("dask").asarray(np.ones((4, 8, 16, 16)))
    assert array.chunks[2:] == ((16,), (16,))
    assert array.npartitions >= min(2, base.usable_cores())


def test_unknown_dtype_is_named(eager: Target) -> None:
    with pytest.raises(TypeError, match="has no dtype float12"):
        eager.backend.dtype("float12")
    assert eager.backend.dtype("float32") == eager.xp.float32


def test_libraries_without_a_compiler_say_so() -> None:
    for label in ("numpy", "dask", "array_api_strict"):
        with pytest.raises(backends.CompileUnavailableError, match=f"{label}.* has no compiler"):
            backends.load(label).compile(lambda x: x)


def test_torch_compile_asks_for_a_missing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "_has_cpp_compiler", lambda: False)
    with pytest.raises(backends.CompileUnavailableError, match=r"needs a C\+\+ compiler"):
        backends.load("torch:cpu").compile(lambda x: x)


def test_jax_compile_compiles() -> None:
    backend = backends.load("jax:cpu")
    twice = backend.compile(lambda x: x + x)
    assert backend.to_numpy(twice(backend.asarray(np.ones(3)))).tolist() == [2, 2, 2]


# --- missing parts: each one line that says what is missing ------------------------------------


@pytest.mark.parametrize(
    ("label", "module"),
    [
        ("torch:cpu", "torch"),
        ("jax:cpu", "jax"),
        ("dpnp:cpu", "dpnp"),
        ("dask", "dask.array"),
        ("array_api_strict", "array_api_strict"),
        ("cupy:cuda", "cupy"),
        ("mlx:cpu", "mlx.core"),
    ],
)
def test_a_missing_library_says_what_to_install(
    label: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(backends.BackendUnavailableError, match="pip install") as caught:
        backends.load(label)
    assert label in str(caught.value)
    assert "\n" not in str(caught.value)
    assert label not in backends.available()


def test_torch_without_cuda_is_told_from_cuda_without_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(backends.BackendUnavailableError, match="this build of torch has no CUDA"):
        backends.load("torch:cuda")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    with pytest.raises(backends.BackendUnavailableError, match="finds no CUDA device"):
        backends.load("torch:cuda")


def test_torch_without_metal_is_told_from_metal_without_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for built, reason in ((False, "has no Metal"), (True, "finds no Metal device; .*macOS 14")):
        monkeypatch.setattr(torch.backends.mps, "is_built", lambda built=built: built)
        with pytest.raises(backends.BackendUnavailableError, match=f"torch:mps: .*{reason}"):
            backends.load("torch:mps")


def test_cupy_without_a_device_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class CUDARuntimeError(RuntimeError):
        pass

    def count() -> int:
        raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")

    runtime = types.SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CUDARuntimeError)
    fake = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime))
    monkeypatch.setitem(sys.modules, "cupy", fake)  # type: ignore[arg-type]
    with pytest.raises(backends.BackendUnavailableError, match="no CUDA-capable device"):
        backends.load("cupy:cuda")


def test_jax_without_a_gpu_says_so() -> None:
    if "jax:cuda" in backends.available():
        return  # there is one: test_round_trip_copies has been there
    with pytest.raises(backends.BackendUnavailableError, match="jax finds no cuda device"):
        backends.load("jax:cuda")


def test_each_gpu_is_a_backend_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    import jax
    import torch

    used = []
    device = types.SimpleNamespace
    fake = device(
        cuda=device(
            runtime=device(getDeviceCount=lambda: 2),
            Device=lambda number: device(id=number, use=lambda: used.append(number)),
        )
    )
    for name in ("cupy", "array_api_compat.cupy"):
        monkeypatch.setitem(sys.modules, name, fake)  # type: ignore[arg-type]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(libraries.cuda, "disable_tf32_torch", lambda: None)
    monkeypatch.setattr(libraries.cuda, "disable_tf32_jax", lambda: None)
    monkeypatch.setattr(jax, "devices", lambda kind: [device(id=0), device(id=1)])
    for library in ("torch", "cupy", "jax"):
        first, second = (backends.load(f"{library}:cuda{end}") for end in ("", ":1"))
        index = "index" if library == "torch" else "id"
        assert [getattr(one.device, index) for one in (first, second)] == [0, 1]
        assert (first.label, second.label) == (f"{library}:cuda", f"{library}:cuda:1")
        assert second.library == library
        assert backends.full_label(f"{library}:cuda:0") == first.label  # one device, one label
        with pytest.raises(backends.BackendUnavailableError, match="finds 2 CUDA devices"):
            backends.load(f"{library}:cuda:2")
    assert used == [0, 1]
    for label in ("torch:cuda:one", "torch:cpu:1", "mlx:gpu:1", "cupy:cuda:01"):
        with pytest.raises(ValueError, match="unknown backend"):
            backends.full_label(label)


def test_cupy_says_what_it_has_in_place_of_a_compiler() -> None:
    backend = cupy._CuPy("cupy:cuda", np, None)
    with pytest.raises(backends.CompileUnavailableError, match=r"^cupy:cuda: .*cupy\.fuse"):
        backend.compile(lambda x: x)


def test_a_plugin_that_gives_no_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    point = types.SimpleNamespace(name="mine", load=lambda: lambda: "no backend")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert "mine" in backends.known()
    with pytest.raises(
        backends.BackendBrokenError, match=r"mine: entry point returned .*not a Backend"
    ):
        backends.load("mine")
    assert backends.available(["mine", "numpy"]) == ["numpy"]
    with pytest.raises(ValueError, match=r"unknown backend 'other'; known: .*mine"):
        backends.full_label("other")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('raise RuntimeError("jaxlib\\nversion")', "RuntimeError: jaxlib version"),
        ('raise ImportError("GLIBCXX_3.4.30 not found")', "GLIBCXX_3.4.30 not found"),
        ("import no_such_dependency", "No module named 'no_such_dependency'"),
        ("raise MemoryError", "MemoryError"),
        ("import sys; sys.exit(3)", r"it called sys.exit\(3\)"),
    ],
)
def test_a_library_that_does_not_import_says_why(
    body: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cupy.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    reason = f"^cupy:cuda: cupy is installed but does not import: {words}$"
    with pytest.raises(backends.BackendBrokenError, match=reason):
        backends.load("cupy")
    assert backends.available(["cupy:cuda", "numpy"]) == ["numpy"]


def test_jax_without_the_platform_that_was_chosen_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import jax

    def devices(platform: str) -> None:
        raise AssertionError

    monkeypatch.setattr(jax, "devices", devices)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    reason = r"no cpu device: JAX_PLATFORMS=cuda leaves none that works \(AssertionError\)"
    with pytest.raises(backends.BackendBrokenError, match=reason):
        backends.load("jax:cpu")


@pytest.mark.parametrize("distribution", [None, "no-such-distribution"])
def test_the_version_of_an_own_backend_is_unknown_unless_it_says(distribution: str | None) -> None:
    class Own(backends.Backend):
        pass

    Own.distribution = distribution
    assert Own("own", np).version == "unknown"
