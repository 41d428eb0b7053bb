"""The portability tax: the time of the portable function over that of the library's own.

Which cases and which backends it is taken on, how large it may be, and what came out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.catalog.families import conv_transpose_case
from unpool_xp.bench.verdicts.bootstrap import Ratio

# --- targets and cases ---------------------------------------------------------------------------


@dataclass(frozen=True)
class TaxTarget:
    """How slow the portable function may be on a backend.

    Attributes
    ----------
    label, mode : str
        The backend, and how the portable function runs on it.
    native_mode : str
        How the library's own functions run.
    baseline : str
        What those are, in words.
    mean_limit, worst_limit : float
        Upper limits of the geometric mean and of the worst ratio.
    """

    label: str
    mode: str
    native_mode: str
    baseline: str
    mean_limit: float
    worst_limit: float

    @property
    def title(self) -> str:
        """The backend and the mode, short."""
        return f"{self.label} {self.mode}"


TARGETS = (
    TaxTarget("torch:cpu", "eager", "eager", "torch's own functions", 1.0, 2.0),
    TaxTarget("numpy", "eager", "eager", "the best known snippets", 0.8, 1.2),
    TaxTarget("jax:cpu", "compiled", "compiled", "jax's own functions, compiled", 1.0, 1.5),
    TaxTarget("torch:cpu", "compiled", "eager", "torch's own functions, eager", 0.8, 2.0),
)
# Of the operation's first array, from what a core's own cache holds to what none does.
SHAPES = ((1, 16, 32, 32), (2, 32, 64, 64), (4, 64, 112, 112))
# (kernel, stride, padding): windows side by side, and overlapping.
WINDOWS = ((2, 2, 0), (3, 3, 0), (3, 2, 1))
FACTORS = (2, 3)
# Shape and output channels, and (kernel, stride, padding), of transposed convolutions.
CONV_TRANSPOSE_INPUTS = (((1, 32, 32, 32), 32), ((2, 128, 32, 32), 64), ((1, 256, 28, 28), 256))
KERNELS = ((2, 2, 0), (3, 2, 1), (4, 2, 1))


def tax_cases(quick: bool = False) -> tuple[Case, ...]:
    """Return the cases by which the tax is taken.

    Parameters
    ----------
    quick : bool, optional
        Whether to leave out the middle size.

    Returns
    -------
    tuple of Case
        In float32, operation by operation.
    """
    step = 2 if quick else 1
    shapes, convolved = SHAPES[::step], CONV_TRANSPOSE_INPUTS[::step]
    windowed = [
        Case(operation, shape, (kernel,) * 2, (stride,) * 2, (padding,) * 2)
        for operation in ("max_pool", "avg_pool", "max_unpool")
        for shape in shapes
        for kernel, stride, padding in WINDOWS
    ]
    scaled = [
        Case(operation, shape, scale=(factor,) * 2)
        for operation in ("nearest_unpool", "linear_unpool")
        for shape in shapes
        for factor in FACTORS
    ]
    transposed = [
        conv_transpose_case(shape, channels, kernel, stride, padding)
        for shape, channels in convolved
        for kernel, stride, padding in KERNELS
    ]
    return (*windowed, *scaled, *transposed)


# --- what is made of it --------------------------------------------------------------------------


@dataclass(frozen=True)
class TaxEntry:
    """The tax of one case on one backend.

    Attributes
    ----------
    target : Target
        Where.
    case : Case
        What.
    function : str
        The fastest native; empty where there is none.
    portable_s, native_s : float
        Median seconds per call.
    ratio : Ratio or None
        Portable over native: the median of the pairs' ratios.
    reason : str or None
        Why there is no ratio.
    """

    target: TaxTarget
    case: Case
    function: str = ""
    portable_s: float = math.nan
    native_s: float = math.nan
    ratio: Ratio | None = None
    reason: str | None = None


NOISY = 1.5  # the upper end of an interval over the lower


def is_noisy(entry: TaxEntry) -> bool:
    """Return whether the ends of an interval are so far apart that the ratio says little."""
    return entry.ratio is not None and entry.ratio.high > NOISY * entry.ratio.low


@dataclass(frozen=True)
class TaxSummary:
    """A target and what was measured for it.

    Attributes
    ----------
    target : Target
        What was asked for.
    mean : float
        The geometric mean of the ratios; NaN where there is none.
    worst : Entry or None
        The entry of the largest ratio.
    count, failed, noisy : int
        How many entries have a ratio, how many have none, and of how many the ratio is noisy.
    """

    target: TaxTarget
    mean: float
    worst: TaxEntry | None
    count: int
    failed: int
    noisy: int

    @property
    def met(self) -> bool:
        """Whether both limits hold and every case has a ratio."""
        if self.worst is None or self.worst.ratio is None or self.failed:
            return False
        return (
            self.mean <= self.target.mean_limit
            and self.worst.ratio.estimate <= self.target.worst_limit
        )


def summarize(entries: Iterable[TaxEntry]) -> list[TaxSummary]:
    """Return for each target whether it is met.

    Parameters
    ----------
    entries : iterable of Entry
        As `measure_taxes` gives them.

    Returns
    -------
    list of Summary
        In the order in which the targets first come.
    """
    groups: dict[TaxTarget, list[TaxEntry]] = {}
    for entry in entries:
        groups.setdefault(entry.target, []).append(entry)
    return [_summary(target, group) for target, group in groups.items()]


def _summary(target: TaxTarget, entries: Sequence[TaxEntry]) -> TaxSummary:
    timed = [(entry.ratio.estimate, entry) for entry in entries if entry.ratio is not None]
    mean = statistics.geometric_mean([estimate for estimate, _ in timed]) if timed else math.nan
    worst = max(timed, key=lambda pair: pair[0])[1] if timed else None
    noisy = sum(map(is_noisy, entries))
    return TaxSummary(target, mean, worst, len(timed), len(entries) - len(timed), noisy)
