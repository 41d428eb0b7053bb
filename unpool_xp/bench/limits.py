"""How far each operation is from what the machine, the library and the method allow.

Each function measures one thing in the process of one backend, in turns with what it is held
against, and answers with plain numbers; `limits_view` prints them.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unpool_xp.backends import Backend
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.expected import ExpectedOutputs
from unpool_xp.bench.cases.inputs import numpy_dtype
from unpool_xp.bench.catalog.families import conv_transpose_case
from unpool_xp.bench.measure.session import SAMPLE_SECONDS, Session
from unpool_xp.bench.portability.measure import ratio_of_pairs
from unpool_xp.bench.portability.targets import CONV_TRANSPOSE_INPUTS, KERNELS
from unpool_xp.bench.replay import build_replay, record_calls

# --- what is asked for ----------------------------------------------------------------------------

COPY_SHARE = 0.6  # of the rate of a plain copy, at least
PRODUCT_SHARE = 0.7  # of the rate of the matrix product within, at least
OVERHEAD_SECONDS = 6e-6  # of a call beyond its array calls, at most
SCALING_LIMIT = 1.5  # of the time an element beyond the caches, at most
SCRATCH_LIMIT = 0.5  # of the outputs' bytes, beyond inputs and outputs, at most

# Outputs several times the size of a last-level cache.
BANDWIDTH_CASES = (
    Case("nearest_unpool", (8, 64, 112, 112), scale=(2, 2)),
    Case("nearest_unpool", (4, 64, 112, 112), scale=(3, 3)),
    Case("max_unpool", (8, 64, 112, 112), (2, 2)),
    Case("max_unpool", (4, 64, 112, 112), (3, 3)),
)
GEMM_CASES = tuple(
    conv_transpose_case(shape, channels, kernel, stride, padding)
    for shape, channels in CONV_TRANSPOSE_INPUTS
    for kernel, stride, padding in KERNELS
)
_ONE = (1, 1, 2, 2)
OVERHEAD_CASES = (
    Case("max_pool", _ONE, (2, 2)),
    Case("avg_pool", _ONE, (2, 2)),
    Case("max_unpool", _ONE, (2, 2)),
    Case("nearest_unpool", _ONE, scale=(2, 2)),
    Case("linear_unpool", _ONE, scale=(2, 2)),
    Case("conv_transpose", _ONE, (2, 2), out_channels=1),
)
# One item of 2**16 elements on the larger side; more of them make it grow.
_LARGER, _SMALLER = (1, 16, 64, 64), (1, 16, 32, 32)
SCALING_CASES = (
    Case("max_pool", _LARGER, (2, 2)),
    Case("avg_pool", _LARGER, (2, 2)),
    Case("max_unpool", _SMALLER, (2, 2)),
    Case("nearest_unpool", _SMALLER, scale=(2, 2)),
    Case("linear_unpool", _SMALLER, scale=(2, 2)),
    Case("conv_transpose", _SMALLER, (2, 2), out_channels=16),
)
_ITEM = math.prod(_LARGER)
ITEMS = tuple(round(elements / _ITEM) for elements in (1e5, 1e6, 1e7, 1e8, 2.5e8))
BEYOND_CACHES = round(1e7 / _ITEM)
BYTES_PER_ELEMENT = 48  # of memory, for all the arrays of a growing case
MEMORY_CASES = tuple(
    replace(case, shape=(8, 64, *(2 * n for n in case.shape[2:]))) for case in SCALING_CASES
)

_MIN_ROUNDS = 6
_SECONDS = 0.5


@dataclass
class _TimedCall:
    """Something to time, a sample at a time."""

    backend: Backend
    call: Callable[[], Any]
    calls: int = 1

    def once(self) -> float:
        return self.sample() * self.calls

    def sample(self) -> float:
        """Return the seconds a call."""
        start = time.perf_counter()
        for _ in range(self.calls):
            output = self.call()
            self.backend.synchronize(*(output if isinstance(output, tuple) else (output,)))
            del output
        return (time.perf_counter() - start) / self.calls


def _interleave(
    timed: Sequence[_TimedCall], seconds: float = _SECONDS, fewest: int = _MIN_ROUNDS
) -> list[list[float]]:
    """Return the samples of each, taken in turns to and fro."""
    for each in timed:
        took = min(each.once(), each.once())
        each.calls = max(1, math.ceil(SAMPLE_SECONDS / max(took, 1e-9)))
    samples: list[list[float]] = [[] for _ in timed]
    numbers, turn, deadline = range(len(timed)), 0, time.monotonic() + seconds
    gc.collect()
    gc.disable()
    try:
        while turn < fewest or time.monotonic() < deadline or turn % 2:
            for number in numbers if turn % 2 == 0 else reversed(numbers):
                samples[number].append(timed[number].sample())
            turn += 1
    finally:
        gc.enable()
    return samples


def _portable_call(backend: Backend, case: Case, mode: str) -> tuple[_TimedCall, list[Any]]:
    """Return the portable call of a case, checked against the reference, and its inputs."""
    session = Session(backend, case, mode)
    if not session.prepare():
        raise ValueError(session.error)
    assert session._call is not None
    assert session._inputs is not None
    call, arrays = session._call, session._inputs.device
    return _TimedCall(backend, lambda: call(*arrays)), arrays


def _share_of_best(ours: _TimedCall, other: _TimedCall) -> dict[str, Any]:
    """Return the times of both, and the rate of ours over that of the other."""
    took, best = _interleave([ours, other])
    share = ratio_of_pairs(best, took)
    return {
        "seconds": statistics.median(took),
        "best_seconds": statistics.median(best),
        "share": share.estimate,
        "interval": [share.low, share.high],
    }


# --- what is measured -----------------------------------------------------------------------------


def bandwidth_share(backend: Backend, case: Case, mode: str = "eager") -> dict[str, Any]:
    """Compare an operation with a plain copy of as many bytes into new memory."""
    ours, _ = _portable_call(backend, case, mode)
    source = backend.asarray(np.ones(case.bytes_moved // 8, np.float32))
    copy = _TimedCall(backend, lambda: backend.xp.asarray(source, copy=True))
    return _share_of_best(ours, copy)


def gemm_share(backend: Backend, case: Case, mode: str = "eager") -> dict[str, Any]:
    """Compare a transposed convolution with the matrix product that it contains."""
    ours, (x, weight) = _portable_call(backend, case, mode)
    xp = backend.xp
    rows = xp.asarray(xp.matrix_transpose(xp.reshape(weight, (weight.shape[0], -1))), copy=True)
    columns = xp.reshape(x, (*case.lead, math.prod(case.plane)))
    multiply = backend.compile(xp.matmul) if mode == "compiled" else xp.matmul
    return _share_of_best(ours, _TimedCall(backend, lambda: multiply(rows, columns)))


def overhead(backend: Backend, case: Case) -> dict[str, Any]:
    """Compare a small call with the array calls that it makes, replayed on their own."""
    _, arrays = _portable_call(backend, case, "eager")
    function, options = case.definition.function, case.options()
    calls = record_calls(lambda *given: function(*given, **options), *arrays)
    # Nothing to wait for: both libraries that can be watched are eager here.
    call, alone = (
        _TimedCall(Backend("", None), each)
        for each in (lambda: function(*arrays, **options), build_replay(calls))
    )
    took, best = _interleave([call, alone])
    own = [a - b for a, b in zip(took, best, strict=True)]
    return {
        "seconds": statistics.median(took),
        "array_seconds": statistics.median(best),
        "array_calls": len(calls),
        "own_seconds": statistics.median(own),
    }


def scaling(backend: Backend, case: Case, items: int, mode: str = "eager") -> dict[str, Any]:
    """Time a case with this many equal items; the first and last are checked."""
    expected = ExpectedOutputs(case, case.arrays())
    arrays = []
    for name, array in case.arrays().items():
        shared = name == "weight"
        host = array if shared else np.tile(array, (items, *(1,) * (array.ndim - 1)))
        arrays.append(backend.asarray(host))
        del host
    function, options = case.definition.function, case.options()
    output = function(*arrays, **options)
    outputs = output if isinstance(output, tuple) else (output,)
    for item in (slice(0, 1), slice(items - 1, items)):
        expected.check([backend.to_numpy(array[item]) for array in outputs])
    del output, outputs
    call = _TimedCall(backend, lambda: function(*arrays, **options))
    (samples,) = _interleave([call], seconds=0.2, fewest=4)
    elements = items * _ITEM
    return {"elements": elements, "element_seconds": statistics.median(samples) / elements}


def scratch_share(case: Case, label: str, peak: int | None) -> float | None:
    """Return the most memory beyond inputs and outputs, as a share of the outputs."""
    if peak is None:
        return None
    outputs = 0
    for name, (shape, dtype) in case.outputs.items():
        # JAX counts positions in 32 bits, as long as nobody asks for more.
        size = 4 if name == "indices" and label.startswith("jax") else numpy_dtype(dtype).itemsize
        outputs += math.prod(shape) * size
    return peak / outputs - 1


def traffic(case: Case) -> dict[str, Any]:
    """Count what the array calls of an operation read, write and compute, on NumPy.

    Parameters
    ----------
    case : Case
        The operation and its sizes.

    Returns
    -------
    dict
        Bytes and flops for each element of the first output: of the calls as they are made, each
        reading its arrays from memory and writing its result there, and of the ideal, which reads
        the inputs once, writes the outputs once and keeps the rest in registers.
    """
    function, options = case.definition.function, case.options()
    arrays = list(case.arrays().values())
    function(*arrays, **options)  # what is kept between calls is made by the first
    moved = flops = 0
    for call, arguments, named in record_calls(lambda *a: function(*a, **options), *arrays):
        read, written, computed = _count_traffic(call, arguments, named)
        moved, flops = moved + read + written, flops + computed
    cells = math.prod(case.output_shape)
    return {
        "bytes": moved / cells,
        "ideal_bytes": case.bytes_moved / cells,
        "flops": flops / cells,
        "ideal_flops": case.flops / cells,
    }


def _count_traffic(
    call: Any, arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[int, int, int]:
    """Return the bytes that a call of NumPy reads and writes, and its flops."""
    arrays = [each for each in _leaves(arguments) if isinstance(each, np.ndarray)]
    if getattr(call, "__name__", "") == "__setitem__":
        target, places, given = arguments
        written = target[places].nbytes if isinstance(given, np.ndarray) else 0
        return written + sum(a.nbytes for a in _leaves((places,)) if _is_array(a)), written, 0
    result = call(*arguments, **named)
    out = _leaves(named.get("out") or ())
    made = [
        each
        for each in _leaves(result)
        if _is_array(each)
        and (any(each is o for o in out) or not any(np.may_share_memory(each, a) for a in arrays))
    ]
    if not made and any(_is_array(each) for each in _leaves(result)):
        return 0, 0, 0  # a view
    read, written = sum(_distinct_bytes(a) for a in arrays), sum(each.nbytes for each in made)
    ufunc = getattr(call, "__self__", None)
    size = max([1, *(each.size for each in made)])
    if ufunc is np.matmul:
        flops = 2 * size * arrays[0].shape[-1]
    elif isinstance(ufunc, np.ufunc) or getattr(call, "__name__", "") in ("sum", "max", "mean"):
        flops = max([size, *(a.size for a in arrays if not made)])
    else:
        flops = 0
    return read, written, flops


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def _distinct_bytes(array: Any) -> int:
    """Return the bytes of the elements that an array really has, each once."""
    sizes = [n for n, step in zip(array.shape, array.strides, strict=True) if step]
    size: int = math.prod(sizes) * array.itemsize
    return size


MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    "copying": bandwidth_share,
    "multiplying": gemm_share,
    "overhead": overhead,
    "growing": scaling,
}
