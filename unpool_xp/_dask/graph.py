"""Build Dask graphs: one task per output chunk, with halo slices of neighbouring chunks."""

from __future__ import annotations

import itertools
import math
import sys
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from unpool_xp._array.compat import Array, device, index_dtype, namespace
from unpool_xp._dask.partition import AxisParts, Part, cuts

Key: TypeAlias = tuple[Any, ...]
Slices: TypeAlias = tuple[slice, ...]
# From the namespace, the plan of a part and its pieces to the chunks of the outputs.
Core: TypeAlias = Callable[..., Sequence[Array]]
# From the plans of the axes' parts, and the planes meant, to the plan of a part.
PlanOf: TypeAlias = Callable[[Sequence[Any], Slices], Any]


def chunk_like(x: Array) -> Array:
    """Return an empty array such as the chunks of x are: of their library, dtype and device."""
    return x._meta


def chunks_index_dtype(x: Array) -> Any:
    """Return the dtype that the library of the chunks gives to indices."""
    chunk = chunk_like(x)
    return index_dtype(namespace(chunk), device(chunk))


def without_empty_chunks(x: Array) -> Array:
    """Return the array in chunks that hold something: Dask cannot broadcast others."""
    return x.rechunk(tuple(tuple(n for n in sizes if n) or (0,) for sizes in x.chunks))


class More(NamedTuple):
    """Additional task inputs besides the slices of the arrays."""

    tasks: Mapping[Key, Any]
    keys: Callable[[tuple[int, ...]], list[Key]]  # those that a chunk of the output takes
    arrays: Sequence[Array]  # what the tasks are made of


def by_chunks(
    operation: str,
    core: Core,
    axes: Sequence[AxisParts],
    arrays: Sequence[Array],
    plan_of: PlanOf,
    *,
    token: Hashable,
    dtypes: Sequence[Any] = (None,),
    whole: Sequence[Array] = (),
    more: More | None = None,
    own_plans: bool = False,
) -> list[Array]:
    """Return the outputs of an operation, lazily: a chunk of them is one task.

    `axes` are the last axes of the arrays, which are alike; all others keep their chunks. Slices
    of neighbouring chunks (the halo) are tasks of their own.
    `whole` are small arrays that every task takes as they are. An output has the dtype of the
    first array where its own is None. With `own_plans` each
    block of planes has its own plan; otherwise `plan_of` is called once.
    """
    first, others = arrays[0], arrays[1:]
    arrays = [first, *(other.rechunk(first.chunks) for other in others)]
    whole = [array.rechunk(-1) for array in whole]
    made_of = [*arrays, *whole, *(more.arrays if more else ())]
    names = [array.name for array in made_of]
    base = sys.modules["dask.base"]
    mark = base.tokenize(core.__qualname__, token, names)
    name = f"{operation}-{mark}"

    lead = first.ndim - len(axes)
    planes = [
        [slice(*ends) for ends in itertools.pairwise(_bounds(c))] for c in first.chunks[:lead]
    ]
    sides = [_side(axis, first.chunks[axis.axis]) for axis in axes]
    chunks = (*first.chunks[:lead], *(tuple(chunk.size for chunk in side) for side in sides))
    whole_keys = [(array.name, *(0,) * array.ndim) for array in whole]
    strips = _Strips(f"{operation}-strip-{mark}")
    graph: dict[Key, Any] = {}
    for place in itertools.product(*map(range, map(len, sides))):
        here = [side[i] for side, i in zip(sides, place, strict=True)]
        gather = _Gather(here, len(arrays))
        parts = [chunk.plan for chunk in here]
        task = None if own_plans else _Task(core, plan_of(parts, ()), gather)
        for number in itertools.product(*map(range, map(len, planes))):
            if own_plans:
                meant = tuple(p[i] for p, i in zip(planes, number, strict=True))
                task = _Task(core, plan_of(parts, meant), gather)
            keys = [
                key
                for array in arrays
                for key in gather.keys(strips, array.name, number, array.chunks[lead:])
            ]
            added = more.keys((*number, *place)) if more else []
            graph[(name, *number, *place)] = (task, *keys, *whole_keys, *added)
    graph |= strips.tasks
    if more:
        graph |= more.tasks
    return _outputs(name, graph, made_of, chunks, first, dtypes)


def _outputs(
    name: str,
    graph: dict[Key, Any],
    made_of: Sequence[Array],
    chunks: tuple[tuple[int, ...], ...],
    like: Array,
    dtypes: Sequence[Any],
) -> list[Array]:
    dask_array, layers = sys.modules["dask.array"], sys.modules["dask.highlevelgraph"]
    made = layers.HighLevelGraph.from_collections(name, graph, dependencies=made_of)
    sample, outputs = chunk_like(like), []
    xp = namespace(sample)
    for number, dtype in enumerate(dtypes):
        meta = sample if dtype is None else xp.astype(sample, dtype)
        own, laid = name, made
        if len(dtypes) > 1:
            own = f"{name}-{number}"
            picked = {
                (own, *key): (_nth, (name, *key), number)
                for key in itertools.product(*map(range, map(len, chunks)))
            }
            laid = layers.HighLevelGraph(
                {**made.layers, own: picked}, {**made.dependencies, own: {name}}
            )
        outputs.append(dask_array.Array(laid, own, chunks, meta=meta))
    return outputs


def _nth(results: Sequence[Array], number: int) -> Array:
    return results[number]


class _Segment(NamedTuple):
    """What is needed of one chunk along one axis."""

    chunk: int
    start: int
    stop: int
    all: bool


class _Chunk(NamedTuple):
    """A chunk of the output along one axis."""

    size: int
    segments: list[_Segment]
    plan: Any


def _bounds(chunks: Sequence[int]) -> list[int]:
    return list(itertools.accumulate(chunks, initial=0))


def _side(axis: AxisParts, chunks: Sequence[int]) -> list[_Chunk]:
    """Return the chunks of the output along an axis."""
    bounds = _bounds(chunks)
    side = []
    for first, last in itertools.pairwise(cuts(axis, bounds)):
        part = axis.part(first, last)
        side.append(_Chunk(last - first, list(_segments(bounds, part)), part.plan))
    return side


def _segments(bounds: list[int], part: Part) -> Iterator[_Segment]:
    number = bisect_right(bounds, part.start) - 1
    while number < len(bounds) - 1 and bounds[number] < part.stop:
        low, high = bounds[number], bounds[number + 1]
        start, stop = max(part.start, low), min(part.stop, high)
        if start < stop:
            yield _Segment(number, start - low, stop - low, (start, stop) == (low, high))
        number += 1


class _Gather:
    """How the piece of an array that a task needs is put together."""

    def __init__(self, chunks: Sequence[_Chunk], arrays: int) -> None:
        sides = [chunk.segments for chunk in chunks]
        self._pieces = list(itertools.product(*sides))
        self._counts = tuple(map(len, sides))
        self._arrays = arrays
        # The largest is taken from its chunk by the task itself; only the others travel alone.
        sizes = [_cells(piece) for piece in self._pieces]
        self._own = sizes.index(max(sizes)) if sizes else 0
        self._cut: Slices | None = None
        if sizes and not all(segment.all for segment in self._pieces[self._own]):
            self._cut = _slices(self._pieces[self._own])

    def keys(self, strips: _Strips, name: str, lead: tuple[int, ...], chunks: Any) -> Iterator[Key]:
        """Return the keys of the pieces, in row-major order."""
        for number, piece in enumerate(self._pieces):
            chunk = (name, *lead, *(segment.chunk for segment in piece))
            if number == self._own or all(segment.all for segment in piece):
                yield chunk
            else:
                yield strips.of(chunk, piece)

    def __getstate__(self) -> tuple[Any, ...]:
        return self._counts, self._arrays, self._own, self._cut

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._counts, self._arrays, self._own, self._cut = state

    def __call__(self, given: Sequence[Any]) -> tuple[list[Array], Sequence[Any]]:
        """Return the arrays, each put together from its pieces, and what else was given."""
        each = math.prod(self._counts)
        if not each:
            return [], given
        end = each * self._arrays
        return [self._joined(given[i : i + each]) for i in range(0, end, each)], given[end:]

    def _joined(self, pieces: Sequence[Array]) -> Array:
        made = list(pieces)
        if self._cut is not None:
            made[self._own] = made[self._own][(..., *self._cut)]
        for axis in range(-1, -len(self._counts) - 1, -1):
            count = self._counts[axis]
            if count > 1:
                xp = namespace(made[0])
                made = [
                    xp.concat(made[i : i + count], axis=axis) for i in range(0, len(made), count)
                ]
        return made[0]


def _cells(piece: tuple[_Segment, ...]) -> int:
    return math.prod([segment.stop - segment.start for segment in piece])


def _slices(piece: tuple[_Segment, ...]) -> Slices:
    return tuple(slice(segment.start, segment.stop) for segment in piece)


class _Strips:
    """The parts of chunks that other chunks need: a task each."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._known: dict[tuple[Key, tuple[_Segment, ...]], Key] = {}
        self.tasks: dict[Key, Any] = {}

    def of(self, chunk: Key, piece: tuple[_Segment, ...]) -> Key:
        key = self._known.get((chunk, piece))
        if key is None:
            key = self._known[(chunk, piece)] = (self._name, len(self._known))
            self.tasks[key] = (_Strip(_slices(piece)), chunk)
        return key


class _Strip:
    """Copy a slice of a chunk; a view would keep the whole chunk alive."""

    def __init__(self, slices: Slices) -> None:
        self._slices = slices

    def __call__(self, chunk: Array) -> Array:
        return namespace(chunk).asarray(chunk[(..., *self._slices)], copy=True)


class _Task:
    """The work on one chunk of the output."""

    def __init__(self, core: Core, plan: Any, gather: _Gather) -> None:
        self._core, self._plan, self._gather = core, plan, gather

    def __call__(self, *given: Any) -> Any:
        pieces, rest = self._gather(given)
        sample = pieces[0] if pieces else rest[0][-1]
        outputs = self._core(namespace(sample), self._plan, *pieces, *rest)
        return outputs if len(outputs) > 1 else outputs[0]
