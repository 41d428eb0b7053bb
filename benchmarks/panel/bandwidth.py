"""How near the machine's own copy an operation comes."""

from __future__ import annotations

import statistics

from unpool_xp.bench.measure.host.ceilings import ceilings

from ._cells import BACKEND_MODES, Panel

_SAMPLES = 9


class Bandwidth(Panel):
    """Bytes that must move, over time, as a share of what a copy of as many reaches here.

    Of operations that compute next to nothing, at the large size: of the others a share of a
    copy says little.
    """

    params = (("max_pool", "max_unpool", "nearest_unpool"), ("large",), (2,), BACKEND_MODES)
    unit = "%"

    def setup(self, operation: str, size: str, stride: int, backend_mode: str) -> None:
        """Check the result."""
        self._session = self.session(operation, size, stride, backend_mode)

    def track_share_of_copy(
        self, operation: str, size: str, stride: int, backend_mode: str
    ) -> float:
        """Return the share, with the copy measured before and after the operation."""
        session = self._session
        sizes = {"copy_bytes": session.measured.bytes_moved // 2, "product_size": 1}
        before = ceilings(session.backend, **sizes).copy_gb_s
        seconds = statistics.median(session.sample(_SAMPLES))
        after = ceilings(session.backend, **sizes).copy_gb_s
        return 100 * session.measured.bytes_moved / seconds / 1e9 / ((before + after) / 2)

    track_share_of_copy.pretty_name = "Bandwidth as a share of a copy's"
