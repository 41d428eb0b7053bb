"""What ``import unpool_xp`` costs."""

from __future__ import annotations

from unpool_xp.bench.suites.asv import HARNESS_VERSION


class Import:
    """Each sample is a process of its own."""

    version = HARNESS_VERSION
    repeat = 7
    warmup_time = 0
    rounds = 1

    def timeraw_unpool_xp(self) -> tuple[str, str]:
        """Return what is timed, and what goes before: NumPy is there already."""
        return "import unpool_xp", "import numpy"

    timeraw_unpool_xp.pretty_name = "import unpool_xp, after NumPy"
