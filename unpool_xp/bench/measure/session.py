"""Measure one case on one backend in this process, in steps that a parent can interleave.

A time is that of one call: from the call to the moment its own output is ready on the device.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unpool_xp.backends import Backend, CompileUnavailableError, GradientsUnavailableError
from unpool_xp.backends.base import as_tuple
from unpool_xp.bench.cases.case import MODES, Case
from unpool_xp.bench.cases.expected import ExpectedOutputs, MismatchError
from unpool_xp.bench.cases.gradients import floating_positions
from unpool_xp.bench.cases.inputs import NDArray, OperationError
from unpool_xp.bench.measure.device import Flush, device_sample
from unpool_xp.bench.measure.host.ceilings import plain_copy
from unpool_xp.bench.measure.host.load import sample_watch
from unpool_xp.bench.measure.measurement import Measurement, Samples
from unpool_xp.bench.measure.server import digest, error_text, one_line
from unpool_xp.bench.measure.timer import TimedCall
from unpool_xp.bench.rows.schema import UNSUPPORTED, WRONG_OPERATION
from unpool_xp.fusion import set_fusion

PINNED_COPIES = ("to_device_pinned", "from_device_pinned")
REST_SECONDS = 0.05  # before a call that finds the thread pools asleep


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
        """The expected outputs."""
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
        reason = case.why_not(backend.library)
        reason = reason or backend.why_no_dtype(case.dtype)  # of a library that the table lacks
        if reason is not None:
            raise UnsupportedCaseError(reason)
        self.backend, self.case = backend, case
        self.host_inputs = host_inputs or HostInputs(case)
        self.host = self.host_inputs.arrays
        self.device: list[Any] = list(self._copy_in(*self.host.values()))
        backend.synchronize(*self.device)
        self.to_device = TimedCall(self._copy_in, [*self.host.values()], backend.synchronize)
        self._from_device: dict[str, TimedCall] = {}  # by the shapes and dtypes of the outputs
        self._outputs: dict[str, Sequence[NDArray]] = {}  # by the same
        self._pinned: dict[str, TimedCall | None] = {}
        device_dtype, dtype = self.device[0].dtype, next(iter(self.host.values())).dtype
        if backend.library == "jax" and device_dtype != dtype:
            raise UnsupportedCaseError(
                f"jax makes {device_dtype} of {dtype.name}; set JAX_ENABLE_X64=1"
            )

    def pinned_copy(self, what: str, outputs: str) -> TimedCall | None:
        """Return the copy of the inputs from page-locked memory, or that of outputs to it.

        None where the backend has no such memory. The outputs are those that `from_device` named.
        """
        key = what if what == "to_device_pinned" else f"{what}: {outputs}"
        if key in self._pinned:
            return self._pinned[key]
        arrays = [*self.host.values()] if what == "to_device_pinned" else self._outputs[outputs]
        pinned = [copy for array in arrays if (copy := self.backend.pinned(array)) is not None]
        timed = None
        if len(pinned) == len(arrays):
            timed = TimedCall(self._copy_in, pinned, self.backend.synchronize)
            if what == "from_device_pinned":
                settled = self._copy_in(*arrays)

                def copy_out() -> None:
                    for array, target in zip(settled, pinned, strict=True):
                        self.backend.to_pinned(array, target)

                timed = TimedCall(copy_out, (), lambda *_: None)  # it waits
        self._pinned[key] = timed
        return timed

    def _copy_in(self, *arrays: NDArray) -> tuple[Any, ...]:
        return tuple(self.backend.asarray(array) for array in arrays)

    @functools.cached_property
    def flush(self) -> Flush | None:
        """The cache flush before each call; None if the case is much larger than the cache."""
        return Flush.if_needed(self.backend, self.case.bytes_moved)

    def from_device(self, outputs: Sequence[NDArray]) -> tuple[str, TimedCall]:
        """Return a name for the shapes and dtypes of outputs, and a call that copies such out."""
        kind = ", ".join(f"{array.shape} {array.dtype}" for array in outputs)
        self._outputs.setdefault(kind, outputs)
        if kind not in self._from_device:
            # Settled copies, new each time: a lazy output would be computed again, and some
            # libraries keep what they have copied once.
            settled: list[Any] = []

            def settle() -> None:
                settled[:] = self._copy_in(*outputs)
                self.backend.synchronize(*settled)

            self._from_device[kind] = TimedCall(
                lambda: tuple(self.backend.to_numpy(array) for array in settled),
                (),
                lambda *_: None,
                settle,
            )
        return kind, self._from_device[kind]


class Session:
    """A case under measurement.

    Parameters
    ----------
    backend : Backend
        Where it runs.
    case : Case
        What runs.
    mode : {"eager", "fused", "compiled"}
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
        self.measured = Measurement()
        self.call_s = 0.0  # a first guess
        self.raised: Exception | None = None  # why it cannot be timed
        self.outputs, self.digest = (
            "",
            "",
        )  # the shapes and dtypes of the outputs, and what they are
        self._inputs = inputs
        self._timed: dict[str, TimedCall] = {}  # by what is timed

    def prepare(self, known: Mapping[str, str] | None = None) -> bool:
        """Copy the inputs, call once, check the result, choose the number of calls per sample.

        Parameters
        ----------
        known : mapping of str to str, optional
            From the digest of outputs that another process found right to how much it checked.

        Returns
        -------
        bool
            Whether the case can be timed; if not, `measured.error` says why.
        """
        try:
            self._prepare(known or {})
        except Exception as error:  # whatever a library raises is a reason, never a time
            self.raised = error
            self.measured = self.measured.failed(describe_error(error))
        return self.measured.checked

    @property
    def unsupported(self) -> bool:
        """Whether it cannot be timed for a reason that is known before the call."""
        return isinstance(self.raised, UnsupportedCaseError | CompileUnavailableError)

    def _prepare(self, known: Mapping[str, str]) -> None:
        call, values_only = self.build_call()
        measured, case = self.measured, self.case
        measured.bytes_moved = measured.bytes_moved or case.bytes_moved
        _ = case.flops  # an error in a user's operation is found here, and the row says so
        inputs = self._inputs = self._inputs or DeviceInputs(self.backend, self.case)
        start = time.perf_counter()
        output = call(*inputs.device)
        self.backend.synchronize(*as_tuple(output))
        measured.first_call_s = time.perf_counter() - start

        if isinstance(output, list) or not all(hasattr(one, "dtype") for one in as_tuple(output)):
            kinds = ", ".join(type(one).__name__ for one in as_tuple(output))
            kinds = f"a list of {kinds}" if isinstance(output, list) else kinds
            raise TypeError(f"{self.function} returned {kinds}, not an array or a tuple of arrays")
        host = [self.backend.to_numpy(array) for array in as_tuple(output)]
        del output
        # Right without the indices is not right.
        self.digest = f"{digest(host)}{' values only' * values_only}"
        measured.check_scope = known.get(self.digest) or inputs.host_inputs.expected.check(
            host, values_only=values_only
        )
        self.outputs, copy_back = inputs.from_device(host)
        before = inputs.flush.wait if inputs.flush else None
        timed = TimedCall(call, inputs.device, self.backend.synchronize, before)
        self.call_s = timed.warm_up()
        self._timed = {"call": timed, "to_device": inputs.to_device, "from_device": copy_back}
        measured.calls_per_sample, measured.checked = timed.calls, True

    def build_call(self) -> tuple[Callable[..., Any], bool]:
        """Return the function of the arrays alone, and whether it gives no indices."""
        if self.implementation == "native":
            native = self.case.find_native(self.backend.library, self.function or "")
            reason = native.reason(self.case)
            if reason is not None:
                raise UnsupportedCaseError(f"{self.function}{UNSUPPORTED}{reason}")
            self.measured.bytes_moved = native.bytes_moved(self.case)
            call, values_only = native.build(self.case, self.backend), native.values_only
        elif self.implementation == "portable":
            operation, options = self.case.definition, self.case.options()
            self.function, portable = operation.title, operation.function
            call, values_only = lambda *arrays: portable(*arrays, **options), False
            if self.mode == "compiled" and not operation.compiled:
                raise UnsupportedCaseError(f"{operation.name} is not to be compiled")
        else:
            raise ValueError(f"implementation={self.implementation!r} is not portable or native")
        if self.mode not in MODES:
            raise ValueError(f"mode={self.mode!r} is not one of {', '.join(MODES)}")
        compiled = self.mode == "compiled"
        if self.case.backward:
            layouts = self.case.forward.inputs, self.case.forward.outputs
            wrt, outputs = map(floating_positions, layouts)
            call = self.backend.with_gradients(call, wrt, outputs, compiled=compiled)
        elif compiled:
            call = self.backend.compile(call)
        elif self.mode == "fused":
            call = set_fusion("auto")(call)
        return call, values_only

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
        if "call" not in self._timed:
            raise RuntimeError(f"Session.caller: {self.measured.error or 'call prepare first'}")
        timed = self._timed["call"]
        call, arrays, synchronize = timed.call, timed.arrays, timed.synchronize

        def once() -> None:
            output = call(*arrays)
            synchronize(*(output if isinstance(output, tuple) else (output,)))

        return once

    def sample(self, n: int = 1) -> list[float]:
        """Take n samples.

        Parameters
        ----------
        n : int, optional
            How many.

        Returns
        -------
        list of float
            Seconds per call, one entry per sample. Empty where the result was not checked, or where
            a call failed, which discards the samples before it, too.
        """
        taken = self.take(n)
        self.measured.extend(taken)
        return taken.samples_s

    def take(self, n: int = 1, what: str = "call") -> Samples:
        """Take n samples of a call, or of a copy; they are not added to `measured`.

        Parameters
        ----------
        n : int, optional
            How many.
        what : str, optional
            "call"; "to_device" and "from_device", the copy of the inputs or of the outputs, which
            end in "_pinned" for page-locked memory of the host; "cold", a single call after a rest;
            or "copy", a plain copy on the device, which moves as many bytes as a call.

        Returns
        -------
        Samples
            Empty where the result was not checked, where the call or the copy fails, or where there
            is no page-locked memory.
        """
        taken = Samples()
        if not self._timed:
            return taken
        try:
            if what == "cold":
                for _ in range(n):
                    time.sleep(REST_SECONDS)
                    taken.samples_s.append(self._timed["call"].time(1))
                return taken
            timed = self._timed_call(what)
            if timed is None:
                return taken
            watch = sample_watch()
            timed.warm_up()
            for _ in range(n):
                watch.start()
                taken.samples_s.append(timed.sample())
                taken.disturbed.append(watch.stop(taken.conditions))
            if what == "call" and self._inputs is not None:
                flush = self._inputs.flush
                taken.device_samples_s = device_sample(
                    self.backend, timed.call, timed.arrays, timed.calls, flush
                )
        except Exception as error:
            # A limit that cannot be measured leaves the times as they are.
            if what not in ("copy", *PINNED_COPIES):
                self.measured = self.measured.failed(describe_error(error))
            return Samples()
        return taken

    def _timed_call(self, what: str) -> TimedCall | None:
        if what in PINNED_COPIES:
            return self._inputs.pinned_copy(what, self.outputs) if self._inputs else None
        return self._plain_copy() if what == "copy" else self._timed[what]

    def _plain_copy(self) -> TimedCall:
        """Return a copy that reads half of the bytes that a call moves, and writes half of them."""
        copy, source = plain_copy(self.backend, (self.measured.bytes_moved or 0) // 2)
        before = self._timed["call"].before
        return TimedCall(copy, (source,), self.backend.synchronize, before)

    def finish(self) -> Measurement:
        """Release the arrays; return what was measured."""
        self._inputs, self._timed = None, {}
        return self.measured


class UnsupportedCaseError(ValueError):
    """A native does not support a case."""


def describe_error(error: BaseException) -> str:
    """Return an exception in one line."""
    said = CompileUnavailableError | GradientsUnavailableError | UnsupportedCaseError
    if isinstance(error, said):
        return one_line(str(error))
    if isinstance(error, MismatchError):
        return one_line(f"wrong result: {error}")
    if isinstance(error, OperationError):
        return one_line(f"{WRONG_OPERATION}{error}")
    return error_text(error)


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
