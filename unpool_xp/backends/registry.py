"""The backends by their labels: those of the package, and those that other packages bring."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from unpool_xp.backends.base import Backend, BackendBrokenError, BackendUnavailableError
from unpool_xp.backends.cupy import load_cupy
from unpool_xp.backends.discovery import Unlisted, find_unlisted, load_unlisted
from unpool_xp.backends.dpnp import load_dpnp
from unpool_xp.backends.files import add_source, explain_file, import_file, read_sources
from unpool_xp.backends.libraries import (
    _load_dask,
    _load_jax,
    _load_numpy,
    _load_strict,
    _load_torch,
    own_words,
)
from unpool_xp.backends.mlx import DEFAULT_DEVICE, load_mlx

_LOADERS: dict[str, Callable[[], Backend]] = {
    "numpy": _load_numpy,
    "torch:cpu": lambda: _load_torch("cpu"),
    "torch:cuda": lambda: _load_torch("cuda"),
    "torch:mps": lambda: _load_torch("mps"),
    "cupy:cuda": load_cupy,
    "jax:cpu": lambda: _load_jax("cpu"),
    "jax:cuda": lambda: _load_jax("cuda"),
    "mlx:cpu": lambda: load_mlx("cpu"),
    "mlx:gpu": lambda: load_mlx("gpu"),
    "dpnp:cpu": lambda: load_dpnp("cpu"),
    "dpnp:gpu": lambda: load_dpnp("gpu"),
    "dask": _load_dask,
    "array_api_strict": _load_strict,
}
_ALIASES = {
    "torch": "torch:cpu",
    "cupy": "cupy:cuda",
    "jax": "jax:cpu",
    "mlx": f"mlx:{DEFAULT_DEVICE}",
    "dpnp": "dpnp:cpu",
}
# Of a machine with several GPUs, by their number: "torch:cuda:1".
_NUMBERED: dict[str, Callable[[int], Backend]] = {
    "torch:cuda": lambda number: _load_torch("cuda", number),
    "cupy:cuda": load_cupy,
    "jax:cuda": lambda number: _load_jax("cuda", number),
}
_ENTRY_POINT_GROUP = "unpool_xp.backends"
# Files of backends that were asked for, "/path/my_backend.py:load", so that child processes know
# them as well.
VARIABLE = "UNPOOL_XP_BACKENDS"


def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=_ENTRY_POINT_GROUP)}


def known() -> list[str]:
    """Return the label of every backend that has one, whether or not it loads here.

    Returns
    -------
    list of str
        The built-in labels, then those of plug-ins.
    """
    return [*_LOADERS, *(name for name in _plugins() if name not in _LOADERS)]


def unlisted() -> dict[str, str]:
    """Return the installed libraries of the array API standard that are not `known`.

    `load` takes them too: what it makes of them is all by the standard.

    Returns
    -------
    dict of str to str
        The name of the namespace, by label. Nothing is imported to find them: they declare
        themselves by an entry point in the group ``array_api``, or are known not to.
    """
    return {label: library.module for label, library in _unlisted().items()}


def _unlisted() -> dict[str, Unlisted]:
    return find_unlisted(label.partition(":")[0] for label in known())


def name_file(source: str, label: str) -> None:
    """Keep the label of a file's backend.

    Parameters
    ----------
    source : str
        The file and what makes the backend, as `full_label` returns them; nothing else is kept.
    label : str
        That of the backend.

    Raises
    ------
    ValueError
        If another backend has the label.
    """
    if source not in read_sources(VARIABLE):
        return
    others = [_ALIASES.get(one) for one in read_sources(VARIABLE) if one != source]
    if label in (*known(), *others):
        raise ValueError(f"{Path(source).name}: its label {label!r} is that of another backend")
    _ALIASES[source] = label


def _load_file(source: str) -> Backend:
    path, _, name = source.rpartition(":")
    try:
        module = import_file(Path(path))
        if not hasattr(module, name):
            raise AttributeError(f"there is no {name!r} in it")
        found = getattr(module, name)()
    except BackendUnavailableError:
        raise
    except (Exception, SystemExit) as error:
        raise BackendBrokenError(explain_file(error, Path(path).name)) from error
    if not isinstance(found, Backend):
        raise BackendBrokenError(f"{Path(path).name}: {name} returned {type(found)}, not a Backend")
    return found


def _find_elsewhere(label: str) -> Backend:
    """Return the backend of a file, by the file or by its label, or an unlisted library's."""
    if label in read_sources(VARIABLE):
        return _load_file(label)
    for source in read_sources(VARIABLE):
        with contextlib.suppress(BackendUnavailableError):
            backend = _load_file(source)
            if backend.label == label:
                return backend
    if label in (others := _unlisted()):
        return load_unlisted(label, others[label])
    raise ValueError(f"unknown backend {label!r}; known: {', '.join(known())}")


def full_label(label: str) -> str:
    """Return the full form of a label; nothing is imported.

    Parameters
    ----------
    label : str
        One of `known` or `unlisted`, a library alone, or a file and what makes a `Backend` in it,
        such as ``"my_backend.py:load"``.

    Returns
    -------
    str
        Such as ``"torch:cpu"`` for ``"torch"``. Of a file its path, until its backend has told
        its label.

    Raises
    ------
    ValueError
        If the label is unknown; the message lists the known ones.

    Examples
    --------
    >>> from unpool_xp import backends
    >>> backends.full_label("jax")
    'jax:cpu'
    """
    if re.fullmatch(r".+\.py:\w+", label):
        path, _, name = label.rpartition(":")
        label = f"{Path(path).resolve()}:{name}"
        add_source(VARIABLE, label)
    if label.endswith(".py"):
        raise ValueError(f"{label}: say what makes the backend, as in {label}:load")
    label = _ALIASES.get(label, label)
    if (device := _numbered(label)) is not None:
        return label if device[1] else device[0]
    if label not in known() and not read_sources(VARIABLE) and label not in _unlisted():
        raise ValueError(f"unknown backend {label!r}; known: {', '.join(known())}")
    return label


def _numbered(label: str) -> tuple[str, int] | None:
    """Return the label without its device's number, and the number, if it has one."""
    library, _, number = label.rpartition(":")
    if library in _NUMBERED and re.fullmatch(r"0|[1-9][0-9]{0,3}", number):
        return library, int(number)
    return None


def load(label: str) -> Backend:
    """Return the backend of a label; its library is imported into this process.

    Parameters
    ----------
    label : str
        ``library[:device]``, one of `known` or `unlisted`; ``"torch"`` and ``"jax"`` mean the
        CPU, ``"cupy"`` the GPU, and ``"mlx"`` what MLX takes itself: the GPU on a Mac with Apple
        silicon, else the CPU. ``"torch:cuda:1"``, ``"cupy:cuda:1"`` and ``"jax:cuda:1"`` are the
        second GPU of a machine, which CuPy then takes for all of this process. Or a file:
        ``"my_backend.py:load"``.

    Returns
    -------
    Backend
        Ready for use.

    Raises
    ------
    ValueError
        If the label is unknown; the message lists the known ones.
    BackendUnavailableError
        If the library or the device is missing; the message says what to install.
    BackendBrokenError
        If the library is there, but raises an exception or calls ``sys.exit`` where it is imported,
        or its entry point does, or gives no backend. It is a `BackendUnavailableError`, too.

    Notes
    -----
    A library that crashes takes this process along, and one that hangs holds it up. The command
    ``unpool-xp backends`` loads each library in a process of its own, with a time limit.

    Examples
    --------
    >>> from unpool_xp import backends
    >>> backends.load("numpy").label
    'numpy'
    """
    label = full_label(label)
    device = _numbered(label)
    if device is None and label not in known():
        return _find_elsewhere(label)
    try:
        if device is not None:
            backend = _NUMBERED[device[0]](device[1])
        else:
            backend = _LOADERS[label]() if label in _LOADERS else _plugins()[label].load()()
    except BackendUnavailableError:
        raise
    except (Exception, SystemExit) as error:  # whatever a library does
        raise BackendBrokenError(f"{label}: {own_words(error)}") from error
    if not isinstance(backend, Backend):
        raise BackendBrokenError(f"{label}: entry point returned {type(backend)}, not a Backend")
    return backend


def available(labels: Iterable[str] | None = None) -> list[str]:
    """Return the labels that load on this machine, each with `load`, in this process.

    Parameters
    ----------
    labels : iterable of str, optional
        The labels to try. Default: all that are known.

    Returns
    -------
    list of str
        Those that load, in the same order.
    """
    found = []
    for label in known() if labels is None else labels:
        try:
            load(label)
        except BackendUnavailableError:
            continue
        found.append(label)
    return found
