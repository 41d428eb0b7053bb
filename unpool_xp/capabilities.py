"""Which dtypes each operation supports on each library.

The tests, `unpool-xp check`, the documentation and the benchmarks all read this table. Every
skipped case is listed here with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "DTYPES",
    "LIBRARIES",
    "OPERATIONS",
    "Library",
    "Operation",
    "why_no_gradients",
    "why_not",
]

DTYPES = (
    "bool",
    *("int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64"),
    *("complex64", "complex128"),
)

_REAL = ("i", "u", "f")
_FLOATING = ("f",)
_NUMERIC = ("i", "u", "f", "c")
_ANY = ("b", "i", "u", "f", "c")


@dataclass(frozen=True)
class Library:
    """What a library adds to every operation.

    Attributes
    ----------
    gradient : bool
        Whether it differentiates.
    compiler : str or None
        What compiles its functions, as people write it.
    lazy : bool
        Whether its arrays are computed only when they are asked for.
    reads_values : bool
        Whether an operation can look at values; of lazy arrays, it computes them.
    missing : tuple of str
        The dtypes that it does not have.
    """

    gradient: bool = False
    compiler: str | None = None
    lazy: bool = False
    reads_values: bool = True
    missing: tuple[str, ...] = ()


LIBRARIES: dict[str, Library] = {
    "numpy": Library(missing=("bfloat16",)),
    "torch": Library(gradient=True, compiler="torch.compile"),
    "cupy": Library(missing=("bfloat16",)),
    "jax": Library(gradient=True, compiler="jax.jit"),
    "mlx": Library(gradient=True, compiler="mx.compile", lazy=True, missing=("complex128",)),
    "dpnp": Library(missing=("bfloat16",)),
    "dask": Library(lazy=True, reads_values=False, missing=("bfloat16",)),
    "array_api_strict": Library(missing=("float16", "bfloat16")),
}


@dataclass(frozen=True)
class Operation:
    """What an operation does, on every library.

    Attributes
    ----------
    kinds : tuple of str
        The kinds of dtype that it is defined for: "b", "i", "u", "f" and "c", as NumPy has them.
    means : str
        What else would have no meaning.
    differentiable : bool
        Whether it has a gradient where the library has gradients.
    checks_indices : bool
        Whether it looks for indices outside the plane where values can be looked at.
    """

    kinds: tuple[str, ...]
    means: str
    differentiable: bool = True
    checks_indices: bool = False


OPERATIONS: dict[str, Operation] = {
    "max_pool": Operation(_REAL, "an order"),
    "avg_pool": Operation(_FLOATING, "a mean in the same dtype"),
    "adaptive_max_pool": Operation(_REAL, "an order"),
    "adaptive_avg_pool": Operation(_FLOATING, "a mean in the same dtype"),
    "fractional_max_pool": Operation(_REAL, "an order"),
    "nearest_unpool": Operation(_ANY, "anything"),
    "max_unpool": Operation(_ANY, "anything", checks_indices=True),
    "linear_unpool": Operation(_FLOATING, "a mean in the same dtype"),
    "cubic_unpool": Operation(_FLOATING, "a mean in the same dtype"),
    "fractional_max_unpool": Operation(_FLOATING, "a mean in the same dtype", checks_indices=True),
    "conv_transpose": Operation(_NUMERIC, "sums and products"),
    "convert_indices": Operation(("i", "u"), "positions", differentiable=False),
}

_TORCH_UNSIGNED = ("uint16", "uint32", "uint64")
# Operations that a library's own functions cannot do for a dtype.
_GAPS: dict[tuple[str, str], tuple[tuple[str, ...], str]] = {
    **dict.fromkeys(
        [("torch", f"{kind}max_pool") for kind in ("", "adaptive_", "fractional_")],
        (_TORCH_UNSIGNED, "torch compares no unsigned integers but uint8"),
    ),
    ("torch", "max_unpool"): (_TORCH_UNSIGNED, "torch scatters no unsigned integers but uint8"),
    ("torch", "conv_transpose"): (
        _TORCH_UNSIGNED,
        "torch multiplies no matrices of unsigned integers but uint8",
    ),
}


def kind_of(dtype: str) -> str:
    """Return the kind of a dtype.

    Parameters
    ----------
    dtype : str
        A name in `DTYPES`.

    Returns
    -------
    str
        "b", "i", "u", "f" or "c".
    """
    return "f" if dtype == "bfloat16" else dtype[0]


def is_defined(operation: str, dtype: str) -> bool:
    """Return whether an operation is defined for a dtype, whatever the library.

    Parameters
    ----------
    operation : str
        A name in `OPERATIONS`.
    dtype : str
        A name in `DTYPES`.

    Returns
    -------
    bool
        Whether it has a meaning.
    """
    return kind_of(dtype) in OPERATIONS[operation].kinds


def why_no_gradients(library: str) -> str | None:
    """Return why a library computes no gradients, or None where it does, or is not known.

    Parameters
    ----------
    library : str
        The library's part of a backend's label.

    Returns
    -------
    str or None
        The reason.
    """
    known = LIBRARIES.get(library)
    return f"{library} has no gradients" if known and not known.gradient else None


def why_not(operation: str, library: str, dtype: str, *, backward: bool = False) -> str | None:
    """Return why a library does not do an operation for a dtype, or None where it does.

    Parameters
    ----------
    operation : str
        A name in `OPERATIONS`; of another nothing is known but the dtypes that a library has.
    library : str
        The library's part of a backend's label.
    dtype : str
        A name in `DTYPES`.
    backward : bool, optional
        Whether the gradients are wanted as well.

    Returns
    -------
    str or None
        The reason.
    """
    if backward and (reason := why_no_gradients(library)):
        return reason
    spec = OPERATIONS.get(operation)
    if spec is not None and not is_defined(operation, dtype):
        return f"{operation} needs {spec.means}, which {dtype} does not have"
    if dtype in LIBRARIES.get(library, Library()).missing:
        return f"{library} has no {dtype}"
    dtypes, reason = _GAPS.get((library, operation), ((), ""))
    return reason if dtype in dtypes else None
