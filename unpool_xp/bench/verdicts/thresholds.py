"""The smallest difference that counts as slower or faster, as set in ``pyproject.toml``."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from unpool_xp.bench.verdicts.bootstrap import THRESHOLD

_TABLE = "tool.unpool-xp.gate"


@dataclass(frozen=True)
class Thresholds:
    """The smallest difference that matters, for each case.

    Parameters
    ----------
    default : float, optional
        Where no pattern fits: 0.05 is 5 %.
    patterns : dict of str to float, optional
        From a pattern such as "max_pool-*" to a threshold. A pattern is matched against the
        case name, and against the case name followed by label and mode, as in
        "max_pool-1x16x36x36-k2x2-s2x2-float32 jax:cpu compiled". The last one that fits counts.

    Raises
    ------
    ValueError
        If a threshold is not a number above 0; the message names it.

    Examples
    --------
    >>> from unpool_xp.bench.verdicts.thresholds import Thresholds
    >>> thresholds = Thresholds(0.05, {"max_pool-*": 0.1, "* dask eager": 0.3})
    >>> thresholds.threshold_for("max_pool-1x8x32x32-k2x2-s2x2-float32", "numpy", "eager")
    0.1
    >>> thresholds.threshold_for("max_pool-1x8x32x32-k2x2-s2x2-float32", "dask", "eager")
    0.3
    """

    default: float = THRESHOLD
    patterns: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in (("threshold", self.default), *self.patterns.items()):
            if type(value) not in (int, float) or not 0 < value < math.inf:
                raise ValueError(f"{name!r} = {value!r} must be a number above 0")

    def threshold_for(self, case_name: str, label: str, mode: str) -> float:
        """Return the threshold of a case, such as 0.05; the name is as `Case.name` gives it."""
        names = (case_name, f"{case_name} {label} {mode}")
        found = self.default
        for pattern, value in self.patterns.items():
            if any(fnmatchcase(name, pattern) for name in names):
                found = value
        return found

    @classmethod
    def read(cls, path: str | Path) -> Thresholds:
        """Read ``[tool.unpool-xp.gate]`` of a ``pyproject.toml``.

        Parameters
        ----------
        path : str or Path
            The file. Its key ``threshold`` is the default, its table ``thresholds`` the patterns;
            other keys of the table are not looked at.

        Returns
        -------
        Thresholds
            The default ones where the file has no such table.

        Raises
        ------
        FileNotFoundError
            If the file is not there.
        ValueError
            If it is not valid TOML, or a value in it is no threshold; the message names it.
        """
        path = Path(path)
        try:
            found: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FileNotFoundError(f"{path}: there is no such file") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: is not valid TOML: {error}") from error
        for name in _TABLE.split("."):
            found = found.get(name, {})
            if not isinstance(found, dict):
                raise ValueError(f"{path}: {name!r} of [{_TABLE}] must be a table")
        patterns = found.get("thresholds", {})
        if not isinstance(patterns, dict):
            raise ValueError(f"{path}: thresholds = {patterns!r} must be a table")
        try:
            return cls(found.get("threshold", THRESHOLD), patterns)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
