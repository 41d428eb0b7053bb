"""Build Dask graphs: one task per output chunk, with halo slices of neighbouring chunks."""

from __future__ import annotations

import itertools
import math
import sys
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from unpool_xp._array.compat import Array, cast, namespace
from unpool_xp._array.namespace import InputInfo, inspect_inputs
from unpool_xp._array.numeric import without_float_errors
from unpool_xp._dask.partition import AnyPartition, AxisPart, chunk_bounds

Key: TypeAlias = tuple[Any, ...]
Slices: TypeAlias = tuple[slice, ...]
# From what its inputs are, the plan of a part and its pieces to the chunk of each output.
BlockFunction: TypeAlias = Callable[..., Array | tuple[Array, ...]]
# From the plans of the axes' parts, and the planes meant, to the plan of a part.
ChunkPlanFactory: TypeAlias = Callable[[Sequence[Any], Slices], Any]


def inspect_chunks(operation: str, x: Array) -> InputInfo:
    """Return what the chunks of x are: their library, device and traits."""
    return inspect_inputs(operation, chunk=x._meta)


def drop_empty_chunks(x: Array) -> Array:
    """Return the array in chunks that hold something: Dask cannot broadcast others."""
    return x.rechunk(tuple(tuple(n for n in sizes if n) or (0,) for sizes in x.chunks))


class ExtraInputs(NamedTuple):
    """Additional task inputs besides the slices of the arrays."""

    tasks: Mapping[Key, Any]
    keys: Callable[[tuple[int, ...]], list[Key]]  # those that a chunk of the output takes
    arrays: Sequence[Array]  # what the tasks are made of


def blockwise_with_halo(
    operation: str,
    function: BlockFunction,
    axes: Sequence[AnyPartition],
    arrays: Sequence[Array],
    make_plan: ChunkPlanFactory,
    *,
    token: Hashable,
    dtypes: Sequence[Any] = (None,),
    whole: Sequence[Array] = (),
    extra: ExtraInputs | None = None,
    plan_per_chunk: bool = False,
) -> list[Array]:
    """Return the outputs of an operation, lazily: a chunk of them is one task.

    `axes` are the last axes of the arrays, which are alike; all others keep their chunks. Slices
    of neighbouring chunks (the halo) are tasks of their own.
    `whole` are small arrays that every task takes as they are. An output has the dtype of the
    first array where its own is None. With `plan_per_chunk` each
    block of planes has its own plan; otherwise `make_plan` is called once.
    """
    first, others = arrays[0], arrays[1:]
    arrays = [first, *(other.rechunk(first.chunks) for other in others)]
    whole = [array.rechunk(-1) for array in whole]
    dependencies = [*arrays, *whole, *(extra.arrays if extra else ())]
    names = [array.name for array in dependencies]
    base = sys.modules["dask.base"]
    digest = base.tokenize(function.__qualname__, token, names)
    name = f"{operation}-{digest}"

    lead = first.ndim - len(axes)
    planes = [
        [slice(*ends) for ends in itertools.pairwise(_bounds(c))] for c in first.chunks[:lead]
    ]
    axis_chunks = [_output_chunks(axis, first.chunks[axis.whole.axis]) for axis in axes]
    chunks = (*first.chunks[:lead], *(tuple(chunk.size for chunk in side) for side in axis_chunks))
    whole_keys = [(array.name, *(0,) * array.ndim) for array in whole]
    halo = _HaloTasks(f"{operation}-strip-{digest}")
    graph: dict[Key, Any] = {}
    for chunk_index in itertools.product(*map(range, map(len, axis_chunks))):
        output_chunks = [side[i] for side, i in zip(axis_chunks, chunk_index, strict=True)]
        gather = _Gather(output_chunks, len(arrays))
        parts = [chunk.plan for chunk in output_chunks]
        task = None if plan_per_chunk else _Task(operation, function, make_plan(parts, ()), gather)
        for lead_index in itertools.product(*map(range, map(len, planes))):
            if plan_per_chunk:
                lead_slices = tuple(p[i] for p, i in zip(planes, lead_index, strict=True))
                task = _Task(operation, function, make_plan(parts, lead_slices), gather)
            keys = [
                key
                for array in arrays
                for key in gather.keys(halo, array.name, lead_index, array.chunks[lead:])
            ]
            extra_keys = extra.keys((*lead_index, *chunk_index)) if extra else []
            graph[(name, *lead_index, *chunk_index)] = (task, *keys, *whole_keys, *extra_keys)
    graph |= halo.tasks
    if extra:
        graph |= extra.tasks
    return _outputs(name, graph, dependencies, chunks, first, dtypes)


def _outputs(
    name: str,
    graph: dict[Key, Any],
    dependencies: Sequence[Array],
    chunks: tuple[tuple[int, ...], ...],
    like: Array,
    dtypes: Sequence[Any],
) -> list[Array]:
    dask_array, layers = sys.modules["dask.array"], sys.modules["dask.highlevelgraph"]
    base_graph = layers.HighLevelGraph.from_collections(name, graph, dependencies=dependencies)
    sample, outputs = like._meta, []
    xp = namespace(sample)
    for number, dtype in enumerate(dtypes):
        meta = sample if dtype is None else xp.astype(sample, dtype)
        output_name, output_graph = name, base_graph
        if len(dtypes) > 1:
            output_name = f"{name}-{number}"
            layer = {
                (output_name, *key): (_nth, (name, *key), number)
                for key in itertools.product(*map(range, map(len, chunks)))
            }
            output_graph = layers.HighLevelGraph(
                {**base_graph.layers, output_name: layer},
                {**base_graph.dependencies, output_name: {name}},
            )
        outputs.append(dask_array.Array(output_graph, output_name, chunks, meta=meta))
    return outputs


def _nth(results: Sequence[Array], number: int) -> Array:
    return results[number]


class _Segment(NamedTuple):
    """What is needed of one chunk along one axis."""

    chunk: int
    start: int
    stop: int
    is_whole: bool


class _OutputChunk(NamedTuple):
    """A chunk of the output along one axis."""

    size: int
    segments: list[_Segment]
    plan: Any


def _bounds(chunks: Sequence[int]) -> list[int]:
    return list(itertools.accumulate(chunks, initial=0))


def _output_chunks(axis: AnyPartition, chunks: Sequence[int]) -> list[_OutputChunk]:
    """Return the chunks of the output along an axis."""
    bounds = _bounds(chunks)
    output_chunks = []
    for first, last in itertools.pairwise(chunk_bounds(axis, bounds)):
        part = axis.part(first, last)
        output_chunks.append(_OutputChunk(last - first, list(_segments(bounds, part)), part.plan))
    return output_chunks


def _segments(bounds: list[int], part: AxisPart) -> Iterator[_Segment]:
    number = bisect_right(bounds, part.start) - 1
    while number < len(bounds) - 1 and bounds[number] < part.stop:
        low, high = bounds[number], bounds[number + 1]
        start, stop = max(part.start, low), min(part.stop, high)
        if start < stop:
            yield _Segment(number, start - low, stop - low, (start, stop) == (low, high))
        number += 1


class _Gather:
    """How the piece of an array that a task needs is put together."""

    def __init__(self, chunks: Sequence[_OutputChunk], arrays: int) -> None:
        sides = [chunk.segments for chunk in chunks]
        self._pieces = list(itertools.product(*sides))
        self._counts = tuple(map(len, sides))
        self._arrays = arrays
        # The largest is taken from its chunk by the task itself; only the others travel alone.
        sizes = [_cells(piece) for piece in self._pieces]
        self._largest = sizes.index(max(sizes)) if sizes else 0
        self._largest_slices: Slices | None = None
        if sizes and not all(segment.is_whole for segment in self._pieces[self._largest]):
            self._largest_slices = _slices(self._pieces[self._largest])

    def keys(
        self, halo: _HaloTasks, name: str, lead: tuple[int, ...], chunks: Any
    ) -> Iterator[Key]:
        """Return the keys of the pieces, in row-major order."""
        for number, piece in enumerate(self._pieces):
            chunk = (name, *lead, *(segment.chunk for segment in piece))
            if number == self._largest or all(segment.is_whole for segment in piece):
                yield chunk
            else:
                yield halo.key_for(chunk, piece)

    def __getstate__(self) -> tuple[Any, ...]:
        return self._counts, self._arrays, self._largest, self._largest_slices

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._counts, self._arrays, self._largest, self._largest_slices = state

    def __call__(self, inputs: Sequence[Any]) -> tuple[list[Array], Sequence[Any]]:
        """Return the arrays, each put together from its pieces, and what else was given."""
        n_pieces = math.prod(self._counts)
        if not n_pieces:
            return [], inputs
        end = n_pieces * self._arrays
        return [
            self._concatenated(inputs[i : i + n_pieces]) for i in range(0, end, n_pieces)
        ], inputs[end:]

    def _concatenated(self, pieces: Sequence[Array]) -> Array:
        blocks = list(pieces)
        if self._largest_slices is not None:
            blocks[self._largest] = blocks[self._largest][(..., *self._largest_slices)]
        for axis in range(-1, -len(self._counts) - 1, -1):
            count = self._counts[axis]
            if count > 1:
                xp = namespace(blocks[0])
                blocks = [
                    xp.concat(blocks[i : i + count], axis=axis)
                    for i in range(0, len(blocks), count)
                ]
        # NumPy puts arrays of another byte order together in that of the machine.
        return cast(namespace(blocks[0]), blocks[0], pieces[0].dtype)


def _cells(piece: tuple[_Segment, ...]) -> int:
    return math.prod([segment.stop - segment.start for segment in piece])


def _slices(piece: tuple[_Segment, ...]) -> Slices:
    return tuple(slice(segment.start, segment.stop) for segment in piece)


class _HaloTasks:
    """The parts of chunks that other chunks need: a task each."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._keys: dict[tuple[Key, tuple[_Segment, ...]], Key] = {}
        self.tasks: dict[Key, Any] = {}

    def key_for(self, chunk: Key, piece: tuple[_Segment, ...]) -> Key:
        key = self._keys.get((chunk, piece))
        if key is None:
            key = self._keys[(chunk, piece)] = (self._name, len(self._keys))
            self.tasks[key] = (_HaloSlice(_slices(piece)), chunk)
        return key


class _HaloSlice:
    """Copy a slice of a chunk; a view would keep the whole chunk alive."""

    def __init__(self, slices: Slices) -> None:
        self._slices = slices

    def __call__(self, chunk: Array) -> Array:
        return namespace(chunk).asarray(chunk[(..., *self._slices)], copy=True)


class _Task:
    """The work on one chunk of the output."""

    def __init__(self, operation: str, function: BlockFunction, plan: Any, gather: _Gather) -> None:
        self._operation, self._function = operation, function
        self._plan, self._gather = plan, gather

    def __call__(self, *inputs: Any) -> Any:
        pieces, rest = self._gather(inputs)
        sample = pieces[0] if pieces else rest[0][-1]
        info = inspect_inputs(self._operation, chunk=sample)
        return without_float_errors(info, self._function)(info, self._plan, *pieces, *rest)
