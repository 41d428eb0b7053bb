"""The rows of other machines beside those of this one, for the same cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unpool_xp.bench.cases.formatting import seconds_text, times_text
from unpool_xp.bench.measure.machine import Machine
from unpool_xp.bench.rows.names import name_of_case
from unpool_xp.bench.rows.schema import Row, elements, latest, workload_key
from unpool_xp.bench.verdicts.bootstrap import Ratio, Times, Verdict, compare_times
from unpool_xp.bench.verdicts.crossover import is_gpu
from unpool_xp.bench.verdicts.ranking import Ranked, Ranking, rank, times_of


@dataclass(frozen=True)
class Beside:
    """The best of another machine beside the best of this one.

    Attributes
    ----------
    there : Ranked
        The best of the other machine.
    ratio : Ratio
        Its time over that of the best here.
    verdict : Verdict
        FASTER where it is known to be faster than the best here.
    """

    there: Ranked
    ratio: Ratio
    verdict: Verdict

    @property
    def text(self) -> str:
        """Its time beside the one here, such as "92.0x as fast as here"."""
        if self.verdict is Verdict.SAME:
            return "as fast as here"
        ratio = self.ratio.estimate
        text = f"{times_text(1 / ratio)} as fast as here"
        if ratio > 1:
            text = f"takes {times_text(ratio)} as long as here"
        undecided = self.verdict is Verdict.UNDECIDED
        return f"{text}, not enough samples to be sure" if undecided else text


@dataclass(frozen=True)
class CaseElsewhere:
    """What another machine has for a case, beside what this one has.

    Attributes
    ----------
    name : str
        Of the case.
    here, there : Ranking
        What was measured; the one of the other machine has no entry where it has no row.
    nearest : Row or None
        Where it has none, its row of the same operation and parameters that is nearest in size.
    here_copied, there_copied : Ranking
        The same with the copies to the device and back.
    """

    name: str
    here: Ranking
    there: Ranking
    nearest: Row | None
    here_copied: Ranking
    there_copied: Ranking

    def best(self, *, gpu: bool | None = None, with_transfer: bool = False) -> Beside | None:
        """Return the best there beside the best here: of its GPUs, its CPU, or of both."""
        here, there = self.here, self.there
        if with_transfer:
            here, there = self.here_copied, self.there_copied
        fits = (one for one in there.timed if gpu in (None, is_gpu(one.row.backend)))
        best = next(fits, None)
        if best is None or here.best is None:
            return None
        both = [times_of(one.row, with_transfer=with_transfer) for one in (best, here.best)]
        ours, theirs = both[1], both[0]
        assert isinstance(ours, Times)
        assert isinstance(theirs, Times)
        ratio, verdict = compare_times(theirs, ours)
        return Beside(best, ratio, verdict)

    @property
    def kinds(self) -> dict[str, Beside]:
        """The best there by where it runs: on its GPU, with the copies as well, on its CPU."""
        found = {
            "its GPU": self.best(gpu=True),
            "its GPU with the copies there and back, here too": self.best(
                gpu=True, with_transfer=True
            ),
            "its CPU": self.best(gpu=False),
        }
        return {kind: beside for kind, beside in found.items() if beside is not None}


@dataclass(frozen=True)
class OtherMachine:
    """A machine whose rows are set beside those of this one.

    Attributes
    ----------
    title : str
        Its name and its GPUs.
    machine : str
        Its name, as its rows have it.
    cases : tuple of CaseElsewhere
        One for each case that was measured here.
    """

    title: str
    machine: str
    cases: tuple[CaseElsewhere, ...]

    @property
    def missing(self) -> list[CaseElsewhere]:
        """The cases that have no time there."""
        return [case for case in self.cases if case.there.best is None]

    def lines(self) -> Iterator[str]:
        """Yield what it has for each case beside this machine, a sentence each.

        The first case has one for each kind of device. The others are its parts, for which the best
        will do.
        """
        lacks: dict[str, list[str]] = {}
        for number, case in enumerate(self.cases):
            best = case.best()
            if best is None:
                lacks.setdefault(_why_not_beside(case), []).append(case.name)
                continue
            for kind, beside in (case.kinds if number == 0 else {"": best}).items():
                took = f"{seconds_text(beside.there.seconds)} per call"
                where = f"on {kind}: " if kind else ""
                yield f"{self._before(case.name)}{where}{beside.there.name}, {took}, {beside.text}"
        for text, names in lacks.items():
            yield f"{self._before('; '.join(names))}{text}"

    def _before(self, names: str) -> str:
        return f"{names}: " if len(self.cases) > 1 else ""


def _why_not_beside(case: CaseElsewhere) -> str:
    if case.there.best is not None:
        took = f"{seconds_text(case.there.best.seconds)} per call"
        return f"{case.there.best.name}, {took} there; no time here"
    if case.there.failed:
        row, reason = case.there.failed[0]
        return f"no time there, such as {row.backend}: {reason.splitlines()[0]}"
    if case.nearest is not None:
        return f"no row of it there; the nearest in size is {name_of_case(case.nearest)}"
    return "no row of it there, at no size"


def set_beside(
    here: Mapping[str, Sequence[Row]],
    rows: Iterable[Row],
    machines: Mapping[str, Machine] | None = None,
) -> list[OtherMachine]:
    """Set the rows of other machines beside those that were measured here.

    Parameters
    ----------
    here : mapping of str to sequence of Row
        What was measured here, by the name to show of each case; one workload each.
    rows : iterable of Row
        Of any machines, this one as well; of several rows of the same case the newest counts.
    machines : mapping of str to Machine, optional
        What is known of the machines, by id.

    Returns
    -------
    list of OtherMachine
        By name; a machine without a row of these cases too.

    Examples
    --------
    >>> from unpool_xp.bench.verdicts.against import set_beside
    >>> set_beside({}, [])
    []
    """
    by_machine: dict[str, list[Row]] = {}
    for row in latest(rows):
        by_machine.setdefault(row.machine, []).append(row)
    ours = {row.machine for same in here.values() for row in same}
    return [
        OtherMachine(
            _title(name, (machines or {}).get(name), earlier=name in ours),
            name,
            tuple(_elsewhere(case, same, by_machine[name]) for case, same in here.items() if same),
        )
        for name in sorted(by_machine)
    ]


def _title(name: str, machine: Machine | None, *, earlier: bool) -> str:
    facts = [*(machine.gpus if machine else ()), *(["this machine, earlier"] if earlier else [])]
    return f"{name} ({', '.join(facts)})" if facts else name


def _elsewhere(name: str, here: Sequence[Row], rows: Iterable[Row]) -> CaseElsewhere:
    wanted = workload_key(here[0])
    there, others = list[Row](), list[Row]()
    for row in rows:
        if workload_key(row) == wanted:
            there.append(row)
        elif _settings(row) == _settings(here[0]):
            others.append(row)
    size = elements(here[0])
    return CaseElsewhere(
        name,
        rank(here),
        rank(there),
        min(others, key=lambda row: abs(elements(row) - size), default=None),
        rank(here, with_transfer=True),
        rank(there, with_transfer=True),
    )


def _settings(row: Row) -> tuple[Any, ...]:
    """Return the workload but for the size."""
    operation, shape, *others = workload_key(row)
    return (operation, len(shape), *others)
