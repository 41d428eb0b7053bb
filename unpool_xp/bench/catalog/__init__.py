"""Our own operations as the suite sees them, the functions that they compare with, and presets.

Imports `cases`, the operations, `reference`, `_plan` and `backends`. A new operation is one entry
in a table here.
"""

from __future__ import annotations

from dataclasses import replace

from unpool_xp.bench.catalog.convolution import CONVOLUTION
from unpool_xp.bench.catalog.decoder import DECODER
from unpool_xp.bench.catalog.panel import panel_of
from unpool_xp.bench.catalog.pooling import POOLING
from unpool_xp.bench.catalog.unpooling import CONVERSION, UNPOOLING

__all__ = ["OPERATIONS", "SINGLE_OPERATIONS"]

SINGLE_OPERATIONS = {  # of one call, on feature maps
    operation.name: replace(operation, panel=panel_of)
    for operation in (*POOLING, *UNPOOLING, *CONVOLUTION)
}
OPERATIONS = (*SINGLE_OPERATIONS.values(), CONVERSION, *DECODER)
