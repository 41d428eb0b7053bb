"""dpnp where it is not installed, in the place of which stands what it would be.

CI checks every operation on the library itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path, PurePosixPath
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unpool_xp import backends
from unpool_xp.backends import dpnp


class Queue:
    """A queue of a device with 64 bits and without 16."""

    def __init__(self, device: str) -> None:
        if device == "gpu":
            raise RuntimeError("SYCL Device 'gpu' could not be created.")
        self.waits = 0
        self.sycl_queue = self
        self.sycl_device = SimpleNamespace(
            name="a processor",
            is_cpu=True,
            max_compute_units=3,
            global_mem_size=2**30,
            has_aspect_fp16=False,
            has_aspect_fp64=True,
        )

    def wait(self) -> None:
        self.waits += 1


@pytest.fixture
def _library(monkeypatch: pytest.MonkeyPatch) -> None:
    names: Any = {"float16": np.float16, "float64": np.float64}
    names["empty"] = lambda n, sycl_queue: SimpleNamespace(device=sycl_queue)
    for name, attributes in {"dpctl": {"SyclQueue": Queue}, "dpnp": names}.items():
        module = ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(dpnp, "files", lambda name: ())
    monkeypatch.setenv("OCL_ICD_FILENAMES", "the user's")


@pytest.mark.usefixtures("_library")
def test_its_own_queue_and_those_of_the_arrays_are_waited_for() -> None:
    backend = backends.load("dpnp")
    assert (backend.label, backend.facts.threads, backend.cache_bytes) == ("dpnp:cpu", 3, None)
    other = Queue("cpu")
    backend.synchronize()
    backend.synchronize(other, other)
    assert (backend.device.waits, other.waits) == (2, 2)


@pytest.mark.usefixtures("_library")
def test_a_dtype_that_the_device_does_not_compute_with_is_none() -> None:
    backend = backends.load("dpnp:cpu")
    reason = "dpnp:cpu has no float16: this device does not compute with it"
    assert backend.why_no_dtype("float16") == reason
    assert backend.why_no_dtype("float64") is None
    assert backend.why_no_dtype("bfloat16") == "dpnp:cpu has no dtype bfloat16"


@pytest.mark.usefixtures("_library")
def test_a_missing_device_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(backends.BackendUnavailableError, match=r"no gpu device; .* its driver, "):
        backends.load("dpnp:gpu")
    monkeypatch.setattr(sys.modules["dpctl"], "SyclQueue", lambda device: Queue("gpu"))
    with pytest.raises(backends.BackendUnavailableError, match="pip install intel-opencl-rt"):
        backends.load("dpnp:cpu")


@pytest.mark.usefixtures("_library")
def test_the_runtime_that_pip_installed_is_found_unless_the_user_names_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runtime = tmp_path / "lib/libintelocl.so"
    runtime.parent.mkdir()
    runtime.touch()

    class Listed(PurePosixPath):
        def locate(self) -> Path:
            return tmp_path / "site-packages" / self

    (tmp_path / "site-packages").mkdir()
    listed = [Listed("../lib/libOpenCL.so"), Listed("../lib/libintelocl.so")]
    monkeypatch.setattr(dpnp, "files", lambda name: listed)
    backends.load("dpnp:cpu")
    assert os.environ["OCL_ICD_FILENAMES"] == "the user's"
    monkeypatch.delenv("OCL_ICD_FILENAMES")
    backends.load("dpnp:cpu")
    assert os.environ["OCL_ICD_FILENAMES"] == str(runtime)
