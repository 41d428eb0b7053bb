"""The benchmark suite: what is measured, how, what the samples say, and how it is shown.

Imports the library, `backends`, `reference`, `capabilities` and `gallery`; only `cli` imports it.
"""

import unpool_xp.bench.catalog  # noqa: F401 -- a case finds our operations there
