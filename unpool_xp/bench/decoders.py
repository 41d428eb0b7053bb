"""Choose a library for a whole decoder: measured as one function, then layer by layer."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from unpool_xp.bench.budget import BudgetedRun, best_of_each, cell_of
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.operation import Layout, total_bytes
from unpool_xp.bench.choose import Choice
from unpool_xp.bench.measure.measurement import Cell
from unpool_xp.bench.measure.workers import Place
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts.crossover import WinnerChange, winner_changes
from unpool_xp.bench.verdicts.ranking import Ranked, Ranking

_WHOLE_SHARE = 0.6  # of what is left once the workers run
# Of the time that a worker took to start beside the others: one alone is quicker, then it calls.
_PEAK_SHARE = 1.2
_MOST_STATES = 10_000  # of the search for a mix: exact but where very many indices are kept


@dataclass(frozen=True)
class Layer:
    """A layer of a decoder, and what was measured for it alone.

    Attributes
    ----------
    name : str
        Its name in the decoder, or its number, from 1, and its operation.
    choice : Choice
        What was measured for it as an operation of its own; no rows where there was no time.
    indices_from : int or None
        The number of the layer, from 0, whose indices it takes.
    """

    name: str
    choice: Choice
    indices_from: int | None = None

    @property
    def case(self) -> Case:
        """The layer as an operation of its own."""
        return self.choice.case

    @cached_property
    def ranking(self) -> Ranking:
        """All functions on all backends, the fastest first."""
        return self.choice.ranking()


@dataclass(frozen=True)
class Mix:
    """Each layer on the library that suits it, and what crosses between them copied.

    Attributes
    ----------
    layers : sequence of Ranked
        What does each of the layers.
    copies_s : float
        Seconds of the copies between libraries.
    """

    layers: Sequence[Ranked]
    copies_s: float

    @property
    def seconds(self) -> float:
        """What the layers and the copies take together."""
        return math.fsum(entry.seconds for entry in self.layers) + self.copies_s

    @property
    def high_s(self) -> float:
        """What they take where each layer is at the end of its interval."""
        return math.fsum(entry.interval.high for entry in self.layers) + self.copies_s


@dataclass(frozen=True)
class DecoderChoice:
    """The answer for a decoder.

    Attributes
    ----------
    name : str
        That of the decoder.
    whole : Choice
        What was measured for all of it as one function.
    layers : list of Layer
        What was measured for each layer.
    batches : dict of int to Choice
        The whole at each batch that was asked for, the smallest first.
    """

    name: str
    whole: Choice
    layers: list[Layer]
    batches: dict[int, Choice] = field(default_factory=dict)

    @cached_property
    def ranking(self) -> Ranking:
        """All functions on all backends for the whole, the fastest first."""
        return self.whole.ranking()

    @cached_property
    def parts(self) -> dict[str, Choice]:
        """What was measured, by name: the whole, at other batches, and each layer once."""
        names: dict[Case, list[str]] = {}
        for layer in self.layers:
            names.setdefault(layer.case, []).append(layer.name)
        batches = {
            f"a batch of {batch}": choice
            for batch, choice in self.batches.items()
            if choice.case != self.whole.case
        }
        of_layer = {layer.case: layer.choice for layer in self.layers}
        layers = {f"layer {', '.join(names[case])}": one for case, one in of_layer.items()}
        parts = {f"the whole {self.name}": self.whole, **batches, **layers}
        return {name: choice for name, choice in parts.items() if choice.rows}

    @property
    def rows(self) -> list[Row]:
        """All that was measured."""
        return [row for choice in self.parts.values() for row in choice.rows]

    @cached_property
    def best_of_each_library(self) -> list[Ranked]:
        """The fastest of each library for the whole, the fastest first."""
        found: dict[str, Ranked] = {}
        for entry in self.ranking.timed:
            found.setdefault(entry.row.backend, entry)
        return list(found.values())

    def on_layers(self, entry: Ranked) -> list[Ranked | None]:
        """Return what an entry of the whole takes for each layer alone; None where not known."""
        return [self._on_layer(layer, entry.row) for layer in self.layers]

    def _on_layer(self, layer: Layer, whole: Row) -> Ranked | None:
        chain = {_last_name(title) for title in whole.function.split("; ")}  # of its own functions
        for entry in layer.ranking.timed:
            row = entry.row
            same = all(
                getattr(row, name) == getattr(whole, name)
                for name in ("backend", "mode", "threads_asked", "implementation")
            )
            if same and (entry.is_portable or _last_name(row.function) in chain):
                return entry
        return None

    def batch_changes(self) -> list[WinnerChange]:
        """Return from which batch on another function is the one to use."""
        return winner_changes(choice.ranking() for choice in self.batches.values())

    @cached_property
    def mix(self) -> Mix | None:
        """The quickest way to do the layers one by one, each with any library.

        None where not every layer has a time.
        """
        return best_mix(self.layers)

    @property
    def mix_pays(self) -> bool:
        """Whether a mix is known to be quicker than the best for the whole."""
        best, mix = self.ranking.best, self.mix
        return best is not None and mix is not None and mix.high_s < best.interval.low


def choose_decoder(
    case: Case,
    run: BudgetedRun,
    *,
    batches: Sequence[int] = (),
    progress: Callable[[str], None] = lambda doing: None,
    stopped: Callable[[DecoderChoice], None] = lambda choice: None,
) -> DecoderChoice:
    """Measure a decoder on backends: the whole, then its layers one by one.

    The whole at all batches has 60 % of the time that is left once the workers run, the layers the
    rest.

    Parameters
    ----------
    case : Case
        The decoder.
    run : BudgetedRun
        Where, and for how long.
    batches : sequence of int, optional
        More batches, at which the whole alone is measured. Default: none.
    progress, stopped : callable, optional
        As `choose` takes them.

    Returns
    -------
    DecoderChoice
        The rows, and what follows from them.

    Raises
    ------
    MemoryError
        If the decoder would not fit into memory; the message says what it needs. Nothing has been
        allocated by then.
    """
    others = [_with_batch(case, batch) for batch in batches if batch != case.shape[0]]
    cells = run.candidates(case)
    for one in (case, *others):
        run.require_memory(one, cells)

    def choice_of(at: Case) -> Choice:
        return Choice(at, run.rows.get(at, []), {}, run.budget_s)

    def answer() -> DecoderChoice:
        batches = {at.shape[0]: choice_of(at) for at in (case, *others)} if others else {}
        return DecoderChoice(
            case.parameters["name"],
            choice_of(case),
            layers_of(case, choice_of),
            {batch: one for batch, one in sorted(batches.items()) if _is_timed(one.rows)},
        )

    progress("starting the libraries")
    try:
        with run.open():
            progress(f"measuring {case.name}")
            layers_begin = time.monotonic() + _WHOLE_SHARE * run.left_s
            run.measure_first(case, cells, _WHOLE_SHARE / (1 + len(others)))
            few = best_of_each(cells, run.rows[case])
            run.measure_in_turn(
                others, few, lambda at: progress(f"a batch of {at.shape[0]}"), until=layers_begin
            )
            leading = [cell_of(entry.row) for entry in answer().best_of_each_library]
            peak_s = [_PEAK_SHARE * run.start_seconds(cell.runs_on) for cell in leading]
            run.measure_in_turn(
                # The costliest first: where time is short, these say most.
                sorted(dict.fromkeys(case.parts), key=_cost, reverse=True),
                lambda layer: _layer_cells(run.candidates(layer), leading),
                lambda layer: progress(f"layer {layer.short_name}"),
                until=run.end - sum(peak_s[:1]),
            )
            for cell, seconds in zip(leading, peak_s, strict=True):
                if run.left_s > seconds:
                    progress(f"peak memory on {cell.label}")
                    run.measure_peak(case, cell)
    except KeyboardInterrupt:
        if _is_timed(run.rows.get(case, [])):
            stopped(answer())
        raise
    return answer()


def _with_batch(case: Case, batch: int) -> Case:
    return case.replace(shape=(batch, *case.shape[1:]))


def _is_timed(rows: Sequence[Row]) -> bool:
    return any(row.samples_s for row in rows)


def _cost(case: Case) -> int:
    return case.flops + case.bytes_moved


def _layer_cells(cells: Sequence[Cell], leading: Sequence[Cell]) -> list[Cell]:
    """Return with what to measure a layer, in the order of what is fastest for the whole.

    Each library runs in the mode in which it does the whole fastest.
    """
    places = {(cell.label, cell.mode): number for number, cell in enumerate(leading)}
    kept = [cell for cell in cells if (cell.label, cell.mode) in places]
    return sorted(kept, key=lambda cell: places[cell.label, cell.mode])


def _last_name(title: str) -> str:
    return re.sub(r"^([A-Za-z_]+\.)+", "", title)


def layers_of(case: Case, choice_of: Callable[[Case], Choice]) -> list[Layer]:
    """Return the layers of a decoder, each with what was measured for it."""
    names = [layer.get("name") for layer in case.layers]
    return [
        Layer(
            layer.get("name") or f"{number} {part.operation}",
            choice_of(part),
            names.index(layer["indices"]) if layer.get("indices") else None,
        )
        for number, (layer, part) in enumerate(zip(case.layers, case.parts, strict=True), start=1)
    ]


# --- a mix of libraries --------------------------------------------------------------------------

# Where the array is, and where the indices that later layers take are, by the layer they are of.
_State = tuple[Place | None, tuple[tuple[int, Place], ...]]


def best_mix(layers: Sequence[Layer]) -> Mix | None:
    """Return the quickest way to do layers one by one; None where one of them has no time.

    A dynamic programme over the layers: of all ways to the same state, the quickest goes on.
    """
    ways: dict[_State, Mix] = {(None, ()): Mix((), 0.0)}
    last_use = {layer.indices_from: number for number, layer in enumerate(layers)}
    for number, layer in enumerate(layers):
        fastest: dict[Place, Ranked] = {}
        for entry in layer.ranking.timed:
            fastest.setdefault(cell_of(entry.row).runs_on, entry)
        found: dict[_State, Mix] = {}
        for (at, kept), way in ways.items():
            indices_at = dict(kept)
            for place, entry in fastest.items():
                copies_s = 0.0
                if number and at != place:
                    copies_s += _copy_s(layer, entry, layers[number - 1], way.layers[-1])
                source = layer.indices_from
                if source is not None and indices_at[source] != place:
                    copies_s += _copy_s(layer, entry, layers[source], way.layers[source], 1)
                if math.isinf(copies_s):
                    continue
                now = {**indices_at, number: place}
                needed = tuple((n, one) for n, one in now.items() if last_use.get(n, 0) > number)
                one = Mix((*way.layers, entry), way.copies_s + copies_s)
                best = found.get((place, needed))
                if best is None or one.seconds < best.seconds:
                    found[place, needed] = one
        kept_ways = sorted(found.items(), key=lambda item: item[1].seconds)
        ways = dict(kept_ways[:_MOST_STATES])
    return min(ways.values(), key=lambda way: way.seconds, default=None)


def _copy_s(layer: Layer, taken: Ranked, source: Layer, made: Ranked, which: int = 0) -> float:
    """Return the seconds of a copy of an output of one layer to where another takes it.

    What was timed are copies of all outputs and of all inputs: as many bytes count as cross.
    """
    back, there = made.row.from_device_s, taken.row.to_device_s
    if back is None or there is None:
        return math.inf
    copied = back * _share(source.case.outputs, which) + there * _share(layer.case.inputs, which)
    # The gradient by a value goes back the way that the value has come.
    return copied * (2 if layer.case.backward and which == 0 else 1)


def _share(layout: Layout, which: int) -> float:
    """Return how much of the bytes of all arrays one of them has."""
    name = list(layout)[which]
    return total_bytes({name: layout[name]}) / total_bytes(layout)
