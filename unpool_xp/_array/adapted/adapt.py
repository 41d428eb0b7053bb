"""From the inputs of a call to a namespace for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unpool_xp._array.adapted.arrays import NumberTakers, refuses_numbers
from unpool_xp._array.adapted.chunks import ChunkedNamespace
from unpool_xp._array.adapted.features import Features
from unpool_xp._array.adapted.namespace import AdaptedNamespace
from unpool_xp._array.compat import Array, Namespace

_known: dict[tuple[int, str], AdaptedNamespace] = {}


def adapt(
    operation: str, xp: Namespace, device: Any, arrays: Mapping[str, Array]
) -> AdaptedNamespace:
    """Return the namespace of a library without a name; its gaps are looked for once a device.

    That of arrays in chunks is made for each call, for new arrays that go with the inputs.
    """
    key = (id(xp), str(device))  # which it keeps, so that no other one has its number
    if key not in _known:
        _known[key] = _find_features(xp, device)
    # Whether arrays are in chunks; nothing else asks.
    specs = {n: getattr(x, "spec", None) for n, x in arrays.items() if hasattr(x, "rechunk")}
    if not specs:
        return _known[key]
    name, *others = specs
    if any(specs[other] != specs[name] for other in others):
        got = ", ".join(f"{name}: {spec}" for name, spec in specs.items())
        raise ValueError(f"{operation}: all arrays must have one spec, got {got}")
    return ChunkedNamespace(_known[key].features, arrays[name])


def _find_features(xp: Namespace, device: Any) -> AdaptedNamespace:
    adapted = AdaptedNamespace(Features(xp, device))
    ones = [adapted.asarray([one], device=device) for one in (1, 1.0)]
    if refuses_numbers(*ones):
        return AdaptedNamespace(Features(NumberTakers(xp, device, adapted.asarray), device))
    return adapted


def forget() -> None:
    """Forget what libraries lack."""
    _known.clear()
