"""What an operation reaches, beside what the machine, the library and the method allow.

Each function measures a case on a backend in this process, in turns with what it is compared with,
and returns plain numbers.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from call_recorder import build_replay, record_calls

import unpool_xp
from unpool_xp import backends
from unpool_xp.backends.base import usable_cores
from unpool_xp.bench.cases.case import BackendMode, Case
from unpool_xp.bench.cases.expected import ExpectedOutputs
from unpool_xp.bench.cases.inputs import numpy_dtype
from unpool_xp.bench.measure.host.ceilings import plain_copy
from unpool_xp.bench.measure.host.cgroup import available_memory
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.measure.memory import peak_bytes
from unpool_xp.bench.measure.session import DeviceInputs, Session
from unpool_xp.bench.measure.timer import MIN_ROUNDS, TimedCall, sample_rounds
from unpool_xp.bench.portability.measure import ratio_of_pairs

# The case of `scaling` has 2**16 elements on its larger side; more copies of it make it grow.
ELEMENTS = 2**16
COPIES = tuple(round(elements / ELEMENTS) for elements in (1e5, 1e6, 1e7, 1e8, 2.5e8))
BEYOND_CACHES = round(1e7 / ELEMENTS)
_BYTES_PER_ELEMENT = 48  # of memory, for all the arrays of a growing case
_SECONDS = 0.5


def _interleave(
    calls: Sequence[Callable[[], Any]],
    seconds: float = _SECONDS,
    fewest: int = MIN_ROUNDS,
    workers: Sequence[int] = (1, 1),
) -> list[list[float]]:
    """Return the samples of each, seconds per call, taken in turns to and fro.

    `workers` are those of `set_workers` for each of them.
    """
    timers = [TimedCall(call, (), lambda *_: None) for call in calls]
    samples: list[list[float]] = [[] for _ in timers]

    def sample(i: int) -> None:
        with unpool_xp.set_workers(workers[i]):
            timers[i].warm_up()
            samples[i].append(timers[i].sample())

    sample_rounds([partial(sample, i) for i in range(len(timers))], seconds, fewest)
    return samples


def _prepare(on: BackendMode, case: Case) -> tuple[backends.Backend, list[Any], Session]:
    """Return the backend, the inputs there, and the session, checked against the reference."""
    backend = backends.load(on.label)
    inputs = DeviceInputs(backend, case)
    session = Session(backend, case, on.mode, inputs=inputs)
    if not session.prepare():
        raise ValueError(session.measured.error)
    return backend, inputs.device, session


def _share_of_best(call: Callable[[], Any], best: Callable[[], Any]) -> dict[str, float]:
    """Return the times of both, and the rate of the first over that of the other."""
    took, least = _interleave([call, best])
    return {
        "seconds": statistics.median(took),
        "best_seconds": statistics.median(least),
        "share": ratio_of_pairs(least, took).estimate,
    }


def bandwidth_share(on: BackendMode, case: Case) -> dict[str, float]:
    """Compare an operation with a plain copy of as many bytes into new memory.

    Also says whether they fit into the last cache, where the share is no target.
    """
    backend, _, session = _prepare(on, case)
    copy, source = plain_copy(backend, case.bytes_moved // 2)
    caches = this_machine().caches.values()
    return {
        **_share_of_best(session.caller(), lambda: backend.synchronize(copy(source))),
        "cached": case.bytes_moved <= max(caches, default=0),
    }


def gemm_share(on: BackendMode, case: Case) -> dict[str, float]:
    """Compare a transposed convolution with the matrix product that it contains."""
    backend, (x, weight), session = _prepare(on, case)
    xp = backend.xp
    rows = xp.asarray(xp.matrix_transpose(xp.reshape(weight, (weight.shape[0], -1))), copy=True)
    columns = xp.reshape(x, (*case.lead, math.prod(case.plane)))
    multiply = backend.compile(xp.matmul) if on.mode == "compiled" else xp.matmul
    return _share_of_best(session.caller(), lambda: backend.synchronize(multiply(rows, columns)))


def worker_gain(on: BackendMode, case: Case) -> dict[str, float]:
    """Compare an operation with one worker and with one on each core."""
    _, _, session = _prepare(on, case)
    call = session.caller()
    one, each = _interleave([call, call], workers=(1, usable_cores()))
    return {
        "seconds": statistics.median(one),
        "best_seconds": statistics.median(each),
        "gain": ratio_of_pairs(one, each).estimate,
    }


def overhead(on: BackendMode, case: Case) -> dict[str, float]:
    """Compare a small call with the array calls that it makes, replayed on their own."""
    _, arrays, _ = _prepare(on, case)
    function, options = case.definition.function, case.options()
    calls = record_calls(lambda *given: function(*given, **options), *arrays)
    # Nothing to wait for: both libraries that can be watched are eager here.
    took, alone = _interleave([lambda: function(*arrays, **options), build_replay(calls)])
    return {
        "seconds": statistics.median(took),
        "array_seconds": statistics.median(alone),
        "array_calls": len(calls),
        "own_seconds": statistics.median(a - b for a, b in zip(took, alone, strict=True)),
    }


def scaling(on: BackendMode, case: Case, copies: Sequence[int] = COPIES) -> dict[int, float | None]:
    """Return the seconds per element of so many copies of a case; None beyond the memory."""
    return {
        count: _seconds_per_element(on, case, count)
        if count * ELEMENTS * _BYTES_PER_ELEMENT <= available_memory()
        else None
        for count in copies
    }


def _seconds_per_element(on: BackendMode, case: Case, copies: int) -> float:
    backend, expected = backends.load(on.label), ExpectedOutputs(case, case.arrays())
    arrays = []
    for name, array in case.arrays().items():
        repeats = 1 if name == "weight" else copies
        arrays.append(backend.asarray(np.tile(array, (repeats, *(1,) * (array.ndim - 1)))))
    function, options = case.definition.function, case.options()
    output = function(*arrays, **options)
    outputs = output if isinstance(output, tuple) else (output,)
    for item in (slice(0, 1), slice(copies - 1, copies)):
        expected.check([backend.to_numpy(array[item]) for array in outputs])
    del output, outputs
    (samples,) = _interleave([lambda: function(*arrays, **options)], seconds=0.2, fewest=4)
    return statistics.median(samples) / (copies * ELEMENTS)


def scratch_share(on: BackendMode, case: Case) -> dict[str, float | None]:
    """Return the most memory that a call takes, and that beyond its outputs as a share of them.

    Must run in a process that has done nothing else.
    """
    peak = peak_bytes(backends.load(on.label), case, on.mode)
    outputs = 0
    for name, (shape, dtype) in case.outputs.items():
        # JAX counts positions in 32 bits, as long as nobody asks for more.
        size = 4 if name == "indices" and on.library == "jax" else numpy_dtype(dtype).itemsize
        outputs += math.prod(shape) * size
    return {"peak_bytes": peak, "share": None if peak is None else peak / outputs - 1}


# --- traffic --------------------------------------------------------------------------------------


def traffic(_: BackendMode, case: Case) -> dict[str, float]:
    """Count the bytes and flops of an operation's array calls, per output element, on NumPy.

    Of the calls as they are made, each reading its arrays from memory and writing its result there,
    and of the ideal, which reads the inputs once, writes the outputs once and keeps the rest in
    registers.
    """
    function, options = case.definition.function, case.options()
    arrays = list(case.arrays().values())
    function(*arrays, **options)  # what is cached between calls is made by the first
    calls = record_calls(lambda *given: function(*given, **options), *arrays)
    moved, flops = map(sum, zip(*(count_traffic(*call) for call in calls), strict=True))
    cells = math.prod(case.output_shape)
    return {
        "bytes": moved / cells,
        "ideal_bytes": case.bytes_moved / cells,
        "flops": flops / cells,
        "ideal_flops": case.flops / cells,
    }


def count_traffic(
    call: Any, arguments: tuple[Any, ...], options: dict[str, Any]
) -> tuple[int, int]:
    """Return the bytes that a call of NumPy moves, and its flops."""
    name = getattr(call, "__name__", "")
    if name == "__setitem__":
        target, places, value = arguments
        written = target[places].nbytes if isinstance(value, np.ndarray) else 0
        return 2 * written + sum(a.nbytes for a in _arrays(places)), 0
    arrays, results = _arrays(arguments), _arrays(call(*arguments, **options))
    out = _arrays(options.get("out"))
    made = [
        each
        for each in results
        if any(each is o for o in out) or not any(np.may_share_memory(each, a) for a in arrays)
    ]
    if results and not made:
        return 0, 0  # a view
    ufunc, flops = getattr(call, "__self__", None), 0
    size = max([1, *(each.size for each in made)])
    if ufunc is np.matmul:
        flops = 2 * size * arrays[0].shape[-1]
    elif isinstance(ufunc, np.ufunc) or name in ("sum", "max", "mean"):
        flops = max([size, *(a.size for a in arrays if not made)])
    return sum(map(_distinct_bytes, arrays)) + sum(each.nbytes for each in made), flops


def _arrays(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [array for item in value for array in _arrays(item)]
    return [value] if isinstance(value, np.ndarray) else []


def _distinct_bytes(array: Any) -> int:
    """Return the bytes of the elements that an array really has, each once."""
    sizes = [n for n, step in zip(array.shape, array.strides, strict=True) if step]
    size: int = math.prod(sizes) * array.itemsize
    return size
