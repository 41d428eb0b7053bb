"""What a native is: a library's own function for a case, or what people write with it.

The natives themselves are in `natives_pooling`, `natives_unpooling` and `natives_tuned`.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from unpool_xp.backends import Backend
from unpool_xp.bench.cases import Case
from unpool_xp.bench.photo import numpy_dtype

Function: TypeAlias = Callable[..., Any]
Reason: TypeAlias = Callable[[Case], str | None]


def always(case: Case) -> str | None:
    """Return that there is nothing against a case."""
    return None


@dataclass(frozen=True)
class Native:
    """One way to do an operation with a library alone.

    Parameters
    ----------
    library, operation : str
        What it belongs to.
    title : str
        The function; ``{d}`` stands for the rank.
    build : callable
        From a case and a backend to a function of the case's arrays.
    reason : callable, optional
        Why a case cannot be done, or None where it can.
    values_only : bool, optional
        Whether it gives values without indices.
    tuned : bool, optional
        Whether it is written for speed, rather than what the library offers or people write.
    """

    library: str
    operation: str
    title: str
    build: Callable[[Case, Backend], Function]
    reason: Reason = always
    values_only: bool = False
    tuned: bool = False

    def name(self, case: Case) -> str:
        """Return the name of the function for a case."""
        note = " (values only)" if self.values_only else ""
        return self.title.format(d=case.rank) + note

    def bytes_moved(self, case: Case) -> int:
        """Return the bytes of the inputs and of those outputs that it writes."""
        if not self.values_only:
            return case.bytes_moved
        shape, _ = case.outputs["indices"]
        return case.bytes_moved - 8 * math.prod(shape)


# --- what a case needs ---------------------------------------------------------------------------


def either(*reasons: Reason) -> Reason:
    """Return the first of the reasons that a case gives."""
    return lambda case: next((said for reason in reasons if (said := reason(case))), None)


def whole_scale(case: Case) -> str | None:
    """Refuse a factor that does not repeat each element."""
    whole = all(float(factor).is_integer() for factor in case.scale or ())
    return None if whole else f"scale {case.scale} is not whole"


def exact_scale(case: Case) -> str | None:
    """Refuse a factor that the sizes of input and output do not tell."""
    pairs = zip(case.plane, case.output_shape[-case.rank :], case.scale or (), strict=True)
    exact = all(out == n * factor for n, out, factor in pairs)
    return None if exact else f"scale {case.scale} is not output size over input size"


def image(case: Case) -> str | None:
    """Refuse what is not of the form that networks have."""
    whole = case.rank <= 3 and len(case.shape) in (case.rank + 1, case.rank + 2)
    return None if whole else f"shape {case.shape} is not (N, C, *spatial) with 1 to 3 axes"


def apart(case: Case) -> str | None:
    """Refuse windows that overlap, leave gaps or are padded."""
    if case.stride != case.kernel:
        return f"stride {case.stride} is not the kernel {case.kernel}"
    return no_padding(case)


def no_padding(case: Case) -> str | None:
    """Refuse padding."""
    return f"padding {case.padding}" if case.padding else None


# --- what natives are made of --------------------------------------------------------------------


def plain(backend: Backend) -> Any:
    """Return the library itself, without the standard's namespace around it."""
    names = {"jax": "jax.numpy", "dask": "dask.array"}
    return importlib.import_module(names.get(backend.library, backend.library))


def torch_function(call: Callable[[Any, Case], Function]) -> Callable[[Case, Backend], Function]:
    """Return what builds a native from ``torch.nn.functional`` and a case."""
    return lambda case, backend: call(importlib.import_module("torch.nn.functional"), case)


def lowest(dtype: str) -> Any:
    """Return the number that no maximum is below."""
    kind = numpy_dtype(dtype)
    return kind.type(np.iinfo(kind).min if kind.kind in "iu" else -math.inf)
