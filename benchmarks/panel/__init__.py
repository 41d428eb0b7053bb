"""The panel under asv. asv imports every module in here, so nothing else may be.

These modules are those of the checkout; the harness that they call is that of the commit that asv
has installed.
"""

from unpool_xp.bench.suites.asv import HARNESS_VERSION

_VERSION = "1"
if HARNESS_VERSION != _VERSION:
    raise ImportError(
        f"this commit's harness is version {HARNESS_VERSION} and these benchmarks are for version "
        f"{_VERSION}: times of two versions are not to be compared"
    )
