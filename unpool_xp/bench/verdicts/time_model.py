"""A model of a backend's times by two numbers: the overhead of a call, and the bandwidth.

``time = overhead + bytes / bandwidth`` is Hockney's model of a message between processors (Parallel
Computing 20, 1994, pages 389 to 398); here the bytes are those in and out of a call.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from unpool_xp.bench.cases.formatting import seconds_text, three_digits
from unpool_xp.bench.rows.names import operation_text, settings_text
from unpool_xp.bench.verdicts.ranking import Ranked, Ranking

MIN_SIZES = 4  # of two parameters and their residuals
MAX_RESIDUAL = 0.3  # of a time: with more, a cache or another algorithm makes two lines of one


@dataclass(frozen=True)
class TimeModel:
    """``time = overhead + bytes / bandwidth``, fitted to the times of one candidate.

    Parameters
    ----------
    operation, settings : str
        What was called, and all but the size.
    name : str
        The candidate.
    is_portable : bool
        Whether the function is ours.
    sizes : int
        How many times it is fitted to.
    overhead_s : float
        Seconds that a call takes whatever its size.
    gb_s : float
        Of inputs read once and outputs written once; infinite where no size takes longer.
    residual : float
        How far the worst time is from the model, as a share of the time.
    """

    operation: str
    settings: str
    name: str
    is_portable: bool
    sizes: int
    overhead_s: float
    gb_s: float
    residual: float

    @property
    def problem(self) -> str | None:
        """Why the two numbers are none to rely on, or None."""
        if self.sizes < MIN_SIZES:
            return f"{self.sizes} sizes, {MIN_SIZES} needed"
        if self.residual > MAX_RESIDUAL:
            return f"no straight line (off by {math.floor(100 * self.residual)} %)"
        return None

    @property
    def text(self) -> str:
        """The two numbers, such as "9.12 µs + 12.3 GB/s", or why there are none."""
        if self.problem is not None:
            return self.problem
        parts = [seconds_text(self.overhead_s)] if self.overhead_s else []
        parts += [f"{three_digits(self.gb_s)} GB/s"] if math.isfinite(self.gb_s) else []
        return " + ".join(parts)


def fit_times(rankings: Iterable[Ranking]) -> list[TimeModel]:
    """Fit the model to the times of each candidate over the sizes of each setting.

    The sum of the squares of the relative errors is as small as it can be with neither number
    below zero (Lawson and Hanson's non-negative least squares), so that the microseconds of a small
    call count as much as the milliseconds of a large one.

    Parameters
    ----------
    rankings : iterable of Ranking
        Of cases on one machine. Times that other programs have disturbed are left out.

    Returns
    -------
    list of TimeModel
        One for each operation, setting and candidate with a time at two sizes or more, in the order
        in which they first come.

    Examples
    --------
    >>> from unpool_xp.bench.verdicts.time_model import fit_times
    >>> fit_times([])
    []
    """
    series: dict[tuple[str, str, str], list[Ranked]] = {}
    for ranking in rankings:
        for entry in ranking.timed:
            if not entry.disturbed:
                key = (operation_text(entry.row), settings_text(entry.row), entry.name)
                series.setdefault(key, []).append(entry)
    return [
        _fit(key, entries)
        for key, entries in series.items()
        if len({entry.row.bytes_moved for entry in entries}) > 1
    ]


def _fit(key: tuple[str, str, str], entries: list[Ranked]) -> TimeModel:
    seconds = np.array([entry.seconds for entry in entries])
    sizes = np.array([float(entry.row.bytes_moved) for entry in entries])
    # In units of the least time and of the largest size's: both columns are near 1.
    units = np.array([seconds.min(), seconds.max() / sizes.max()])
    design = np.stack([np.ones_like(sizes), sizes], axis=1) * units / seconds[:, None]
    found, _ = nnls(design, np.ones(len(entries)))
    overhead, per_byte = found * units
    residual = np.abs((overhead + per_byte * sizes) / seconds - 1).max()
    return TimeModel(
        *key,
        is_portable=entries[0].is_portable,
        sizes=len(set(sizes.tolist())),
        overhead_s=float(overhead),
        gb_s=1e-9 / float(per_byte) if per_byte else math.inf,
        residual=float(residual),
    )
