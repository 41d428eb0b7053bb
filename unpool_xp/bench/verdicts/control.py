"""How the machine changed between two sets of rows; the libraries' own functions are the control.

A library's own function does not change with our code. Where its version is the same in both sets
and its time is not, the machine has changed. The scatter of such functions shows how much the same
code differs from itself when it is timed twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from unpool_xp.bench.rows.schema import Row, workload_key
from unpool_xp.bench.verdicts.bootstrap import Times, Verdict, compare_times

# The spread of a library's own functions about their median: this many standard deviations, and at
# least as far as 19 of 20 of them lie.
_DEVIATIONS, _MOST = 3, 0.95


@dataclass(frozen=True)
class Drift:
    """How far a library's own functions moved from base to head."""

    ratio: float  # the median: 1.2 where they take 1.2 times as long in head
    spread: float  # how far nearly all of them lie from it: 0.1 for 10 %
    natives: int  # how many they are
    whose: str  # the backend's label, or "all libraries"

    def __str__(self) -> str:
        number = f"{self.natives} of" if self.natives > 1 else "one of"
        about = f", give or take {self.spread:.0%}" if self.natives > 1 else ""
        return f"{number} the own functions of {self.whose} took {self.ratio:.2f}x{about}"

    def corrected(self, head: Times, base: Times, threshold: float) -> Verdict:
        """Return the verdict on two times once this drift is divided out."""
        even = replace(head, seconds=[seconds / self.ratio for seconds in head.seconds])
        return compare_times(even, base, max(threshold, self.spread))[1]


class Control:
    """The native functions that were timed in both base and head.

    Parameters
    ----------
    changes : iterable of (Row, Row, float)
        A case in base and in head, and the time in head over that in base.
    """

    def __init__(self, changes: Iterable[tuple[Row, Row, float]]) -> None:
        self._logs: list[tuple[Row, float]] = [
            (head, math.log(ratio)) for base, head, ratio in changes if is_control(base, head)
        ]

    def drifts(self, row: Row) -> list[Drift]:
        """Return the drifts that apply to a row of head, the closest control last.

        The first is of all natives of its library, or of all libraries where it has none; the
        second of the natives of the very same case, which were timed in the same minute.
        """
        there = [(own, log) for own, log in self._logs if own.machine == row.machine]
        mine = [
            (own, log)
            for own, log in there
            if (own.backend, own.threads_asked) == (row.backend, row.threads_asked)
        ]
        same_case = [log for own, log in mine if workload_key(own) == workload_key(row)]
        drifts = [_drift([log for _, log in mine or there], row.backend if mine else "")]
        drifts += [_drift(same_case, row.backend)]
        return [drift for drift in drifts if drift is not None]


def is_control(base: Row, head: Row) -> bool:
    """Return whether a row measures a native of the same version in base and head."""
    return head.implementation == "native" and same_version(
        base.backend_version, head.backend_version
    )


def same_version(*versions: str) -> bool:
    """Return whether two versions are the same as far as is known."""
    if "" in versions:
        return True
    # asv has the version that was asked for: "2.13.0" where the library says "2.13.0+cpu".
    publics = {version.partition("+")[0] for version in versions}
    return len(set(versions)) == 1 or (
        len(publics) == 1 and not all("+" in version for version in versions)
    )


def _drift(logs: Sequence[float], label: str) -> Drift | None:
    if not logs:
        return None
    center = float(np.median(logs))
    away = np.abs(np.subtract(logs, center))
    deviation = 1.4826 * float(np.median(away))  # of a normal distribution that has this median
    spread = max(_DEVIATIONS * deviation, float(np.quantile(away, _MOST)))
    return Drift(math.exp(center), math.expm1(spread), len(logs), label or "all libraries")
