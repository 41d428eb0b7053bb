"""One case on one backend, in this process, in steps that a parent can interleave.

A time is of one call: from the call to the moment its own output is ready on the device.
"""

from __future__ import annotations

import functools
import math
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

from unpool_xp.backends import Backend, CompileUnavailableError
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.expected import ExpectedOutputs, MismatchError
from unpool_xp.bench.cases.inputs import NDArray
from unpool_xp.bench.measure.device import Flush, device_sample
from unpool_xp.bench.measure.measurement import Measurement
from unpool_xp.bench.measure.timer import time_calls
from unpool_xp.capabilities import why_not

SAMPLE_SECONDS = 2e-3  # a sample is at least this long: well above what the clock resolves
_MAX_COPIES, _LARGE_BYTES = 3, 2**28  # of so many bytes one copy says enough
_MAX_REASON_LENGTH = 400


class HostInputs:
    """The inputs of a case on the host, and its expected outputs.

    Parameters
    ----------
    case : Case
        Whose they are.
    """

    def __init__(self, case: Case) -> None:
        self.case, self.arrays = case, case.arrays()

    @functools.cached_property
    def expected(self) -> ExpectedOutputs:
        """What the outputs have to be."""
        return ExpectedOutputs(self.case, self.arrays)


class DeviceInputs:
    """The inputs of a case, on the host and settled on the device; shared by sessions.

    Parameters
    ----------
    backend : Backend
        Where they go.
    case : Case
        Whose they are.
    host_inputs : HostInputs, optional
        If they exist already.
    """

    def __init__(self, backend: Backend, case: Case, host_inputs: HostInputs | None = None) -> None:
        reason = why_not(case.operation, backend.library, case.dtype)
        if reason is not None:
            raise UnsupportedCaseError(reason)
        backend.dtype(case.dtype)  # a TypeError where a library nobody has described has none
        self.backend, self.case = backend, case
        self.host_inputs = host_inputs or HostInputs(case)
        self.host = self.host_inputs.arrays
        self._copy_back_s: dict[Any, float] = {}  # by the shapes and dtypes of the outputs
        samples = []
        for _ in range(_copy_count(self.host.values())):
            self.device: list[Any] = []  # never two copies alive
            start = time.perf_counter()
            self.device = [backend.asarray(array) for array in self.host.values()]
            backend.synchronize(*self.device)
            samples.append(time.perf_counter() - start)
        device_dtype = str(self.device[0].dtype).rpartition(".")[2]
        if backend.library == "jax" and device_dtype != case.dtype:
            raise UnsupportedCaseError(
                f"jax makes {device_dtype} of {case.dtype}; set JAX_ENABLE_X64=1"
            )
        self.to_device_s = statistics.median(samples)

    @functools.cached_property
    def flush(self) -> Flush | None:
        """The cache flush before each call; None if the case is much larger than the cache."""
        return Flush.if_needed(self.backend, self.case.bytes_moved)

    def copy_back_s(self, outputs: list[NDArray]) -> float:
        """Return the seconds that outputs like these take to the host, measured once."""
        kind = tuple((array.shape, array.dtype.name) for array in outputs)
        if kind not in self._copy_back_s:
            # Settled copies, new each time: a lazy output would be computed again, and some
            # libraries keep what they have copied once.
            samples = []
            for _ in range(_copy_count(outputs)):
                settled = [self.backend.asarray(array) for array in outputs]
                self.backend.synchronize(*settled)
                start = time.perf_counter()
                for array in settled:
                    self.backend.to_numpy(array)
                samples.append(time.perf_counter() - start)
            self._copy_back_s[kind] = statistics.median(samples)
        return self._copy_back_s[kind]


def _copy_count(arrays: Iterable[NDArray]) -> int:
    return _MAX_COPIES if sum(array.nbytes for array in arrays) < _LARGE_BYTES else 1


class Session:
    """A case under measurement.

    Parameters
    ----------
    backend : Backend
        Where it runs.
    case : Case
        What runs.
    mode : {"eager", "compiled"}
        How.
    implementation : {"portable", "native"}
        Whose function.
    function : str, optional
        The name of the native.
    inputs : DeviceInputs, optional
        Inputs of the same case on the same backend. Default: new ones.
    """

    def __init__(
        self,
        backend: Backend,
        case: Case,
        mode: str = "eager",
        implementation: str = "portable",
        function: str | None = None,
        *,
        inputs: DeviceInputs | None = None,
    ) -> None:
        self.backend, self.case, self.mode = backend, case, mode
        self.implementation, self.function = implementation, function
        self.measured = Measurement(bytes_moved=case.bytes_moved)
        self.call_s = 0.0  # a first guess
        self._inputs = inputs
        self._call: Callable[..., Any] | None = None

    def prepare(self) -> bool:
        """Copy the inputs, call once, check the result, choose the number of calls per sample.

        Returns
        -------
        bool
            Whether the case can be timed; if not, `measured.error` says why.
        """
        try:
            self._prepare()
        except Exception as error:  # whatever a library raises is a reason, never a time
            self.measured = self.measured.failed(describe_error(error))
        return self.measured.checked

    def _prepare(self) -> None:
        call, values_only = self.build_call()
        measured = self.measured
        inputs = self._inputs = self._inputs or DeviceInputs(self.backend, self.case)
        measured.to_device_s = inputs.to_device_s
        start = time.perf_counter()
        output = call(*inputs.device)
        self.backend.synchronize(*outputs_of(output))
        measured.first_call_s = time.perf_counter() - start

        host = [self.backend.to_numpy(array) for array in outputs_of(output)]
        del output
        measured.check_scope = inputs.host_inputs.expected.check(host, values_only=values_only)
        measured.from_device_s = inputs.copy_back_s(host)
        del host
        self.call_s = min(self._time_calls(call, inputs) for _ in range(2))
        took = self.call_s + (inputs.flush.seconds if inputs.flush else 0)
        measured.calls_per_sample = max(1, math.ceil(SAMPLE_SECONDS / max(took, 1e-9)))
        measured.checked, self._call = True, call

    def build_call(self) -> tuple[Callable[..., Any], bool]:
        """Return the function of the arrays alone, and whether it gives no indices."""
        if self.implementation == "native":
            native = self.case.find_native(self.backend.library, self.function or "")
            reason = native.reason(self.case)
            if reason is not None:
                raise UnsupportedCaseError(f"{self.function} cannot do it: {reason}")
            self.measured.bytes_moved = native.bytes_moved(self.case)
            call, values_only = native.build(self.case, self.backend), native.values_only
        elif self.implementation == "portable":
            portable, options = self.case.definition.function, self.case.options()
            self.function = f"unpool_xp.{portable.__name__}"
            call, values_only = lambda *arrays: portable(*arrays, **options), False
        else:
            raise ValueError(f"implementation={self.implementation!r} is not portable or native")
        if self.mode not in ("eager", "compiled"):
            raise ValueError(f"mode={self.mode!r} is not eager or compiled")
        return (self.backend.compile(call) if self.mode == "compiled" else call), values_only

    def caller(self) -> Callable[[], None]:
        """Return one call as a function without arguments, for other harnesses to time.

        Returns
        -------
        callable
            Calls, waits for the output on the device, and drops it, as `sample` does.

        Raises
        ------
        RuntimeError
            If there is nothing to time: the session is not prepared, or its result was wrong.
        """
        call, inputs, synchronize = self._call, self._inputs, self.backend.synchronize
        if not self.measured.checked or call is None or inputs is None:
            raise RuntimeError(f"Session.caller: {self.measured.error or 'call prepare first'}")
        arrays = inputs.device

        def once() -> None:
            output = call(*arrays)
            synchronize(*(output if isinstance(output, tuple) else (output,)))

        return once

    def _time_calls(self, call: Callable[..., Any], inputs: DeviceInputs, calls: int = 1) -> float:
        """Return seconds per call."""
        before = inputs.flush.wait if inputs.flush else None
        return time_calls(call, inputs.device, self.backend.synchronize, calls, before)

    def sample(self, n: int = 1) -> list[float]:
        """Take n samples.

        Parameters
        ----------
        n : int, optional
            How many.

        Returns
        -------
        list of float
            Seconds a call, one entry a sample; empty where the result was not checked, or where
            a call failed, which takes back the samples before it, too.
        """
        call, inputs, calls = self._call, self._inputs, self.measured.calls_per_sample
        if call is None or inputs is None or calls is None:
            return []
        try:
            taken = [self._time_calls(call, inputs, calls) for _ in range(n)]
            by_device = device_sample(self.backend, call, inputs.device, calls, inputs.flush)
        except Exception as error:
            self.measured = self.measured.failed(describe_error(error))
            return []
        self.measured.samples_s += taken
        self.measured.device_samples_s += by_device
        return taken

    def finish(self) -> Measurement:
        """Let go of the arrays; return what was measured."""
        self._inputs = self._call = None
        return self.measured


class UnsupportedCaseError(ValueError):
    """A native does not support a case."""


def describe_error(error: BaseException) -> str:
    """Return an exception in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, CompileUnavailableError | UnsupportedCaseError):
        return text
    if isinstance(error, MismatchError):
        return f"wrong result: {text}"
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return line if len(line) <= _MAX_REASON_LENGTH else line[: _MAX_REASON_LENGTH - 3] + "..."


# CUDA errors after which the process cannot use the device any more.
_DEVICE_LOST_MESSAGES = (
    "device-side assert",
    "illegal memory access",
    "cudaErrorIllegalAddress",
    "cudaErrorAssert",
    "CUDA_ERROR_ILLEGAL_ADDRESS",
    "CUDA_ERROR_LAUNCH_FAILED",
    "unspecified launch failure",
    "misaligned address",
)


def is_device_lost(reason: str) -> bool:
    """Return whether an error means that the process has lost its device."""
    return any(sign in reason for sign in _DEVICE_LOST_MESSAGES)


def outputs_of(output: Any) -> tuple[Any, ...]:
    """Return the outputs of a call, one or several."""
    return tuple(output) if isinstance(output, tuple | list) else (output,)
